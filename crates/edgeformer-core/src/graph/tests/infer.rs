use super::*;

/// What the builder says of an op on a text graph whose value 0 is `[T, 16]`.
fn refused(add: impl FnOnce(&mut GraphBuilder, Value) -> Result<Value>) -> String {
    let mut b = GraphBuilder::new("g", tokens());
    let x = b.embed("token_embd.weight", WIDTH, 1.0).unwrap();
    problem(add(&mut b, x).unwrap_err())
}

#[test]
fn inputs() {
    insta::assert_snapshot!(
        refused(|b, _| b.add(Value(0), Value(7))),
        @"1 add: reads %7 before it is made"
    );
    insta::assert_snapshot!(
        refused(|b, _| b.embed("other", 8, f32::NAN)),
        @"1 embed: the scale is NaN"
    );
    insta::assert_snapshot!(refused(|b, x| {
        let table = b.weight("short", &[99, 8])?;
        Ok(b.push(Op::Embed { table, scale: 1.0 }, &[x])?[0])
    }), @"1 embed: reads the graph's input and no value");
    insta::assert_snapshot!(refused(|b, _| {
        let table = b.weight("short", &[99, 8])?;
        Ok(b.push(Op::Embed { table, scale: 1.0 }, &[])?[0])
    }), @"1 embed: a table [99, 8] for a vocabulary of 100");
    insta::assert_snapshot!(
        refused(|b, x| b.prepend(x, "class", 1)),
        @"1 prepend: prepends a matrix of rows to patches only"
    );
    insta::assert_snapshot!(
        refused(|b, x| b.add_row(x, "types", 2, 2)),
        @"1 add_row: a table [2, 16] for width 16 and row 2"
    );
    insta::assert_snapshot!(
        refused(|b, x| b.position(x, "positions", 2, 2)),
        @"1 position: a table [2, 16] for width 16 and row 2"
    );
    insta::assert_snapshot!(
        refused(|b, _| b.unfold(windows())),
        @"1 unfold: the graph's input is text"
    );
}

fn windows() -> Unfold {
    Unfold { channels: 2, size: [1, 32], kernel: [1, 8], stride: [1, 4], padding: [0, 2] }
}

#[test]
fn windows_of_a_signal() {
    let refused = |change: &dyn Fn(&mut Unfold)| {
        let mut b = GraphBuilder::new("g", GraphInput::Signal { channels: 2, samples: 32 });
        let mut unfold = windows();
        change(&mut unfold);
        problem(b.unfold(unfold).unwrap_err())
    };
    insta::assert_snapshot!(
        refused(&|unfold| unfold.size = [32, 1]),
        @"0 unfold: unfolds 2x[32, 1], the input is 2x[1, 32]"
    );
    insta::assert_snapshot!(
        refused(&|unfold| unfold.stride = [0, 1]),
        @"0 unfold: channels, size, kernel and stride must be 1 to 1048576"
    );
    insta::assert_snapshot!(
        refused(&|unfold| unfold.kernel = [1, 64]),
        @"0 unfold: no window fits the input"
    );
    insta::assert_snapshot!(
        refused(&|unfold| unfold.padding = [usize::MAX, 0]),
        @"0 unfold: no window fits the input"
    );

    let mut b = GraphBuilder::new("g", GraphInput::Signal { channels: 2, samples: 32 });
    let x = b.unfold(windows()).unwrap();
    assert_eq!(b.width(x), 16);
    let graph = b.finish(OutputKind::HiddenStates, x).unwrap();
    assert_eq!(graph.values[0].rows, RowKind::Patch(8));
}

#[test]
fn columns() {
    insta::assert_snapshot!(refused(|b, x| {
        let weight = b.weight("w", &[4, 8])?;
        Ok(b.push(Op::Linear { weight, bias: None }, &[x])?[0])
    }), @"1 linear: a weight [4, 8] for an input of width 16");
    insta::assert_snapshot!(refused(|b, x| {
        let (weight, bias) = (b.weight("w", &[4, 16])?, Some(b.weight("b", &[5])?));
        Ok(b.push(Op::Linear { weight, bias }, &[x])?[0])
    }), @"1 linear: a weight [5] where [4] is needed");
    insta::assert_snapshot!(
        refused(|b, x| b.linear(x, "w", 0, false)),
        @"1 linear: an output of width 0 (allowed: 1 to 268435456)"
    );
    insta::assert_snapshot!(
        refused(|b, x| Ok(b.split(x, [8, 9])?[0])),
        @"1 split: 1 times widths [8, 9] of an input of width 16"
    );
    insta::assert_snapshot!(
        refused(|b, x| Ok(b.split_heads(x, 2, [16, usize::MAX])?[0])),
        @"1 split: 2 times widths [16, 18446744073709551615] of an input of width 16"
    );
    insta::assert_snapshot!(
        refused(|b, x| Ok(b.split(x, [16, 0])?[0])),
        @"1 split: an output of width 0 (allowed: 1 to 268435456)"
    );
    insta::assert_snapshot!(
        refused(|b, _| b.concat(&[])),
        @"1 concat: nothing to put side by side"
    );
    insta::assert_snapshot!(refused(|b, x| {
        let pooled = b.pool(x, Pool::Mean)?;
        b.concat(&[x, pooled])
    }), @"2 concat: its inputs have rows of different kinds");
}

