use crate::pool::Pool;

/// Rows from which on a step is limited by arithmetic: below, by reading the weights, which takes
/// fewer threads.
const BATCH_ROWS: usize = 16;

/// How many threads work on a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Threads {
    /// On single tokens.
    pub single: usize,
    /// On prompts.
    pub batch: usize,
}

impl Threads {
    /// The same number for both.
    #[cfg(test)]
    pub fn all(threads: usize) -> Self {
        Self { single: threads, batch: threads }
    }

    /// At most so many at the same time.
    pub fn most(self) -> usize {
        self.single.max(self.batch)
    }
}

/// The threads of a program.
pub(crate) struct Crews {
    single: Pool,
    /// Those of prompts, if they are not as many.
    batch: Option<Pool>,
}

impl Crews {
    pub fn new(threads: Threads) -> Self {
        let differs = threads.batch != threads.single;
        Self { single: Pool::new(threads.single), batch: differs.then(|| Pool::new(threads.batch)) }
    }

    /// Those that work on a step of so many rows. The others sleep.
    pub fn for_rows(&self, rows: usize) -> &Pool {
        let batch = self.batch.as_ref().filter(|_| rows >= BATCH_ROWS);
        batch.unwrap_or(&self.single)
    }

    /// Threads that may work at the same time.
    pub fn most(&self) -> usize {
        self.single.threads().max(self.batch.as_ref().map_or(0, Pool::threads))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_have_threads_of_their_own() {
        let crews = Crews::new(Threads { single: 1, batch: 3 });
        assert_eq!([1, 15, 16, 512].map(|rows| crews.for_rows(rows).threads()), [1, 1, 3, 3]);
        assert_eq!(crews.most(), 3);
        let same = Crews::new(Threads::all(2));
        assert!(same.batch.is_none() && same.most() == 2);
    }
}
