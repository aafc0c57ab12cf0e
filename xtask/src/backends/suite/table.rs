//! The page: what each backend passes, and what it does not support and why.

use std::fmt::Write as _;

/// What a backend did with every case of the suite.
pub struct Column {
    /// Its name.
    pub backend: String,
    /// A case and how it ended, in the suite's order.
    pub outcomes: Vec<(String, Outcome)>,
}

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// It is on the backend's list of exceptions, for this reason.
    Unsupported(&'static str),
}

/// Groups of cases, by what their names begin with, and what they are about.
const GROUPS: [(&str, &str); 11] = [
    ("ops", "one op on a small graph, beside the plain definition in f64, ragged batches included"),
    (
        "adapters",
        "low-rank adapters beside weights, compared with weights that they are merged into; sequences that scale them, sharing and forking",
    ),
    ("cache", "forks, truncation, saved sequences, long texts, accounting"),
    ("visibility", "windows, sinks, chosen pages, eviction"),
    ("steps", "steps that are refused, rows that are wanted"),
    ("same-bits", "the same bits for any threads, chunks, companions"),
    ("hf", "every family beside PyTorch: prompts in any split, then token by token"),
    ("hf-cache", "every family with every format of the cache that the backend takes"),
    ("hf-formats", "every family with weights in F16, BF16, Q8_0, Q4_0"),
    ("hf-ragged", "every family in ragged batches"),
    ("gguf-blocks", "every block format, quantized by llama.cpp"),
];

/// What is in none of them.
const REST: &str = "whole models with tokenizers and images";

/// The page of all backends.
pub fn page(columns: &[Column]) -> String {
    let mut page = String::from(
        "# Backends\n\n\
         One graph runs on every backend, and one suite (`edgeformer-conformance`) says of each what it\n\
         can do. This page is what `cargo xtask backends` writes; `cargo xtask backends --check` fails\n\
         where it is not true.\n\n\
         A number is how many cases pass; where that is not all of them, the rest is listed below.\n\n",
    );
    write_table(&mut page, columns);
    for column in columns {
        write_exceptions(&mut page, column);
    }
    page.push_str(
        "\n## How to read a reason\n\n\
         An exception is a case that the backend refuses or fails, listed in\n\
         `edgeformer-conformance/src/known.rs` with its reason. A case on the list that passes is an\n\
         error of the suite, so the list cannot be longer than what is true.\n",
    );
    page
}

fn write_table(page: &mut String, columns: &[Column]) {
    let names: Vec<_> = columns.iter().map(|column| format!("`{}`", column.backend)).collect();
    line(page, &format!("| cases | about | all | {} |", names.join(" | ")));
    line(page, &format!("|---|---|---|{}", "---|".repeat(columns.len())));
    let rest = [("models", REST)];
    for (group, about) in GROUPS.iter().chain(&rest) {
        let counts: Vec<_> = columns.iter().map(|column| count(column, group)).collect();
        let all = counts.first().map_or(0, |(all, _)| *all);
        let passed: Vec<_> = counts.iter().map(|(_, passed)| passed.to_string()).collect();
        line(page, &format!("| `{group}/*` | {about} | {all} | {} |", passed.join(" | ")));
    }
}

/// Cases of a group, and how many of them pass.
fn count(column: &Column, group: &str) -> (usize, usize) {
    let of_group = column.outcomes.iter().filter(|(case, _)| group_of(case) == group);
    let all = of_group.clone().count();
    (all, of_group.filter(|(_, outcome)| *outcome == Outcome::Passed).count())
}

fn group_of(case: &str) -> &str {
    case.split_once('/').map_or(case, |(group, _)| group)
}

/// Every reason, with the cases that it is given for.
fn write_exceptions(page: &mut String, column: &Column) {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (case, outcome) in &column.outcomes {
        let Outcome::Unsupported(why) = *outcome else { continue };
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, cases)) => cases.push(case),
            None => reasons.push((why, vec![case])),
        }
    }
    if reasons.is_empty() {
        return;
    }
    line(page, &format!("\n## What `{}` does not do\n", column.backend));
    line(page, "| why | cases |");
    line(page, "|---|---|");
    for (why, cases) in reasons {
        let cases: Vec<_> = cases.iter().map(|case| format!("`{case}`")).collect();
        line(page, &format!("| {why} | {} |", cases.join(" ")));
    }
}

fn line(page: &mut String, line: &str) {
    writeln!(page, "{line}").expect("strings take everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(backend: &str, outcomes: &[(&str, Outcome)]) -> Column {
        let outcomes = outcomes.iter().map(|(case, outcome)| (case.to_string(), *outcome));
        Column { backend: backend.into(), outcomes: outcomes.collect() }
    }

    #[test]
    fn what_does_not_pass_is_listed_by_its_reason() {
        let lacking = Outcome::Unsupported("no pages");
        let page = page(&[
            column("a", &[("ops/x", Outcome::Passed), ("cache/y", Outcome::Passed)]),
            column("b", &[("ops/x", lacking), ("cache/y", lacking)]),
        ]);
        let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
        assert!(rows[0].ends_with("| 1 | 1 | 0 |"), "{page}");
        assert!(page.contains("| no pages | `ops/x` `cache/y` |"), "{page}");
        assert!(!page.contains("What `a` does not do"), "{page}");
    }
}
