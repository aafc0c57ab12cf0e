//! Rows as Markdown: prompts, answers, and what a model takes, each in a table of its own.

use super::{Case, Row, SpeedReport};
use crate::output::{Table, bytes, rate, ratio, short};

/// Whether a case belongs into a table.
type IsKind = fn(&Case) -> bool;

const UNKNOWN: &str = "–";
const NOT_MEASURED: &str = "not measured";

pub(super) fn markdown(report: &SpeedReport) -> String {
    let mut parts = vec![
        report.device.to_text(),
        format!("`{}`", report.command),
        report.limits.to_table().to_markdown(),
    ];
    let kinds: [(&str, IsKind); 3] = [
        ("Reading a prompt", |case| matches!(case, Case::Prefill { .. })),
        ("Writing an answer", |case| matches!(case, Case::Decode { .. })),
        ("Reading and writing in one figure", |case| matches!(case, Case::EndToEnd { .. })),
    ];
    for (title, is_kind) in kinds {
        let rows: Vec<&Row> = report.rows.iter().filter(|row| is_kind(&row.case)).collect();
        if !rows.is_empty() {
            parts.push(format!("**{title}**"));
            parts.push(speeds(&rows).to_markdown());
        }
    }
    parts.push("**Memory, start and energy**".into());
    parts.push(costs(&report.rows).to_markdown());
    let failures = report.failures.iter().map(|failure| format!("- {failure}\n"));
    let problems = report.rows.iter().filter_map(|row| {
        let (peer, problem) = (row.peer.as_ref()?, row.peer_problem.as_ref()?);
        Some(format!("- {} {}: {peer}: {problem}\n", row.model, row.case))
    });
    let problems: String = failures.chain(problems).collect();
    if !problems.is_empty() {
        parts.push(format!("Not measured:\n\n{problems}"));
    }
    let parts: Vec<&str> = parts.iter().map(|part| part.trim_end()).collect();
    parts.join("\n\n") + "\n"
}

/// Tokens a second, ratio, share of the limit.
fn speeds(rows: &[&Row]) -> Table {
    let mut table = Table::new([
        "model",
        "format",
        "case",
        "threads",
        "tokens/s",
        "peer",
        "its tokens/s",
        "ratio",
        "of limit",
        "peer's of limit",
    ]);
    for row in rows {
        let cache = match (row.cache_type_k.name(), row.cache_type_v.name()) {
            ("f16", "f16") => String::new(),
            (keys, values) => format!(" ({keys}/{values} cache)"),
        };
        let share = |share: Option<f64>| share.map(|share| format!("{:.0} %", share * 100.0));
        let limit = row.limit.as_ref().map(|limit| format!(" of {}", limit.name));
        let of_limit = share(row.share_of_limit).map(|share| share + &limit.unwrap_or_default());
        table.row([
            row.model.clone(),
            row.format.clone(),
            format!("{}{cache}", row.case),
            row.threads.to_string(),
            rate(&row.spread),
            known(row.peer.clone()),
            known(row.peer_spread.as_ref().map(rate)),
            known(row.ratio.map(ratio)),
            known(of_limit),
            known(share(row.peer_share_of_limit)),
        ]);
    }
    table
}

/// What running takes besides time a token.
fn costs(rows: &[Row]) -> Table {
    let mut table = Table::new([
        "model",
        "format",
        "case",
        "threads",
        "peak memory",
        "peer's",
        "load",
        "peer's",
        "first token",
        "peer's",
        "energy",
    ]);
    let seconds = |value: f64| format!("{} s", short(value));
    for row in rows {
        table.row([
            row.model.clone(),
            row.format.clone(),
            row.case.to_string(),
            row.threads.to_string(),
            known(row.peak_rss_bytes.map(bytes)),
            known(row.peer_peak_rss_bytes.map(bytes)),
            seconds(row.load_seconds),
            known(row.peer_load_seconds.map(seconds)),
            seconds(row.time_to_first_token),
            known(row.peer_time_to_first_token.map(seconds)),
            row.energy_joules.map_or(NOT_MEASURED.into(), |joules| format!("{} J", short(joules))),
        ]);
    }
    table
}

fn known(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| UNKNOWN.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_and_answers_have_tables_of_their_own() {
        let mut report = SpeedReport::made_up();
        report.rows[1].peer = Some("candle".into());
        report.rows[1].peer_problem = Some("no such beads".into());
        insta::assert_snapshot!(markdown(&report));
    }
}
