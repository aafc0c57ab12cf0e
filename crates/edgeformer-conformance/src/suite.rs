//! Cases, groups, known exceptions, reports.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use edgeformer_core::Backend;

use crate::bench::{Bench, Stop};
use crate::cases;

/// A list of cases.
pub struct Suite {
    cases: Vec<Case>,
}

/// One thing that a backend must do.
pub struct Case {
    /// Its name, for example `ops/rope-yarn`.
    pub name: String,
    /// What it is about.
    pub group: Group,
    run: Check,
}

type Check = Box<dyn Fn(&Bench<'_>) -> Result<(), Stop> + Send + Sync>;

/// What a case is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// One op of the vocabulary.
    Ops,
    /// What a cache promises.
    Cache,
    /// Whole models against other runtimes; needs files.
    Fixtures,
    /// A token's logits have the same bits whatever the threads, chunks and companions: a promise
    /// that only some backends make. The others list these cases, and they are not run.
    SameBits,
}

/// What a backend does not support.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// The name of a case; with a `*` at its end, of all cases that begin so.
    pub cases: &'static str,
    /// Why it cannot pass.
    pub why: &'static str,
}

/// What became of each case.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// One a case, in the suite's order.
    pub entries: Vec<Entry>,
    /// Entries of the list of exceptions that name no case.
    pub unmatched: Vec<&'static str>,
}

