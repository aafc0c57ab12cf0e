use std::fs;
use std::path::{Path, PathBuf};

use crate::run::Result;

/// A file longer than this wants to be split by idea.
const MAX_LINES: usize = 500;

/// Where `unsafe` may stand.
const UNSAFE_ALLOWED: [&str; 10] = [
    "crates/edgeformer-backend-candle/src/gemm.rs",
    "crates/edgeformer-backend-cpu/src/kernels/",
    "crates/edgeformer-backend-cpu/src/pool/",
    "crates/edgeformer-backend-onnx/src/runtime/",
    "crates/edgeformer-backend-rocm/src/detect/hip.rs",
    "crates/edgeformer/src/plugins/loaded.rs",
    "crates/edgeformer-bench/src/peers/llama_cpp/quantize.rs",
    "crates/edgeformer-models/src/map.rs",
    "crates/edgeformer-plugin/src/",
    "crates/edgeformer-quantize/src/rounding/wide.rs",
];

/// Tests that count allocations have to implement the unsafe trait `GlobalAlloc`; a benchmark loads
/// a library.
const UNSAFE_IN_TESTS: [&str; 2] = ["/tests/", "/benches/"];

/// Checks every Rust file of ours.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    collect(&root.join("crates"), &mut files)?;
    collect(&root.join("xtask"), &mut files)?;
    let mut problems = Vec::new();
    for file in files {
        let text =
            fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        problems.extend(check_file(&name, &text));
    }
    Ok(problems)
}

fn check_file(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        problems.push(format!("{name}: {lines} lines, at most {MAX_LINES}: split it by idea"));
    }
    let unsafe_allowed = UNSAFE_ALLOWED.iter().any(|allowed| name.starts_with(allowed))
        || UNSAFE_IN_TESTS.iter().any(|folder| name.contains(folder));
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.split("//").next().unwrap_or("");
        if !unsafe_allowed && has_word(code, "unsafe") {
            problems
                .push(format!("{name}:{number}: unsafe code outside kernels, pool and memory map"));
        }
        // Assembled, so that this file does not break its own rule.
        for unfinished in ["todo", "unimplemented"] {
            if code.contains(&format!("{unfinished}!(")) {
                problems.push(format!("{name}:{number}: {unfinished}!"));
            }
        }
    }
    problems
}

/// Whether `word` stands alone in `code`, outside string literals.
fn has_word(code: &str, word: &str) -> bool {
    let outside: String = code.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    outside
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .any(|found| found == word)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_rules_are_named_with_their_place() {
        let problems = check_file(
            "crates/a/src/lib.rs",
            "fn f() {\n  unsafe { g() }\n}\n// unsafe\n#![forbid(unsafe_code)]\n",
        );
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("crates/a/src/lib.rs:2:"));
        assert!(
            check_file("crates/edgeformer-backend-cpu/src/kernels/x.rs", "unsafe { g() }")
                .is_empty()
        );
        assert_eq!(check_file("a.rs", &"\n".repeat(501)).len(), 1);
        assert_eq!(check_file("a.rs", &format!("{}!()", "todo")).len(), 1);
    }
}
