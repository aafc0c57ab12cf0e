//! Images and signals: windows of the input, class tokens.

use edgeformer_core::Result;
use edgeformer_core::graph::{GraphInput, Unfold, WeightId};

use super::builder::{Name, int};
use super::{Target, Translator};
use crate::onnx::{Attribute, Dim, Element};

impl Translator<'_> {
    /// Windows as rows `[batch, patches, channels * kernel]`, gathered from the flat input; places
    /// in the padding come from a zero behind it.
    pub(super) fn unfold(&mut self, unfold: &Unfold) -> Result<Name> {
        let pixels = self.pixels(unfold);
        let flat = self.b.reshape(&pixels, &[0, -1]);
        let pads = self.b.ints(&[0, 0, 0, 1]);
        let padded = self.b.op("Pad", &[&flat, &pads], vec![]);
        let places = self.b.ints(&places(unfold));
        let gathered = self.b.op("Gather", &[&padded, &places], vec![("axis", int(1))]);
        let width = unfold.patch_len() as i64;
        Ok(self.b.reshape(&gathered, &[0, -1, width]))
    }

    fn pixels(&mut self, unfold: &Unfold) -> Name {
        let [height, width] = unfold.size.map(Dim::Known);
        let channels = Dim::Known(unfold.channels);
        match self.model.graph.input {
            GraphInput::Signal { .. } => {
                let shape = [self.batch(), channels, width];
                self.b.input("input_values", Element::F32, &shape)
            }
            _ => {
                let shape = [self.batch(), channels, height, width];
                self.b.input("pixel_values", Element::F32, &shape)
            }
        }
    }

    pub(super) fn prepend(&mut self, x: &str, rows: WeightId) -> Result<Name> {
        let shape = self.weight(rows)?.shape().to_vec();
        let rows = self.table(rows)?;
        let mut rows = self.b.reshape(&rows, &[1, shape[0] as i64, shape[1] as i64]);
        if self.options.target == Target::File {
            let start = vec![("start", Attribute::Int(0)), ("end", Attribute::Int(1))];
            let batch = self.b.op("Shape", &[x], start);
            let rest = self.b.ints(&[shape[0] as i64, shape[1] as i64]);
            let whole = self.b.concat(&[&batch, &rest], 0);
            rows = self.b.op("Expand", &[&rows, &whole], vec![]);
        }
        Ok(self.b.concat(&[&rows, x], 1))
    }
}

/// Where each value of each window is in the flat input.
fn places(unfold: &Unfold) -> Vec<i64> {
    let &Unfold { channels, size, kernel, stride, padding } = unfold;
    let [down, across] = unfold.patches().unwrap_or_default();
    let outside = unfold.input_len() as i64;
    let place = |channel: usize, at: [usize; 2]| {
        let inside = [0, 1]
            .map(|axis| at[axis].checked_sub(padding[axis]).filter(|&inside| inside < size[axis]));
        match inside {
            [Some(y), Some(x)] => ((channel * size[0] + y) * size[1] + x) as i64,
            _ => outside,
        }
    };
    let mut places = Vec::new();
    for patch in 0..down * across {
        let corner = [patch / across * stride[0], patch % across * stride[1]];
        for channel in 0..channels {
            for tap in 0..kernel[0] * kernel[1] {
                places.push(place(
                    channel,
                    [corner[0] + tap / kernel[1], corner[1] + tap % kernel[1]],
                ));
            }
        }
    }
    places
}
