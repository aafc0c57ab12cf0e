//! The types of elements.

use edgeformer_core::Format;

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the format's own")]
pub enum Dtype {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    BF16,
    F32,
    F64,
    F8E4M3,
    F8E5M2,
}

impl Dtype {
    /// Every type that is read.
    const ALL: [Self; 15] = [
        Self::Bool,
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::U64,
        Self::I64,
        Self::F16,
        Self::BF16,
        Self::F32,
        Self::F64,
        Self::F8E4M3,
        Self::F8E5M2,
    ];

    /// Its name in a file's header, and bytes of an element.
    const fn layout(self) -> (&'static str, usize) {
        match self {
            Self::Bool => ("BOOL", 1),
            Self::U8 => ("U8", 1),
            Self::I8 => ("I8", 1),
            Self::U16 => ("U16", 2),
            Self::I16 => ("I16", 2),
            Self::U32 => ("U32", 4),
            Self::I32 => ("I32", 4),
            Self::U64 => ("U64", 8),
            Self::I64 => ("I64", 8),
            Self::F16 => ("F16", 2),
            Self::BF16 => ("BF16", 2),
            Self::F32 => ("F32", 4),
            Self::F64 => ("F64", 8),
            Self::F8E4M3 => ("F8_E4M3", 1),
            Self::F8E5M2 => ("F8_E5M2", 1),
        }
    }

    /// Its name in a file's header: `BF16`.
    pub const fn name(self) -> &'static str {
        self.layout().0
    }

    /// Bytes of an element.
    pub const fn size(self) -> usize {
        self.layout().1
    }

    /// The format of a tensor of this type, where it is one that models compute with.
    pub const fn format(self) -> Option<Format> {
        match self {
            Self::F32 => Some(Format::F32),
            Self::F16 => Some(Format::F16),
            Self::BF16 => Some(Format::BF16),
            _ => None,
        }
    }

    /// Whether elements are integers or booleans.
    pub const fn is_integer(self) -> bool {
        !matches!(
            self,
            Self::F16 | Self::BF16 | Self::F32 | Self::F64 | Self::F8E4M3 | Self::F8E5M2
        )
    }

    /// The type of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// The integer that an element's bytes are; `None` for floats and where it passes i64.
    pub(super) fn integer(self, bytes: &[u8]) -> Option<i64> {
        Some(match (self, bytes) {
            (Self::Bool | Self::U8, &[a]) => a.into(),
            (Self::I8, &[a]) => a.cast_signed().into(),
            (Self::U16, &[a, b]) => u16::from_le_bytes([a, b]).into(),
            (Self::I16, &[a, b]) => i16::from_le_bytes([a, b]).into(),
            (Self::U32, &[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]).into(),
            (Self::I32, &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]).into(),
            (Self::U64, bytes) => u64::from_le_bytes(bytes.try_into().ok()?).try_into().ok()?,
            (Self::I64, bytes) => i64::from_le_bytes(bytes.try_into().ok()?),
            _ => return None,
        })
    }
}
