use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::output::Table;
use crate::{Error, Result};

/// Instructions by kernel table and case.
pub type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// Counts that others are compared with: a file in the repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// By how much a case may grow before that is a regression.
    pub tolerance_percent: f64,
    /// The compiler that built what was counted.
    pub compiler: String,
    /// What was counted.
    pub tables: Counts,
}

/// How a case stands against its baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Within the tolerance.
    Same,
    /// More than the tolerance allows: a regression.
    Grew,
    /// Less, beyond the tolerance: worth a new baseline.
    Shrank,
    /// The baseline does not know the case.
    New,
}

/// A case beside its baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The kernel table.
    pub table: String,
    /// The case.
    pub case: String,
    /// What was counted.
    pub instructions: u64,
    /// What the baseline says.
    pub baseline: Option<u64>,
    /// How it stands.
    pub change: Change,
}

/// What was counted, beside a baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The compiler that built what was counted.
    pub compiler: String,
    /// The compiler of the baseline.
    pub baseline_compiler: String,
    /// By how much a case may grow.
    pub tolerance_percent: f64,
    /// The cases.
    pub rows: Vec<Row>,
    /// Cases of the baseline that are no more, as `TABLE CASE`.
    pub gone: Vec<String>,
}

impl Baseline {
    /// What cases may grow by if nobody has said: more than what moving code around does to
    /// counts, less than any kernel's loss that matters.
    pub const TOLERANCE_PERCENT: f64 = 2.0;

    /// Reads a baseline; one without counts if there is no file yet.
    ///
    /// # Errors
    /// If the file cannot be read, or is no baseline.
    pub fn read(file: &Path) -> Result<Self> {
        if !file.exists() {
            let tolerance_percent = Self::TOLERANCE_PERCENT;
            return Ok(Self { tolerance_percent, compiler: String::new(), tables: Counts::new() });
        }
        let text = fs::read_to_string(file).map_err(|error| Error::file(file, error))?;
        let baseline: Self =
            serde_json::from_str(&text).map_err(|error| Error::file(file, error))?;
        match baseline.tolerance_percent >= 0.0 {
            true => Ok(baseline),
            false => Err(Error::file(file, "tolerance_percent is below 0")),
        }
    }

    /// Takes over what was counted: cases that were not counted keep what they had, unless their
    /// table was counted as a whole (`all`).
    pub fn bless(&mut self, compiler: &str, counted: &Counts, all: bool) {
        self.compiler = compiler.into();
        for (table, cases) in counted {
            let known = self.tables.entry(table.clone()).or_default();
            if all {
                known.clear();
            }
            known.extend(cases.iter().map(|(case, &count)| (case.clone(), count)));
        }
    }

    /// Writes it, sorted, so that a new one differs where counts do.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::file(file, error))?;
        fs::write(file, text + "\n").map_err(|error| Error::file(file, error))
    }

    /// Lays counts beside the baseline. `all` says that whole tables were counted, so that what is
    /// missing is gone.
    pub fn compare(&self, compiler: &str, counted: &Counts, all: bool) -> Comparison {
        let mut rows = Vec::new();
        let mut gone = Vec::new();
        for (table, cases) in counted {
            let known = self.tables.get(table);
            for (case, &instructions) in cases {
                let baseline = known.and_then(|known| known.get(case)).copied();
                let change = self.change(baseline, instructions);
                let (table, case) = (table.clone(), case.clone());
                rows.push(Row { table, case, instructions, baseline, change });
            }
            let missing = known.into_iter().flatten().map(|(case, _)| case);
            let missing = missing.filter(|case| all && !cases.contains_key(*case));
            gone.extend(missing.map(|case| format!("{table} {case}")));
        }
        Comparison {
            compiler: compiler.into(),
            baseline_compiler: self.compiler.clone(),
            tolerance_percent: self.tolerance_percent,
            rows,
            gone,
        }
    }

    fn change(&self, baseline: Option<u64>, counted: u64) -> Change {
        let Some(baseline) = baseline else { return Change::New };
        let percent = percent(baseline, counted);
        match () {
            () if percent > self.tolerance_percent => Change::Grew,
            () if percent < -self.tolerance_percent => Change::Shrank,
            () => Change::Same,
        }
    }
}

fn percent(baseline: u64, counted: u64) -> f64 {
    (counted as f64 / (baseline as f64).max(1.0) - 1.0) * 100.0
}

impl Comparison {
    /// Whether no case grew beyond the tolerance, and every case has a baseline.
    pub fn holds(&self) -> bool {
        self.rows.iter().all(|row| matches!(row.change, Change::Same | Change::Shrank))
            && self.gone.is_empty()
    }

