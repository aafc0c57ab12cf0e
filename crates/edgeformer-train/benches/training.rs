//! Tokens a second and memory of training beside PyTorch's, in turns on the same machine:
//!
//! ```text
//! cargo bench -p edgeformer-train --bench training
//! ```
//!
//! A llama of 11 million weights (8 layers, width 320), 8 sequences of 256 tokens a step, all weights in
//! f32, AdamW, gradients cut. PyTorch runs where `python3` has `torch` and `transformers`.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fs;
use std::process::Command;
use std::time::Instant;

use candle_core::Device;
use edgeformer_backend_candle::DeviceWeights;
use edgeformer_conformance::random_model;
use edgeformer_core::graph::{
    Activation, Attention, CacheSlot, GraphBuilder, GraphInput, Mask, OutputKind, Rope, RopeLayout,
    RopeScaling, Value,
};
use edgeformer_core::{Format, Graph, Result};
use edgeformer_train::{
    AdamWOptions, Decay, ENVIRONMENT, Example, Learning, MemoryPlan, Objective, RunShape, Sample,
    Schedule, Shares, StepOptions, Target, Trainer, make_parameters,
};
use serde_json::{Value as Json, json};

const LAYERS: usize = 8;
const WIDTH: usize = 320;
const INNER: usize = 864;
const HEADS: usize = 5;
const VOCABULARY: usize = 2048;
const CONTEXT: usize = 256;
const BATCH: usize = 8;

/// Steps that are not counted, and steps that are.
const WARM: usize = 2;
const STEPS: usize = 6;
/// Turns of each side.
const TURNS: usize = 3;

fn main() {
    // `cargo bench` adds an argument of its own.
    if std::env::args().any(|argument| argument == "--ours") {
        return println!("{}", ours());
    }
    let mut sides = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        let this = std::env::current_exe().unwrap();
        sides[0].push(
            measured(Command::new(this).arg("--ours").envs(ENVIRONMENT))
                .expect("this program runs"),
        );
        sides[1].extend(measured(&mut pytorch()));
    }
    println!("| | tokens/s | peak memory, MiB |\n|---|---|---|");
    let row = |name: &str, side: &[[f64; 2]]| {
        let [speed, memory] = [0, 1].map(|which| median(side.iter().map(|one| one[which])));
        println!("| {name} | {speed:.0} | {memory:.0} |");
        [speed, memory]
    };
    let ours = row("EdgeFormer", &sides[0]);
    println!("| planned, without the program | | {:.0} |", planned_mib());
    if sides[1].is_empty() {
        return println!("\nPyTorch was not run: python3 has no torch and transformers");
    }
    let theirs = row("PyTorch", &sides[1]);
    println!("| ratio | {:.2} | {:.2} |", ours[0] / theirs[0], ours[1] / theirs[1]);
}

fn pytorch() -> Command {
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/training.py"));
    let settings = json!({
        "layers": LAYERS, "width": WIDTH, "inner": INNER, "heads": HEADS, "vocabulary": VOCABULARY,
        "context": CONTEXT, "batch": BATCH, "warm": WARM, "steps": STEPS,
        "threads": std::thread::available_parallelism().map_or(1, usize::from),
    });
    command.arg(settings.to_string());
    // Set for old builds of OpenBLAS: they would hold a current one back.
    command.env_remove("OPENBLAS_CORETYPE").env_remove("OPENBLAS_L2_SIZE");
    command
}

/// Tokens a second and MiB, as the last line of a program's output says.
fn measured(command: &mut Command) -> Option<[f64; 2]> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line: Json = serde_json::from_str(text.lines().last()?).ok()?;
    Some([line["tokens_per_second"].as_f64()?, line["peak_mib"].as_f64()?])
}

