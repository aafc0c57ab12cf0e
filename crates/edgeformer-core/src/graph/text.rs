use std::fmt::{self, Write};

use super::op::{LatentUp, Mask, Op};
use super::value::{RowKind, Value, ValueInfo, WeightId};
use super::{Graph, GraphInput, Node, SlotPlan};

impl Graph {
    /// The graph as text, a line a node: for people and for snapshots.
    ///
    /// ```text
    /// graph llama: tokens(vocabulary 512, context 512) -> logits
    ///   %0 [T, 64] = embed token_embd.weight[512, 64]
    ///   %1 [T, 64] = norm(%0) rms eps=1e-5 blk.0.attn_norm.weight[64]
    /// ```
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write_text(&mut text).expect("writing to a string cannot fail");
        text
    }

    fn write_text(&self, out: &mut String) -> fmt::Result {
        write!(out, "graph {}: {} -> {}", self.name, self.input, self.output.kind.tensor_name())?;
        writeln!(out, " {}", self.output.value)?;
        for node in &self.nodes {
            self.write_node(node, out)?;
        }
        for (index, slot) in self.cache.slots.iter().enumerate() {
            writeln!(out, "  cache {index}: {slot}")?;
        }
        Ok(())
    }

    fn write_node(&self, node: &Node, out: &mut String) -> fmt::Result {
        out.push_str("  ");
        for (index, &value) in node.outputs.iter().enumerate() {
            let info = self.values[value.index()];
            let comma = if index == 0 { "" } else { ", " };
            write!(out, "{comma}{value} {info}")?;
        }
        write!(out, " = {}", node.op.name())?;
        if !node.inputs.is_empty() {
            let inputs: Vec<_> = node.inputs.iter().map(Value::to_string).collect();
            write!(out, "({})", inputs.join(", "))?;
        }
        for attribute in self.attributes(&node.op) {
            write!(out, " {attribute}")?;
        }
        out.push('\n');
        Ok(())
    }

    /// What the text form says of an op behind its inputs: its numbers, then its weights.
    pub(super) fn attributes(&self, op: &Op) -> Vec<String> {
        let name = |id: WeightId| {
            let info = self.weight(id);
            format!("{}{:?}", info.name, info.shape)
        };
        let mut said = Vec::new();
        match op {
            Op::Embed { table, scale } => {
                unless(*scale == 1.0, &mut said, || format!("scale={scale}"));
                said.push(name(*table));
            }
            Op::Position { table, offset } => {
                unless(*offset == 0, &mut said, || format!("offset={offset}"));
                said.push(name(*table));
            }
            Op::AddRow { table, index } => said.extend([format!("row={index}"), name(*table)]),
            Op::Unfold(unfold) => said.push(format!(
                "{}x{:?} kernel={:?} stride={:?} padding={:?}",
                unfold.channels, unfold.size, unfold.kernel, unfold.stride, unfold.padding
            )),
            Op::Prepend { rows } => said.push(name(*rows)),
            Op::Linear { weight, bias } => {
                said.extend([*weight].iter().chain(bias).map(|&id| name(id)))
            }
            Op::Norm(norm) => {
                said.push(format!("{:?}", norm.kind).to_lowercase());
                unless(norm.groups == 1, &mut said, || format!("groups={}", norm.groups));
                said.push(format!("eps={:e}", norm.eps));
                unless(norm.weight_offset == 0.0, &mut said, || {
                    format!("weight_offset={}", norm.weight_offset)
                });
                said.extend(norm.weight.iter().chain(&norm.bias).map(|&id| name(id)));
            }
            Op::Rope(rope) => {
                said.push(
                    format!(
                        "heads={} dims={} {:?} base={}",
                        rope.heads, rope.dims, rope.layout, rope.base
                    )
                    .to_lowercase(),
                );
                unless(rope.scaling == super::RopeScaling::None, &mut said, || {
                    format!("scaling={:?}", rope.scaling)
                });
            }
            Op::Attention(a) => {
                said.push(format!(
                    "heads={}/{} dims={}/{} scale={}",
                    a.heads, a.kv_heads, a.key_dim, a.value_dim, a.scale
                ));
                said.push(if a.mask == Mask::Causal {
                    "causal".into()
                } else {
                    "bidirectional".into()
                });
                said.extend(a.window.map(|window| format!("window={window}")));
                said.extend(a.soft_cap.map(|cap| format!("soft_cap={cap}")));
                said.extend(a.slot.map(|slot| format!("cache={}", slot.0)));
            }
            Op::LatentAttention(a) => {
                said.push(format!(
                    "heads={} rank={} nope={} rope={}",
                    a.heads, a.rank, a.nope_dim, a.rope_dim
                ));
                said.push(format!("value={} scale={} cache={}", a.value_dim, a.scale, a.slot.0));
                match a.up {
                    LatentUp::Fused { weight } => said.push(name(weight)),
                    LatentUp::Split { key, value } => said.extend([name(key), name(value)]),
                }
            }
            Op::Activation(activation) => said.push(format!("{activation:?}").to_lowercase()),
            Op::Scale { factor } => said.push(format!("factor={factor}")),
            Op::AdapterScale(scale) => {
                said.push(format!("adapter={} usual={}", scale.adapter, scale.usual));
                unless(scale.factor == 1.0, &mut said, || format!("factor={}", scale.factor));
            }
            Op::SoftCap { cap } => said.push(format!("cap={cap}")),
            Op::Experts(e) => {
                said.push(
                    format!(
                        "top={}/{} width={} {:?} {:?}",
                        e.top_k, e.count, e.width, e.scoring, e.activation
                    )
                    .to_lowercase(),
                );
                said.extend(
                    e.groups
                        .map(|g| format!("groups={}/{} scored_by={}", g.top, g.count, g.scored_by)),
                );
                unless(!e.normalise, &mut said, || "normalise".into());
                unless(e.scale == 1.0, &mut said, || format!("scale={}", e.scale));
                let weights =
                    [e.router].into_iter().chain(e.selection_bias).chain([e.gate, e.up, e.down]);
                said.extend(weights.map(name));
            }
            Op::Pool(pool) => said.push(format!("{pool:?}").to_lowercase()),
            Op::Split { groups, .. } => {
                unless(*groups == 1, &mut said, || format!("groups={groups}"));
            }
            Op::Concat | Op::Multiply | Op::Add => {}
        }
        said
    }
}

fn unless(usual: bool, said: &mut Vec<String>, what: impl FnOnce() -> String) {
    if !usual {
        said.push(what());
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl fmt::Display for ValueInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.rows, self.width)
    }
}

impl fmt::Display for RowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token => f.write_str("T"),
            Self::Patch(count) => write!(f, "{count}"),
            Self::Sequence => f.write_str("1"),
        }
    }
}

impl fmt::Display for GraphInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens { vocabulary, context } => {
                write!(f, "tokens(vocabulary {vocabulary}, context {context})")
            }
            Self::Pixels { channels, size } => {
                write!(f, "pixels({channels}x{}x{})", size[0], size[1])
            }
            Self::Signal { channels, samples } => write!(f, "signal({channels}x{samples})"),
        }
    }
}

impl fmt::Display for SlotPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyValue { heads, key_dim, value_dim, window } => {
                write!(f, "keys {heads}x{key_dim}, values {heads}x{value_dim}")?;
                window.map_or(Ok(()), |window| write!(f, ", window {window}"))
            }
            Self::Latent { rank, rope_dim } => write!(f, "latent {rank}, rotated key {rope_dim}"),
        }
    }
}