#[test]
fn elements() {
    insta::assert_snapshot!(refused(|b, x| {
        let y = b.linear(x, "w", 8, false)?;
        b.multiply(x, y)
    }), @"2 multiply: inputs of different shapes, [T, 16] and [T, 8]");
    insta::assert_snapshot!(
        refused(|b, x| Ok(b.push(Op::Add, &[x])?[0])),
        @"1 add: takes 2 values, has 1"
    );
    insta::assert_snapshot!(
        refused(|b, x| Ok(b.push(Op::Pool(Pool::Max), &[x, x])?[0])),
        @"1 pool: takes 1 value, has 2"
    );
    insta::assert_snapshot!(
        refused(|b, x| b.scale(x, f32::INFINITY)),
        @"1 scale: the factor is inf"
    );
    insta::assert_snapshot!(
        refused(|b, x| b.soft_cap(x, 0.0)),
        @"1 soft_cap: the cap is 0, it must be positive"
    );
    insta::assert_snapshot!(
        refused(|b, x| b.rms_norm(x, "n", f32::NAN, 0.0)),
        @"1 norm: eps is NaN, it must be positive"
    );
    insta::assert_snapshot!(
        refused(|b, x| b.head_norm(x, "n", 3, 1e-5, 0.0)),
        @"1 norm: 3 groups of a width of 16"
    );
    insta::assert_snapshot!(
        refused(|b, x| b.head_norm(x, "n", 0, 1e-5, 0.0)),
        @"1 norm: 0 groups of a width of 16"
    );
}

#[test]
fn rotations() {
    let refused = |change: &dyn Fn(&mut Rope)| {
        refused(|b, x| {
            let mut rope = rope(4, 4);
            change(&mut rope);
            b.rope(x, rope)
        })
    };
    insta::assert_snapshot!(refused(&|rope| rope.heads = 0), @"1 rope: 0 heads of a width of 16");
    insta::assert_snapshot!(refused(&|rope| rope.heads = 5), @"1 rope: 5 heads of a width of 16");
    insta::assert_snapshot!(
        refused(&|rope| rope.dims = 3),
        @"1 rope: rotates 3 columns of heads of 4"
    );
    insta::assert_snapshot!(
        refused(&|rope| rope.dims = 6),
        @"1 rope: rotates 6 columns of heads of 4"
    );
    insta::assert_snapshot!(
        refused(&|rope| rope.base = -1.0),
        @"1 rope: the base is -1, it must be positive"
    );
    insta::assert_snapshot!(refused(&|rope| {
        rope.scaling = RopeScaling::Linear { factor: 0.0 };
    }), @"1 rope: the scaling factor is 0, it must be positive");
    insta::assert_snapshot!(refused(&|rope| {
        rope.scaling = RopeScaling::Factors { factors: vec![1.0] };
    }), @"1 rope: needs 2 factors");
    insta::assert_snapshot!(refused(&|rope| {
        rope.scaling = RopeScaling::Factors { factors: vec![1.0, 0.0] };
    }), @"1 rope: its scaling makes frequencies that are no numbers");
}

#[test]
fn attention_heads() {
    let refused = |change: &dyn Fn(&mut Attention)| {
        refused(|b, q| {
            let k = b.linear(q, "k", 8, false)?;
            let mut attention = attention();
            change(&mut attention);
            b.attention(q, k, k, attention)
        })
    };
    insta::assert_snapshot!(
        refused(&|a| a.kv_heads = 0),
        @"2 attention: heads and head widths are [4, 0, 4, 4], each must be 1 to 1048576"
    );
    insta::assert_snapshot!(
        refused(&|a| a.kv_heads = 3),
        @"2 attention: 4 heads are not whole groups of 3 key-value heads"
    );
    insta::assert_snapshot!(
        refused(&|a| a.heads = usize::MAX),
        @"2 attention: heads and head widths are [18446744073709551615, 2, 4, 4], each must be 1 to 1048576"
    );
    insta::assert_snapshot!(
        refused(&|a| a.value_dim = 8),
        @"2 attention: queries, keys and values are [16, 8, 8] wide, its heads need [16, 8, 16]"
    );
    insta::assert_snapshot!(refused(&|a| a.scale = f32::NAN), @"2 attention: the scale is NaN");
    insta::assert_snapshot!(
        refused(&|a| a.window = Some(0)),
        @"2 attention: a window of zero tokens"
    );
    insta::assert_snapshot!(
        refused(&|a| a.soft_cap = Some(-1.0)),
        @"2 attention: the soft cap is -1, it must be positive"
    );
}

