use std::collections::BTreeSet;

use crate::run::{Result, cargo, read};

/// Crates that a default build, and one of the core alone, may take.
const LIMITS: [(&str, usize); 2] = [("edgeformer", 170), ("edgeformer-core", 45)];

/// Checks how many crates a build takes.
pub fn check() -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (package, limit) in LIMITS {
        let arguments = [
            "tree",
            "--package",
            package,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ];
        let count = distinct(&read(cargo().args(arguments))?);
        if count > limit {
            problems.push(format!("{package}: its tree has {count} crates, at most {limit}"));
        }
    }
    Ok(problems)
}

/// Distinct lines. `cargo tree` marks repetitions with ` (*)`.
fn distinct(tree: &str) -> usize {
    tree.lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.is_empty())
        .collect::<BTreeSet<_>>()
        .len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_count_once() {
        assert_eq!(distinct("a v1\nb v1\n\na v1 (*)\nb v2\n"), 3);
    }
}
