//! The picture: tokens a second and memory over sequence length, one line a device, its peers
//! beside it.

use std::collections::BTreeMap;

use super::{Case, Row, SpeedReport};
use crate::Result;
use crate::output::chart::{Line, LineChart, beside, lines};

/// What is drawn over sequence length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Prompt tokens a second.
    Prefill,
    /// Tokens a second that are written behind a context.
    Decode,
    /// The most memory that was resident, in MiB.
    Memory,
}

impl Quantity {
    fn y(self) -> &'static str {
        match self {
            Self::Prefill => "prompt tokens/s",
            Self::Decode => "written tokens/s",
            Self::Memory => "peak memory, MiB",
        }
    }

    /// Sequence length, ours, the peer's; `None` if the row has no place in the chart.
    fn point(self, row: &Row) -> Option<(f64, f64, Option<f64>)> {
        let length = row.case.context() as f64;
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        match (self, row.case) {
            (Self::Prefill, Case::Prefill { depth: 0, .. })
            | (Self::Decode, Case::Decode { .. }) => {
                Some((length, row.tokens_per_second, row.peer_tokens_per_second))
            }
            (Self::Memory, Case::Prefill { depth: 0, .. } | Case::Decode { .. }) => Some((
                length,
                mebibytes(row.peak_rss_bytes?),
                row.peer_peak_rss_bytes.map(mebibytes),
            )),
            _ => None,
        }
    }
}

/// The chart of a quantity: a line for each device, model, format and number of threads, and one
/// for each peer.
pub fn over_length(reports: &[SpeedReport], quantity: Quantity) -> LineChart {
    let mut points: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for report in reports {
        for row in &report.rows {
            let Some((length, ours, theirs)) = quantity.point(row) else { continue };
            let threads = if row.threads == 1 { "thread" } else { "threads" };
            let emulated = if report.device.emulated { " (emulated)" } else { "" };
            let name = format!(
                "{}{emulated}, {} {}, {} {threads}",
                report.device.name, row.model, row.format, row.threads
            );
            if let (Some(peer), Some(theirs)) = (&row.peer, theirs) {
                points.entry(format!("{name}: {peer}")).or_default().push((length, theirs));
            }
            points.entry(name).or_default().push((length, ours));
        }
    }
    let line = |(name, mut points): (String, Vec<(f64, f64)>)| {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        // A row a peer has the same figure of ours more than once.
        points.dedup_by(|a, b| a.0 == b.0);
        Line { name, points }
    };
    LineChart {
        title: quantity.y().into(),
        x: "tokens of the sequence".into(),
        y: quantity.y().into(),
        log_x: true,
        lines: points.into_iter().map(line).collect(),
    }
}

pub(super) fn png(report: &SpeedReport) -> Result<Vec<u8>> {
    picture(std::slice::from_ref(report))
}

/// All charts that have lines, side by side, as a PNG file.
///
/// # Errors
/// If drawing fails.
pub fn picture(reports: &[SpeedReport]) -> Result<Vec<u8>> {
    let quantities = [Quantity::Prefill, Quantity::Decode, Quantity::Memory];
    let charts: Vec<LineChart> = quantities
        .map(|quantity| over_length(reports, quantity))
        .into_iter()
        .filter(|chart| !chart.lines.is_empty())
        .collect();
    match charts.as_slice() {
        [one] => lines(one),
        charts => beside(charts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_peers_have_lines() {
        let report = SpeedReport::made_up();
        let mut other = report.clone();
        other.device.name = "Slide rule".into();
        other.device.emulated = true;
        let mut longer = report.rows[0].clone();
        longer.case = Case::Prefill { tokens: 128, depth: 0 };
        other.rows.push(longer);
        let chart = over_length(&[report, other], Quantity::Prefill);
        let lines: Vec<(&str, usize)> =
            chart.lines.iter().map(|line| (line.name.as_str(), line.points.len())).collect();
        assert_eq!(
            lines,
            [
                ("Abacus, toy q4_0, 2 threads", 1),
                ("Abacus, toy q4_0, 2 threads: llama.cpp", 1),
                ("Slide rule (emulated), toy q4_0, 2 threads", 2),
                ("Slide rule (emulated), toy q4_0, 2 threads: llama.cpp", 2),
            ]
        );
        assert_eq!(chart.lines[2].points[0].0, 128.0);
    }

    #[test]
    fn pictures_are_drawn_whatever_there_is() {
        let report = SpeedReport::made_up();
        let image = image::load_from_memory(&png(&report).unwrap()).unwrap();
        assert!(image.width() > image.height());
        let empty = SpeedReport { rows: Vec::new(), ..report };
        assert!(png(&empty).is_ok());
    }
}
