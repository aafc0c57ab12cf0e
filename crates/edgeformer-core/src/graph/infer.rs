//! Shapes: what an op makes of its inputs, and what its weights must look like.

use super::op::{Attention, Experts, LatentAttention, LatentUp, Mask, Norm, Op, Unfold};
use super::rope::{Rope, RopeScaling};
use super::value::{RowKind, ValueInfo, WeightId};
use super::{CachePlan, GraphInput, SlotPlan};

/// The sides of an op that are given: input, weights, cache.
pub(super) struct Scope<'a> {
    pub input: GraphInput,
    pub weights: &'a dyn Fn(WeightId) -> Option<&'a [usize]>,
    pub cache: &'a CachePlan,
}

type Shapes = Result<Vec<ValueInfo>, String>;

/// Widest value and largest count that a graph may have: keeps products of two within `usize`.
const LIMIT: usize = 1 << 28;
/// Adapters that a graph may have: every sequence has a scale of each.
const MOST_ADAPTERS: usize = 1 << 10;

impl Scope<'_> {
    /// Shapes of the outputs of `op` over `inputs`.
    pub fn infer(&self, op: &Op, inputs: &[ValueInfo]) -> Shapes {
        let outputs = match op {
            Op::Embed { table, scale } => self.embed(*table, *scale, inputs),
            Op::Unfold(unfold) => self.unfold(unfold, inputs),
            Op::Position { table, offset } => self.add_row(*table, *offset, one(inputs)?),
            Op::AddRow { table, index } => self.add_row(*table, *index, one(inputs)?),
            Op::Prepend { rows } => self.prepend(*rows, one(inputs)?),
            Op::Linear { weight, bias } => self.linear(*weight, *bias, one(inputs)?),
            Op::Split { groups, widths } => split(*groups, widths, one(inputs)?),
            Op::Concat => concat(inputs),
            Op::Norm(norm) => self.norm(norm, one(inputs)?),
            Op::Rope(rope) => rope_shape(rope, one(inputs)?),
            Op::Attention(attention) => self.attention(attention, inputs),
            Op::LatentAttention(attention) => self.latent_attention(attention, inputs),
            Op::Activation(_) => Ok(vec![one(inputs)?]),
            Op::Scale { factor } => {
                finite("the factor", *factor)?;
                Ok(vec![one(inputs)?])
            }
            Op::AdapterScale(scale) => {
                finite("the factor", scale.factor)?;
                finite("the usual scale", scale.usual)?;
                if scale.adapter >= MOST_ADAPTERS {
                    return Err(format!("adapter {}, at most {MOST_ADAPTERS}", scale.adapter));
                }
                Ok(vec![one(inputs)?])
            }
            Op::SoftCap { cap } => {
                positive("the cap", *cap)?;
                Ok(vec![one(inputs)?])
            }
            Op::Multiply | Op::Add => pairwise(inputs),
            Op::Experts(experts) => self.experts(experts, one(inputs)?),
            Op::Pool(_) => Ok(vec![ValueInfo { rows: RowKind::Sequence, ..one(inputs)? }]),
        }?;
        match outputs.iter().find(|info| info.width == 0 || info.width > LIMIT) {
            Some(info) => Err(format!("an output of width {} (allowed: 1 to {LIMIT})", info.width)),
            None => Ok(outputs),
        }
    }

    fn embed(&self, table: WeightId, scale: f32, inputs: &[ValueInfo]) -> Shapes {
        let GraphInput::Tokens { vocabulary, .. } = self.input else {
            return Err("the graph's input is no text".into());
        };
        finite("the scale", scale)?;
        let width = match (inputs, self.shape(table)?) {
            ([], &[rows, width]) if rows == vocabulary => width,
            ([], shape) => {
                return Err(format!("a table {shape:?} for a vocabulary of {vocabulary}"));
            }
            _ => return Err("reads the graph's input and no value".into()),
        };
        Ok(vec![ValueInfo { width, rows: RowKind::Token }])
    }

    fn unfold(&self, unfold: &Unfold, inputs: &[ValueInfo]) -> Shapes {
        let (channels, size) = match self.input {
            GraphInput::Pixels { channels, size } => (channels, size),
            GraphInput::Signal { channels, samples } => (channels, [1, samples]),
            GraphInput::Tokens { .. } => return Err("the graph's input is text".into()),
        };
        if !inputs.is_empty() {
            return Err("reads the graph's input and no value".into());
        }
        if unfold.channels != channels || unfold.size != size {
            return Err(format!(
                "unfolds {}x{:?}, the input is {channels}x{size:?}",
                unfold.channels, unfold.size
            ));
        }
        let numbers = [
            channels,
            size[0],
            size[1],
            unfold.kernel[0],
            unfold.kernel[1],
            unfold.stride[0],
            unfold.stride[1],
        ];
        if numbers.iter().any(|&number| number == 0 || number > 1 << 20) {
            return Err("channels, size, kernel and stride must be 1 to 1048576".into());
        }
        let [down, across] = unfold.patches().ok_or("no window fits the input")?;
        let patches = down
            .checked_mul(across)
            .filter(|&patches| patches <= LIMIT)
            .ok_or("too many windows")?;
        let area = unfold.kernel[0] * unfold.kernel[1];
        let width = area.checked_mul(channels).ok_or("the window is too large")?;
        Ok(vec![ValueInfo { width, rows: RowKind::Patch(patches) }])
    }

    fn add_row(&self, table: WeightId, index: usize, input: ValueInfo) -> Shapes {
        match self.shape(table)? {
            &[rows, width] if width == input.width && index < rows => Ok(vec![input]),
            shape => Err(format!("a table {shape:?} for width {} and row {index}", input.width)),
        }
    }

    fn prepend(&self, rows: WeightId, input: ValueInfo) -> Shapes {
        let (RowKind::Patch(patches), &[count, width]) = (input.rows, self.shape(rows)?) else {
            return Err("prepends a matrix of rows to patches only".into());
        };
        if width != input.width {
            return Err(format!("prepends rows of {width} to rows of {}", input.width));
        }
        let rows =
            patches.checked_add(count).filter(|&rows| rows <= LIMIT).ok_or("too many rows")?;
        Ok(vec![ValueInfo { rows: RowKind::Patch(rows), ..input }])
    }

    fn linear(&self, weight: WeightId, bias: Option<WeightId>, input: ValueInfo) -> Shapes {
        let width = match self.shape(weight)? {
            &[out, inner] if inner == input.width => out,
            shape => {
                return Err(format!("a weight {shape:?} for an input of width {}", input.width));
            }
        };
        if let Some(bias) = bias {
            self.expect(bias, &[width])?;
        }
        Ok(vec![ValueInfo { width, ..input }])
    }

    fn norm(&self, norm: &Norm, input: ValueInfo) -> Shapes {
        if norm.groups == 0 || !input.width.is_multiple_of(norm.groups) {
            return Err(format!("{} groups of a width of {}", norm.groups, input.width));
        }
        positive("eps", norm.eps)?;
        finite("the weight offset", norm.weight_offset)?;
        for weight in [norm.weight, norm.bias].into_iter().flatten() {
            self.expect(weight, &[input.width / norm.groups])?;
        }
        Ok(vec![input])
    }

    fn attention(&self, attention: &Attention, inputs: &[ValueInfo]) -> Shapes {
        let &Attention { heads, kv_heads, key_dim, value_dim, scale, mask, window, soft_cap, slot } =
            attention;
        let [q, k, v] = inputs else { return Err(format!("takes 3 values, has {}", inputs.len())) };
        bounded("heads and head widths", &[heads, kv_heads, key_dim, value_dim])?;
        if !heads.is_multiple_of(kv_heads) {
            return Err(format!(
                "{heads} heads are not whole groups of {kv_heads} key-value heads"
            ));
        }
        let widths = [q.width, k.width, v.width];
        let expected = [heads * key_dim, kv_heads * key_dim, kv_heads * value_dim];
        if widths != expected {
            return Err(format!(
                "queries, keys and values are {widths:?} wide, its heads need {expected:?}"
            ));
        }
        same_rows(inputs)?;
        finite("the scale", scale)?;
        soft_cap.map_or(Ok(()), |cap| positive("the soft cap", cap))?;
        if window == Some(0) {
            return Err("a window of zero tokens".into());
        }
        match (mask, slot) {
            (Mask::Bidirectional, None) => {}
            (Mask::Bidirectional, Some(_)) => {
                return Err("bidirectional attention caches nothing".into());
            }
            (Mask::Causal, None) => return Err("causal attention needs a cache slot".into()),
            (Mask::Causal, Some(slot)) => {
                let plan = SlotPlan::KeyValue { heads: kv_heads, key_dim, value_dim, window };
                self.expect_slot(slot.0, plan)?;
            }
        }
        Ok(vec![ValueInfo { width: heads * value_dim, ..*q }])
    }

    fn latent_attention(&self, attention: &LatentAttention, inputs: &[ValueInfo]) -> Shapes {
        let &LatentAttention { heads, rank, nope_dim, rope_dim, value_dim, scale, up, slot } =
            attention;
        let [q_nope, q_rope, latent, k_rope] = inputs else {
            return Err(format!("takes 4 values, has {}", inputs.len()));
        };
        bounded("heads, rank and widths", &[heads, rank, nope_dim, rope_dim, value_dim])?;
        let widths = [q_nope.width, q_rope.width, latent.width, k_rope.width];
        let expected = [heads * nope_dim, heads * rope_dim, rank, rope_dim];
        if widths != expected {
            return Err(format!("inputs are {widths:?} wide, its dimensions need {expected:?}"));
        }
        same_rows(inputs)?;
        finite("the scale", scale)?;
        match up {
            LatentUp::Fused { weight } => {
                self.expect(weight, &[heads * (nope_dim + value_dim), rank])?
            }
            LatentUp::Split { key, value } => {
                self.expect(key, &[heads, rank, nope_dim])?;
                self.expect(value, &[heads, value_dim, rank])?;
            }
        }
        self.expect_slot(slot.0, SlotPlan::Latent { rank, rope_dim })?;
        Ok(vec![ValueInfo { width: heads * value_dim, ..*q_nope }])
    }

    fn experts(&self, experts: &Experts, input: ValueInfo) -> Shapes {
        let &Experts {
            count,
            top_k,
            width,
            router,
            selection_bias,
            groups,
            scale,
            gate,
            up,
            down,
            ..
        } = experts;
        bounded("experts and their width", &[count, width])?;
        if top_k == 0 || top_k > count {
            return Err(format!("picks {top_k} of {count} experts"));
        }
        finite("the scale", scale)?;
        if let Some(groups) = groups {
            let whole = groups.count > 0 && count.is_multiple_of(groups.count);
            if !whole || groups.top == 0 || groups.top > groups.count {
                return Err(format!(
                    "{} of {} groups of {count} experts",
                    groups.top, groups.count
                ));
            }
            let size = count / groups.count;
            if groups.scored_by == 0 || groups.scored_by > size || top_k > groups.top * size {
                return Err(format!("groups of {size} experts are too small"));
            }
        }
        self.expect(router, &[count, input.width])?;
        selection_bias.map_or(Ok(()), |bias| self.expect(bias, &[count]))?;
        self.expect(gate, &[count, width, input.width])?;
        self.expect(up, &[count, width, input.width])?;
        self.expect(down, &[count, input.width, width])?;
        Ok(vec![input])
    }

    fn shape(&self, weight: WeightId) -> Result<&[usize], String> {
        (self.weights)(weight).ok_or_else(|| format!("there is no weight {}", weight.0))
    }

    fn expect(&self, weight: WeightId, expected: &[usize]) -> Result<(), String> {
        let shape = self.shape(weight)?;
        if shape == expected {
            Ok(())
        } else {
            Err(format!("a weight {shape:?} where {expected:?} is needed"))
        }
    }

    fn expect_slot(&self, slot: u32, plan: SlotPlan) -> Result<(), String> {
        match self.cache.slots.get(slot as usize) {
            Some(found) if *found == plan => Ok(()),
            Some(found) => Err(format!("cache slot {slot} is {found:?}, the op needs {plan:?}")),
            None => Err(format!("there is no cache slot {slot}")),
        }
    }
}

