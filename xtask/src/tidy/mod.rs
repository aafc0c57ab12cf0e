//! The rules of the house that a machine can check.

mod arrows;
mod counts;
mod sources;

use crate::run::{Result, root};

/// Checks them all and tells everything that is wrong.
pub fn run() -> Result<()> {
    let root = root();
    let mut problems = sources::check(&root)?;
    problems.extend(arrows::check(&root)?);
    problems.extend(counts::check()?);
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!("{} rules are broken:\n  {}", problems.len(), problems.join("\n  ")))
}
