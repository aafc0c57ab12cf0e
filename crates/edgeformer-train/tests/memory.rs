//! The memory that is planned is the memory that is taken. One test alone, so that nobody else's is
//! counted.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Device;
use edgeformer_backend_candle::{DeviceWeights, Dropout};
use edgeformer_core::graph::GraphInput;
use edgeformer_core::{Adapter, Format, LowRank, Model, Op, Tensor, Weight};
use edgeformer_models::{OpenOptions, open_with};
use edgeformer_train::finetune::write_random;
use edgeformer_train::{
    AdamWOptions, Decay, Example, Learning, MemoryPlan, Objective, RunShape, Sample, Schedule,
    Shares, StepOptions, Target, Trainer, make_parameters,
};

/// How far the plan may be from what is taken.
const TOLERANCE: f64 = 0.1;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator unchanged, and its answer is returned.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = TAKEN.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(taken, Ordering::Relaxed);
        // SAFETY: the caller's promise is the one that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is the one that the system's allocator asks for.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// A way to learn.
#[derive(Debug, Clone, Copy)]
struct Case {
    model: &'static str,
    learning: How,
    /// Sequences of a batch, and of a share of it.
    sequences: [usize; 2],
    tokens: usize,
    checkpointing: bool,
    eight_bit: bool,
    /// Whether matrices are rounded to a format while they learn, and inputs of products left out.
    disturbed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    All,
    Head,
    LastBlock,
    /// Adapters beside a base of this format.
    Adapter(Format),
}

const LLAMA: &str = r#"{"model_type": "llama", "vocab_size": 1500, "hidden_size": 128,
    "intermediate_size": 352, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
    "tie_word_embeddings": true, "hidden_act": "silu"}"#;
const UNTIED: &str = r#"{"model_type": "llama", "vocab_size": 500, "hidden_size": 256,
    "intermediate_size": 640, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 4, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
    "tie_word_embeddings": false, "hidden_act": "silu"}"#;
const QWEN: &str = r#"{"model_type": "qwen2", "vocab_size": 700, "hidden_size": 128,
    "intermediate_size": 384, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "rms_norm_eps": 1e-6,
    "tie_word_embeddings": true, "hidden_act": "silu"}"#;