fn one(inputs: &[ValueInfo]) -> Result<ValueInfo, String> {
    match inputs {
        [input] => Ok(*input),
        _ => Err(format!("takes 1 value, has {}", inputs.len())),
    }
}

fn same_rows(inputs: &[ValueInfo]) -> Result<(), String> {
    if inputs.windows(2).all(|pair| pair[0].rows == pair[1].rows) {
        return Ok(());
    }
    Err("its inputs have rows of different kinds".into())
}

fn pairwise(inputs: &[ValueInfo]) -> Shapes {
    match inputs {
        [a, b] if a == b => Ok(vec![*a]),
        [a, b] => Err(format!("inputs of different shapes, {a} and {b}")),
        _ => Err(format!("takes 2 values, has {}", inputs.len())),
    }
}

fn concat(inputs: &[ValueInfo]) -> Shapes {
    let first = inputs.first().ok_or("nothing to put side by side")?;
    same_rows(inputs)?;
    let width = inputs
        .iter()
        .try_fold(0usize, |sum, info| sum.checked_add(info.width))
        .ok_or("too wide")?;
    Ok(vec![ValueInfo { width, ..*first }])
}

fn split(groups: usize, widths: &[usize], input: ValueInfo) -> Shapes {
    let sum = widths.iter().try_fold(0usize, |sum, &width| sum.checked_add(width));
    if groups == 0 || sum.and_then(|sum| sum.checked_mul(groups)) != Some(input.width) {
        return Err(format!(
            "{groups} times widths {widths:?} of an input of width {}",
            input.width
        ));
    }
    Ok(widths.iter().map(|&width| ValueInfo { width: groups * width, ..input }).collect())
}

