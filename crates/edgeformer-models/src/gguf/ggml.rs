//! The numbers that ggml gives to tensor types.

use edgeformer_core::Format;

/// The number of each format that this crate reads.
const NUMBERS: [(u32, Format); 15] = [
    (0, Format::F32),
    (1, Format::F16),
    (2, Format::Q4_0),
    (3, Format::Q4_1),
    (6, Format::Q5_0),
    (7, Format::Q5_1),
    (8, Format::Q8_0),
    (10, Format::Q2K),
    (11, Format::Q3K),
    (12, Format::Q4K),
    (13, Format::Q5K),
    (14, Format::Q6K),
    (20, Format::Iq4Nl),
    (23, Format::Iq4Xs),
    (30, Format::BF16),
];

/// Types that exist and that this crate does not read, for the message.
const OTHERS: [(u32, &str); 17] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

/// The format of a tensor type.
pub(super) fn format(number: u32) -> Option<Format> {
    NUMBERS.iter().find(|(known, _)| *known == number).map(|(_, format)| *format)
}

/// The tensor type of a format.
pub(super) fn number(format: Format) -> u32 {
    let found = NUMBERS.iter().find(|(_, known)| *known == format);
    found.expect("every format has a number, as a test checks").0
}

/// What a type that is not read is called.
pub(super) fn describe(number: u32) -> String {
    match OTHERS.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => format!("type {number} ({name})"),
        None => format!("unknown type {}", number.cast_signed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_its_own_number() {
        for wanted in Format::ALL {
            assert_eq!(format(number(wanted)), Some(wanted));
        }
    }
}
