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
