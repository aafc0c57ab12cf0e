use std::io::Write;

use edgeformer_core::saved::Hashing;
use edgeformer_core::{Result, SequenceId};

use super::{MAGIC, VERSION, begins_at, positions};
use crate::cache::layout::FormLayout;
use crate::cache::pages::PageId;
use crate::cache::{PagedCache, Sequence};

type Stream<'w> = Hashing<&'w mut (dyn Write + 'w)>;

impl PagedCache {
    pub(in crate::cache) fn write_sequence(
        &mut self,
        seq: SequenceId,
        to: &mut dyn Write,
    ) -> Result<()> {
        let sequence = self.sequence(seq)?;
        let mut to = Hashing::new(to);
        to.write(&MAGIC)?;
        to.write(&VERSION.to_le_bytes())?;
        to.write(&self.fingerprint.to_le_bytes())?;
        to.write(&(self.configuration.len() as u32).to_le_bytes())?;
        to.write(self.configuration.as_bytes())?;
        to.number(sequence.len)?;
        for &from in &sequence.held_from {
            to.number(from)?;
        }
        for group in 0..self.layout.groups.len() {
            self.write_group(group, seq, &mut to)?;
        }
        to.finish()
    }

    fn write_group(&mut self, index: usize, seq: SequenceId, to: &mut Stream<'_>) -> Result<()> {
        let oldest = self.saved_from(index, self.sequence(seq)?);
        to.number(oldest)?;
        let len = self.sequence(seq)?.len;
        let mut page = Vec::new();
        let mut record = Vec::new();
        let mut copied = None;
        for position in positions(&self.layout.groups[index], oldest, len) {
            let (number, token) =
                (position / self.layout.page_tokens, position % self.layout.page_tokens);
            let group = &self.layout.groups[index];
            let form = group.of_form(self.layout.form_at(number, len));
            if copied != Some(number) {
                let entry = self.sequence(seq)?.tables[index].entry(number, group);
                let id = entry.and_then(|entry| entry.get(self.layout.form_at(number, len)));
                let id = id.expect("a table covers its sequence");
                let pool = form.pool;
                self.copy_page(pool, id, &mut page)?;
                copied = Some(number);
            }
            let group = &self.layout.groups[index];
            let form = group.of_form(self.layout.form_at(number, len));
            record.clear();
            append_record(form, &page, token, &mut record);
            let is_last = token + 1 == self.layout.page_tokens;
            if is_last {
                for section in &form.sections {
                    let bytes = &page[section.range()];
                    record.extend_from_slice(&bytes[section.bound_range()]);
                }
            }
            to.write(&record)?;
        }
        Ok(())
    }

    /// The oldest position behind the sinks that is saved. What a window has passed but a page
    /// still holds stays behind: it is there by chance.
    fn saved_from(&self, group: usize, sequence: &Sequence) -> usize {
        let (table, group) = (&sequence.tables[group], &self.layout.groups[group]);
        let needed = table.needed_from(sequence.len, group);
        begins_at(needed.max(table.from()).min(sequence.len), group)
    }

    /// A page's bytes, wherever it is.
    fn copy_page(&mut self, pool: usize, page: PageId, to: &mut Vec<u8>) -> Result<()> {
        let pages = &self.pools.all[pool];
        to.clear();
        match (pages.place(page), &mut self.pools.tier) {
            (Some(place), Some(tier)) => {
                to.resize(pages.bytes, 0);
                tier.spill.read_now(place, 0, to)
            }
            _ => {
                to.extend_from_slice(pages.page(page));
                Ok(())
            }
        }
    }
}

/// The stored bytes of a token over all ops of a group.
fn append_record(form: &FormLayout, page: &[u8], token: usize, to: &mut Vec<u8>) {
    for section in &form.sections {
        let bytes = &page[section.range()];
        for side in [section.keys, section.values] {
            for head in 0..side.heads {
                side.append_row(bytes, head, token, to);
            }
        }
    }
}
