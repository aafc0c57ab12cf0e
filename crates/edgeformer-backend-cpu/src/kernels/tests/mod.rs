//! Properties that every table of this machine has.

mod activations;
mod elementwise;
mod float_matmul;
mod kv;
mod kv_store;
mod quantized_matmul;
mod reductions;
mod sample;

use edgeformer_core::{Format, Rows, RowsMut};

use super::{Activations, ColumnsMut, Isa, Kernels, Q8Buffer, Q8Rows};

/// The tables that can be tested here.
fn tables() -> impl Iterator<Item = &'static Kernels> {
    Isa::available().into_iter().map(Kernels::for_isa)
}

/// Rows in 8 bits.
fn quantize<'a>(kernels: &Kernels, rows: Rows<'_>, buffer: &'a mut Q8Buffer) -> Q8Rows<'a> {
    buffer.reset(rows.len(), rows.width()).quantize(kernels, rows);
    buffer.view()
}

/// `[tokens][rows]`: the product by a table, quantizing activations if the format wants it.
fn product(
    kernels: &Kernels,
    format: Format,
    weights: &[u8],
    x: Rows<'_>,
    rows: usize,
) -> Vec<f32> {
    let mut out = vec![f32::NAN; x.len() * rows];
    let mut buffer = Q8Buffer::default();
    let activations = if format.is_float() {
        Activations::F32(x)
    } else {
        Activations::Q8(quantize(kernels, x, &mut buffer))
    };
    let mut columns = ColumnsMut::new(RowsMut::new(&mut out, rows));
    kernels.matmul(format).run(weights, x.width(), &activations, &mut columns);
    out
}

/// Whether a product has the same bits for every token alone and every row alone.
fn assert_same_bits(kernels: &Kernels, format: Format, weights: &[u8], x: Rows<'_>, rows: usize) {
    let together = product(kernels, format, weights, x, rows);
    let row_bytes = weights.len() / rows;
    for token in 0..x.len() {
        let x = Rows::new(x.row(token), x.width());
        let alone = product(kernels, format, weights, x, rows);
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&alone), bits(&together[token * rows..][..rows]), "token {token}");
        for (row, weights) in weights.chunks_exact(row_bytes).enumerate() {
            let one = product(kernels, format, weights, x, 1);
            assert_eq!(one[0].to_bits(), alone[row].to_bits(), "token {token}, row {row}");
        }
    }
}
