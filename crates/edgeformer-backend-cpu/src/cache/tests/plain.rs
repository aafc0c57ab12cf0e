//! What should be in a cache, plainly: every row of every sequence, in every form it ever had.

use edgeformer_core::graph::SlotPlan;
use edgeformer_core::{CacheFormat, SessionOptions};

use crate::kernels::{Isa, Kernels, KvRows};

/// Forms of a page, as the cache names them.
pub(super) const OPEN: usize = 0;
pub(super) const MAIN: usize = 1;
pub(super) const COLD: usize = 2;

/// A row in its forms, decoded; `None` where it is not in that form.
pub(super) type Forms = [Option<Vec<f32>>; 3];

/// One position of a slot: keys, or latents, and values, over all heads.
#[derive(Clone, Default)]
pub(super) struct Row {
    pub keys: Forms,
    pub values: Forms,
}

/// Keys or values of a slot: how they are rounded.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub heads: usize,
    pub dim: usize,
    block: usize,
    rotation: Option<usize>,
    formats: [Option<CacheFormat>; 3],
}

/// A slot.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub keys: Side,
    pub values: Side,
}

impl Slot {
    pub fn new(plan: &SlotPlan, options: &SessionOptions) -> Self {
        let (heads, parts, value_dim) = match *plan {
            SlotPlan::KeyValue { heads, key_dim, value_dim, .. } => {
                (heads, [key_dim, key_dim], value_dim)
            }
            SlotPlan::Latent { rank, rope_dim } => (1, [rank, rope_dim], 0),
        };
        let dim = if parts[0] == parts[1] && value_dim > 0 { parts[0] } else { parts.iter().sum() };
        let cold = options.tiers.cold;
        let rotated = [Some(options.cache_type_k), cold].contains(&Some(CacheFormat::Q4_0H));
        let divides = |by: usize| parts.iter().all(|part| part.is_multiple_of(by));
        let powers = (0..12).map(|power| 1 << power);
        let rotation = powers.rev().find(|&by| divides(by)).filter(|_| rotated);
        let block = [32, 16, 8].into_iter().find(|&block| divides(block)).unwrap_or(1);
        let own = [32, 16, 8].into_iter().find(|block| value_dim.is_multiple_of(*block));
        let has_open =
            [options.cache_type_k, options.cache_type_v].into_iter().any(CacheFormat::is_quantized);
        let formats = |main: CacheFormat| {
            let open = if main.is_quantized() { CacheFormat::F16 } else { main };
            [has_open.then_some(open), Some(main), cold]
        };
        Self {
            keys: Side { heads, dim, block, rotation, formats: formats(options.cache_type_k) },
            values: Side {
                heads,
                dim: value_dim,
                block: own.unwrap_or(1),
                rotation: None,
                formats: formats(options.cache_type_v),
            },
        }
    }
}

impl Side {
    /// The form in which rows are first kept.
    pub fn base(&self) -> usize {
        if self.formats[OPEN].is_some() { OPEN } else { MAIN }
    }

    /// A new row in its first form.
    pub fn store(&self, row: &[f32]) -> Forms {
        let mut turned = row.to_vec();
        if let Some(rotation) = self.rotation {
            for head in turned.chunks_exact_mut(self.dim) {
                kernels().hadamard(head, rotation);
            }
        }
        let mut forms = Forms::default();
        forms[self.base()] = Some(self.round(&turned, self.base()));
        forms
    }

    /// Makes one form of another, if it is not there yet.
    pub fn make(&self, forms: &mut Forms, from: usize, to: usize) {
        if let (Some(row), None, Some(_)) = (&forms[from], &forms[to], self.formats[to]) {
            forms[to] = Some(self.round(row, to));
        }
    }

    /// A row as a form keeps it.
    fn round(&self, row: &[f32], form: usize) -> Vec<f32> {
        let format = self.formats[form].expect("a form that the session has");
        let heads = row.chunks_exact(self.dim.max(1));
        heads.flat_map(|head| round(format, self.block, head)).collect()
    }
}

/// A row of a head through a format and back.
fn round(format: CacheFormat, block: usize, row: &[f32]) -> Vec<f32> {
    let kernels = kernels();
    let width = row.len();
    let mut scales = vec![half::f16::ZERO; width / block];
    let mut out = vec![0.0; width];
    match format {
        CacheFormat::F32 => out.copy_from_slice(row),
        CacheFormat::F16 => {
            out.iter_mut().zip(row).for_each(|(out, &x)| *out = half::f16::from_f32(x).to_f32());
        }
        CacheFormat::Q8_0 => {
            let mut codes = vec![0; width];
            kernels.store_q8(row, block, &mut codes, &mut scales);
            let rows = KvRows::Q8 { codes: &codes, scales: &scales, stride: width, block };
            kernels.decode_rows(rows, width, &mut out);
        }
        CacheFormat::Q4_0 | CacheFormat::Q4_0H => {
            let mut codes = vec![0; width / 2];
            kernels.store_q4(row, block, &mut codes, &mut scales);
            let rows = KvRows::Q4 { codes: &codes, scales: &scales, stride: width, block };
            kernels.decode_rows(rows, width, &mut out);
        }
    }
    out
}

pub(super) fn kernels() -> &'static Kernels {
    Kernels::for_isa(Isa::best())
}

/// Bits of a token that are its own.
pub(super) const TOKEN: u32 = 0xff;

/// Tokens with the choice that they were fed under.
pub(super) fn under(choice: u32, tokens: &[u32]) -> Vec<u32> {
    tokens.iter().map(|token| token | choice << 8).collect()
}

/// What a step stores of the last of these tokens: it depends on all of them.
pub(super) fn drawn(tokens: &[u32], slot: usize, side: usize, width: usize) -> Vec<f32> {
    let seed = tokens.iter().fold(0x9e37_79b9u64, |hash, &token| {
        (hash ^ u64::from(token) ^ 0x55).wrapping_mul(0x0100_0000_01b3).rotate_left(17)
    });
    let seed = seed ^ ((slot * 2 + side) as u64) << 40;
    (0..width as u64)
        .map(|i| {
            let x = (seed ^ i << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((x ^ x >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / 65_536.0 - 128.0
        })
        .collect()
}
