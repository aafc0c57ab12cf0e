//! Rotary position embedding (arXiv 2104.09864), from tables of sines and cosines: every scaling is
//! in the tables.

use edgeformer_core::graph::{Rope, RopeLayout};

use super::builder::{Name, int};
use super::{Target, Translator};
use crate::onnx::{Dim, Element};

/// Cosines and sines `[positions, pairs]`, both times the scaling's factor for attention.
pub(crate) fn tables(rope: &Rope, context: usize, positions: usize) -> [Vec<f32>; 2] {
    let frequencies = rope.frequencies(context);
    let factor = f64::from(rope.attention_factor());
    let angles = (0..positions).flat_map(|position| {
        frequencies.iter().map(move |&frequency| position as f64 * f64::from(frequency))
    });
    let (cosines, sines) =
        angles.map(|angle| ((angle.cos() * factor) as f32, (angle.sin() * factor) as f32)).unzip();
    [cosines, sines]
}

impl Translator<'_> {
    pub(super) fn rope(&mut self, x: &str, rope: &Rope) -> Name {
        let index = self.rope_index(rope);
        let [cosines, sines] = ["cos", "sin"].map(|name| format!("{name}.{index}"));
        let [cosines, sines] = match self.options.target {
            Target::Session => {
                let shape = [Dim::Named("rope_positions"), Dim::Known(rope.dims / 2)];
                [cosines, sines].map(|name| self.b.input(&name, Element::F32, &shape))
            }
            Target::File => {
                let context = self.model.graph.trained_context().unwrap_or(1);
                let shape = [context, rope.dims / 2];
                tables(rope, context, context).map(|values| self.b.floats(&shape, &values))
            }
        };
        let positions = self.position_ids();
        let mut attributes = vec![
            ("interleaved", int(usize::from(rope.layout == RopeLayout::Interleaved))),
            ("num_heads", int(rope.heads)),
        ];
        // MIGraphX takes both numbers or none.
        if self.options.plain || rope.dims < self.input_width / rope.heads {
            attributes.push(("rotary_embedding_dim", int(rope.dims)));
        }
        self.b.contrib("RotaryEmbedding", &[x, &positions, &cosines, &sines], attributes)
    }

    /// Which pair of tables: queries and keys differ in their heads alone.
    fn rope_index(&mut self, rope: &Rope) -> usize {
        let same = |known: &Rope| Rope { heads: rope.heads, ..known.clone() } == *rope;
        self.ropes.iter().position(same).unwrap_or_else(|| {
            self.ropes.push(rope.clone());
            self.ropes.len() - 1
        })
    }
}
