//! R2: value heads.

use std::sync::Arc;

use edgeformer_models::checkpoint::Checkpoint;

use super::{Rotation, rotation};
use crate::Result;
use crate::transform::edit::{columns, edit, need};
use crate::transform::fold::{Foldable, Rows, Source};

/// Rotates every value head, and the columns of the output projection that read it.
pub(super) fn rotate(checkpoint: &mut Checkpoint, pairs: &[Foldable], seed: u64) -> Result<()> {
    for pair in pairs {
        let (Source::Rows(rows), [reader]) = (&pair.source, pair.readers.as_slice()) else {
            continue;
        };
        if !reads_values(&reader.weight) {
            continue;
        }
        let head = rotation(reader.head, seed);
        rotate_heads(checkpoint, &rows.weight, rows, pair.channels, &head)?;
        if let Some(bias) = &rows.bias {
            rotate_heads(checkpoint, bias, rows, pair.channels, &head)?;
        }
        edit(checkpoint, &reader.weight, move |values| {
            // Rows of the output projection are whole heads.
            head.rows(values);
            Ok(())
        })?;
    }
    Ok(())
}

fn reads_values(name: &str) -> bool {
    name.ends_with(".attn_output.weight") || name.ends_with(".attn_out.weight")
}

/// Rotates the rows of every head among themselves; of a bias, which has a value a row, too.
fn rotate_heads(
    checkpoint: &mut Checkpoint,
    name: &str,
    rows: &Rows,
    channels: usize,
    head: &Arc<Rotation>,
) -> Result<()> {
    let tensor = need(checkpoint, name)?;
    let width = if tensor.shape().len() > 1 { columns(tensor) } else { 1 };
    let (rows, head) = (rows.clone(), head.clone());
    edit(checkpoint, name, move |values| {
        for channel in (0..channels).step_by(head.width()) {
            let from = rows.row(channel) * width;
            head.columns(&mut values[from..][..head.width() * width], width);
        }
        Ok(())
    })
}