#[test]
fn the_plan_is_what_is_taken() {
    let case = Case {
        model: LLAMA,
        learning: How::All,
        sequences: [4, 4],
        tokens: 128,
        checkpointing: false,
        eight_bit: false,
        disturbed: false,
    };
    let adapter = |format| Case { learning: How::Adapter(format), ..case };
    let cases = [
        case,
        Case { checkpointing: true, ..case },
        Case { sequences: [4, 1], ..case },
        Case { sequences: [4, 1], checkpointing: true, ..case },
        Case { eight_bit: true, ..case },
        Case { tokens: 400, ..case },
        Case { disturbed: true, ..case },
        Case { disturbed: true, sequences: [4, 1], ..case },
        Case { model: UNTIED, ..case },
        Case { model: UNTIED, checkpointing: true, ..case },
        Case { model: QWEN, ..case },
        Case { learning: How::Head, ..case },
        Case { learning: How::LastBlock, ..case },
        adapter(Format::F32),
        adapter(Format::Q8_0),
        adapter(Format::Q4_0),
        Case { checkpointing: true, ..adapter(Format::Q8_0) },
        Case { model: UNTIED, ..adapter(Format::F32) },
    ];
    let mut wrong = Vec::new();
    for case in cases {
        let (planned, taken) = plan_and_run(&case, 1);
        let ratio = planned.total() as f64 / taken as f64;
        eprintln!(
            "planned / taken {ratio:.3}: {:?}, checkpointing {}",
            case.learning, case.checkpointing
        );
        if (ratio - 1.0).abs() > TOLERANCE {
            wrong.push(format!("{ratio:.3} of {taken}: {case:?}\n  {planned:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // Threads need not come to their peaks together: the plan is what they take at most.
    let shared = Case { sequences: [8, 1], ..case };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let (planned, taken) = pool.install(|| plan_and_run(&shared, 3));
    let ratio = planned.total() as f64 / taken as f64;
    eprintln!("planned / taken {ratio:.3}: three shares side by side");
    assert!((1.0 - TOLERANCE..1.5).contains(&ratio), "{ratio:.3} of {taken}: {planned:?}");
}

fn plan_and_run(case: &Case, side_by_side: usize) -> (MemoryPlan, usize) {
    let folder = tempfile::tempdir().unwrap();
    let model = model(case, folder.path());
    let before = TAKEN.load(Ordering::Relaxed);
    let mut weights = DeviceWeights::load(&model, &Device::Cpu).unwrap();
    let learning = match case.learning {
        How::All => Learning::All,
        How::Head => Learning::Head,
        How::LastBlock => Learning::LastBlocks(1),
        How::Adapter(_) => {
            let names = model.graph.weights.iter().map(|info| info.name.clone());
            Learning::Named(names.filter(|name| name.contains(".lora_")).collect())
        }
    };
    let parameters = make_parameters(&model.graph, &mut weights, &learning).unwrap();
    let names: Vec<&str> = parameters.iter().map(|one| one.name.as_str()).collect();
    let learns: Vec<bool> =
        model.graph.weights.iter().map(|info| names.contains(&info.name.as_str())).collect();
    let disturbed = match case.disturbed {
        true => disturb(&model, &mut weights),
        false => vec![false; learns.len()],
    };
    let [sequences, part] = case.sequences;
    let shape = RunShape {
        learns: &learns,
        drops: &disturbed,
        rounds: &disturbed,
        tokens: part * case.tokens,
        sequences: part,
        longest: case.tokens,
        output_rows: part * case.tokens,
        several_shares: part < sequences,
        side_by_side,
        checkpointing: case.checkpointing,
        eight_bit: case.eight_bit,
        average: false,
    };
    let planned = MemoryPlan::of(&model, &shape).unwrap();
    let options = StepOptions {
        objective: Objective::CrossEntropy,
        schedule: Schedule { peak: 1e-3, warmup: 0, steps: 10, decay: Decay::Constant },
        optimizer: AdamWOptions { eight_bit: case.eight_bit, ..AdamWOptions::default() },
        clip: Some(1.0),
        context: 512,
        checkpointing: case.checkpointing,
    };
    let mut trainer = Trainer::new(model.graph.clone(), weights, parameters, options);
    let GraphInput::Tokens { vocabulary, .. } = model.graph.input else { panic!("it reads text") };
    let token = |index: usize| (index * 7919 % vocabulary) as u32;
    let example = |sequence: usize| Example {
        input: Sample::Tokens((0..case.tokens).map(|at| token(sequence + at)).collect()),
        target: Target::Tokens((1..=case.tokens).map(|at| Some(token(sequence + at))).collect()),
    };
    let examples: Vec<Example> = (0..sequences).map(example).collect();
    let shares = examples.chunks(part).map(|share| share.iter().collect()).collect();
    let batch = Shares { shares, at_a_time: side_by_side };
    MOST.store(TAKEN.load(Ordering::Relaxed), Ordering::Relaxed);
    for _ in 0..2 {
        trainer.step(&batch).unwrap();
    }
    (planned, MOST.load(Ordering::Relaxed) - before)
}

fn model(case: &Case, folder: &Path) -> Model {
    let (from, to) = (folder.join("config"), folder.join("model"));
    std::fs::create_dir(&from).unwrap();
    std::fs::write(from.join("config.json"), case.model).unwrap();
    write_random(&from, &to, 1).unwrap();
    let file = open_with(&to, &OpenOptions { tokenizer: false }).unwrap();
    match case.learning {
        How::Adapter(format) => adapted(&file.model, format),
        _ => (*file.model).clone(),
    }
}

/// Rounds all linear layers, and leaves some of their inputs out; which these are.
fn disturb(model: &Model, weights: &mut DeviceWeights) -> Vec<bool> {
    let mut disturbed = vec![false; model.graph.weights.len()];
    for node in &model.graph.nodes {
        let Op::Linear { weight, .. } = node.op else { continue };
        weights.set_dropout(weight, Dropout { rate: 0.1, seed: 3 });
        assert!(weights.set_rounding(weight, Format::Q4_0));
        disturbed[weight.index()] = true;
    }
    disturbed
}

/// With adapters of rank 8 beside all linear layers of the blocks, which have this format.
fn adapted(model: &Model, format: Format) -> Model {
    let mut base = model.clone();
    let mut adapter = Adapter::default();
    for node in &model.graph.nodes {
        let Op::Linear { weight, .. } = node.op else { continue };
        let info = model.graph.weight(weight);
        if !info.name.starts_with("blk.") {
            continue;
        }
        let part = &model.weights.get(&info.name).unwrap().parts()[0];
        let stored = Tensor::quantize(format, part.shape(), &part.to_f32()).unwrap();
        base.weights.insert(&info.name, Weight::concatenated(&info.name, vec![stored]).unwrap());
        let matrix =
            |rows, cols| Tensor::from_f32(vec![rows, cols], &vec![0.01; rows * cols]).unwrap();
        let pair = LowRank { a: matrix(8, info.shape[1]), b: matrix(info.shape[0], 8), scale: 1.0 };
        adapter.pairs.insert(info.name.clone(), pair);
    }
    base.with_adapter(&adapter).unwrap()
}
