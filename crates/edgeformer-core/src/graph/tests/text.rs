use super::*;

#[test]
fn decoder_as_text() {
    insta::assert_snapshot!(decoder().unwrap().to_text(), @"
    graph small: tokens(vocabulary 100, context 32) -> logits %30
      %0 [T, 16] = embed scale=4 token_embd.weight[100, 16]
      %1 [T, 16] = norm(%0) rms eps=1e-5 weight_offset=1 blk.0.attn_norm.weight[16]
      %2 [T, 16] = linear(%1) blk.0.attn_q.weight[16, 16] blk.0.attn_q.bias[16]
      %3 [T, 8] = linear(%1) blk.0.attn_k.weight[8, 16]
      %4 [T, 8] = linear(%1) blk.0.attn_v.weight[8, 16]
      %5 [T, 16] = norm(%2) rms groups=4 eps=1e-6 blk.0.attn_q_norm.weight[4]
      %6 [T, 16] = rope(%5) heads=4 dims=4 halves base=10000 scaling=Linear { factor: 2.0 }
      %7 [T, 8] = rope(%3) heads=2 dims=2 halves base=10000 scaling=Linear { factor: 2.0 }
      %8 [T, 16] = attention(%6, %7, %4) heads=4/2 dims=4/4 scale=0.5 causal window=8 soft_cap=50 cache=0
      %9 [T, 16] = linear(%8) blk.0.attn_output.weight[16, 16]
      %10 [T, 16] = add(%0, %9)
      %11 [T, 24] = linear(%10) blk.0.ffn_gate.weight[24, 16]
      %12 [T, 24] = linear(%10) blk.0.ffn_up.weight[24, 16]
      %13 [T, 24] = activation(%11) gelu
      %14 [T, 24] = multiply(%13, %12)
      %15 [T, 16] = linear(%14) blk.0.ffn_down.weight[16, 24]
      %16 [T, 16] = add(%10, %15)
      %17 [T, 12] = linear(%16) blk.1.attn_q.weight[12, 16]
      %18 [T, 8], %19 [T, 4] = split(%17) groups=2
      %20 [T, 8] = linear(%16) blk.1.attn_kv_a_mqa.weight[8, 16]
      %21 [T, 6], %22 [T, 2] = split(%20)
      %23 [T, 4] = rope(%19) heads=2 dims=2 halves base=10000 scaling=Linear { factor: 2.0 }
      %24 [T, 2] = rope(%22) heads=1 dims=2 halves base=10000 scaling=Linear { factor: 2.0 }
      %25 [T, 6] = latent_attention(%18, %23, %21, %24) heads=2 rank=6 nope=4 rope=2 value=3 scale=0.4 cache=1 blk.1.attn_kv_b.weight[14, 6]
      %26 [T, 16] = linear(%25) blk.1.attn_output.weight[16, 6]
      %27 [T, 16] = experts(%26) top=2/8 width=5 sigmoid silu groups=2/4 scored_by=2 normalise scale=2.5 blk.1.ffn_gate_inp.weight[8, 16] blk.1.exp_probs_b.bias[8] blk.1.ffn_gate_exps.weight[8, 5, 16] blk.1.ffn_up_exps.weight[8, 5, 16] blk.1.ffn_down_exps.weight[8, 16, 5]
      %28 [T, 16] = add(%16, %27)
      %29 [T, 100] = linear(%28) token_embd.weight[100, 16]
      %30 [T, 100] = soft_cap(%29) cap=30
      cache 0: keys 2x4, values 2x4, window 8
      cache 1: latent 6, rotated key 2
    ");
}

#[test]
fn classifier_as_text() {
    insta::assert_snapshot!(classifier().unwrap().to_text(), @"
    graph vit: pixels(3x8x8) -> logits %9
      %0 [4, 48] = unfold 3x[8, 8] kernel=[4, 4] stride=[4, 4] padding=[0, 0]
      %1 [4, 16] = linear(%0) v.patch_embd.weight[16, 48] v.patch_embd.bias[16]
      %2 [5, 16] = prepend(%1) v.class_embd[1, 16]
      %3 [5, 16] = position(%2) v.position_embd.weight[5, 16]
      %4 [5, 16] = norm(%3) layer eps=1e-6 v.blk.0.ln1.weight[16] v.blk.0.ln1.bias[16]
      %5 [5, 16] = attention(%4, %4, %4) heads=4/4 dims=4/4 scale=0.5 bidirectional
      %6 [5, 32] = concat(%3, %5)
      %7 [1, 32] = pool(%6) class
      %8 [1, 32] = scale(%7) factor=0.25
      %9 [1, 10] = linear(%8) head.weight[10, 32] head.bias[10]
    ");
}

#[test]
fn classifier_as_mermaid() {
    insta::assert_snapshot!(classifier().unwrap().to_mermaid(), @r#"
    flowchart TD
      input(["pixels(3x8x8)"])
      n0["<b>unfold</b><br/>3x[8, 8] kernel=[4, 4] stride=[4, 4] padding=[0, 0]"]
      input --> n0
      n1["<b>linear</b><br/>v.patch_embd.weight[16, 48]<br/>v.patch_embd.bias[16]"]
      n0 -- "4x48" --> n1
      n2["<b>prepend</b><br/>v.class_embd[1, 16]"]
      n1 -- "4x16" --> n2
      n3["<b>position</b><br/>v.position_embd.weight[5, 16]"]
      n2 -- "5x16" --> n3
      n4["<b>norm</b><br/>layer<br/>eps=1e-6<br/>v.blk.0.ln1.weight[16]<br/>v.blk.0.ln1.bias[16]"]
      n3 -- "5x16" --> n4
      n5["<b>attention</b><br/>heads=4/4 dims=4/4 scale=0.5<br/>bidirectional"]
      n4 -- "5x16" --> n5
      n4 -- "5x16" --> n5
      n4 -- "5x16" --> n5
      n6["<b>concat</b>"]
      n3 -- "5x16" --> n6
      n5 -- "5x16" --> n6
      n7["<b>pool</b><br/>class"]
      n6 -- "5x32" --> n7
      n8["<b>scale</b><br/>factor=0.25"]
      n7 -- "1x32" --> n8
      n9["<b>linear</b><br/>head.weight[10, 32]<br/>head.bias[10]"]
      n8 -- "1x32" --> n9
      n9 --> output(["logits"])
    "#);
}

#[test]
fn decoder_as_mermaid() {
    let chart = decoder().unwrap().to_mermaid();
    // Both outputs of a split are drawn from it, and the residual skips the layer.
    assert_eq!(chart.matches("<b>split</b>").count(), 2);
    assert!(chart.lines().all(|line| line.matches('"').count() % 2 == 0));
    let arrows: usize = decoder().unwrap().nodes.iter().map(|node| node.inputs.len().max(1)).sum();
    assert_eq!(chart.matches("-->").count(), arrows + 1);
}

#[test]
fn json_round_trip() {
    for graph in [decoder().unwrap(), classifier().unwrap()] {
        let json = serde_json::to_string(&graph).unwrap();
        let read: Graph = serde_json::from_str(&json).unwrap();
        assert_eq!(read, graph);
        read.check().unwrap();
    }
}
