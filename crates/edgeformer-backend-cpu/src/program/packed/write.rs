use std::hash::Hasher;
use std::io::{self, Write};

use edgeformer_core::{Error, PackedSummary, Result, Weights};
use twox_hash::XxHash64;

use super::SEED;
use super::check::Subject;
use super::form::{HEADER, Header, LAYOUT_VERSION, PANELS, Table, TensorHashes};
use crate::pool::Pool;
use crate::program::pack_plan::{PackedTensor, pack_groups};

/// Bytes of panels that are packed at a time.
const BATCH: usize = 8 << 20;
/// Bytes that are written at a time: Linux keeps a huge page that is written whole as one, and
/// maps it as one.
const WRITE: usize = 2 << 20;

/// Writes what is planned for a model. `progress` is told how many bytes of panels are done, of how
/// many.
///
/// # Errors
/// If nothing is planned, or writing fails.
pub(in crate::program) fn write(
    subject: &Subject<'_>,
    to: &mut dyn Write,
    progress: &dyn Fn(u64, u64) -> io::Result<()>,
) -> Result<PackedSummary> {
    let &Subject { plan, weights, fingerprint, pool } = subject;
    let tensors = plan.tensors();
    if tensors.is_empty() {
        let problem = "it has no panels for the formats of this model and uses its weights in \
                       place: there is nothing to pack";
        return Err(Error::Backend { backend: "cpu".into(), problem: problem.into() });
    }
    let (text, stamps) = (plan.describe(), weights.stamps());
    let header = Header {
        layout_version: LAYOUT_VERSION,
        fingerprint,
        panels: plan.bytes() as u64,
        table: Table::bytes(tensors.len(), stamps.len(), &text) as u64,
    };
    let mut first = vec![0; PANELS];
    first[..HEADER].copy_from_slice(&header.to_bytes());
    to.write_all(&first)?;
    let mut writer = Writer { weights, pool, to, waiting: Vec::new(), packed: 0, progress };
    let hashes = tensors.iter().map(|tensor| writer.tensor(tensor, header.panels));
    let hashes = hashes.collect::<Result<_>>()?;
    writer.write(1)?;
    let table = Table { stamps, hashes, plan: text }.to_bytes(header);
    to.write_all(&table)?;
    let bytes = PANELS as u64 + header.panels + table.len() as u64;
    Ok(PackedSummary { tensors: tensors.len(), bytes })
}

struct Writer<'a> {
    weights: &'a Weights,
    pool: &'a Pool,
    to: &'a mut dyn Write,
    /// Panels that are not written yet.
    waiting: Vec<u8>,
    /// Bytes of panels so far.
    packed: u64,
    progress: &'a dyn Fn(u64, u64) -> io::Result<()>,
}

impl Writer<'_> {
    /// Packs and writes a tensor, batch by batch, of `all` bytes of panels.
    fn tensor(&mut self, tensor: &PackedTensor, all: u64) -> Result<TensorHashes> {
        let (mut source, mut panels) = (XxHash64::with_seed(SEED), XxHash64::with_seed(SEED));
        let groups: Vec<_> = tensor.groups().collect();
        let mut rest = groups.as_slice();
        while let Some(first) = rest.first() {
            // All groups but the last of a matrix are of one size.
            let (batch, others) = rest.split_at(rest.len().min((BATCH / first.bytes()).max(1)));
            rest = others;
            batch.iter().for_each(|group| source.write(group.rows));
            let from = self.waiting.len();
            self.waiting.resize(from + batch.iter().map(|group| group.bytes()).sum::<usize>(), 0);
            let own = &mut self.waiting[from..];
            pack_groups(batch.iter().copied(), own, self.weights, self.pool);
            panels.write(own);
            self.packed += own.len() as u64;
            self.write(WRITE)?;
            (self.progress)(self.packed, all)?;
        }
        Ok(TensorHashes { source: source.finish(), panels: panels.finish() })
    }

    /// Writes as many whole pieces of so many bytes as there are.
    fn write(&mut self, piece: usize) -> io::Result<()> {
        let whole = self.waiting.len() / piece * piece;
        self.to.write_all(&self.waiting[..whole])?;
        self.waiting.drain(..whole);
        Ok(())
    }
}