fn ours() -> Json {
    let graph = llama().unwrap();
    let model = random_model(graph, 1, |_| Format::F32).unwrap();
    let mut weights = DeviceWeights::load(&model, &Device::Cpu).unwrap();
    let parameters = make_parameters(&model.graph, &mut weights, &Learning::All).unwrap();
    let options = StepOptions {
        objective: Objective::CrossEntropy,
        schedule: Schedule { peak: 1e-4, warmup: 0, steps: 100, decay: Decay::Constant },
        optimizer: AdamWOptions::default(),
        clip: Some(1.0),
        context: CONTEXT,
        checkpointing: false,
    };
    let mut trainer = Trainer::new(model.graph.clone(), weights, parameters, options);
    drop(model);
    let examples: Vec<Example> = (0..BATCH).map(example).collect();
    let batch = Shares::of(examples.iter().collect(), BATCH * CONTEXT);
    let mut seconds = Vec::new();
    for _ in 0..WARM + STEPS {
        let start = Instant::now();
        trainer.step(&batch).unwrap();
        seconds.push(start.elapsed().as_secs_f64());
    }
    let second = median(seconds[WARM..].iter().copied());
    json!({ "tokens_per_second": (BATCH * CONTEXT) as f64 / second, "peak_mib": peak_mib() })
}

/// MiB that a plan says beforehand.
fn planned_mib() -> f64 {
    let model = random_model(llama().unwrap(), 1, |_| Format::F32).unwrap();
    let (all, none) =
        (vec![true; model.graph.weights.len()], vec![false; model.graph.weights.len()]);
    let examples: Vec<Example> = (0..BATCH).map(example).collect();
    let batch = Shares::of(examples.iter().collect(), BATCH * CONTEXT);
    let sequences = BATCH / batch.shares.len();
    let shape = RunShape {
        learns: &all,
        drops: &none,
        rounds: &none,
        tokens: sequences * CONTEXT,
        sequences,
        longest: CONTEXT,
        output_rows: sequences * CONTEXT,
        several_shares: true,
        side_by_side: batch.side_by_side(rayon::current_num_threads()),
        checkpointing: false,
        eight_bit: false,
        average: false,
    };
    MemoryPlan::of(&model, &shape).unwrap().total() as f64 / f64::from(1 << 20)
}

/// Tokens that no two sequences share.
fn example(index: usize) -> Example {
    let token = |position: usize| ((index * 7919 + position * 104_729) % VOCABULARY) as u32;
    Example {
        input: Sample::Tokens((0..CONTEXT).map(token).collect()),
        target: Target::Tokens((1..=CONTEXT).map(|next| Some(token(next))).collect()),
    }
}

fn llama() -> Result<Graph> {
    let input = GraphInput::Tokens { vocabulary: VOCABULARY, context: CONTEXT };
    let mut b = GraphBuilder::new("llama", input);
    let mut x = b.embed("token_embd.weight", WIDTH, 1.0)?;
    for layer in 0..LAYERS {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let normed = b.rms_norm(x, &name("attn_norm"), 1e-5, 0.0)?;
        let mixed = attend(&mut b, normed, layer, &name)?;
        x = b.add(x, mixed)?;
        let normed = b.rms_norm(x, &name("ffn_norm"), 1e-5, 0.0)?;
        let gate = b.linear(normed, &name("ffn_gate"), INNER, false)?;
        let gate = b.activation(gate, Activation::Silu)?;
        let up = b.linear(normed, &name("ffn_up"), INNER, false)?;
        let inner = b.multiply(gate, up)?;
        let down = b.linear(inner, &name("ffn_down"), WIDTH, false)?;
        x = b.add(x, down)?;
    }
    let x = b.rms_norm(x, "output_norm", 1e-5, 0.0)?;
    let x = b.linear(x, "output", VOCABULARY, false)?;
    b.finish(OutputKind::Logits, x)
}

fn attend(
    b: &mut GraphBuilder,
    x: Value,
    layer: usize,
    name: &dyn Fn(&str) -> String,
) -> Result<Value> {
    let dim = WIDTH / HEADS;
    let rope = || Rope {
        heads: HEADS,
        dims: dim,
        layout: RopeLayout::Halves,
        base: 10_000.0,
        scaling: RopeScaling::None,
    };
    let [q, k, v] =
        ["attn_q", "attn_k", "attn_v"].map(|part| b.linear(x, &name(part), WIDTH, false));
    let (q, k) = (b.rope(q?, rope())?, b.rope(k?, rope())?);
    let attention = Attention {
        heads: HEADS,
        kv_heads: HEADS,
        key_dim: dim,
        value_dim: dim,
        scale: 1.0 / (dim as f32).sqrt(),
        mask: Mask::Causal,
        window: None,
        soft_cap: None,
        slot: Some(CacheSlot(layer as u32)),
    };
    let mixed = b.attention(q, k, v?, attention)?;
    b.linear(mixed, &name("attn_output"), WIDTH, false)
}

/// The most memory that this process has held.
fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
