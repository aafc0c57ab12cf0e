//! A JSON object for every line of the pool.

use std::io::{self, Write};

use serde::Serialize;

use super::super::ledger::{Scores, Verdict};
use super::super::pipeline::Curated;
use super::super::reason::Reason;
use crate::data::Entry;

#[derive(Serialize)]
struct Line<'a> {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    kept: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    #[serde(flatten)]
    reason: Option<&'a Reason>,
    /// The reason for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "is_nothing")]
    scores: Scores,
}

fn is_nothing(scores: &Scores) -> bool {
    *scores == Scores::default()
}

/// Writes an object for every line, in their order: whether it is kept, at which stage and why it
/// was dropped, and what was measured of it.
///
/// # Errors
/// If it cannot be written.
pub fn jsonl(curated: &Curated<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut bad = curated.pool.bad.iter().peekable();
    let mut write = |line: &Line<'_>| {
        serde_json::to_writer(&mut *out, line)?;
        out.write_all(b"\n")
    };
    for (entry, verdict) in curated.pool.entries.iter().zip(&curated.verdicts) {
        while let Some(bad) = bad.next_if(|bad| bad.line < entry.line) {
            write_bad(bad, &mut write)?;
        }
        write(&of(entry, verdict))?;
    }
    bad.try_for_each(|bad| write_bad(bad, &mut write))
}

fn write_bad(
    bad: &crate::data::BadLine,
    write: &mut impl FnMut(&Line<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let reason = Reason::NoRecord { problem: bad.problem.clone() };
    write(&Line {
        line: bad.line,
        id: None,
        kept: false,
        rank: None,
        stage: Some("reading"),
        detail: Some(reason.to_string()),
        reason: Some(&reason),
        scores: Scores::default(),
    })
}

fn of<'a>(entry: &'a Entry, verdict: &'a Verdict) -> Line<'a> {
    let dropped = verdict.dropped.as_ref();
    Line {
        line: entry.line,
        id: entry.id.as_deref(),
        kept: dropped.is_none(),
        rank: verdict.rank,
        stage: dropped.map(|(stage, _)| *stage),
        reason: dropped.map(|(_, reason)| reason),
        detail: dropped.map(|(_, reason)| reason.to_string()),
        scores: verdict.scores,
    }
}
