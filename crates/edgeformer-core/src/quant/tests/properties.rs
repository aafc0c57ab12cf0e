//! Every format on values and bytes of any kind.

use proptest::prelude::*;

use super::*;
use crate::quant::block::range;
use crate::quant::{Block, Iq4Nl, Iq4Xs, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn encoding_stays_within_the_bound(values in values(), scale in -4i8..4) {
        let values: Vec<f32> = values.iter().map(|v| v * 10f32.powi(scale.into())).collect();
        for (format, step, _) in BOUNDS {
            let after = round_trip(format, &values);
            let blocks = values.chunks(format.block_len()).zip(after.chunks(format.block_len()));
            for (before, after) in blocks {
                let (min, max) = range(before);
                let bound = (max.max(0.0) - min.min(0.0)) * (step + HALF) + 1e-5;
                for (before, after) in before.iter().zip(after) {
                    prop_assert!((before - after).abs() <= bound, "{format} {before} {after}");
                }
            }
        }
    }

    #[test]
    fn symmetric_formats_are_stable(values in values()) {
        for format in [Format::Q8_0, Format::Q4_0, Format::Q5_0] {
            let once = encoded(format, &values);
            prop_assert_eq!(encoded(format, &decoded(format, &once)), once);
        }
    }

    #[test]
    fn any_bytes_decode_and_their_values_encode(
        bytes in prop::collection::vec(any::<u8>(), 210),
    ) {
        for format in Format::ALL {
            let values = decoded(format, &bytes[..format.block_bytes()]);
            let after = round_trip(format, &values);
            prop_assert!(format.is_float() || after.iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn a_block_is_assembled_of_what_was_read(bytes in prop::collection::vec(any::<u8>(), 210)) {
        reassembles::<Q8_0, _, _, _>(&bytes)?;
        reassembles::<Q4_0, _, _, _>(&bytes)?;
        reassembles::<Q4_1, _, _, _>(&bytes)?;
        reassembles::<Q5_0, _, _, _>(&bytes)?;
        reassembles::<Q5_1, _, _, _>(&bytes)?;
        reassembles::<Q2K, _, _, _>(&bytes)?;
        reassembles::<Q3K, _, _, _>(&bytes)?;
        reassembles::<Q4K, _, _, _>(&bytes)?;
        reassembles::<Q5K, _, _, _>(&bytes)?;
        reassembles::<Q6K, _, _, _>(&bytes)?;
        reassembles::<Iq4Nl, _, _, _>(&bytes)?;
        reassembles::<Iq4Xs, _, _, _>(&bytes)?;
    }

    #[test]
    fn any_values_encode(bits in prop::collection::vec(any::<u32>(), 256)) {
        let values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        for (format, ..) in BOUNDS {
            prop_assert!(round_trip(format, &values).iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn packing_is_undone(codes in prop::collection::vec(0u8..16, 256)) {
        let mut packed = [0; 128];
        crate::quant::bits::pack::<4, 32>(&codes, &mut packed);
        let mut unpacked = [0; 256];
        crate::quant::bits::unpack::<4, 32>(&packed, &mut unpacked);
        prop_assert_eq!(&unpacked[..], &codes[..]);
    }
}

/// Bytes of any kind, but that their halves are finite: infinities are not put back.
fn reassembles<B, const LEN: usize, const BYTES: usize, const GROUPS: usize>(
    bytes: &[u8],
) -> Result<(), TestCaseError>
where
    B: Block<LEN, BYTES, GROUPS>,
{
    let bytes: &[u8; BYTES] = bytes.first_chunk().expect("the longest block has 210 bytes");
    let shared = B::shared(bytes);
    prop_assume!(shared.scale.is_finite() && shared.min.is_finite());
    let mut again = [0xAA; BYTES];
    B::assemble(&shared, &B::codes(bytes), &mut again);
    prop_assert_eq!(&again, bytes);
    Ok(())
}

/// A block of 256 values: spread evenly, all of one sign, sparse, or with one outlier.
fn values() -> impl Strategy<Value = Vec<f32>> {
    let block = |element| prop::collection::vec(element, 256);
    prop_oneof![
        block((-1.0f32..1.0).boxed()),
        block((0.0f32..1.0).boxed()),
        block((-1.0f32..0.0).boxed()),
        block((0.9f32..1.0).boxed()),
        block(prop_oneof![9 => Just(0.0f32), 1 => -1.0f32..1.0].boxed()),
        (block((-0.1f32..0.1).boxed()), 0..256usize).prop_map(|(mut values, at)| {
            values[at] = 1.0;
            values
        }),
    ]
}
