//! The table as bars.

use super::{CacheReport, DepthFigures, Row};
use crate::output::chart::{Bar, Panel, bars};
use crate::output::{bytes, short};
use crate::{Quality, Result};

type Value<T> = fn(&T) -> Option<f64>;
type Shown = fn(f64) -> String;

pub(super) fn png(report: &CacheReport) -> Result<Vec<u8>> {
    let by_depth: [(&str, Value<DepthFigures>, Shown); 4] = [
        ("cache in memory", |figures| Some(figures.cache_resident as f64), mebibytes),
        ("peak resident", |figures| Some(figures.peak_resident?.median), mebibytes),
        ("prefill, tokens/s", |figures| Some(figures.prefill.median), short),
        ("decode, tokens/s", |figures| Some(figures.decode.median), short),
    ];
    let mut panels = Vec::new();
    for (title, value, shown) in by_depth {
        for (at, depth) in report.depths.iter().enumerate() {
            let title = format!("{title} at {depth} tokens");
            panels.push(panel(report, title, shown, |row| value(row.depths.get(at)?.measured()?)));
        }
    }
    let by_text: [(&str, Value<Quality>); 2] = [
        ("perplexity", |quality| Some(quality.perplexity)),
        ("KL divergence from the baseline", |quality| Some(quality.divergence)),
    ];
    for (at, facts) in report.texts.iter().enumerate() {
        for (title, value) in by_text {
            let title = format!("{title}, {}", facts.name);
            panels.push(panel(report, title, short, |row| value(row.texts.get(at)?.measured()?)));
        }
    }
    let title = format!("Ways to keep the past: {}", report.model.name);
    bars(&title, &report.machine.to_line(), &panels)
}

fn panel(
    report: &CacheReport,
    title: String,
    shown: Shown,
    value: impl Fn(&Row) -> Option<f64>,
) -> Panel {
    let bar = |row: &Row| {
        let value = value(row);
        Bar { label: row.name.clone(), value, text: value.map_or("–".into(), shown) }
    };
    Panel { title, bars: report.rows.iter().map(bar).collect() }
}

fn mebibytes(value: f64) -> String {
    bytes(value as u64)
}
