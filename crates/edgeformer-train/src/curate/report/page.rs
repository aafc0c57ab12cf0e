//! One page that needs nothing else: plots, counts, reasons.

use std::fmt::Write;

use super::super::ledger::{Scores, Verdict};
use super::super::pipeline::Curated;
use super::svg::{Bar, Values, bars, escape, histogram};

/// Dropped records that the page lists; the report for programs has them all.
const LISTED: usize = 500;

const STYLE: &str = "
:root { color-scheme: light dark; --kept: #2a7f62; --dropped: #c9ccd1; --ink: #1d2126; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --dropped: #4a4f57; --ink: #e4e6e9; --paper: #16181b; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1040px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
svg { max-width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.kept { fill: var(--kept); } .dropped { fill: var(--dropped); }
.plots { display: flex; flex-wrap: wrap; gap: 1.5em; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .15em .8em .15em 0; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
.key span { display: inline-block; width: .8em; height: .8em; margin-right: .35em; }
";

/// What became of a pool, as one HTML page without scripts: records by stage, what was measured of
/// what is kept and of what was dropped, reasons, the first dropped records.
pub fn html(curated: &Curated<'_>) -> String {
    let name = curated.pool.path.file_name().unwrap_or_default().to_string_lossy();
    let name = escape(&name);
    let kept = curated.kept().count();
    let lines = curated.pool.entries.len() + curated.pool.bad.len();
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}, curated</title>\n<style>{STYLE}</style></head><body>\n<h1>{name}: {kept} of {lines} lines kept</h1>\n"
    );
    let mut add = |part: &str| page.push_str(part);
    add(
        "<p class=\"key\"><span style=\"background:var(--kept)\"></span>kept &nbsp; <span style=\"background:var(--dropped)\"></span>dropped</p>\n",
    );
    add("<h2>Records by stage</h2>\n");
    add(&stages(curated));
    let plots = plots(curated);
    if !plots.is_empty() {
        add("\n<h2>What was measured</h2>\n<div class=\"plots\">");
        add(&plots);
        add("</div>\n");
    }
    add("<h2>Reasons</h2>\n");
    add(&reasons(curated));
    add("<h2>Dropped records</h2>\n");
    add(&dropped(curated));
    add("</body></html>\n");
    page
}

fn stages(curated: &Curated<'_>) -> String {
    let (records, bad) = (curated.pool.entries.len(), curated.pool.bad.len());
    let reading = Bar { label: "reading", all: records + bad, kept: records };
    let stages = curated.stages.iter().map(|stage| Bar {
        label: stage.stage,
        all: stage.records,
        kept: stage.records - stage.dropped,
    });
    bars(&std::iter::once(reading).chain(stages).collect::<Vec<_>>())
}

fn plots(curated: &Curated<'_>) -> String {
    type Measure = fn(&Scores) -> Option<f64>;
    let measures: [(&str, Measure); 5] = [
        ("loss of an answer's token (nats)", |scores| scores.loss),
        ("perplexity with the question by that without (IFD)", |scores| scores.ifd),
        ("sampled answers that were right", |scores| scores.solved.map(|solved| solved as f64)),
        ("quality of reasoning", |scores| scores.quality),
        ("tokens", |scores| scores.tokens.map(|tokens| tokens as f64)),
    ];
    let mut plots = String::new();
    for (title, measure) in measures {
        let value =
            |verdict: &Verdict| Some((measure(&verdict.scores)?, verdict.dropped.is_none()));
        let values: Values = curated.verdicts.iter().filter_map(value).collect();
        if !values.is_empty() {
            plots.push_str(&histogram(title, &values));
        }
    }
    plots
}

fn reasons(curated: &Curated<'_>) -> String {
    let mut table = String::from("<table><tr><th>stage</th><th>reason</th><th>records</th></tr>\n");
    let bad = curated.pool.bad.len();
    let reading = (bad > 0).then_some(("reading", "no_record", bad));
    let stages = curated.stages.iter().flat_map(|stage| {
        stage.reasons.iter().map(|(reason, count)| (stage.stage, *reason, *count))
    });
    for (stage, reason, count) in reading.into_iter().chain(stages) {
        writeln!(table, "<tr><td>{stage}</td><td>{reason}</td><td class=\"n\">{count}</td></tr>")
            .expect("a String takes everything");
    }
    table + "</table>\n"
}

fn dropped(curated: &Curated<'_>) -> String {
    let records = curated.pool.entries.iter().zip(&curated.verdicts);
    let records = records.filter_map(|(entry, verdict)| {
        let (stage, reason) = verdict.dropped.as_ref()?;
        Some((entry.line, *stage, reason.to_string()))
    });
    let bad = curated.pool.bad.iter().map(|bad| (bad.line, "reading", bad.problem.clone()));
    let mut all: Vec<(u64, &str, String)> = records.chain(bad).collect();
    all.sort_by_key(|(line, ..)| *line);
    let mut table = String::from("<table><tr><th>line</th><th>stage</th><th>why</th></tr>\n");
    for (line, stage, why) in all.iter().take(LISTED) {
        let why = escape(why);
        writeln!(table, "<tr><td class=\"n\">{line}</td><td>{stage}</td><td>{why}</td></tr>")
            .expect("a String takes everything");
    }
    table.push_str("</table>\n");
    if all.len() > LISTED {
        let more = all.len() - LISTED;
        writeln!(table, "<p>{more} more are in the report for programs.</p>")
            .expect("a String takes everything");
    }
    table
}
