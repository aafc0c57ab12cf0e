//! What a plan was chosen from, for people.

use std::fmt::Write;

use edgeformer::{Candidate, Plan};

use crate::report::mebibytes;

/// The candidates, one a line, and why the backend computes as it does.
pub fn explain(plan: &Plan) -> String {
    let mut text = String::new();
    let budget = plan.budget.bytes.map_or("unknown".into(), mebibytes);
    let weights = mebibytes(plan.footprint.weights);
    let page = plan.session.page_tokens;
    write(&mut text, &format!("memory budget {budget}: {}", plan.budget.source));
    write(&mut text, &format!("weights {weights}, as they are kept in memory"));
    write(&mut text, &format!("cache in pages of {page} tokens"));
    write(
        &mut text,
        &format!(
            "{:>7} {:>6} {:>6} {:>12} {:>12} {:>12} {:>12}  {:<4}  where pages go",
            "chunk", "keys", "values", "in memory", "elsewhere", "scratch", "total", "fits"
        ),
    );
    plan.candidates.iter().for_each(|candidate| write(&mut text, &line(candidate)));
    plan.explanation.iter().for_each(|reason| write(&mut text, reason));
    text
}

fn line(candidate: &Candidate) -> String {
    let mark = if candidate.chosen { '*' } else { ' ' };
    let fits = if candidate.fits { "yes" } else { "no" };
    let bytes = |bytes| match candidate.problem {
        None => mebibytes(bytes),
        Some(_) => "-".into(),
    };
    let mut line = format!(
        "{mark}{:>6} {:>6} {:>6} {:>12} {:>12} {:>12} {:>12}  {fits:<4}  {}",
        candidate.chunk,
        candidate.cache_type_k.name(),
        candidate.cache_type_v.name(),
        bytes(candidate.cache_resident),
        bytes(candidate.cache_spilled),
        bytes(candidate.scratch),
        bytes(candidate.total),
        place(candidate)
    );
    if let Some(problem) = &candidate.problem {
        line = format!("{line}: {problem}");
    }
    line
}

fn place(candidate: &Candidate) -> String {
    match (&candidate.tiers.spill, candidate.tiers.cold) {
        (Some(folder), _) => format!("file in {}", folder.display()),
        (None, Some(format)) => format!("cold in {}", format.name()),
        (None, None) => "memory".into(),
    }
}

fn write(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes everything");
}
