//! Not a test of speed: prints it, beside the error, with `--ignored --nocapture`.

use super::*;

fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

#[test]
#[ignore = "prints figures, checks nothing"]
fn table() {
    const LEN: usize = 1 << 20;
    const COLS: usize = 1024;
    let methods = [
        ("rtn", Method::Rtn { clip_search: false }),
        ("clip", Method::Rtn { clip_search: true }),
        ("kquant", Method::KQuant { objective: Objective::Error }),
        ("hqq", Method::Hqq),
    ];
    let matrices = matrices(LEN, COLS);
    for format in Format::ALL.into_iter().filter(|format| !format.is_float()) {
        for (name, method) in methods {
            let mut line = format!("{:7}{name:8}", format.name());
            for (_, values) in &matrices {
                let start = cpu();
                let bytes =
                    round_matrix(values, COLS, format, &method, &InputStats::default(), 1).unwrap();
                let speed = LEN as f64 / (cpu() - start) / 1e6;
                let mut core = vec![0; bytes.len()];
                format.quantize(values, &mut core).unwrap();
                let ratio = error(format, &bytes, values) / error(format, &core, values);
                line += &format!("  {ratio:.4} {speed:6.1} Mw/s");
            }
            eprintln!("{line}");
        }
    }
}

fn error(format: Format, bytes: &[u8], values: &[f32]) -> f64 {
    let errors = decoded(format, bytes).into_iter().zip(values);
    errors.map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

#[test]
#[ignore = "prints figures, checks nothing"]
fn gptq() {
    for cols in [2048usize, 5632] {
        let inputs = normal(256 * cols, 1);
        let mut hessian = Hessian::new(cols, 0);
        let start = cpu();
        hessian.add_rows(&inputs).unwrap();
        eprintln!("{cols}: {:.2} s for 256 inputs", cpu() - start);
        let start = cpu();
        let factor = crate::linalg::Factor::new(&hessian.dense(0), 0.01).unwrap();
        eprintln!("{cols}: {:.2} s for the factor", cpu() - start);
        drop(factor);
        let weights = normal(128 * cols, 2);
        let stats = InputStats { importance: None, hessian: Some(&hessian) };
        for format in [Format::Q4_0, Format::Q4K] {
            for refine in [0, 4] {
                let start = cpu();
                let method = Method::Gptq(Gptq { refine, ..Gptq::default() });
                round_matrix(&weights, cols, format, &method, &stats, 1).unwrap();
                eprintln!(
                    "{cols}: {:.2} s for 128 rows of {format}, {refine} rounds",
                    cpu() - start
                );
            }
        }
    }
}