/// What became of a case.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The case.
    pub case: String,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub time: Duration,
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// It did not run: a file is absent.
    Skipped(String),
    /// It failed, as the list of exceptions says it would.
    Unsupported(&'static str),
    /// It failed.
    Failed(String),
    /// It passed, though the list of exceptions says it would not.
    Surprising(&'static str),
}

impl Known {
    /// Whether it is about that case.
    pub fn covers(&self, case: &str) -> bool {
        match self.cases.strip_suffix('*') {
            Some(prefix) => case.starts_with(prefix),
            None => case == self.cases,
        }
    }
}

impl Case {
    /// A case.
    pub fn new(
        group: Group,
        name: impl Into<String>,
        run: impl Fn(&Bench<'_>) -> Result<(), Stop> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), group, run: Box::new(run) }
    }

    fn verdict(&self, bench: &Bench<'_>, known: Option<&Known>) -> Verdict {
        if let (Group::SameBits, Some(known)) = (self.group, known) {
            // A promise that is not made may still be kept, by chance or on this machine.
            return Verdict::Unsupported(known.why);
        }
        // A backend that panics fails this case and no other.
        let ended = catch_unwind(AssertUnwindSafe(|| (self.run)(bench)))
            .unwrap_or_else(|panic| Err(Stop::Failed(format!("panics: {}", message(&*panic)))));
        match (ended, known) {
            (Ok(()), None) => Verdict::Passed,
            (Ok(()), Some(known)) => Verdict::Surprising(known.why),
            (Err(Stop::Skipped(why)), _) => Verdict::Skipped(why),
            (Err(Stop::Failed(_)), Some(known)) => Verdict::Unsupported(known.why),
            (Err(Stop::Failed(why)), None) => Verdict::Failed(why),
        }
    }
}

impl Suite {
    /// Every case there is.
    pub fn standard() -> Self {
        Self { cases: cases::all() }
    }

    /// The cases.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The cases that `keep` keeps, for example those of one group.
    pub fn filtered(mut self, keep: impl Fn(&Case) -> bool) -> Self {
        self.cases.retain(keep);
        self
    }

    /// Runs every case on a device of a backend.
    pub fn run(&self, backend: &dyn Backend, device: &str, known: &[Known]) -> Report {
        let bench = Bench { backend, device };
        let entries = self.cases.iter().map(|case| {
            let start = Instant::now();
            let known = known.iter().find(|known| known.covers(&case.name));
            let verdict = case.verdict(&bench, known);
            Entry { case: case.name.clone(), verdict, time: start.elapsed() }
        });
        let entries: Vec<Entry> = entries.collect();
        let names_none = |known: &&Known| !self.cases.iter().any(|case| known.covers(&case.name));
        let unmatched = known.iter().filter(names_none).map(|known| known.cases).collect();
        Report { entries, unmatched }
    }
}

impl Report {
    /// What is wrong, a line each: failures, surprising passes, exceptions for cases that are none.
    pub fn problems(&self) -> Vec<String> {
        let entries = self.entries.iter().filter_map(|entry| match &entry.verdict {
            Verdict::Failed(_) | Verdict::Surprising(_) => Some(entry.to_string()),
            _ => None,
        });
        let unmatched = self.unmatched.iter().map(|cases| format!("no case is named {cases:?}"));
        entries.chain(unmatched).collect()
    }

    /// Panics with the list of problems if there is one.
    ///
    /// # Panics
    /// See above.
    pub fn assert_ok(&self) {
        let problems = self.problems();
        assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |is: fn(&Verdict) -> bool| {
            self.entries.iter().filter(|entry| is(&entry.verdict)).count()
        };
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))?;
        self.unmatched.iter().try_for_each(|cases| writeln!(f, "no case is named {cases:?}"))?;
        write!(
            f,
            "{} passed, {} skipped, {} unsupported, {} failed",
            count(|verdict| *verdict == Verdict::Passed),
            count(|verdict| matches!(verdict, Verdict::Skipped(_))),
            count(|verdict| matches!(verdict, Verdict::Unsupported(_))),
            count(|verdict| matches!(verdict, Verdict::Failed(_) | Verdict::Surprising(_))),
        )
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, verdict, time } = self;
        match verdict {
            Verdict::Passed => write!(f, "passed       {case} ({:.2} s)", time.as_secs_f64()),
            Verdict::Skipped(why) => write!(f, "skipped      {case}: {why}"),
            Verdict::Unsupported(why) => write!(f, "unsupported  {case}: {why}"),
            Verdict::Failed(why) => write!(f, "FAILED       {case}: {why}"),
            Verdict::Surprising(why) => {
                write!(f, "PASSED       {case}, though it is listed as unsupported: {why}")
            }
        }
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::ReferenceBackend;

    fn report(known: &[Known]) -> Report {
        let case = |name: &str, run: fn(&Bench<'_>) -> Result<(), Stop>| {
            Case::new(Group::Ops, format!("ops/{name}"), run)
        };
        let cases = vec![
            case("right", |_| Ok(())),
            case("wrong", |_| Err(Stop::Failed("off by one".into()))),
            case("wild", |_| panic!("out of bounds")),
            case("absent", |_| Err(Stop::Skipped("no file".into()))),
        ];
        Suite { cases }.run(&ReferenceBackend, "cpu", known)
    }

    #[test]
    fn failures_and_panics_are_problems_and_absent_files_are_none() {
        let problems = report(&[]).problems().join("\n");
        insta::assert_snapshot!(problems, @r"
        FAILED       ops/wrong: off by one
        FAILED       ops/wild: panics: out of bounds
        ");
        let text = report(&[]).to_string();
        assert!(text.ends_with("1 passed, 1 skipped, 0 unsupported, 2 failed"), "{text}");
        assert!(text.contains("skipped      ops/absent: no file"), "{text}");
    }

    #[test]
    fn a_promise_that_is_not_made_is_not_tested() {
        let kept = Case::new(Group::SameBits, "same-bits/kept", |_| Ok(()));
        let suite = Suite { cases: vec![kept] };
        let known = [Known { cases: "same-bits/*", why: "no such promise" }];
        suite.run(&ReferenceBackend, "cpu", &known).assert_ok();
        suite.run(&ReferenceBackend, "cpu", &[]).assert_ok();
    }

    #[test]
    fn the_list_of_exceptions_must_say_what_is_true() {
        let known = |cases| Known { cases, why: "no such kernel" };
        let listed = [known("ops/w*"), known("ops/right"), known("ops/gone")];
        let problems = report(&listed).problems().join("\n");
        insta::assert_snapshot!(problems, @r#"
        PASSED       ops/right, though it is listed as unsupported: no such kernel
        no case is named "ops/gone"
        "#);
        report(&[known("ops/wrong"), known("ops/wild")]).assert_ok();
    }
}
