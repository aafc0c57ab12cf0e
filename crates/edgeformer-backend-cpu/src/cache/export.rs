//! Saved sequences: a small binary format of our own, for offload tiers and saved prompts.
//!
//! Little-endian throughout:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic `EFKVSEQ` and a zero |
//! | 4 | version, 1 |
//! | 8 | fingerprint of the graph |
//! | 2 | formats of keys and of values: 0 is f32, 1 is f16 |
//! | 8 | tokens that the sequence has seen |
//! | | for each group of slots: |
//! | 8 | the oldest position that the next query sees |
//! | | for each position from there to the last: keys and values of each slot |
//! | 8 | FNV-1a of everything before |
//!
//! A position is written over all slots at once, so that a reader needs a page only when data for
//! it have come: lengths in the file are never trusted with memory. The pages of the reader may be
//! of another size than the writer's.

use std::io::{ErrorKind, Read, Write};

use edgeformer_core::{CacheFormat, Error, Result, SequenceId};

use super::layout::{Group, Layout, Side};
use super::pages::{Elements, Page};
use super::runs::CacheRows;
use super::table::{Table, visible_from};
use super::{PagedCache, Sequence};

const MAGIC: [u8; 8] = *b"EFKVSEQ\0";
const VERSION: u32 = 1;

impl PagedCache {
    pub(super) fn write_sequence(&self, seq: SequenceId, to: &mut dyn Write) -> Result<()> {
        let sequence = self.sequence(seq)?;
        let mut to = Hashing::new(to);
        to.write(&MAGIC)?;
        to.write(&VERSION.to_le_bytes())?;
        to.write(&self.fingerprint.to_le_bytes())?;
        to.write(&[self.layout.keys, self.layout.values].map(format_code))?;
        to.write(&(sequence.len as u64).to_le_bytes())?;
        for group in 0..self.pools.len() {
            self.write_group(group, sequence, &mut to)?;
        }
        let hash = to.hash;
        to.write(&hash.to_le_bytes())?;
        Ok(to.inner.flush()?)
    }

    fn write_group<'w>(
        &self,
        group: usize,
        sequence: &Sequence,
        to: &mut Hashing<&'w mut (dyn Write + 'w)>,
    ) -> Result<()> {
        let page_tokens = self.layout.page_tokens;
        let table = &sequence.tables[group];
        // What a window has passed but a page still holds stays behind: it is there by chance.
        let window = self.layout.groups[group].window;
        let oldest = visible_from(sequence.len, window).min(sequence.len);
        to.write(&(oldest as u64).to_le_bytes())?;
        let mut record = Vec::new();
        for position in oldest..sequence.len {
            let page = table.page(position, page_tokens).expect("a table covers its sequence");
            let page = self.pools[group].get(page);
            record.clear();
            for (elements, side) in sides(page, &self.layout.groups[group]) {
                for head in 0..side.heads {
                    let start = side.element(head, position % page_tokens, page_tokens);
                    elements.rows(start..start + side.dim).append_bytes(&mut record);
                }
            }
            to.write(&record)?;
        }
        Ok(())
    }

    /// Reads a sequence into pages of its own. On an error the pages are given back.
    pub(super) fn read_sequence(&mut self, from: &mut dyn Read) -> Result<Sequence> {
        let mut from = Hashing::new(from);
        let len = self.read_header(&mut from)?;
        let mut sequence = Sequence::empty(self.pools.len());
        let read = self.read_groups(len, &mut sequence, &mut from);
        if read.is_err() {
            sequence.trim(&mut self.pools, 0, self.layout.page_tokens);
        }
        read.map(|()| Sequence { len, ..sequence })
    }

    fn read_header<'r>(&self, from: &mut Hashing<&'r mut (dyn Read + 'r)>) -> Result<usize> {
        let magic: [u8; 8] = from.array()?;
        if magic != MAGIC {
            return Err(saved("this is no saved sequence: it does not begin with EFKVSEQ"));
        }
        let version = u32::from_le_bytes(from.array()?);
        if version != VERSION {
            return Err(saved(format!("version {version}, this program reads version {VERSION}")));
        }
        if u64::from_le_bytes(from.array()?) != self.fingerprint {
            return Err(saved("it was saved with another model; load the model it belongs to"));
        }
        let codes: [u8; 2] = from.array()?;
        let own = [self.layout.keys, self.layout.values];
        if codes != own.map(format_code) {
            let theirs = codes.map(format_name);
            return Err(saved(format!(
                "it holds keys in {} and values in {}, this session keeps {} and {}; open it with the same cache types",
                theirs[0],
                theirs[1],
                own[0].name(),
                own[1].name()
            )));
        }
        let len = u64::from_le_bytes(from.array()?);
        if self.pools.is_empty() && len > 0 {
            return Err(saved(format!("it holds {len} tokens, this model caches none")));
        }
        usize::try_from(len).ok().filter(|&len| len <= self.context || len == 0).ok_or_else(|| {
            saved(format!(
                "it holds {len} tokens, the session was opened for {}: raise the context length",
                self.context
            ))
        })
    }

    fn read_groups<'r>(
        &mut self,
        len: usize,
        sequence: &mut Sequence,
        from: &mut Hashing<&'r mut (dyn Read + 'r)>,
    ) -> Result<()> {
        for group in 0..self.pools.len() {
            self.read_group(group, len, &mut sequence.tables[group], from)?;
        }
        let hash = from.hash;
        if u64::from_le_bytes(from.array()?) != hash {
            return Err(saved("its checksum does not match: it is damaged"));
        }
        Ok(())
    }

    fn read_group<'r>(
        &mut self,
        group: usize,
        len: usize,
        table: &mut Table,
        from: &mut Hashing<&'r mut (dyn Read + 'r)>,
    ) -> Result<()> {
        let Layout { page_tokens, .. } = self.layout;
        let layout = &self.layout.groups[group];
        let pages = &mut self.pools[group];
        let oldest = u64::from_le_bytes(from.array()?);
        let visible = visible_from(len, layout.window).min(len);
        let oldest = usize::try_from(oldest).ok().filter(|&oldest| oldest <= visible);
        let oldest = oldest.ok_or_else(|| {
            saved(format!("it lacks positions from {visible} on that a query at {len} sees"))
        })?;
        *table = Table::starting_at(oldest);
        let mut record = vec![0; self.layout.token_bytes(layout) as usize];
        for position in oldest..len {
            from.exact(&mut record)?;
            if table.missing(position + 1, page_tokens) > 0 {
                let page = pages
                    .take()
                    .ok_or(Error::CacheFull { needed: table.missing(len, page_tokens), free: 0 })?;
                table.push(page);
            }
            let page = table.page(position, page_tokens).expect("the page was just added");
            let mut rest = record.as_slice();
            let page = pages.get_mut(page);
            for slot in &layout.slots {
                let token = position % page_tokens;
                rest = page.keys.store_row_bytes(slot.keys, token, page_tokens, rest);
                rest = page.values.store_row_bytes(slot.values, token, page_tokens, rest);
            }
        }
        Ok(())
    }
}

