use edgeformer_core::graph::Activation;

use super::tables;

/// `Φ(x)` to 14 digits: the series of erf near zero, the continued fraction of erfc beyond
/// (Abramowitz and Stegun, 7.1.6 and 7.1.14).
fn normal(x: f64) -> f64 {
    let t = x.abs() / std::f64::consts::SQRT_2;
    let two_over_root_pi = 2.0 / std::f64::consts::PI.sqrt();
    let tail = if t < 2.0 {
        let mut term = t;
        let mut sum = t;
        for n in 1..100 {
            term *= 2.0 * t * t / f64::from(2 * n + 1);
            sum += term;
        }
        0.5 * (1.0 - two_over_root_pi * (-t * t).exp() * sum)
    } else {
        let fraction = (1..200).rev().fold(t, |inner, n| t + f64::from(n) / 2.0 / inner);
        0.25 * two_over_root_pi * (-t * t).exp() / fraction
    };
    if x < 0.0 { tail } else { 1.0 - tail }
}

fn exact(function: Activation, x: f64) -> f64 {
    match function {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Gelu => x * normal(x),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            x / (1.0 + (-2.0 * inner).exp())
        }
        Activation::Relu => x.max(0.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
    }
}

const ALL: [Activation; 6] = [
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Relu,
    Activation::Sigmoid,
    Activation::Tanh,
];

/// Every 4,097th float of either sign, from zero to infinity: 500 thousand values.
fn sweep() -> Vec<f32> {
    (0..f32::INFINITY.to_bits())
        .step_by(4097)
        .flat_map(|bits| [f32::from_bits(bits), -f32::from_bits(bits)])
        .collect()
}

#[test]
fn the_reference_itself_is_right() {
    // Abramowitz and Stegun, table 26.1.
    for (x, expected) in [(0.0, 0.5), (1.0, 0.841344746068543), (3.0, 0.998650101968370)] {
        assert!((normal(x) - expected).abs() < 1e-14, "{x}");
    }
    assert!((normal(-5.0) / 2.866515718791939e-7 - 1.0).abs() < 1e-12);
    assert!((normal(2.83) - normal(2.828)).abs() < 2e-5, "the two forms meet");
}

#[test]
fn activations_are_right_from_the_smallest_to_the_largest() {
    let x = sweep();
    for kernels in tables() {
        for function in ALL {
            let mut got = x.clone();
            kernels.activate(function, &mut got);
            for (&got, &x) in got.iter().zip(&x) {
                let exact = exact(function, f64::from(x));
                // The exponent of e is rounded: where it is large, its error is too. Where e to it
                // would overflow, 1e-36 has become zero.
                let exponent = match function {
                    Activation::GeluTanh => 2.0 * f64::from(x).abs().min(12.0).powi(3) / 10.0,
                    _ => f64::from(x).abs().min(110.0),
                };
                let bound = exact.abs() * (1e-6 + 2e-7 * exponent) + 1e-36;
                let error = (f64::from(got) - exact).abs();
                assert!(
                    error <= bound,
                    "{kernels:?} {function:?}({x:e}) is {got:e}, not {exact:e}"
                );
            }
        }
    }
}

#[test]
fn activations_of_what_is_not_finite() {
    let infinite = [f32::INFINITY, f32::NEG_INFINITY];
    for kernels in tables() {
        let of = |function, x: f32| {
            let mut x = [x];
            kernels.activate(function, &mut x);
            x[0]
        };
        for function in ALL {
            assert!(of(function, f32::NAN).is_nan(), "{kernels:?} {function:?}");
        }
        assert_eq!(infinite.map(|x| of(Activation::Sigmoid, x)), [1.0, 0.0]);
        assert_eq!(infinite.map(|x| of(Activation::Tanh, x)), [1.0, -1.0]);
        assert_eq!(infinite.map(|x| of(Activation::Relu, x)), [f32::INFINITY, 0.0]);
        for function in [Activation::Silu, Activation::Gelu, Activation::GeluTanh] {
            assert_eq!(of(function, f32::INFINITY), f32::INFINITY, "{kernels:?} {function:?}");
        }
    }
}

#[test]
fn caps_bend_what_is_large() {
    for kernels in tables() {
        let x: Vec<_> = (-400..400).map(|i| i as f32 / 3.0).collect();
        let mut got = x.clone();
        kernels.soft_cap(&mut got, 30.0);
        for (got, x) in got.iter().zip(x) {
            let exact = 30.0 * (f64::from(x) / 30.0).tanh();
            assert!((f64::from(*got) - exact).abs() <= 1e-6 * exact.abs(), "{got} is not {exact}");
        }
    }
}

#[test]
fn sums_and_products_have_the_same_bits_in_every_table() {
    let (x, y) = (sweep(), sweep().into_iter().rev().collect::<Vec<_>>());
    for kernels in tables() {
        let apply = |function: &dyn Fn(&mut [f32])| {
            let mut out = x.clone();
            function(&mut out);
            out
        };
        let expected = |function: &dyn Fn(f32, f32) -> f32| {
            x.iter().zip(&y).map(|(x, y)| function(*x, *y)).collect::<Vec<_>>()
        };
        assert_eq!(apply(&|x| kernels.add(x, &y)), expected(&|x, y| x + y));
        assert_eq!(apply(&|x| kernels.multiply(x, &y)), expected(&|x, y| x * y));
        assert_eq!(apply(&|x| kernels.scale(x, 0.3)), expected(&|x, _| x * 0.3));
    }
}
