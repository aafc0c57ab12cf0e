use std::io::Read;

use edgeformer_core::saved::{Hashing, refused};
use edgeformer_core::{Error, Result, SequenceId};

use super::{LONGEST_CONFIGURATION, MAGIC, VERSION, begins_at, positions};
use crate::cache::PagedCache;
use crate::cache::layout::FormLayout;
use crate::cache::pages::PageId;
use crate::cache::reserve::victim;
use crate::cache::table::Entry;

type Stream<'r> = Hashing<&'r mut (dyn Read + 'r)>;

impl PagedCache {
    /// Reads a sequence into pages of its own. On an error the pages are given back.
    pub(in crate::cache) fn read_sequence(&mut self, from: &mut dyn Read) -> Result<SequenceId> {
        let mut from = Hashing::new(from);
        let len = self.read_header(&mut from)?;
        // It is one of the sequences while it is read: its pages may go to the file.
        let seq = self.insert(self.empty());
        let read = self.read_body(seq, len, from);
        if let Err(error) = read {
            self.drop_sequence(seq);
            return Err(error);
        }
        Ok(seq)
    }

    fn read_header(&self, from: &mut Stream<'_>) -> Result<usize> {
        let magic: [u8; 8] = from.array()?;
        if magic != MAGIC {
            return Err(refused("this is no saved sequence: it does not begin with EFKVSEQ"));
        }
        let version = u32::from_le_bytes(from.array()?);
        if version != VERSION {
            return Err(refused(format!(
                "version {version}, this program reads version {VERSION}"
            )));
        }
        if from.number()? != self.fingerprint {
            return Err(refused("it was saved with another model; load the model it belongs to"));
        }
        self.read_configuration(from)?;
        let len = from.number()?;
        if self.layout.groups.is_empty() && len > 0 {
            return Err(refused(format!("it holds {len} tokens, this model caches none")));
        }
        let limit = self.layout.context.unwrap_or(usize::MAX / 2);
        usize::try_from(len).ok().filter(|&len| len <= limit).ok_or_else(|| {
            refused(format!(
                "it holds {len} tokens, the session was opened for {limit}: raise the context length"
            ))
        })
    }

    fn read_configuration(&self, from: &mut Stream<'_>) -> Result<()> {
        let len = u32::from_le_bytes(from.array()?) as usize;
        if len > LONGEST_CONFIGURATION {
            return Err(refused("its configuration is too long: it is damaged"));
        }
        let mut line = vec![0; len];
        from.exact(&mut line)?;
        if line == self.configuration.as_bytes() {
            return Ok(());
        }
        let theirs: String =
            String::from_utf8_lossy(&line).chars().filter(|c| !c.is_control()).collect();
        Err(refused(format!(
            "it was saved with the cache options \"{theirs}\", this session has \"{}\"; open it with the same options",
            self.configuration
        )))
    }

    fn read_body(&mut self, seq: SequenceId, len: usize, mut from: Stream<'_>) -> Result<()> {
        self.read_held(seq, len, &mut from)?;
        // Its full pages may go to the file: whenever another is asked for, those there are read.
        self.sequences.get_mut(&seq).ok_or(Error::UnknownSequence(seq))?.len = len;
        for group in 0..self.layout.groups.len() {
            self.read_group(group, seq, len, &mut from)?;
        }
        from.finish()
    }

    fn read_held(&mut self, seq: SequenceId, len: usize, from: &mut Stream<'_>) -> Result<()> {
        let sequence = self.sequences.get_mut(&seq).ok_or(Error::UnknownSequence(seq))?;
        for held in &mut sequence.held_from {
            let number = usize::try_from(from.number()?).ok().filter(|&held| held <= len);
            *held = number
                .ok_or_else(|| refused("its oldest entry is beyond its end: it is damaged"))?;
        }
        Ok(())
    }

    fn read_group(
        &mut self,
        index: usize,
        seq: SequenceId,
        len: usize,
        from: &mut Stream<'_>,
    ) -> Result<()> {
        let oldest = from.number()?;
        let oldest = self.check_oldest(index, seq, len, oldest)?;
        self.table(seq, index)?.start_at(oldest);
        let mut record = Vec::new();
        for position in positions(&self.layout.groups[index], oldest, len) {
            let (number, token) =
                (position / self.layout.page_tokens, position % self.layout.page_tokens);
            let group = &self.layout.groups[index];
            let name = self.layout.form_at(number, len);
            let bounds: usize = match token + 1 == self.layout.page_tokens {
                true => group.of_form(name).sections.iter().map(|s| s.bound_range().len()).sum(),
                false => 0,
            };
            record.resize(group.record_bytes(name) + bounds, 0);
            from.exact(&mut record)?;
            if self.sequence(seq)?.tables[index].entry(number, group).is_none() {
                let page = self.page_to_read(index, number, len)?;
                let mut entry = Entry::default();
                entry.set(name, Some(page));
                let group = &self.layout.groups[index];
                let sequence = self.sequences.get_mut(&seq).ok_or(Error::UnknownSequence(seq))?;
                sequence.tables[index].push(entry, group);
            }
            let group = &self.layout.groups[index];
            let entry = self.sequence(seq)?.tables[index].entry(number, group);
            let page = entry.and_then(|entry| entry.get(name)).expect("the page was just added");
            let form = group.of_form(name);
            restore_record(form, self.pools.all[form.pool].page_mut(page), token, &record);
        }
        Ok(())
    }

    /// Whether all is saved that the next query sees.
    fn check_oldest(
        &self,
        index: usize,
        seq: SequenceId,
        len: usize,
        oldest: u64,
    ) -> Result<usize> {
        let group = &self.layout.groups[index];
        let sequence = self.sequence(seq)?;
        // What heads or windows have let go may be missing.
        let units = self.layout.slots.iter().flat_map(|slot| &slot.heads);
        let own = units.filter(|place| place.group == index);
        let held = own.filter_map(|place| sequence.held_from.get(place.unit)).min().copied();
        let visible = match self.adapts {
            true => len,
            // Whatever is before the sinks' end is saved as sinks.
            false => group.visible_from(len).max(group.sinks).min(len).max(held.unwrap_or(0)),
        };
        let oldest = usize::try_from(oldest).ok().filter(|&oldest| oldest <= visible);
        oldest.map(|oldest| begins_at(oldest, group)).ok_or_else(|| {
            refused(format!("it lacks positions from {visible} on that a query at {len} sees"))
        })
    }

    /// A page for page number `number` of a group, in the form that it will be seen in.
    fn page_to_read(&mut self, index: usize, number: usize, len: usize) -> Result<PageId> {
        let Self { layout, pools, sequences, demands, .. } = self;
        let pool = layout.groups[index].of_form(layout.form_at(number, len)).pool;
        demands.clear();
        demands.need(pool);
        demands.check(pools)?;
        pools.prepare(demands.ready(), |pools| victim(sequences.values(), layout, pools))?;
        Ok(pools.take(pool))
    }
}

/// Puts a token's stored bytes into a page; of the last token, the bounds too.
fn restore_record(form: &FormLayout, page: &mut [u8], token: usize, mut record: &[u8]) {
    for section in &form.sections {
        let bytes = &mut page[section.range()];
        for side in [section.keys, section.values] {
            for head in 0..side.heads {
                record = side.restore_row(bytes, head, token, record);
            }
        }
    }
    for section in &form.sections {
        if record.is_empty() {
            return;
        }
        let (own, rest) = record.split_at(section.bound_range().len());
        page[section.range()][section.bound_range()].copy_from_slice(own);
        record = rest;
    }
}