/// Keys and values of every slot, in the order of the file.
fn sides<'a>(page: &'a Page, group: &Group) -> impl Iterator<Item = (&'a Elements, Side)> {
    let slots = group.slots.iter();
    slots.flat_map(|slot| [(&page.keys, slot.keys), (&page.values, slot.values)])
}

impl Elements {
    /// Stores a token's row of all heads from the beginning of `bytes`; returns the rest.
    fn store_row_bytes<'b>(
        &mut self,
        side: Side,
        token: usize,
        page_tokens: usize,
        bytes: &'b [u8],
    ) -> &'b [u8] {
        let head_bytes = side.dim * if self.format() == CacheFormat::F32 { 4 } else { 2 };
        let (row, rest) = bytes.split_at(side.heads * head_bytes);
        for (head, bytes) in row.chunks_exact(head_bytes.max(1)).enumerate() {
            self.store_bytes(side.element(head, token, page_tokens), bytes);
        }
        rest
    }
}

impl CacheRows<'_> {
    fn append_bytes(self, to: &mut Vec<u8>) {
        match self {
            Self::F32(elements) => to.extend(elements.iter().flat_map(|e| e.to_le_bytes())),
            Self::F16(elements) => to.extend(elements.iter().flat_map(|e| e.to_le_bytes())),
        }
    }
}

/// A stream that hashes what goes through it (FNV-1a, 64 bits).
struct Hashing<T> {
    inner: T,
    hash: u64,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self { inner, hash: 0xcbf2_9ce4_8422_2325 }
    }

    fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Hashing<&mut (dyn Write + '_)> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.update(bytes);
        Ok(self.inner.write_all(bytes)?)
    }
}

impl Hashing<&mut (dyn Read + '_)> {
    fn exact(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.inner.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => saved("it ends too early: it is truncated"),
            _ => Error::Io(error),
        })?;
        self.update(bytes);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.exact(&mut bytes)?;
        Ok(bytes)
    }
}

fn format_code(format: CacheFormat) -> u8 {
    match format {
        CacheFormat::F32 => 0,
        _ => 1,
    }
}

fn format_name(code: u8) -> String {
    match code {
        0 => CacheFormat::F32.name().into(),
        1 => CacheFormat::F16.name().into(),
        code => format!("unknown format {code}"),
    }
}

fn saved(problem: impl Into<String>) -> Error {
    Error::SavedSequence(problem.into())
}
