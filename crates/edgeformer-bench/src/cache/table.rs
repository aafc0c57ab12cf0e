//! The table as Markdown.

use std::fmt::Write;

use super::{CacheReport, DepthFigures, Outcome, Row};
use crate::Quality;
use crate::output::{Table, bytes, rate, ratio, short};

/// What stands where there is no figure.
const NONE: &str = "–";

/// The whole report.
pub(super) fn markdown(report: &CacheReport) -> String {
    let mut text = format!(
        "{}\n\n{}\n\n`{}`: medians of {} runs, round robin, each in a process of its own; in \
         brackets multiples of {} in the same round.\n",
        report.machine.to_line(),
        report.model.to_line(),
        report.command,
        report.runs,
        report.rows.first().map_or(NONE, |row| row.name.as_str()),
    );
    let line = |text: &mut String, line: String| {
        writeln!(text, "{line}").expect("a string takes what it is given");
    };
    for facts in &report.texts {
        let (name, tokens, window) = (&facts.name, facts.tokens, facts.window);
        let said =
            format!("Text {name}: {tokens} tokens in windows of {window}, second halves scored.");
        line(&mut text, format!("\n{said}"));
    }
    line(&mut text, String::new());
    text.push_str(&table(report).to_markdown());
    let failures = failures(report);
    if !failures.is_empty() {
        line(&mut text, "\nNot measured:".into());
    }
    failures.into_iter().for_each(|failure| line(&mut text, format!("- {failure}")));
    text
}

fn table(report: &CacheReport) -> Table {
    let mut header = vec!["cache".to_owned(), "bytes per token".into()];
    let at = |what: &str| {
        report.depths.iter().map(|depth| format!("{what} at {depth}")).collect::<Vec<_>>()
    };
    for what in ["cache in memory", "peak resident", "prefill tokens/s", "decode tokens/s"] {
        header.extend(at(what));
    }
    for facts in &report.texts {
        let what = ["perplexity", "KL divergence", "99 % below", "same top token"];
        header.extend(what.map(|what| format!("{what}, {}", facts.name)));
    }
    let mut table = Table::new(header);
    for row in &report.rows {
        table.row(cells(row));
    }
    table
}

fn cells(row: &Row) -> Vec<String> {
    let per_token = row.depths.iter().find_map(Outcome::measured);
    let mut cells = vec![
        row.name.clone(),
        per_token.map_or(NONE.into(), |figures| figures.bytes_per_token.to_string()),
    ];
    let columns: [fn(&DepthFigures) -> String; 4] = [
        |figures| bytes(figures.cache_resident),
        |figures| figures.peak_resident.map_or(NONE.into(), |peak| bytes(peak.median as u64)),
        |figures| compared(rate(&figures.prefill), figures.prefill_ratio),
        |figures| compared(rate(&figures.decode), figures.decode_ratio),
    ];
    for column in columns {
        cells.extend(
            row.depths.iter().map(|outcome| outcome.measured().map_or(NONE.into(), column)),
        );
    }
    for outcome in &row.texts {
        cells.extend(quality(outcome.measured()));
    }
    cells
}

fn compared(rate: String, to_baseline: Option<f64>) -> String {
    match to_baseline {
        Some(value) => format!("{rate} ({})", ratio(value)),
        None => rate,
    }
}

fn quality(quality: Option<&Quality>) -> [String; 4] {
    let Some(quality) = quality else { return [NONE; 4].map(str::to_owned) };
    [
        format!("{:.4} ({:.4}x)", quality.perplexity, quality.perplexity_ratio()),
        short(quality.divergence),
        short(quality.divergence_p99),
        format!("{:.2} %", quality.same_top * 100.0),
    ]
}

/// Every reason once, with the places that it is the reason for.
fn failures(report: &CacheReport) -> Vec<String> {
    let mut failures: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |problem: &str, place: String| match failures
        .iter_mut()
        .find(|(known, _)| known == problem)
    {
        Some((_, places)) => places.push(place),
        None => failures.push((problem.into(), vec![place])),
    };
    for row in &report.rows {
        for (outcome, depth) in row.depths.iter().zip(&report.depths) {
            if let Outcome::Failed(problem) = outcome {
                add(problem, format!("`{}` at {depth}", row.name));
            }
        }
        for (outcome, facts) in row.texts.iter().zip(&report.texts) {
            if let Outcome::Failed(problem) = outcome {
                add(problem, format!("`{}` on {}", row.name, facts.name));
            }
        }
    }
    let told =
        |(problem, places): (String, Vec<String>)| format!("{}: {problem}", places.join(", "));
    failures.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Machine;
    use crate::cache::{Configuration, Speed, TextFacts};
    use crate::output::Report;
    use crate::subject::ModelRecord;
    use edgeformer::evaluate::Divergence;
    use edgeformer_core::{CacheUsage, Footprint};

    fn speed(prefill: f64, decode: f64, resident: u64) -> Speed {
        Speed {
            prefill,
            decode,
            peak_resident: Some(resident + (9 << 20)),
            usage: CacheUsage { bytes_resident: resident, ..CacheUsage::default() },
            footprint: Footprint { cache_per_token: resident / 4096, ..Footprint::default() },
            budget: None,
        }
    }

    fn row(name: &str, runs: &[Speed], baseline: &[Speed], scores: &[f32]) -> Row {
        let mut figures = DepthFigures::of(4096, runs).unwrap();
        figures.compare(runs, baseline);
        let mut quality = Divergence::default();
        quality.add(&[1.0, 0.0, 0.0], scores, 0).unwrap();
        Row {
            name: name.into(),
            configuration: name.parse().unwrap(),
            depths: vec![Outcome::Measured(figures)],
            texts: vec![Outcome::Measured(Quality::of(&quality).unwrap())],
        }
    }

    fn report() -> CacheReport {
        let base = [speed(1000.0, 100.0, 4 << 20), speed(500.0, 50.0, 4 << 20)];
        let other = [speed(900.0, 120.0, 2 << 20), speed(440.0, 61.0, 2 << 20)];
        let failed = || "the backend \"abacus\" has no beads left".to_owned();
        let broken = Row {
            name: "window 256".into(),
            configuration: Configuration::Window(256),
            depths: vec![Outcome::Failed(failed())],
            texts: vec![Outcome::Failed(failed())],
        };
        let baseline = row("f16", &base, &base, &[1.0, 0.0, 0.0]);
        CacheReport {
            machine: Machine::made_up(),
            command: "cargo xtask bench cache".into(),
            model: ModelRecord::made_up(),
            runs: 2,
            decode_tokens: 32,
            depths: vec![4096],
            texts: vec![TextFacts { name: "tales".into(), tokens: 1024, window: 512 }],
            rows: vec![baseline, row("q8_0", &other, &base, &[0.5, 0.0, 0.25]), broken],
        }
    }

    #[test]
    fn tables_hold_figures_ratios_and_reasons() {
        insta::assert_snapshot!(report().to_markdown());
    }

    #[test]
    fn reports_are_read_back_from_json() {
        let report = report();
        let json = crate::output::to_json(&report).unwrap();
        let read: CacheReport = serde_json::from_str(&json).unwrap();
        // To the digits that are shown: the reader of JSON may miss the last bit.
        assert_eq!(read.to_markdown(), report.to_markdown());
    }

    #[test]
    fn charts_have_a_panel_a_column() {
        let image = image::load_from_memory(&report().to_png().unwrap()).unwrap();
        // Four panels of a depth and two of a text, two abreast.
        assert_eq!((image.width(), image.height()), (1240, 52 + 3 * (4 * 20 + 2 * 16)));
    }
}
