//! What the machine can do at most, measured in the same run as what is compared with it.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::output::{Table, short};

/// Bytes that bandwidth is measured on: many times what caches hold.
const BUFFER: u64 = 512 << 20;

/// The machine's limits, for each number of threads that was measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// By threads.
    pub threads: Vec<ThreadLimits>,
}

/// The machine's limits with so many threads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThreadLimits {
    /// Threads that worked at the same time.
    pub threads: usize,
    /// Bytes a second that they read from memory, in 10^9.
    pub read_gb_per_second: f64,
    /// Operations a second of instruction sequences, in 10^9: an addition and a multiplication
    /// are two.
    pub peaks: Vec<Peak>,
}

/// How fast a sequence of instructions is if nothing holds it up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// The sequence.
    pub name: String,
    /// Operations a second, in 10^9.
    pub gop_per_second: f64,
}

impl Limits {
    /// Those of so many threads.
    pub fn of(&self, threads: usize) -> Option<&ThreadLimits> {
        self.threads.iter().find(|limits| limits.threads == threads)
    }

    /// A column for each number of threads.
    pub fn to_table(&self) -> Table {
        let columns = self.threads.iter().map(|limits| match limits.threads {
            1 => "1 thread".to_owned(),
            threads => format!("{threads} threads"),
        });
        let mut table = Table::new(std::iter::once("limit".to_owned()).chain(columns));
        let read = self.threads.iter().map(|limits| short(limits.read_gb_per_second));
        table.row(std::iter::once("read bandwidth, GB/s".to_owned()).chain(read));
        let names = self.threads.first().map_or(&[][..], |limits| &limits.peaks);
        for (at, name) in names.iter().map(|peak| &peak.name).enumerate() {
            let cells = self.threads.iter().map(|limits| {
                limits.peaks.get(at).map_or("–".into(), |peak| short(peak.gop_per_second))
            });
            table.row(std::iter::once(format!("{name}, Gop/s")).chain(cells));
        }
        table
    }
}

impl ThreadLimits {
    /// Measures them. Takes half a gigabyte of memory, or a quarter of what is available if that
    /// is less.
    ///
    /// # Errors
    /// If the system does not give that much memory.
    pub fn measure(threads: usize) -> crate::Result<Self> {
        let available = edgeformer::available_memory().map_or(BUFFER, |bytes| bytes / 4);
        let bytes = BUFFER.min(available) as usize;
        let read = edgeformer_backend_cpu::limits::read_bandwidth(threads, bytes)
            .map_err(|error| Error::Process(format!("bandwidth on {bytes} bytes: {error}")))?;
        let peaks = edgeformer_backend_cpu::limits::peaks(threads).into_iter();
        Ok(Self {
            threads,
            read_gb_per_second: read / 1e9,
            peaks: peaks
                .map(|(name, rate)| Peak { name: name.into(), gop_per_second: rate / 1e9 })
                .collect(),
        })
    }

    /// Operations a second of the sequence of that name, in 10^9.
    pub fn peak(&self, name: &str) -> Option<f64> {
        self.peaks.iter().find(|peak| peak.name == name).map(|peak| peak.gop_per_second)
    }
}

#[cfg(test)]
impl Limits {
    /// Limits for tests.
    pub(crate) fn made_up() -> Self {
        let of = |threads: usize| {
            let peak = |name: &str, each: f64| Peak {
                name: name.into(),
                gop_per_second: each * threads as f64,
            };
            ThreadLimits {
                threads,
                read_gb_per_second: 10.0 * threads as f64,
                peaks: vec![peak("f32 fma", 100.0), peak("int8 exact", 200.0)],
            }
        };
        Self { threads: vec![of(1), of(2)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_a_table() {
        let limits = Limits::made_up();
        insta::assert_snapshot!(limits.to_table().to_markdown(), @r"
        | limit | 1 thread | 2 threads |
        | --- | ---: | ---: |
        | read bandwidth, GB/s | 10.0 | 20.0 |
        | f32 fma, Gop/s | 100 | 200 |
        | int8 exact, Gop/s | 200 | 400 |
        ");
        assert_eq!(limits.of(2).unwrap().peak("int8 exact"), Some(400.0));
        assert_eq!((limits.of(3), limits.of(1).unwrap().peak("abacus")), (None, None));
    }
}
