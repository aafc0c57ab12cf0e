//! Scores and sums of values.

use half::f16;
use proptest::prelude::*;

use super::sample::Sample;
use super::tables;
use crate::kernels::{Kernels, KvRows, Queries};

/// How rows are kept: floats of 32 or 16 bits, codes of 8 or 4 bits in blocks of so many.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kept {
    F32,
    F16,
    Q8(usize),
    Q4(usize),
}

pub(super) const KEPT: [Kept; 8] = [
    Kept::F32,
    Kept::F16,
    Kept::Q8(32),
    Kept::Q8(16),
    Kept::Q8(8),
    Kept::Q4(32),
    Kept::Q4(16),
    Kept::Q4(8),
];

impl Kept {
    /// What widths and strides are multiples of.
    pub fn block(self) -> usize {
        match self {
            Self::F32 | Self::F16 => 1,
            Self::Q8(block) | Self::Q4(block) => block,
        }
    }

    /// The width nearest to `size` elements.
    pub fn width(self, size: usize) -> usize {
        size.next_multiple_of(self.block()).max(self.block())
    }
}

/// Rows that the test owns, of any codes and scales.
pub(super) struct Owned {
    kept: Kept,
    stride: usize,
    floats: Vec<f32>,
    halves: Vec<f16>,
    bytes: Vec<i8>,
    nibbles: Vec<u8>,
    scales: Vec<f16>,
}

impl Owned {
    pub fn new(sample: &mut Sample, kept: Kept, rows: usize, stride: usize) -> Self {
        let elements = rows * stride;
        Self {
            kept,
            stride,
            floats: sample.floats(elements),
            halves: sample.halves(elements),
            bytes: (0..elements).map(|_| sample.bits() as i8).collect(),
            nibbles: (0..elements / 2).map(|_| sample.bits() as u8).collect(),
            scales: sample.halves(elements.div_ceil(kept.block())),
        }
    }

    pub fn rows(&self) -> KvRows<'_> {
        let (stride, scales) = (self.stride, self.scales.as_slice());
        match self.kept {
            Kept::F32 => KvRows::F32 { data: &self.floats, stride },
            Kept::F16 => KvRows::F16 { data: &self.halves, stride },
            Kept::Q8(block) => KvRows::Q8 { codes: &self.bytes, scales, stride, block },
            Kept::Q4(block) => KvRows::Q4 { codes: &self.nibbles, scales, stride, block },
        }
    }

    /// What an element stands for.
    pub fn element(&self, row: usize, column: usize) -> f64 {
        let at = row * self.stride + column;
        match self.kept {
            Kept::F32 => f64::from(self.floats[at]),
            Kept::F16 => self.halves[at].to_f64(),
            Kept::Q8(block) => self.scales[at / block].to_f64() * f64::from(self.bytes[at]),
            Kept::Q4(block) => {
                let byte = self.nibbles[at / block * (block / 2) + at % (block / 2)];
                let code = if at % block < block / 2 { byte % 16 } else { byte / 16 };
                self.scales[at / block].to_f64() * (f64::from(code) - 8.0)
            }
        }
    }

    /// Makes an element of a row what is not finite.
    pub fn spoil(&mut self, row: usize, column: usize, with: f32) {
        let at = row * self.stride + column;
        self.floats[at] = with;
        self.halves[at] = f16::from_f32(with);
        self.scales[at / self.kept.block()] = f16::NAN;
    }
}

/// Queries that the test owns, in both forms.
pub(super) struct OwnedQueries {
    floats: Vec<f32>,
    codes: Vec<i8>,
    scales: Vec<f32>,
    width: usize,
    kept: Kept,
}

impl OwnedQueries {
    pub fn new(kernels: &Kernels, floats: Vec<f32>, kept: Kept, width: usize) -> Self {
        let (mut codes, mut scales) = (Vec::new(), Vec::new());
        if let Kept::Q8(block) | Kept::Q4(block) = kept {
            codes = vec![0; floats.len()];
            scales = vec![0.0; floats.len() / block];
            kernels.quantize_queries(&floats, block, &mut codes, &mut scales);
        }
        Self { floats, codes, scales, width, kept }
    }

