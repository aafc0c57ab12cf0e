use super::bits;

/// What the bytes of a block mean.
///
/// A block of `LEN` elements takes `BYTES` bytes and falls into `GROUPS` groups of neighbours.
/// Element `i` is `group.scale * code[i] - group.min`: one formula for every format, and so one
/// for every product with it.
pub trait Block<const LEN: usize, const BYTES: usize, const GROUPS: usize> {
    /// The integer codes, centred: what is multiplied with the scale.
    fn codes(bytes: &[u8; BYTES]) -> [i8; LEN];

    /// Scales and minima, of `LEN / GROUPS` elements each.
    fn groups(bytes: &[u8; BYTES]) -> [Group; GROUPS];

    /// Encodes values, all of them finite and at most 1e30 in magnitude.
    fn encode(values: &[f32; LEN], bytes: &mut [u8; BYTES]);

    /// Decodes a block, with the roundings of ggml: one for the product, one for the difference.
    fn decode(bytes: &[u8; BYTES], values: &mut [f32; LEN]) {
        let codes = Self::codes(bytes);
        let size = LEN / GROUPS;
        let runs = values.chunks_exact_mut(size).zip(codes.chunks_exact(size));
        for ((values, codes), group) in runs.zip(Self::groups(bytes)) {
            for (value, &code) in values.iter_mut().zip(codes) {
                *value = group.scale * f32::from(code) - group.min;
            }
        }
    }
}

/// What the elements of a group share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// What codes are multiplied with.
    pub scale: f32,
    /// What is subtracted then; zero in the symmetric formats.
    pub min: f32,
}

impl Group {
    pub(super) const fn symmetric(scale: f32) -> Self {
        Self { scale, min: 0.0 }
    }
}

/// Decodes whole blocks.
pub(super) fn decode<B, const LEN: usize, const BYTES: usize, const GROUPS: usize>(
    bytes: &[u8],
    values: &mut [f32],
) where
    B: Block<LEN, BYTES, GROUPS>,
{
    for (bytes, values) in bytes.as_chunks().0.iter().zip(values.as_chunks_mut().0) {
        B::decode(bytes, values);
    }
}

/// Encodes whole blocks.
pub(super) fn encode<B, const LEN: usize, const BYTES: usize, const GROUPS: usize>(
    values: &[f32],
    bytes: &mut [u8],
) where
    B: Block<LEN, BYTES, GROUPS>,
{
    for (values, bytes) in values.as_chunks().0.iter().zip(bytes.as_chunks_mut().0) {
        B::encode(&values.map(tame), bytes);
    }
}

/// Keeps the arithmetic of encoders finite. The limit is far beyond what any scale can hold, so
/// it changes no result; NaN has no code and becomes zero.
fn tame(value: f32) -> f32 {
    if value.is_nan() { 0.0 } else { value.clamp(-1e30, 1e30) }
}

/// The value of largest magnitude, the first of equals; zero if there is none.
pub(super) fn extreme(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most: f32, &value| if value.abs() > most.abs() { value } else { most })
}

/// The smallest and the largest value.
pub(super) fn range(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(min, max), &value| {
        (min.min(value), max.max(value))
    })
}

/// Scale and minimum that spread `levels + 1` codes evenly over the range of the values, as both
/// are stored, with the codes.
pub(super) fn spread<const LEN: usize>(values: &[f32; LEN], levels: u8) -> (f32, f32, [u8; LEN]) {
    let (min, max) = range(values);
    let scale = bits::storable((max - min) / f32::from(levels));
    let inverse = bits::inverse(scale);
    let codes = values.map(|value| (((value - min) * inverse + 0.5) as u8).min(levels));
    (scale, min, codes)
}

/// The scale that puts the value of largest magnitude on the code `-half`, the one code that has
/// no mirror image, with the codes plus `half`.
pub(super) fn centre<const LEN: usize>(values: &[f32; LEN], half: u8) -> (f32, [u8; LEN]) {
    let centre = f32::from(half);
    let scale = bits::storable(extreme(values) / -centre);
    let inverse = bits::inverse(scale);
    let codes = values.map(|value| ((value * inverse + centre + 0.5) as u8).min(2 * half - 1));
    (scale, codes)
}
