//! A step's view of the cache: what is on the host is brought over one layer ahead.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use candle_core::Tensor;
use edgeformer_core::graph::CacheSlot;
use edgeformer_sequences::{Sequences, Work};

use super::kept::KeptSequence;
use super::ledger::{Ledger, Visit, copied};
use crate::error::{Result, problem};
use crate::forward::{Past, Seen};

/// The cache of the sequences of one step.
pub(crate) struct CachePast<'a> {
    sequences: &'a mut Sequences<KeptSequence>,
    work: &'a [Work],
    ledger: &'a Arc<Ledger>,
    /// Slots in the order in which the graph comes to them.
    order: &'a [CacheSlot],
    /// What is being brought over for the next call.
    coming: Option<Coming<'a>>,
    /// What was brought over for the last one.
    visit: Option<Visit<'a>>,
}

/// Room for one call, its past on the way.
struct Coming<'a> {
    slot: CacheSlot,
    sequence: usize,
    sides: JoinHandle<Result<[Option<Tensor>; 2]>>,
    visit: Visit<'a>,
}

impl<'a> CachePast<'a> {
    pub fn new(
        sequences: &'a mut Sequences<KeptSequence>,
        work: &'a [Work],
        ledger: &'a Arc<Ledger>,
        order: &'a [CacheSlot],
    ) -> Self {
        Self { sequences, work, ledger, order, coming: None, visit: None }
    }

    /// Begins to bring over what a call will need, if that is on the host. There is room for its
    /// new rows behind what comes.
    fn bring(&mut self, slot: CacheSlot, sequence: usize) -> Result<Option<Coming<'a>>> {
        let Work { sequence: id, first, tokens, .. } = self.work[sequence];
        let kept = self.sequences.kept(id)?;
        let index = slot.0 as usize;
        kept.make_room(index, first, tokens)?;
        let moved = kept.moved(index);
        if moved == [false, false] {
            return Ok(None);
        }
        let mut sides = kept.seen(index, first + tokens)?;
        for (side, moved) in sides.iter_mut().zip(moved) {
            side.take_if(|_| !moved);
        }
        let size = |side: &Tensor| (side.elem_count() * side.dtype().size_in_bytes()) as u64;
        let visit = self.ledger.visit(sides.iter().flatten().map(size).sum());
        let device = self.ledger.device().clone();
        let bring = move || -> Result<[Option<Tensor>; 2]> {
            let [keys, values] = sides;
            let over = |side: Option<Tensor>| side.map(|side| copied(&side, &device)).transpose();
            Ok([over(keys)?, over(values)?])
        };
        let thread = thread::Builder::new().name("candle-cache".into()).spawn(bring);
        let sides = thread.map_err(edgeformer_core::Error::from)?;
        Ok(Some(Coming { slot, sequence, sides, visit }))
    }

    /// The call behind this one.
    fn next(&self, slot: CacheSlot, sequence: usize) -> Option<(CacheSlot, usize)> {
        if sequence + 1 < self.work.len() {
            return Some((slot, sequence + 1));
        }
        let place = self.order.iter().position(|&known| known == slot)?;
        Some((*self.order.get(place + 1)?, 0))
    }
}

impl Past for CachePast<'_> {
    fn extend(
        &mut self,
        slot: CacheSlot,
        sequence: usize,
        keys: Tensor,
        values: Option<Tensor>,
    ) -> Result<Seen> {
        // Before the next one comes: no more than two are on the device at a time.
        self.visit = None;
        let coming = match self.coming.take() {
            Some(coming) if (coming.slot, coming.sequence) == (slot, sequence) => Some(coming),
            _ => self.bring(slot, sequence)?,
        };
        let Work { sequence: id, first, tokens, .. } = self.work[sequence];
        let kept = self.sequences.kept(id)?;
        let (index, rows) = (slot.0 as usize, [Some(&keys), values.as_ref()]);
        let mut seen = [None, None];
        if let Some(coming) = coming {
            seen = coming.sides.join().map_err(|_| problem("moving the cache failed"))??;
            self.visit = Some(coming.visit);
        }
        kept.append(index, first, rows)?;
        let resident = kept.seen(index, first + tokens)?;
        for ((seen, resident), rows) in seen.iter_mut().zip(resident).zip(rows) {
            match (seen.as_ref(), rows) {
                (Some(brought), Some(rows)) => {
                    let rows = rows.to_dtype(brought.dtype())?.contiguous()?;
                    brought.slice_set(&rows, 1, first)?;
                }
                _ => *seen = resident,
            }
        }
        if let Some((slot, sequence)) = self.next(slot, sequence) {
            self.coming = self.bring(slot, sequence)?;
        }
        let [keys, values] = seen;
        Ok(Seen { keys: keys.ok_or_else(|| problem("a slot caches no keys"))?, values })
    }
}

impl Drop for CachePast<'_> {
    fn drop(&mut self) {
        if let Some(coming) = self.coming.take() {
            // A step that failed: what was on its way is of no use.
            let _unused = coming.sides.join();
        }
    }
}
