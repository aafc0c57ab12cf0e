//! What is cached of a sequence: a buffer a slot and side, that the runtime reads and writes in
//! place. Forks share buffers until one of them writes; buffers double when they are full.

use std::sync::Arc;

use edgeformer_core::Result;
use edgeformer_core::graph::{CachePlan, SlotPlan};
use edgeformer_sequences::{Buffer, Kept, Sides};

use crate::translate::Layout;

/// Tokens that a new buffer has room for.
const FIRST: usize = 64;

/// Shape of a slot's sides: heads, and the width of a key and of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    heads: usize,
    widths: [usize; 2],
}

/// What the layouts of the translation make of the model's slots.
pub(crate) fn plans(cache: &CachePlan, layouts: &[Layout]) -> Vec<Plan> {
    let plan = |(slot, layout): (&SlotPlan, &Layout)| {
        let (keys, values) = slot.elements();
        let heads = match *layout {
            Layout::Heads(heads) => heads,
            Layout::Rows => 1,
        };
        Plan { heads, widths: [keys / heads, values / heads] }
    };
    cache.slots.iter().zip(layouts).map(plan).collect()
}

/// What is cached of one sequence.
pub(crate) struct Cached {
    slots: Vec<[Side; 2]>,
    context: usize,
}

/// Keys or values of a slot, `[heads, capacity, width]`.
#[derive(Clone)]
pub(crate) struct Side {
    heads: usize,
    width: usize,
    capacity: usize,
    data: Arc<Vec<f32>>,
}

impl Cached {
    pub fn new(plans: &[Plan], context: usize) -> Self {
        let slot = |plan: &Plan| plan.widths.map(|width| Side::new(plan.heads, width));
        Self { slots: plans.iter().map(slot).collect(), context }
    }

    /// Makes room for `needed` tokens, `held` of which are there, in buffers of its own.
    pub fn reserve(&mut self, held: usize, needed: usize) {
        let context = self.context;
        self.slots.iter_mut().flatten().for_each(|side| side.reserve(held, needed, context));
    }

    /// Keys and values of every slot.
    pub fn sides(&mut self) -> impl Iterator<Item = &mut [Side; 2]> {
        self.slots.iter_mut()
    }
}

impl Side {
    fn new(heads: usize, width: usize) -> Self {
        Self { heads, width, capacity: 0, data: Arc::default() }
    }

    /// Its dimensions, as the runtime takes them: with heads `[1, heads, capacity, width]`.
    pub fn shape(&self, layout: Layout) -> Vec<i64> {
        let [heads, capacity, width] = [self.heads, self.capacity, self.width].map(|n| n as i64);
        match layout {
            Layout::Heads(_) => vec![1, heads, capacity, width],
            Layout::Rows => vec![capacity, width],
        }
    }

    /// The buffer, to be written; after [`Cached::reserve`] it is not shared.
    pub fn data_mut(&mut self) -> &mut [f32] {
        Arc::<Vec<f32>>::make_mut(&mut self.data).as_mut_slice()
    }

    fn reserve(&mut self, held: usize, needed: usize, context: usize) {
        if self.width == 0 {
            return;
        }
        if needed > self.capacity {
            let capacity = (2 * self.capacity).max(FIRST).min(context).max(needed);
            *self = self.copied(held, capacity);
        } else if Arc::get_mut(&mut self.data).is_none() {
            *self = self.copied(held, self.capacity);
        }
    }

    /// The first tokens in a buffer of another capacity.
    fn copied(&self, held: usize, capacity: usize) -> Self {
        let mut data = vec![0.0; self.heads * capacity * self.width];
        let rows = held.min(self.capacity) * self.width;
        for head in 0..self.heads {
            let from = &self.data[head * self.capacity * self.width..][..rows];
            data[head * capacity * self.width..][..rows].copy_from_slice(from);
        }
        Self { capacity, data: Arc::new(data), ..*self }
    }

