//! Whether curation earns its place: what a model learns from a tenth of a spoiled pool that was
//! chosen, from a tenth by chance, and from all that is clean.

mod arithmetic;
mod condition;
mod pool;
mod runs;
mod table;
mod task;

use clap::{Args, ValueEnum};

use crate::edgeformer::Means;
use crate::run::Result;
use condition::Condition;
use runs::Workplace;
use task::Task;

/// Spoil pools, choose from them, let models learn, and print what it is worth as a table. What was done
/// is kept in target/curation and not done again: remove it to begin anew.
#[derive(Debug, Args)]
pub struct Curation {
    /// Only this pool
    #[arg(long, value_enum)]
    pool: Option<PoolArg>,
    /// Runs of everything that is learned
    #[arg(long, value_name = "N", default_value_t = 5)]
    seeds: u64,
    /// Only these: random, curated, clean, without-validity, without-difficulty, without-quality,
    /// without-diversity
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    means: Means,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PoolArg {
    Gsm8k,
    Arithmetic,
}

impl From<PoolArg> for Task {
    fn from(pool: PoolArg) -> Self {
        match pool {
            PoolArg::Gsm8k => Self::Gsm8k,
            PoolArg::Arithmetic => Self::Arithmetic,
        }
    }
}

impl Curation {
    pub fn run(&self) -> Result<()> {
        let conditions = self.conditions()?;
        let program = self.means.edgeformer()?;
        let wanted = |task: &Task| self.pool.is_none_or(|only| Task::from(only) == *task);
        for task in Task::ALL.into_iter().filter(wanted) {
            let place = Workplace::open(task, &program, &self.means.shared())?;
            let results = place.results(&conditions, self.seeds)?;
            print!("{}", table::table(task, &results));
        }
        Ok(())
    }

    fn conditions(&self) -> Result<Vec<Condition>> {
        let known = |name: &String| {
            let found = Condition::ALL.into_iter().find(|one| one.name() == name);
            found.ok_or_else(|| format!("{name:?} is nothing that is learned"))
        };
        match self.only.is_empty() {
            true => Ok(Condition::ALL.to_vec()),
            false => self.only.iter().map(known).collect(),
        }
    }
}
