//! Saved sequences: rows of every slot as floats, between a header that says whose they are and a
//! checksum.
//!
//! Little-endian throughout:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic `EFROWSEQ` |
//! | 4 | version, 1 |
//! | 8 | [fingerprint](edgeformer_core::Model::fingerprint) of the model |
//! | 8 | FNV-1a of the cache formats and of what queries see |
//! | 8 | tokens |
//! | | for each slot and block of at most 256 tokens: keys, then values, in the cache formats |
//! | 8 | FNV-1a of everything before |

use std::io::{Read, Write};

use edgeformer_core::graph::SlotPlan;
use edgeformer_core::saved::{Fnv, Hashing, refused};
use edgeformer_core::{CacheFormat, Model, Result, SessionOptions};
use half::f16;

use crate::kept::{Kept, Sides};

const MAGIC: [u8; 8] = *b"EFROWSEQ";
const VERSION: u32 = 1;
/// Tokens of a block: memory is taken for data that have come, not for lengths that a file claims.
const BLOCK: usize = 256;

/// What reader and writer must agree on.
pub(crate) struct Form {
    model: u64,
    session: u64,
    slots: Vec<SlotPlan>,
    stored: [CacheFormat; 2],
}

impl Form {
    pub fn new(model: &Model, options: &SessionOptions, stored: [CacheFormat; 2]) -> Result<Self> {
        let mut session = Fnv::default();
        stored.iter().for_each(|format| session.add(format.name().as_bytes()));
        session.add(format!("{:?}", options.visibility).as_bytes());
        Ok(Self {
            model: model.fingerprint()?,
            session: session.0,
            slots: model.graph.cache.slots.clone(),
            stored,
        })
    }

    pub fn slots(&self) -> &[SlotPlan] {
        &self.slots
    }

    /// Bytes of a token's row in a slot.
    pub fn row_bytes(&self, slot: &SlotPlan) -> u64 {
        let (keys, values) = slot.elements();
        let bytes = |elements, format: CacheFormat| format.row_bytes(elements).unwrap_or(0) as u64;
        bytes(keys, self.stored[0]) + bytes(values, self.stored[1])
    }
}

/// Writes the first `len` tokens of a sequence.
pub(crate) fn write(form: &Form, kept: &impl Kept, len: usize, to: &mut dyn Write) -> Result<()> {
    let mut to = Hashing::new(to);
    to.write(&MAGIC)?;
    to.write(&VERSION.to_le_bytes())?;
    to.write(&form.model.to_le_bytes())?;
    to.write(&form.session.to_le_bytes())?;
    to.number(len)?;
    for (slot, plan) in form.slots.iter().enumerate() {
        if len == 0 {
            break;
        }
        let Sides { keys, values } = kept.read(slot, len)?;
        let widths = plan.elements();
        for from in (0..len).step_by(BLOCK) {
            let rows = from..len.min(from + BLOCK);
            let part = |side: &'_ [f32], width: usize| {
                rows.start * width..(rows.end * width).min(side.len())
            };
            to.write(&encode(&keys[part(&keys, widths.0)], form.stored[0]))?;
            to.write(&encode(&values[part(&values, widths.1)], form.stored[1]))?;
        }
    }
    to.finish()
}

/// Reads a sequence into an empty one; returns its length.
pub(crate) fn read(
    form: &Form,
    kept: &mut impl Kept,
    context: usize,
    from: &mut dyn Read,
) -> Result<usize> {
    let mut from = Hashing::new(from);
    if from.array()? != MAGIC {
        return Err(refused(
            "this is no saved sequence of such a backend: it does not begin with EFROWSEQ",
        ));
    }
    let version = u32::from_le_bytes(from.array()?);
    if version != VERSION {
        return Err(refused(format!("version {version}, this program reads version {VERSION}")));
    }
    if from.number()? != form.model {
        return Err(refused("it was saved with another model; load the model it belongs to"));
    }
    if from.number()? != form.session {
        return Err(refused(
            "it was saved with other cache formats or windows; open the session as it was",
        ));
    }
    let limit = if form.slots.is_empty() { 0 } else { context };
    let len = from.number()?;
    let len = usize::try_from(len).ok().filter(|&len| len <= limit).ok_or_else(|| {
        refused(format!(
            "it holds {len} tokens, the session was opened for {limit}: raise the context length"
        ))
    })?;
    let mut slots = Vec::with_capacity(form.slots.len());
    for plan in &form.slots {
        slots.push(read_slot(form, plan, len, &mut from)?);
    }
    // Nothing is kept of data that turn out damaged.
    from.finish()?;
    for (slot, sides) in slots.iter().enumerate() {
        if len > 0 {
            kept.write(slot, len, sides)?;
        }
    }
    Ok(len)
}

fn read_slot(
    form: &Form,
    plan: &SlotPlan,
    len: usize,
    from: &mut Hashing<&mut (dyn Read + '_)>,
) -> Result<Sides> {
    let mut sides = Sides::default();
    let widths = plan.elements();
    for start in (0..len).step_by(BLOCK) {
        let rows = BLOCK.min(len - start);
        decode(from, rows * widths.0, form.stored[0], &mut sides.keys)?;
        decode(from, rows * widths.1, form.stored[1], &mut sides.values)?;
    }
    Ok(sides)
}

/// Half floats where the cache holds such: they are exactly its values.
fn encode(values: &[f32], format: CacheFormat) -> Vec<u8> {
    match format {
        CacheFormat::F16 => {
            values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()
        }
        _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

fn decode(
    from: &mut Hashing<&mut (dyn Read + '_)>,
    count: usize,
    format: CacheFormat,
    values: &mut Vec<f32>,
) -> Result<()> {
    let half = format == CacheFormat::F16;
    let mut bytes = vec![0; count * if half { 2 } else { 4 }];
    from.exact(&mut bytes)?;
    match half {
        true => values
            .extend(bytes.chunks_exact(2).map(|two| f16::from_le_bytes([two[0], two[1]]).to_f32())),
        false => values.extend(
            bytes
                .chunks_exact(4)
                .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])),
        ),
    }
    Ok(())
}
