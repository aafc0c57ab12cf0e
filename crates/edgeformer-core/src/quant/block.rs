use super::bits;

/// What the bytes of a block mean.
///
/// A block of `LEN` elements takes `BYTES` bytes and falls into `GROUPS` groups of neighbours.
/// Element `i` is `group.scale * code[i] - group.min`: one formula for every format, and so one
/// for every product with it.
pub trait Block<const LEN: usize, const BYTES: usize, const GROUPS: usize> {
    /// The integer codes, centred: what is multiplied with the scale.
    fn codes(bytes: &[u8; BYTES]) -> [i8; LEN];

    /// Scales and minima as they are stored.
    fn shared(bytes: &[u8; BYTES]) -> Shared<GROUPS>;

    /// The bytes that [`codes`](Self::codes) and [`shared`](Self::shared) read back: the end of
    /// every quantizer, this crate's and others'.
    ///
    /// Codes and integers must be of those that the format has; floats become the nearest halves.
    fn assemble(shared: &Shared<GROUPS>, codes: &[i8; LEN], bytes: &mut [u8; BYTES]);

    /// Encodes values, all of them finite and at most 1e30 in magnitude.
    fn encode(values: &[f32; LEN], bytes: &mut [u8; BYTES]);

    /// Scales and minima, of `LEN / GROUPS` elements each.
    fn groups(bytes: &[u8; BYTES]) -> [Group; GROUPS] {
        Self::shared(bytes).groups()
    }

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

/// The scales and minima of a block as it stores them: one float for all groups, and a whole
/// number a group that it is multiplied with.
///
/// The number is one where a block is one group, and zero in place of a minimum that the format
/// does not have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shared<const GROUPS: usize> {
    /// The scale of scales, a half.
    pub scale: f32,
    /// The scale of minima, a half.
    pub min: f32,
    /// Scales of the groups.
    pub scales: [i8; GROUPS],
    /// Minima of the groups.
    pub mins: [u8; GROUPS],
}

impl<const GROUPS: usize> Shared<GROUPS> {
    /// Without minima.
    pub const fn symmetric(scale: f32, scales: [i8; GROUPS]) -> Self {
        Self { scale, min: 0.0, scales, mins: [0; GROUPS] }
    }

    /// The scale and the minimum of every group.
    pub fn groups(&self) -> [Group; GROUPS] {
        std::array::from_fn(|i| Group {
            scale: self.scale * f32::from(self.scales[i]),
            min: self.min * f32::from(self.mins[i]),
        })
    }
}

impl Shared<1> {
    /// Of a block that is one group.
    pub const fn single(scale: f32, min: f32) -> Self {
        Self { scale, min, scales: [1], mins: [1] }
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
pub(super) fn spread<const LEN: usize>(values: &[f32; LEN], levels: i8) -> (f32, f32, [i8; LEN]) {
    let (min, max) = range(values);
    let scale = bits::storable((max - min) / f32::from(levels));
    let inverse = bits::inverse(scale);
    let codes = values.map(|value| (((value - min) * inverse + 0.5) as i8).min(levels));
    (scale, min, codes)
}

/// The scale that puts the value of largest magnitude on the code `-half`, the one code that has
/// no mirror image, with the codes.
pub(super) fn centre<const LEN: usize>(values: &[f32; LEN], half: u8) -> (f32, [i8; LEN]) {
    let centre = f32::from(half);
    let scale = bits::storable(extreme(values) / -centre);
    let inverse = bits::inverse(scale);
    let plus_half = |value: f32| ((value * inverse + centre + 0.5) as u8).min(2 * half - 1);
    (scale, values.map(|value| plus_half(value).cast_signed() - half.cast_signed()))
}