    /// What does not hold, a line each.
    pub fn problems(&self) -> Vec<String> {
        let problem = |row: &Row| match (row.change, row.baseline) {
            (Change::Grew, Some(baseline)) => Some(format!(
                "{} {} grew by {:.1} %: {} instructions, {baseline} before",
                row.table,
                row.case,
                percent(baseline, row.instructions),
                row.instructions
            )),
            (Change::New, _) => Some(format!("{} {} has no baseline", row.table, row.case)),
            _ => None,
        };
        let gone = self.gone.iter().map(|case| format!("{case} is no case any more"));
        self.rows.iter().filter_map(problem).chain(gone).collect()
    }

    /// A table, and a line if another compiler made the baseline.
    pub fn to_markdown(&self) -> String {
        let columns = ["case", "table", "instructions", "baseline", "change", ""];
        let mut table = Table::new(columns);
        for row in &self.rows {
            let word = match row.change {
                Change::Same => "",
                Change::Grew => "grew",
                Change::Shrank => "shrank",
                Change::New => "new",
            };
            let share = row.baseline.map(|baseline| percent(baseline, row.instructions));
            table.row([
                row.case.clone(),
                row.table.clone(),
                row.instructions.to_string(),
                row.baseline.map_or("–".into(), |baseline| baseline.to_string()),
                share.map_or("–".into(), |share| format!("{share:+.2} %")),
                word.into(),
            ]);
        }
        let mut text = table.to_markdown();
        if self.compiler != self.baseline_compiler && !self.baseline_compiler.is_empty() {
            text += &format!(
                "\nThe baseline is of {}, this is {}: counts may differ by compiler alone.\n",
                self.baseline_compiler, self.compiler
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(cases: &[(&str, u64)]) -> Counts {
        let cases = cases.iter().map(|&(case, count)| (case.to_owned(), count)).collect();
        Counts::from([("avx2".to_owned(), cases)])
    }

    fn baseline(cases: &[(&str, u64)]) -> Baseline {
        Baseline { tolerance_percent: 2.0, compiler: "rustc 1".into(), tables: counts(cases) }
    }

    #[test]
    fn what_grew_is_named() {
        let known = [("a", 1000), ("b", 1000), ("c", 1000), ("gone", 5)];
        let now = counts(&[("a", 1019), ("b", 1021), ("c", 900), ("d", 7)]);
        let comparison = baseline(&known).compare("rustc 2", &now, true);
        assert!(!comparison.holds());
        insta::assert_snapshot!(comparison.to_markdown());
        insta::assert_snapshot!(comparison.problems().join("\n"), @r"
        avx2 b grew by 2.1 %: 1021 instructions, 1000 before
        avx2 d has no baseline
        avx2 gone is no case any more
        ");
        // Of a part nothing can be missing.
        let part = baseline(&known).compare("rustc 1", &counts(&[("a", 1000)]), false);
        assert!(part.holds() && part.problems().is_empty());
        assert!(!part.to_markdown().contains("compiler"));
    }

    #[test]
    fn blessing_a_part_keeps_the_rest() {
        let now = counts(&[("a", 2)]);
        let mut part = baseline(&[("a", 1), ("b", 1)]);
        part.bless("rustc 2", &now, false);
        assert_eq!(part.tables, counts(&[("a", 2), ("b", 1)]));
        let mut all = baseline(&[("a", 1), ("b", 1)]);
        all.bless("rustc 2", &now, true);
        assert_eq!((all.tables, all.compiler.as_str()), (now, "rustc 2"));
    }

    #[test]
    fn files_are_read_as_written_and_damaged_ones_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("baseline.json");
        assert!(Baseline::read(&file).unwrap().tables.is_empty());
        baseline(&[("a", 1)]).write(&file).unwrap();
        assert_eq!(Baseline::read(&file).unwrap(), baseline(&[("a", 1)]));
        for damaged in ["{", "{}", r#"{"tolerance_percent":-1,"compiler":"","tables":{}}"#] {
            fs::write(&file, damaged).unwrap();
            let error = Baseline::read(&file).unwrap_err().to_string();
            assert!(error.contains("baseline.json"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_was_blessed_holds(cases in prop::collection::btree_map("[a-c]{1,3}", 1..u64::MAX / 2, 0..9)) {
            let counts = Counts::from([("scalar".to_owned(), cases)]);
            let mut baseline = baseline(&[]);
            baseline.bless("rustc 1", &counts, true);
            prop_assert!(baseline.compare("rustc 1", &counts, true).holds());
        }

        #[test]
        fn tolerance_is_a_share(before in 1000..1_000_000u64, grown in 0..10_000u64) {
            let holds = baseline(&[("a", before)])
                .compare("rustc 1", &counts(&[("a", before + grown)]), true)
                .holds();
            let share = grown as f64 / before as f64;
            prop_assume!((share - 0.02).abs() > 1e-9);
            prop_assert_eq!(holds, share < 0.02);
        }
    }
}
