use edgeformer_core::Format;
use proptest::prelude::*;

use super::pack;
use super::sample::Sample;
use crate::kernels::{PANEL_ROWS, PanelLayout, decode_row};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn packing_loses_nothing(
        format in prop::sample::select(Format::ALL.as_slice()), size in 1..6usize,
        rows in 1..40usize, seed: u64,
    ) {
        let columns = size * if format.is_float() { 7 } else { format.block_len() };
        let Some(layout) = PanelLayout::new(format, columns) else { return Ok(()) };
        let mut sample = Sample(seed);
        let weights = if format.is_float() {
            let mut bytes = vec![0; rows * layout.row_bytes()];
            format.quantize(&sample.floats(rows * columns), &mut bytes).unwrap();
            bytes
        } else {
            sample.blocks(format, rows * columns)
        };
        let panels = pack(&layout, &weights);
        let mut expected = vec![0.0; rows * columns];
        format.dequantize(&weights, &mut expected).unwrap();
        let mut got = vec![f32::NAN; columns];
        for (row, expected) in expected.chunks_exact(columns).enumerate() {
            let panel = &panels[row / PANEL_ROWS * layout.panel_bytes()..][..layout.panel_bytes()];
            decode_row(&layout, panel, row % PANEL_ROWS, &mut got);
            prop_assert_eq!(&got, expected, "{} row {}", format, row);
        }
    }
}