fn rope_shape(rope: &Rope, input: ValueInfo) -> Shapes {
    let head =
        input.width.checked_div(rope.heads).filter(|_| input.width.is_multiple_of(rope.heads));
    let head = head.ok_or_else(|| format!("{} heads of a width of {}", rope.heads, input.width))?;
    if rope.dims == 0 || !rope.dims.is_multiple_of(2) || rope.dims > head {
        return Err(format!("rotates {} columns of heads of {head}", rope.dims));
    }
    positive("the base", rope.base)?;
    finite("the attention factor", rope.attention_factor())?;
    let factors: &[&[f32]] = match &rope.scaling {
        RopeScaling::LongRope { short, long, .. } => &[short, long],
        RopeScaling::Factors { factors } => &[factors],
        RopeScaling::None => &[],
        RopeScaling::Linear { factor }
        | RopeScaling::Llama3 { factor, .. }
        | RopeScaling::Yarn { factor, .. } => {
            positive("the scaling factor", *factor)?;
            &[]
        }
    };
    if factors.iter().any(|factors| factors.len() != rope.dims / 2) {
        return Err(format!("needs {} factors", rope.dims / 2));
    }
    if rope
        .frequencies(usize::MAX)
        .iter()
        .chain(&rope.frequencies(0))
        .any(|frequency| !frequency.is_finite())
    {
        return Err("its scaling makes frequencies that are no numbers".into());
    }
    Ok(vec![input])
}

fn bounded(what: &str, numbers: &[usize]) -> Result<(), String> {
    if numbers.iter().all(|&number| (1..=1 << 20).contains(&number)) {
        return Ok(());
    }
    Err(format!("{what} are {numbers:?}, each must be 1 to 1048576"))
}

fn finite(what: &str, number: f32) -> Result<(), String> {
    if number.is_finite() { Ok(()) } else { Err(format!("{what} is {number}")) }
}

fn positive(what: &str, number: f32) -> Result<(), String> {
    if number.is_finite() && number > 0.0 {
        Ok(())
    } else {
        Err(format!("{what} is {number}, it must be positive"))
    }
}
