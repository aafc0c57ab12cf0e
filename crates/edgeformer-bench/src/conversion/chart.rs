use super::report::{ConversionCurves, ModelCurve};
use crate::Result;
use crate::output::chart::{Line, LineChart, lines};

/// Perplexity as a multiple of what it was, against the share of the cache that is left. Multiples
/// beyond would press all others onto the axis.
const HIGHEST: f64 = 4.0;

/// The best conversions of every model.
pub(super) fn curves(report: &ConversionCurves) -> Result<Vec<u8>> {
    lines(&LineChart {
        title: "Attention converted, without training".into(),
        x: "bytes of cache a token, % of the model's".into(),
        y: "perplexity, times the model's".into(),
        log_x: false,
        lines: report.models.iter().flat_map(of_model).collect(),
    })
}

fn of_model(curve: &ModelCurve) -> Vec<Line> {
    let name = &curve.model.name;
    let latents = curve.latents.iter().map(|point| (point.cache_bytes, point.calibrated));
    let groups = curve.groups.iter().map(|point| (point.cache_bytes, point.principal));
    vec![
        line(curve, format!("{name}, latents"), latents.collect()),
        line(curve, format!("{name}, groups"), groups.collect()),
    ]
}

fn line(curve: &ModelCurve, name: String, mut points: Vec<(usize, f64)>) -> Line {
    points.push((curve.cache_bytes, curve.perplexity));
    points.sort_by_key(|&(bytes, _)| bytes);
    let scaled = |(bytes, perplexity): (usize, f64)| {
        let share = 100.0 * bytes as f64 / curve.cache_bytes.max(1) as f64;
        (share, (perplexity / curve.perplexity).min(HIGHEST))
    };
    Line { name, points: points.into_iter().map(scaled).collect() }
}
