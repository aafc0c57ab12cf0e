//! What the blocks of a format can say, for all formats alike.

use edgeformer_core::Format;
use edgeformer_core::quant::{
    Block, Group, Iq4Nl, Iq4Xs, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0, Shared,
};

/// The longest block.
pub const LONGEST: usize = 256;

/// The most groups in a block.
pub const MOST_GROUPS: usize = 16;

/// What a block of a format consists of, and how it becomes bytes.
#[derive(Debug)]
pub struct Grid {
    /// Elements of a block.
    pub len: usize,
    /// Bytes of a block.
    pub bytes: usize,
    /// Elements of a group.
    pub group: usize,
    /// What is multiplied with a group's scale.
    pub codes: Codes,
    /// How the scales and minima of groups are stored.
    pub scales: Scales,
    read: fn(&[u8]) -> Parts,
    write: fn(&Parts, &mut [u8]),
}

/// The codes of a format.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Codes {
    /// All whole numbers between two, both included.
    Range(f32, f32),
    /// The entries of [`CODE_BOOK`](edgeformer_core::quant::CODE_BOOK).
    Book,
}

/// How scales and minima are stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scales {
    /// A block is one group, its scale is a half.
    Half,
    /// A block is one group, its scale and its minimum are halves.
    HalfWithMin,
    /// Whole numbers between two, both included, times a half.
    Whole(f32, f32),
    /// Whole numbers from zero up times a half, and minima likewise times another.
    WholeWithMin(f32),
}

impl Scales {
    /// Whether groups have a minimum.
    pub fn has_min(self) -> bool {
        matches!(self, Self::HalfWithMin | Self::WholeWithMin(_))
    }
}

/// A block taken apart: the first groups and codes that the format has, zeros behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// Scales and minima.
    pub shared: Shared<MOST_GROUPS>,
    /// What they are multiplied with.
    pub codes: [i8; LONGEST],
}

impl Parts {
    /// Of zeros.
    pub const ZERO: Self = Self { shared: Shared::symmetric(0.0, [0; 16]), codes: [0; LONGEST] };

    /// The scale and the minimum of a group.
    pub fn group(&self, index: usize) -> Group {
        group(&self.shared, index)
    }
}

/// The scale and the minimum of a group.
pub fn group(shared: &Shared<MOST_GROUPS>, index: usize) -> Group {
    Group {
        scale: shared.scale * f32::from(shared.scales[index]),
        min: shared.min * f32::from(shared.mins[index]),
    }
}

impl Grid {
    /// The grid of a format, none for floats.
    pub fn of(format: Format) -> Option<Self> {
        let range = Codes::Range;
        Some(match format {
            Format::F32 | Format::F16 | Format::BF16 => return None,
            Format::Q8_0 => Self::new::<Q8_0, _, _, _>(range(-127.0, 127.0), Scales::Half),
            Format::Q4_0 => Self::new::<Q4_0, _, _, _>(range(-8.0, 7.0), Scales::Half),
            Format::Q4_1 => Self::new::<Q4_1, _, _, _>(range(0.0, 15.0), Scales::HalfWithMin),
            Format::Q5_0 => Self::new::<Q5_0, _, _, _>(range(-16.0, 15.0), Scales::Half),
            Format::Q5_1 => Self::new::<Q5_1, _, _, _>(range(0.0, 31.0), Scales::HalfWithMin),
            Format::Q2K => Self::new::<Q2K, _, _, _>(range(0.0, 3.0), Scales::WholeWithMin(15.0)),
            Format::Q3K => Self::new::<Q3K, _, _, _>(range(-4.0, 3.0), Scales::Whole(-32.0, 31.0)),
            Format::Q4K => Self::new::<Q4K, _, _, _>(range(0.0, 15.0), Scales::WholeWithMin(63.0)),
            Format::Q5K => Self::new::<Q5K, _, _, _>(range(0.0, 31.0), Scales::WholeWithMin(63.0)),
            Format::Q6K => {
                Self::new::<Q6K, _, _, _>(range(-32.0, 31.0), Scales::Whole(-128.0, 127.0))
            }
            Format::Iq4Nl => Self::new::<Iq4Nl, _, _, _>(Codes::Book, Scales::Half),
            Format::Iq4Xs => Self::new::<Iq4Xs, _, _, _>(Codes::Book, Scales::Whole(-32.0, 31.0)),
        })
    }

    fn new<B, const LEN: usize, const BYTES: usize, const GROUPS: usize>(
        codes: Codes,
        scales: Scales,
    ) -> Self
    where
        B: Block<LEN, BYTES, GROUPS>,
    {
        Self {
            len: LEN,
            bytes: BYTES,
            group: LEN / GROUPS,
            codes,
            scales,
            read: read::<B, LEN, BYTES, GROUPS>,
            write: write::<B, LEN, BYTES, GROUPS>,
        }
    }

    /// Groups of a block.
    pub fn groups(&self) -> usize {
        self.len / self.group
    }

    /// Takes the bytes of one block apart.
    pub fn read(&self, bytes: &[u8]) -> Parts {
        (self.read)(bytes)
    }

    /// Puts one block together.
    pub fn write(&self, parts: &Parts, bytes: &mut [u8]) {
        (self.write)(parts, bytes);
    }
}

fn read<B, const LEN: usize, const BYTES: usize, const GROUPS: usize>(bytes: &[u8]) -> Parts
where
    B: Block<LEN, BYTES, GROUPS>,
{
    let mut parts = Parts::ZERO;
    let Some(bytes) = bytes.first_chunk() else { return parts };
    let shared = B::shared(bytes);
    parts.shared.scale = shared.scale;
    parts.shared.min = shared.min;
    parts.shared.scales[..GROUPS].copy_from_slice(&shared.scales);
    parts.shared.mins[..GROUPS].copy_from_slice(&shared.mins);
    parts.codes[..LEN].copy_from_slice(&B::codes(bytes));
    parts
}

fn write<B, const LEN: usize, const BYTES: usize, const GROUPS: usize>(
    parts: &Parts,
    bytes: &mut [u8],
) where
    B: Block<LEN, BYTES, GROUPS>,
{
    let shared = Shared {
        scale: parts.shared.scale,
        min: parts.shared.min,
        scales: std::array::from_fn(|i| parts.shared.scales[i]),
        mins: std::array::from_fn(|i| parts.shared.mins[i]),
    };
    let codes = std::array::from_fn(|i| parts.codes[i]);
    if let Some(bytes) = bytes.first_chunk_mut() {
        B::assemble(&shared, &codes, bytes);
    }
}
