//! What goes in: token ids, positions, lengths.

use edgeformer_core::Result;
use edgeformer_core::graph::{RowKind, WeightId};

use super::builder::Name;
use super::{Target, Translator};
use crate::onnx::{Attribute, Dim, Element};

const SEQUENCE: Dim = Dim::Named("sequence_length");

impl Translator<'_> {
    /// Rows of the table. Where a session's table is of blocks that no operator gathers, the
    /// session decodes the rows itself: nothing of the table is copied.
    pub(super) fn embed(&mut self, table: WeightId, scale: f32) -> Result<Name> {
        let rows = if self.embeds_outside(table)? {
            let width = Dim::Known(self.weight(table)?.shape()[1]);
            let shape = [self.batch(), SEQUENCE, width];
            self.b.input("inputs_embeds", Element::F32, &shape)
        } else {
            let shape = [self.batch(), SEQUENCE];
            let ids = self.b.input("input_ids", Element::I64, &shape);
            self.gather_rows(table, &ids)?
        };
        Ok(if scale == 1.0 { rows } else { self.scale(&rows, scale) })
    }

    fn embeds_outside(&self, table: WeightId) -> Result<bool> {
        let parts = self.weight(table)?.parts();
        let floats = parts.len() == 1 && parts[0].format().is_float();
        Ok(self.options.target == Target::Session && !floats)
    }

    /// Positions of the tokens, `[batch, tokens]`.
    pub(super) fn position_ids(&mut self) -> Name {
        let shape = [self.batch(), SEQUENCE];
        let all = self.b.input("position_ids", Element::I64, &shape);
        if !self.behind {
            return all;
        }
        self.b.once("wanted positions".into(), |b| {
            let rows = b.input("rows", Element::I64, &[Dim::Named("wanted_rows")]);
            b.op("Gather", &[&all, &rows], vec![("axis", Attribute::Int(1))])
        })
    }

    /// Tokens that each sequence holds before and after this run, less one: `[batch]`.
    pub(super) fn last_positions(&mut self) -> Name {
        if self.options.target == Target::Session {
            return self.b.input("seqlens_k", Element::I32, &[Dim::Known(1)]);
        }
        let mask = self.attention_mask();
        self.b.once("last positions".into(), |b| {
            let axes = b.ints(&[1]);
            let sum = b.op("ReduceSum", &[&mask, &axes], vec![("keepdims", Attribute::Int(0))]);
            let one = b.index(1);
            let last = b.op("Sub", &[&sum, &one], vec![]);
            b.op("Cast", &[&last], vec![("to", Attribute::Int(Element::I32 as i64))])
        })
    }

    /// Tokens that the longest sequence holds after this run, as 32-bit integer.
    pub(super) fn total_length(&mut self) -> Name {
        if self.options.target == Target::Session {
            return self.b.input("total_sequence_length", Element::I32, &[Dim::Known(1)]);
        }
        let total = self.total_wide();
        self.b.once("total".into(), |b| {
            b.op("Cast", &[&total], vec![("to", Attribute::Int(Element::I32 as i64))])
        })
    }

    /// The same as `[1]` 64-bit integer.
    pub(super) fn total_wide(&mut self) -> Name {
        if self.options.target == Target::Session {
            let total = self.total_length();
            return self.b.once("wide total".into(), |b| {
                b.op("Cast", &[&total], vec![("to", Attribute::Int(Element::I64 as i64))])
            });
        }
        let mask = self.attention_mask();
        self.b.once("wide total".into(), |b| {
            b.op("Shape", &[&mask], vec![("start", Attribute::Int(1)), ("end", Attribute::Int(2))])
        })
    }

    /// 1 for every token that is there, 0 for padding.
    pub(super) fn attention_mask(&mut self) -> Name {
        let shape = [self.batch(), Dim::Named("total_sequence_length")];
        self.b.input("attention_mask", Element::I64, &shape)
    }

    /// Adds rows of a table by position.
    pub(super) fn position(
        &mut self,
        x: &str,
        kind: RowKind,
        table: WeightId,
        offset: usize,
    ) -> Result<Name> {
        let positions = match kind {
            RowKind::Token => self.position_ids(),
            RowKind::Patch(patches) => self.patch_positions(patches),
            RowKind::Sequence => self.patch_positions(1),
        };
        let rows = match offset {
            0 => positions,
            _ => {
                let offset = self.b.index(offset);
                self.b.op("Add", &[&positions, &offset], vec![])
            }
        };
        let rows = self.gather_rows(table, &rows)?;
        Ok(self.b.op("Add", &[x, &rows], vec![]))
    }

    fn patch_positions(&mut self, patches: usize) -> Name {
        let all: Vec<i64> = (0..patches as i64).collect();
        let all = self.b.ints(&all);
        let all = self.b.reshape(&all, &[1, -1]);
        if !self.behind {
            return all;
        }
        let rows = self.b.input("rows", Element::I64, &[Dim::Named("wanted_rows")]);
        self.b.op("Gather", &[&all, &rows], vec![("axis", Attribute::Int(1))])
    }

    /// Adds one row of a table to every row.
    pub(super) fn add_row(&mut self, x: &str, table: WeightId, index: usize) -> Result<Name> {
        let weight = self.weight(table)?;
        let width = weight.shape()[1];
        let row = &weight.to_f32()[index * width..][..width];
        let row = self.b.floats(&[width], row);
        Ok(self.b.op("Add", &[x, &row], vec![]))
    }
}