    /// Token by token, heads side by side.
    fn read(&self, len: usize) -> Vec<f32> {
        let row = |head: usize, token: usize| {
            &self.data[(head * self.capacity + token) * self.width..][..self.width]
        };
        let rows = (0..len).flat_map(|token| (0..self.heads).map(move |head| (head, token)));
        rows.flat_map(|(head, token)| row(head, token)).copied().collect()
    }

    fn write(&mut self, len: usize, rows: &[f32]) {
        let (capacity, width, heads) = (self.capacity, self.width, self.heads);
        if width == 0 {
            return;
        }
        let data = self.data_mut();
        for (index, row) in rows.chunks_exact(width).take(len * heads).enumerate() {
            let (token, head) = (index / heads, index % heads);
            data[(head * capacity + token) * width..][..width].copy_from_slice(row);
        }
    }
}

impl Kept for Cached {
    fn fork(&self) -> Result<Self> {
        Ok(Self { slots: self.slots.clone(), context: self.context })
    }

    fn truncate(&mut self, _len: usize) -> Result<()> {
        Ok(())
    }

    fn read(&self, slot: usize, len: usize) -> Result<Sides> {
        let [keys, values] = &self.slots[slot];
        let values = if values.width == 0 { Vec::new() } else { values.read(len) };
        Ok(Sides { keys: keys.read(len), values })
    }

    fn write(&mut self, slot: usize, len: usize, sides: &Sides) -> Result<()> {
        let context = self.context;
        for (side, rows) in self.slots[slot].iter_mut().zip([&sides.keys, &sides.values]) {
            side.reserve(0, len, context);
            side.write(len, rows);
        }
        Ok(())
    }

    fn buffers(&self, each: &mut dyn FnMut(Buffer)) {
        for side in self.slots.iter().flatten().filter(|side| side.capacity > 0) {
            let bytes = size_of_val(side.data.as_slice()) as u64;
            each(Buffer { id: side.data.as_ptr() as usize, bytes, resident: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAN: Plan = Plan { heads: 3, widths: [2, 4] };

    fn rows(len: usize, width: usize, first: f32) -> Vec<f32> {
        (0..len * width).map(|i| first + i as f32).collect()
    }

    proptest! {
        #[test]
        fn rows_come_back_however_buffers_grow(len in 1usize..90, more in 0usize..200) {
            let mut cached = Cached::new(&[PLAN], 300);
            let sides = Sides { keys: rows(len, 6, 0.0), values: rows(len, 12, 0.5) };
            cached.write(0, len, &sides).unwrap();
            cached.reserve(len, len + more);
            prop_assert_eq!(cached.read(0, len).unwrap(), sides);
        }
    }

    #[test]
    fn forks_part_when_one_writes() {
        let mut first = Cached::new(&[PLAN], 300);
        let sides = Sides { keys: rows(5, 6, 0.0), values: rows(5, 12, 0.5) };
        first.write(0, 5, &sides).unwrap();
        let mut second = first.fork().unwrap();
        let ids = |cached: &Cached| {
            let mut ids = Vec::new();
            cached.buffers(&mut |buffer| ids.push(buffer.id));
            ids
        };
        assert_eq!(ids(&first), ids(&second));
        second.reserve(5, 6);
        second.sides().for_each(|[keys, _]| keys.data_mut().fill(9.0));
        assert_ne!(ids(&first), ids(&second));
        assert_eq!(first.read(0, 5).unwrap(), sides);
    }

    #[test]
    fn buffers_double_up_to_the_context() {
        let mut cached = Cached::new(&[PLAN], 100);
        let mut capacities = Vec::new();
        for needed in [1, 64, 65, 100] {
            cached.reserve(needed - 1, needed);
            capacities.push(cached.slots[0][0].capacity);
        }
        assert_eq!(capacities, [64, 64, 100, 100]);
    }
}
