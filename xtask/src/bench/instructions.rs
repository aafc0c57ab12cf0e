//! `--instructions`: counts of fixed cases beside the baseline in the repository.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use edgeformer_bench::Progress;
use edgeformer_bench::instructions::{Baseline, Callgrind, Case, Counts, Rig, cases};
use edgeformer_bench::process::Worker;

use super::progress::Line;
use crate::run::{Result, read, root};

/// Where the counts are that others are compared with.
const BASELINE: &str = "crates/edgeformer-bench/instructions.json";

/// Kernel tables that are counted if nobody chooses: those that people run and Valgrind can. The
/// scalar table is a specification, and takes minutes.
const TABLES: [&str; 1] = ["avx2"];

/// Instructions of fixed cases, counted under Valgrind.
#[derive(Debug, Clone, Default, Args)]
pub struct Instructions {
    /// Count the instructions of fixed cases under Valgrind's Callgrind and compare them with the
    /// baseline in the repository: fails if one grew
    #[arg(long)]
    pub instructions: bool,
    /// Write what was counted to the baseline
    #[arg(long, requires = "instructions")]
    bless: bool,
    /// Count only cases whose name contains this
    #[arg(long, requires = "instructions", value_name = "TEXT")]
    only: Option<String>,
    /// Kernel tables to count: avx2, scalar [default: avx2, where this machine has it]
    #[arg(long, requires = "instructions", value_delimiter = ',', value_name = "ISA")]
    tables: Vec<String>,
    /// Another baseline than the repository's
    #[arg(long, requires = "instructions", value_name = "FILE")]
    baseline: Option<PathBuf>,
}

/// A case to count on a kernel table.
struct Job {
    table: String,
    case: Case,
}

impl Instructions {
    pub fn run(&self, json: bool) -> Result<()> {
        let file = self.baseline.clone().unwrap_or_else(|| root().join(BASELINE));
        let mut baseline = Baseline::read(&file).map_err(|error| error.to_string())?;
        let counted = count(&self.callgrind()?, &self.jobs()?)?;
        let (compiler, all) = (compiler()?, self.only.is_none());
        let comparison = baseline.compare(&compiler, &counted, all);
        match json {
            true => println!(
                "{}",
                serde_json::to_string_pretty(&comparison).map_err(|error| error.to_string())?
            ),
            false => print!("{}", comparison.to_markdown()),
        }
        if self.bless {
            baseline.bless(&compiler, &counted, all);
            return baseline.write(&file).map_err(|error| error.to_string());
        }
        if comparison.holds() {
            return Ok(());
        }
        Err(format!(
            "{}: what was counted is not what the baseline says\n  {}\nif that is as it should be: \
             cargo xtask bench --instructions --bless",
            file.display(),
            comparison.problems().join("\n  ")
        ))
    }

    fn callgrind(&self) -> Result<Callgrind> {
        let program = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
        let arguments = ["bench", "count", "--as-built"].map(str::to_owned).into();
        Callgrind::new(Path::new("valgrind"), Worker { program, arguments })
            .map_err(|error| error.to_string())
    }

    fn jobs(&self) -> Result<Vec<Job>> {
        let all = cases();
        let chosen =
            |case: &&Case| self.only.as_deref().is_none_or(|part| case.name.contains(part));
        let chosen: Vec<&Case> = all.iter().filter(chosen).collect();
        if chosen.is_empty() {
            let names: BTreeSet<_> =
                all.iter().filter_map(|case| case.name.split('/').next()).collect();
            let names: Vec<_> = names.into_iter().collect();
            return Err(format!(
                "no case has that in its name; they begin with {}",
                names.join(", ")
            ));
        }
        let tables = self.tables()?;
        let job = |table: &String, case: &Case| Job { table: table.clone(), case: case.clone() };
        Ok(tables
            .iter()
            .flat_map(|table| chosen.iter().map(move |case| job(table, case)))
            .collect())
    }

    /// The tables that are asked for, or those of [`TABLES`] that run here.
    fn tables(&self) -> Result<Vec<String>> {
        let probe = &cases()[0];
        let mut tables = Vec::new();
        let asked = !self.tables.is_empty();
        let wanted: Vec<String> =
            if asked { self.tables.clone() } else { TABLES.map(str::to_owned).into() };
        for table in wanted {
            match Rig::new(probe, &table) {
                Ok(_) => tables.push(table),
                Err(error) if asked => return Err(error.to_string()),
                Err(error) => eprintln!("skipped {table}: {error}"),
            }
        }
        Ok(tables)
    }
}

/// Counts every job, as many at a time as there are cores: counts do not depend on who else runs.
fn count(callgrind: &Callgrind, jobs: &[Job]) -> Result<Counts> {
    let line = Line::new();
    let (next, counted) = (AtomicUsize::new(0), Mutex::new((0, Counts::new())));
    let work = || {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let count = callgrind.count(&job.table, &job.case.name);
            let count = count.map_err(|error| error.to_string())?;
            let mut counted = counted.lock().map_err(|_| "another thread failed".to_owned())?;
            counted.1.entry(job.table.clone()).or_default().insert(job.case.name.clone(), count);
            counted.0 += 1;
            line.show(Progress { done: counted.0, total: jobs.len(), what: &job.case.name });
        }
        Ok::<(), String>(())
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err("a counting thread panicked".into()))
        })
    })?;
    drop(line);
    counted.into_inner().map(|counted| counted.1).map_err(|_| "a counting thread panicked".into())
}

/// The compiler that this program was built with.
fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = read(Command::new(rustc).current_dir(root()).arg("--version"))?;
    Ok(version.trim().to_owned())
}

/// One case, as a process that is counted.
#[derive(Debug, Args)]
pub struct Count {
    /// The instruction set
    isa: String,
    /// The case
    case: String,
}

impl Count {
    pub fn run(&self) -> Result<()> {
        let case = Case::named(&self.case).ok_or_else(|| format!("no case {:?}", self.case))?;
        let mut rig = Rig::new(&case, &self.isa).map_err(|error| error.to_string())?;
        rig.step().and_then(|()| rig.check()).map_err(|error| error.to_string())
    }
}