    pub fn view(&self) -> Queries<'_> {
        let Self { floats, codes, scales, width, .. } = self;
        Queries { floats, codes, scales, width: *width }
    }

    /// What the keys meet.
    fn element(&self, row: usize, column: usize) -> f64 {
        let at = row * self.width + column;
        match self.kept {
            Kept::F32 | Kept::F16 => f64::from(self.floats[at]),
            Kept::Q8(block) | Kept::Q4(block) => {
                f64::from(self.scales[at / block]) * f64::from(self.codes[at])
            }
        }
    }
}

pub(super) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn scores(kernels: &Kernels, queries: Queries<'_>, keys: KvRows<'_>, count: usize) -> Vec<f32> {
    let stride = count + 3;
    let mut out = vec![7.0; queries.len() * stride];
    kernels.scores(queries, keys, count, &mut out, stride);
    let beside = out.chunks_exact(stride).flat_map(|row| &row[count..]);
    assert!(beside.copied().all(|value| value == 7.0), "wrote beside the scores");
    out.chunks_exact(stride).flat_map(|row| row[..count].to_vec()).collect()
}

fn kept() -> impl Strategy<Value = Kept> {
    prop::sample::select(KEPT.as_slice())
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        1..140usize,
        prop::sample::select([64usize, 80, 96, 128, 259, 576, 1031].as_slice())
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn scores_are_exact_but_for_f32_roundings(
        kept in kept(), size in size(), beside in 0..3usize, count in 0..71usize, rows in 0..21usize,
        seed: u64,
    ) {
        let mut sample = Sample(seed);
        let width = kept.width(size);
        let keys = Owned::new(&mut sample, kept, count, width + beside * kept.block());
        let floats = sample.floats(rows * width);
        for kernels in tables() {
            let queries = OwnedQueries::new(kernels, floats.clone(), kept, width);
            let got = scores(kernels, queries.view(), keys.rows(), count);
            for (index, got) in got.into_iter().enumerate() {
                let (query, key) = (index / count, index % count);
                let products =
                    || (0..width).map(|i| queries.element(query, i) * keys.element(key, i));
                let exact: f64 = products().sum();
                let size: f64 = products().map(f64::abs).sum();
                let bound = (width / 8 + 8) as f64 * f64::from(f32::EPSILON) * size + 1e-30;
                prop_assert!(
                    (f64::from(got) - exact).abs() <= bound,
                    "{kernels:?}: query {query}, key {key}: {got} is not {exact}"
                );
            }
        }
    }

    #[test]
    fn a_score_depends_on_its_query_and_key_alone(
        kept in kept(), size in size(), count in 1..71usize, rows in 1..21usize,
        first_key in 0..71usize, first_query in 0..21usize, seed: u64,
    ) {
        let mut sample = Sample(seed);
        let width = kept.width(size);
        let keys = Owned::new(&mut sample, kept, count, width);
        let floats = sample.floats(rows * width);
        let (first_key, first_query) = (first_key % count, first_query % rows);
        for kernels in tables() {
            let queries = OwnedQueries::new(kernels, floats.clone(), kept, width);
            let queries = queries.view();
            let all = scores(kernels, queries, keys.rows(), count);
            for query in 0..rows {
                let alone = scores(kernels, queries.slice(query, 1), keys.rows(), count);
                prop_assert_eq!(bits(&alone), bits(&all[query * count..][..count]));
            }
            let (behind, left) = (keys.rows().from_row(first_key), count - first_key);
            let later = queries.slice(first_query, rows - first_query);
            let part = scores(kernels, later, behind, left);
            for (part, all) in part.chunks_exact(left).zip(all.chunks_exact(count).skip(first_query)) {
                prop_assert_eq!(bits(part), bits(&all[first_key..]));
            }
        }
    }

    /// They multiply codes by different instructions, whose sums are the same integers.
    #[cfg(target_arch = "aarch64")]
    #[test]
    fn tables_for_arm_score_with_the_same_bits(
        kept in kept(), size in size(), count in 1..20usize, rows in 1..6usize, seed: u64,
    ) {
        let mut sample = Sample(seed);
        let width = kept.width(size);
        let keys = Owned::new(&mut sample, kept, count, width);
        let floats = sample.floats(rows * width);
        let mut all = tables().filter(|kernels| kernels.isa().name() != "scalar").map(|kernels| {
            let queries = OwnedQueries::new(kernels, floats.clone(), kept, width);
            bits(&scores(kernels, queries.view(), keys.rows(), count))
        });
        let first = all.next().unwrap();
        for other in all {
            prop_assert_eq!(&other, &first);
        }
    }

    #[test]
    fn sums_are_exact_but_for_f32_roundings(
        kept in kept(), size in size(), beside in 0..3usize, count in 0..71usize, rows in 0..21usize,
        seed: u64,
    ) {
        let mut sample = Sample(seed);
        let width = kept.width(size);
        let values = Owned::new(&mut sample, kept, count, width + beside * kept.block());
        let (before, stride) = (sample.floats(rows * width), count + 5);
        let weights = sample.floats(rows * stride);
        for kernels in tables() {
            let mut sums = before.clone();
            kernels.accumulate(&weights, stride, values.rows(), count, &mut sums, width);
            for (index, got) in sums.into_iter().enumerate() {
                let (query, column) = (index / width, index % width);
                let terms = || {
                    let of = |key| f64::from(weights[query * stride + key]) * values.element(key, column);
                    (0..count).map(of).chain([f64::from(before[index])])
                };
                let exact: f64 = terms().sum();
                let size: f64 = terms().map(f64::abs).sum();
                let bound = (count + 4) as f64 * f64::from(f32::EPSILON) * size + 1e-30;
                prop_assert!(
                    (f64::from(got) - exact).abs() <= bound,
                    "{kernels:?}: query {query}, column {column}: {got} is not {exact}"
                );
            }
        }
    }

    #[test]
    fn a_sum_depends_on_its_weights_and_values_alone(
        kept in kept(), size in size(), count in 1..150usize, rows in 1..21usize,
        split in 0..150usize, seed: u64,
    ) {
        let mut sample = Sample(seed);
        let width = kept.width(size);
        let values = Owned::new(&mut sample, kept, count, width);
        let (before, weights) = (sample.floats(rows * width), sample.floats(rows * count));
        let split = split % count;
        for kernels in tables() {
            let mut all = before.clone();
            kernels.accumulate(&weights, count, values.rows(), count, &mut all, width);
            let mut parts = before.clone();
            kernels.accumulate(&weights, count, values.rows(), split, &mut parts, width);
            let (rest, later) = (&weights[split..], values.rows().from_row(split));
            kernels.accumulate(rest, count, later, count - split, &mut parts, width);
            prop_assert_eq!(bits(&parts), bits(&all), "{:?}", kernels);
            for (query, mut sums) in before.chunks_exact(width).map(<[f32]>::to_vec).enumerate() {
                let weights = &weights[query * count..][..count];
                kernels.accumulate(weights, count, values.rows(), count, &mut sums, width);
                prop_assert_eq!(bits(&sums), bits(&all[query * width..][..width]), "{:?}", kernels);
            }
        }
    }

    #[test]
    fn values_weigh_what_they_decode_to(
        kept in kept(), size in size(), count in 1..71usize, rows in 1..5usize, seed: u64,
    ) {
        let mut sample = Sample(seed);
        let width = kept.width(size);
        let values = Owned::new(&mut sample, kept, count, width);
        let (before, weights) = (sample.floats(rows * width), sample.floats(rows * count));
        for kernels in tables() {
            let mut decoded = vec![f32::NAN; count * width];
            kernels.decode_rows(values.rows(), width, &mut decoded);
            let decoded = KvRows::F32 { data: &decoded, stride: width };
            let [stored, decoded] = [values.rows(), decoded].map(|values| {
                let mut sums = before.clone();
                kernels.accumulate(&weights, count, values, count, &mut sums, width);
                bits(&sums)
            });
            prop_assert_eq!(stored, decoded, "{:?}", kernels);
        }
    }

    #[test]
    fn what_is_not_finite_shows_where_it_is_and_nowhere_else(
        kept in kept(), size in size(), count in 1..20usize, rows in 1..8usize,
        bad in prop::sample::select([f32::NAN, f32::INFINITY, f32::NEG_INFINITY].as_slice()),
        at: (prop::sample::Index, prop::sample::Index), seed: u64,
    ) {
        let mut sample = Sample(seed);
        let width = kept.width(size);
        let mut kv = Owned::new(&mut sample, kept, count, width);
        let (row, column) = (at.0.index(count), at.1.index(width));
        kv.spoil(row, column, bad);
        let block = column / kept.block() * kept.block()..(column / kept.block() + 1) * kept.block();
        let floats = vec![1.0; rows * width];
        for kernels in tables() {
            let queries = OwnedQueries::new(kernels, floats.clone(), kept, width);
            for (index, score) in scores(kernels, queries.view(), kv.rows(), count).iter().enumerate() {
                prop_assert_eq!(score.is_finite(), index % count != row, "{:?}", kernels);
            }
            let mut sums = vec![0.0; rows * width];
            kernels.accumulate(&vec![0.5; rows * count], count, kv.rows(), count, &mut sums, width);
            for (index, sum) in sums.iter().enumerate() {
                prop_assert_eq!(sum.is_finite(), !block.contains(&(index % width)), "{:?}", kernels);
            }
        }
    }

    #[test]
    fn weights_are_exponentials(seed: u64, len in 0..150usize, spread in 0.0f32..100.0, masked: bool) {
        let mut x: Vec<_> = Sample(seed).floats(len).iter().map(|x| x * spread).collect();
        if masked && len > 1 {
            x[len / 2] = f32::NEG_INFINITY;
        }
        let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for kernels in tables() {
            prop_assert_eq!(kernels.largest(&x), max);
            let mut got = x.clone();
            let sum = kernels.exp_minus(&mut got, max);
            let mut exact_sum = 0.0;
            for (&got, &x) in got.iter().zip(&x) {
                // The difference is rounded before it is an exponent.
                let exact = f64::from(x - max).exp();
                prop_assert!((f64::from(got) - exact).abs() <= 2e-7 * exact + 1e-38);
                exact_sum += exact;
            }
            prop_assert!((f64::from(sum) - exact_sum).abs() <= 3e-6 * exact_sum);
        }
    }
}