#[test]
fn attention_without_its_slot() {
    let push = |b: &mut GraphBuilder, x: Value, slot, mask| {
        let attention = Attention { kv_heads: 4, slot, mask, ..attention() };
        Ok(b.push(Op::Attention(attention), &[x, x, x])?[0])
    };
    insta::assert_snapshot!(
        refused(|b, x| push(b, x, None, Mask::Causal)),
        @"1 attention: causal attention needs a cache slot"
    );
    insta::assert_snapshot!(
        refused(|b, x| push(b, x, Some(CacheSlot(3)), Mask::Causal)),
        @"1 attention: there is no cache slot 3"
    );
    insta::assert_snapshot!(
        refused(|b, x| push(b, x, Some(CacheSlot(0)), Mask::Bidirectional)),
        @"1 attention: bidirectional attention caches nothing"
    );
    insta::assert_snapshot!(
        refused(|b, x| Ok(b.push(Op::Attention(attention()), &[x])?[0])),
        @"1 attention: takes 3 values, has 1"
    );
}

#[test]
fn latents() {
    let refused = |change: &dyn Fn(&mut LatentAttention)| {
        refused(|b, x| {
            let [q, kv] = b.split(x, [8, 8])?;
            let [latent, k_rope] = b.split(kv, [6, 2])?;
            let q_rope = b.linear(x, "q_rope", 4, false)?;
            let mut attention = latent_attention(b)?;
            change(&mut attention);
            b.latent_attention([q, q_rope, latent, k_rope], attention)
        })
    };
    insta::assert_snapshot!(
        refused(&|a| a.heads = 0),
        @"4 latent_attention: heads, rank and widths are [0, 6, 4, 2, 3], each must be 1 to 1048576"
    );
    insta::assert_snapshot!(
        refused(&|a| a.rope_dim = 4),
        @"4 latent_attention: inputs are [8, 4, 6, 2] wide, its dimensions need [8, 8, 6, 4]"
    );
    insta::assert_snapshot!(
        refused(&|a| a.value_dim = 5),
        @"4 latent_attention: a weight [14, 6] where [18, 6] is needed"
    );
    insta::assert_snapshot!(refused(&|a| {
        a.up = LatentUp::Split { key: WeightId(0), value: WeightId(99) };
    }), @"4 latent_attention: a weight [100, 16] where [2, 6, 4] is needed");
    insta::assert_snapshot!(
        refused(&|a| a.scale = f32::INFINITY),
        @"4 latent_attention: the scale is inf"
    );
}

#[test]
fn expert_counts() {
    let refused = |change: &dyn Fn(&mut Experts)| {
        refused(|b, x| {
            let mut experts = experts(b)?;
            change(&mut experts);
            b.experts(x, experts)
        })
    };
    let groups = |count, top, scored_by| Some(ExpertGroups { count, top, scored_by });
    insta::assert_snapshot!(
        refused(&|e| e.count = 0),
        @"1 experts: experts and their width are [0, 5], each must be 1 to 1048576"
    );
    insta::assert_snapshot!(refused(&|e| e.top_k = 9), @"1 experts: picks 9 of 8 experts");
    insta::assert_snapshot!(
        refused(&|e| e.width = 6),
        @"1 experts: a weight [8, 5, 16] where [8, 6, 16] is needed"
    );
    insta::assert_snapshot!(
        refused(&|e| e.groups = groups(3, 1, 1)),
        @"1 experts: 1 of 3 groups of 8 experts"
    );
    insta::assert_snapshot!(
        refused(&|e| e.groups = groups(4, 5, 1)),
        @"1 experts: 5 of 4 groups of 8 experts"
    );
    insta::assert_snapshot!(
        refused(&|e| e.groups = groups(4, 1, 3)),
        @"1 experts: groups of 2 experts are too small"
    );
    insta::assert_snapshot!(
        refused(&|e| e.down = e.up),
        @"1 experts: a weight [8, 5, 16] where [8, 16, 5] is needed"
    );
    insta::assert_snapshot!(refused(&|e| e.scale = f32::NAN), @"1 experts: the scale is NaN");
}
