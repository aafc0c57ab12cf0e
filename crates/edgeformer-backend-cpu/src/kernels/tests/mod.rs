//! Properties that every table of this machine has.

mod activations;
mod elementwise;
mod float_matmul;
mod kv;
mod kv_store;
mod panels;
mod quantized_matmul;
mod reductions;
mod sample;

use edgeformer_core::{Format, Rows, RowsMut};

#[cfg(target_arch = "x86_64")]
use super::x86;
use super::{
    Activations, ColumnsMut, Isa, Kernels, PANEL_ROWS, PanelLayout, Q8Buffer, Q8Rows, pack_panel,
};

/// The tables that can be tested here. That for AVX-VNNI is tested with AVX2 too, but for its one
/// instruction.
fn tables() -> impl Iterator<Item = &'static Kernels> {
    #[cfg(target_arch = "x86_64")]
    let emulated = x86::avx2::Token::detect().map(x86::avxvnni::emulated);
    #[cfg(not(target_arch = "x86_64"))]
    let emulated = None;
    Isa::available().into_iter().map(Kernels::for_isa).chain(emulated)
}

/// Rows in 8 bits.
fn quantize<'a>(kernels: &Kernels, rows: Rows<'_>, buffer: &'a mut Q8Buffer) -> Q8Rows<'a> {
    buffer.reset(rows.len(), rows.width()).quantize(kernels, rows);
    buffer.view()
}

/// How weights are given to a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// As the file holds them.
    Rows,
    /// In panels.
    Panels,
}

/// The forms in which a table multiplies rows of some columns.
fn forms(kernels: &Kernels, format: Format, columns: usize) -> impl Iterator<Item = Form> + use<> {
    let packed = kernels.packed(format, columns).is_some();
    [Form::Rows, Form::Panels].into_iter().filter(move |form| *form == Form::Rows || packed)
}

/// All rows in panels.
fn pack(layout: &PanelLayout, weights: &[u8]) -> Vec<u8> {
    let rows = weights.len() / layout.row_bytes();
    let mut panels = vec![0xff; layout.bytes(rows)];
    let groups = weights.chunks(PANEL_ROWS * layout.row_bytes());
    for (rows, panel) in groups.zip(panels.chunks_exact_mut(layout.panel_bytes())) {
        pack_panel(layout, rows, panel);
    }
    panels
}

/// `[tokens][rows]`: the product by a table, quantizing activations if the format wants it.
fn product(
    kernels: &Kernels,
    format: Format,
    form: Form,
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
    match form {
        Form::Rows => kernels.matmul(format).run(weights, x.width(), &activations, &mut columns),
        Form::Panels => {
            let kernel = kernels.packed(format, x.width()).unwrap();
            kernel.run(&pack(kernel.layout(), weights), &activations, &mut columns);
        }
    }
    out
}

/// Whether products have the same bits for every token alone and every row alone.
fn assert_same_bits(kernels: &Kernels, format: Format, weights: &[u8], x: Rows<'_>, rows: usize) {
    for form in forms(kernels, format, x.width()) {
        let product = |weights: &[u8], x, rows| product(kernels, format, form, weights, x, rows);
        let together = product(weights, x, rows);
        let row_bytes = weights.len() / rows;
        for token in 0..x.len() {
            let x = Rows::new(x.row(token), x.width());
            let alone = product(weights, x, rows);
            let bits =
                |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&alone), bits(&together[token * rows..][..rows]), "token {token}");
            for (row, weights) in weights.chunks_exact(row_bytes).enumerate() {
                let one = product(weights, x, 1);
                assert_eq!(one[0].to_bits(), alone[row].to_bits(), "token {token}, row {row}");
            }
        }
    }
}
