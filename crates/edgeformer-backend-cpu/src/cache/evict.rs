//! Windows that follow attention, and entries that go because attention passes over them.

use edgeformer_core::graph::CacheSlot;
use edgeformer_core::{Error, Result, SequenceId};

use super::PagedCache;
use super::layout::{Form, HeadPlace};

impl PagedCache {
    /// Lets positions of a slot before `position` go, except sinks: their pages may be released
    /// at the next reservation. A later call may name an earlier position, which brings nothing
    /// back. For sessions with adaptive windows, where every slot has pages of its own.
    pub fn hold_from(&mut self, slot: CacheSlot, seq: SequenceId, position: usize) {
        let group = self.layout.place(slot, 0).group;
        if let Some(sequence) = self.sequences.get_mut(&seq) {
            sequence.tables[group].want_from(position);
        }
    }

    /// The oldest position of a head that is held behind the sinks.
    pub fn oldest(&self, slot: CacheSlot, head: usize, seq: SequenceId) -> usize {
        let place = self.layout.place(slot, head);
        self.sequences.get(&seq).map_or(0, |sequence| {
            let held = sequence.tables[place.group].oldest(&self.layout.groups[place.group]);
            held.max(sequence.held_from.get(place.unit).copied().unwrap_or(0))
        })
    }

    /// Moves the entries of a head at the positions `kept`, which ascend, to the positions
    /// directly before the sequence's end; all others of that head are gone. Pages that others own
    /// too are copied first.
    ///
    /// # Errors
    /// If there is no free page for a copy, or the session was not opened with eviction. Then
    /// nothing is changed.
    ///
    /// # Panics
    /// If a position is not held.
    pub fn compact(
        &mut self,
        slot: CacheSlot,
        head: usize,
        seq: SequenceId,
        kept: &[usize],
    ) -> Result<()> {
        self.rollback();
        let place = self.layout.place(slot, head);
        let sequence = self.sequence(seq)?;
        if sequence.held_from.is_empty() {
            return Err(Error::Step("the session was opened without eviction".into()));
        }
        let start = sequence.len - kept.len();
        let oldest = self.oldest(slot, head, seq);
        let held =
            |(index, &position): (usize, &usize)| oldest <= position && position <= start + index;
        assert!(kept.iter().enumerate().all(held), "kept positions ascend from {oldest} on");
        // From here on everything is where it belongs.
        let moved = kept.iter().enumerate().take_while(|(index, from)| **from < start + index);
        let moved = moved.count();
        self.own_pages(seq, place, start..start + moved)?;
        // From the end, so that nothing is overwritten before it was moved.
        for (index, &from) in kept.iter().enumerate().take(moved).rev() {
            self.move_entry(seq, place, from, start + index);
        }
        if let Some(sequence) = self.sequences.get_mut(&seq) {
            sequence.held_from[place.unit] = start;
        }
        Ok(())
    }

    /// Copies the pages of positions that others own too.
    fn own_pages(
        &mut self,
        seq: SequenceId,
        place: HeadPlace,
        positions: std::ops::Range<usize>,
    ) -> Result<()> {
        let page_tokens = self.layout.page_tokens;
        let numbers = positions.start / page_tokens..positions.end.div_ceil(page_tokens);
        let Self { layout, pools, sequences, demands, .. } = self;
        let group = &layout.groups[place.group];
        let Some(sequence) = sequences.get(&seq) else { return Ok(()) };
        let table = &sequence.tables[place.group];
        demands.clear();
        for number in numbers.clone() {
            let entry = table.entry(number, group).copied().unwrap_or_default();
            demands.write(entry, Form::Main, group, pools);
        }
        sequence.stay(layout, pools);
        self.make_ready()?;
        let Self { layout, pools, sequences, .. } = self;
        let group = &layout.groups[place.group];
        let Some(sequence) = sequences.get_mut(&seq) else { return Ok(()) };
        for number in numbers {
            let entry = sequence.tables[place.group].entry_mut(number, group);
            let Some(entry) = entry else { continue };
            if let Some(page) = entry.get(Form::Main) {
                entry.set(Form::Main, Some(pools.own(group.of_form(Form::Main).pool, page)));
            }
        }
        Ok(())
    }

    /// Copies the entry of a head from one position to another.
    fn move_entry(&mut self, seq: SequenceId, place: HeadPlace, from: usize, to: usize) {
        let Self { layout, pools, sequences, record, .. } = self;
        let group = &layout.groups[place.group];
        let form = group.of_form(Form::Main);
        let section = &form.sections[place.part];
        let Some(sequence) = sequences.get(&seq) else { return };
        let page = |position: usize| {
            let entry = sequence.tables[place.group].entry(position / layout.page_tokens, group);
            entry.and_then(|entry| entry.get(Form::Main)).expect("the position is held")
        };
        let sides = [section.keys, section.values];
        record.clear();
        let bytes = &pools.all[form.pool].page(page(from))[section.range()];
        for side in sides {
            side.append_row(bytes, place.head, from % layout.page_tokens, record);
        }
        let bytes = &mut pools.all[form.pool].page_mut(page(to))[section.range()];
        let mut rest = record.as_slice();
        for side in sides {
            rest = side.restore_row(bytes, place.head, to % layout.page_tokens, rest);
        }
    }

    /// Frees the pages before `oldest`, a multiple of the page length, of which every head has
    /// been [compacted](Self::compact).
    pub fn release_front(&mut self, seq: SequenceId, oldest: usize) {
        self.rollback();
        let Self { layout, pools, sequences, .. } = self;
        let Some(sequence) = sequences.get_mut(&seq).filter(|seq| !seq.held_from.is_empty()) else {
            return;
        };
        for (index, group) in layout.groups.iter().enumerate() {
            let heads = layout.slots.iter().flat_map(|slot| &slot.heads);
            let own = heads.filter(|place| place.group == index);
            let compacted = own.map(|place| sequence.held_from[place.unit]).min().unwrap_or(0);
            let end = oldest.min(compacted) / layout.page_tokens;
            sequence.tables[index].release_to(pools, end, group);
        }
    }
}