#[test]
fn the_largest_passes_over_what_is_no_number() {
    for kernels in tables() {
        assert_eq!(kernels.largest(&[]), f32::NEG_INFINITY);
        for len in 1..40 {
            for at in 0..len {
                let mut x: Vec<_> = (0..len).map(|i| -1.0 - i as f32).collect();
                x[at] = f32::NAN;
                let expected =
                    if len == 1 { f32::NEG_INFINITY } else { [-1.0, -2.0][usize::from(at == 0)] };
                assert_eq!(kernels.largest(&x), expected, "{kernels:?}");
                assert!(kernels.exp_minus(&mut x, -1.0).is_nan(), "{kernels:?}");
                assert!(x[at].is_nan(), "{kernels:?}");
            }
        }
    }
}

/// Nothing saturates: codes at the ends of their range, with signs that agree, differ and mix.
#[test]
fn extreme_codes_are_exact() {
    for kept in KEPT {
        let width = kept.width(96);
        for (byte, sign) in [(-128i8, 1.0f32), (127, -1.0), (-127, -1.0), (0, 1.0), (-128, -1.0)] {
            let mut keys = Owned::new(&mut Sample(1), kept, 1, width);
            keys.bytes.fill(byte);
            keys.nibbles.fill(byte as u8);
            keys.scales.fill(f16::ONE);
            for kernels in tables() {
                let floats = (0..width).map(|i| if i % 3 == 0 { 127.0 } else { sign * 127.0 });
                let queries = OwnedQueries::new(kernels, floats.collect(), kept, width);
                let exact: f64 =
                    (0..width).map(|i| queries.element(0, i) * keys.element(0, i)).sum();
                let got = scores(kernels, queries.view(), keys.rows(), 1)[0];
                assert!(
                    (f64::from(got) - exact).abs() <= 1e-3,
                    "{kernels:?} {kept:?}: {got} is not {exact}"
                );
            }
        }
    }
}
