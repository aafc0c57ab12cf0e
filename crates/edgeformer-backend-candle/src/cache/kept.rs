use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use edgeformer_core::graph::SlotPlan;
use edgeformer_core::{Graph, SessionOptions};
use edgeformer_sequences::{Buffer, Kept, Sides};

use super::block::{Block, Side};
use super::ledger::Ledger;
use crate::error::{CandleError, Result};

/// What every sequence of a session has in common.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Keys, and values where they are cached, of every slot.
    slots: Vec<[Option<Side>; 2]>,
    /// Tokens that a sequence may hold.
    context: usize,
    /// Tokens that it has room for at first.
    page: usize,
}

/// The cache of one sequence: keys and values of every slot.
#[derive(Debug)]
pub(crate) struct KeptSequence {
    shape: Arc<Shape>,
    ledger: Arc<Ledger>,
    slots: Vec<[Option<Arc<Block>>; 2]>,
}

impl Shape {
    pub fn new(graph: &Graph, options: &SessionOptions) -> Self {
        let (k, v) = (options.cache_type_k, options.cache_type_v);
        let sides = |slot: &SlotPlan| match *slot {
            SlotPlan::KeyValue { heads, key_dim, value_dim, .. } => {
                [Some(Side::new(heads, key_dim, k)), Some(Side::new(heads, value_dim, v))]
            }
            SlotPlan::Latent { rank, rope_dim } => [Some(Side::new(1, rank + rope_dim, k)), None],
        };
        Self {
            slots: graph.cache.slots.iter().map(sides).collect(),
            context: options.context,
            page: options.page_tokens.max(1),
        }
    }

    /// Bytes of so many tokens in all slots.
    pub fn bytes(&self, tokens: usize) -> u64 {
        (0..self.slots.len()).map(|slot| self.slot_bytes(slot, tokens)).sum()
    }

    /// Bytes of so many tokens in the widest slot.
    pub fn widest(&self, tokens: usize) -> u64 {
        (0..self.slots.len()).map(|slot| self.slot_bytes(slot, tokens)).max().unwrap_or(0)
    }

    fn slot_bytes(&self, slot: usize, tokens: usize) -> u64 {
        self.slots[slot].iter().flatten().map(|side| side.bytes(tokens)).sum()
    }

    /// Room for at least `needed` tokens, where there was some for `held`.
    fn capacity(&self, held: usize, needed: usize) -> usize {
        let pages = needed.div_ceil(self.page) * self.page;
        pages.max(2 * held).min(self.context).max(needed)
    }
}

impl KeptSequence {
    pub fn new(shape: Arc<Shape>, ledger: Arc<Ledger>) -> Self {
        let slots = shape.slots.iter().map(|_| [None, None]).collect();
        Self { shape, ledger, slots }
    }

    /// Makes room behind the first `len` tokens of a slot for `more` of the sequence's own.
    pub fn make_room(&mut self, slot: usize, len: usize, more: usize) -> Result<()> {
        for (held, side) in self.slots[slot].iter_mut().zip(self.shape.slots[slot]) {
            let Some(side) = side else { continue };
            let needed = len + more;
            let capacity = held.as_ref().map_or(0, |block| block.capacity());
            let own = held.as_mut().is_some_and(|block| Arc::get_mut(block).is_some());
            if own && capacity >= needed {
                continue;
            }
            let grown = match capacity >= needed {
                true => capacity,
                false => self.shape.capacity(capacity, needed),
            };
            let mut block = Block::new(side, grown, &self.ledger)?;
            if let Some(held) = held.as_ref().filter(|_| len > 0) {
                block.set(&held.first(len)?, 0)?;
            }
            *held = Some(Arc::new(block));
        }
        Ok(())
    }

    /// Writes rows `[heads, tokens, dim]` behind the first `len` tokens; there must be room.
    pub fn append(&mut self, slot: usize, len: usize, rows: [Option<&Tensor>; 2]) -> Result<()> {
        for (held, rows) in self.slots[slot].iter_mut().zip(rows) {
            let (Some(held), Some(rows)) = (held, rows) else { continue };
            let Some(block) = Arc::get_mut(held) else {
                return Err(crate::error::problem("a shared cache block is written to").into());
            };
            block.set(rows, len)?;
        }
        Ok(())
    }

    /// Keys and values of the first `len` tokens where they lie.
    pub fn seen(&self, slot: usize, len: usize) -> Result<[Option<Tensor>; 2]> {
        let [keys, values] = &self.slots[slot];
        let first =
            |block: &Option<Arc<Block>>| block.as_ref().map(|block| block.first(len)).transpose();
        Ok([first(keys)?, first(values)?])
    }

    /// Which sides of a slot lie on the host.
    pub fn moved(&self, slot: usize) -> [bool; 2] {
        let moved =
            |block: &Option<Arc<Block>>| block.as_ref().is_some_and(|block| !block.resident());
        let [keys, values] = &self.slots[slot];
        [moved(keys), moved(values)]
    }
}

impl Kept for KeptSequence {
    fn fork(&self) -> edgeformer_core::Result<Self> {
        let (shape, ledger) = (self.shape.clone(), self.ledger.clone());
        Ok(Self { shape, ledger, slots: self.slots.clone() })
    }

    fn truncate(&mut self, len: usize) -> edgeformer_core::Result<()> {
        if len == 0 {
            self.slots.iter_mut().for_each(|slot| *slot = [None, None]);
        }
        Ok(())
    }

    fn read(&self, slot: usize, len: usize) -> edgeformer_core::Result<Sides> {
        let [keys, values] = self.seen(slot, len)?;
        let read = |side: Option<Tensor>| side.map_or(Ok(Vec::new()), |side| by_token(&side));
        Ok(Sides { keys: read(keys)?, values: read(values)? })
    }

    fn write(&mut self, slot: usize, len: usize, sides: &Sides) -> edgeformer_core::Result<()> {
        self.make_room(slot, 0, len)?;
        let [keys, values] = self.shape.slots[slot];
        let rows = |side: Option<Side>, values: &[f32]| {
            side.map(|side| by_head(side, len, values)).transpose()
        };
        let (keys, values) = (rows(keys, &sides.keys)?, rows(values, &sides.values)?);
        Ok(self.append(slot, 0, [keys.as_ref(), values.as_ref()])?)
    }

    fn buffers(&self, each: &mut dyn FnMut(Buffer)) {
        for block in self.slots.iter().flatten().flatten() {
            let id = Arc::as_ptr(block) as usize;
            each(Buffer { id, bytes: block.bytes(), resident: block.resident() });
        }
    }
}

/// Rows token by token, `[tokens, heads * dim]`.
fn by_token(side: &Tensor) -> Result<Vec<f32>> {
    let rows = side.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.transpose(0, 1)?;
    Ok(rows.flatten_all()?.to_vec1()?)
}

/// The opposite.
fn by_head(side: Side, len: usize, values: &[f32]) -> Result<Tensor, CandleError> {
    let rows = Tensor::from_slice(values, (len, side.heads, side.dim), &Device::Cpu)?;
    Ok(rows.transpose(0, 1)?.contiguous()?)
}
