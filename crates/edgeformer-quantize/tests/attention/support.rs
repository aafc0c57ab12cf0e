//! Models before and after a conversion: run, calibrated, measured.

use std::sync::OnceLock;

use edgeformer_backend_cpu::{CpuBackend, CpuOptions};
use edgeformer_conformance::{reference, shared};
use edgeformer_core::graph::{Op, Value};
use edgeformer_core::{
    Backend, CacheFormat, CompileOptions, Input, Model, Outputs, SessionOptions, Span, Step, Want,
};
use edgeformer_models::checkpoint::Checkpoint;
use edgeformer_models::text::AddSpecial;
use edgeformer_models::{ModelFile, open};
use edgeformer_quantize::attention::AttentionCalibration;
use nalgebra::DMatrix;

/// A model of the shared data: a GGUF file, or a Hugging Face folder as GGUF has it.
pub fn checkpoint(path: &str) -> Option<Checkpoint> {
    Some(Checkpoint::open(&shared(path)?).unwrap())
}

/// The model that a file of the checkpoint holds.
pub fn opened(checkpoint: &Checkpoint) -> ModelFile {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    checkpoint.write_gguf(&path).unwrap();
    open(&path).unwrap()
}

/// The logits of all tokens, in f64.
pub fn logits(checkpoint: &Checkpoint, tokens: &[u32]) -> Vec<f64> {
    let model = opened(checkpoint).model;
    reference::evaluate(&model, Input::Tokens(tokens), 512).unwrap().data().to_vec()
}

/// The largest difference between the logits of two models.
pub fn difference(one: &Checkpoint, other: &Checkpoint) -> f64 {
    let tokens: Vec<u32> = (0..40).map(|index| (index * 37 + 5) % 300).collect();
    let (one, other) = (logits(one, &tokens), logits(other, &tokens));
    assert_eq!(one.len(), other.len());
    one.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Texts of the small language model: some to calibrate with, others to measure on.
pub struct Stories {
    pub checkpoint: Checkpoint,
    pub calibration: AttentionCalibration,
    measured: Vec<Vec<u32>>,
}

impl Stories {
    /// Read and calibrated once for all tests.
    pub fn get() -> Option<&'static Self> {
        static STORIES: OnceLock<Option<Stories>> = OnceLock::new();
        STORIES.get_or_init(Self::read).as_ref()
    }

    fn read() -> Option<Self> {
        let checkpoint = checkpoint("models/stories260k/stories260k-f32.gguf")?;
        let text = shared("data/tinystories-sample/tinystories_200k.txt")?;
        let text = std::fs::read_to_string(text).unwrap();
        let file = opened(&checkpoint);
        let tokenizer = file.tokenizer.as_ref().unwrap();
        let tokens = tokenizer.encode(&text, AddSpecial::AsModel, false).unwrap();
        let mut chunks = tokens.chunks(256).map(<[u32]>::to_vec);
        let calibrated: Vec<_> = chunks.by_ref().take(CALIBRATED).collect();
        let measured = chunks.take(MEASURED).collect();
        let calibration = calibrate(&file.model, &calibrated);
        Some(Self { checkpoint, calibration, measured })
    }

    pub fn perplexity(&self, checkpoint: &Checkpoint) -> f64 {
        let model = opened(checkpoint).model;
        let program = CpuBackend::new(&CpuOptions::default())
            .unwrap()
            .compile(model, &CompileOptions::default())
            .unwrap();
        let options = SessionOptions {
            context: 512,
            cache_type_k: CacheFormat::F32,
            cache_type_v: CacheFormat::F32,
            ..SessionOptions::default()
        };
        let mut session = program.open(&options).unwrap();
        let (mut loss, mut count) = (0.0, 0);
        let mut outputs = Outputs::default();
        for tokens in &self.measured {
            let sequence = session.cache().create().unwrap();
            let span = Span { sequence, input: Input::Tokens(tokens), want: Want::All };
            session.run(&Step { spans: &[span] }, &mut outputs).unwrap();
            session.cache().remove(sequence);
            let rows = outputs.rows();
            let width = rows.data().len() / tokens.len();
            for (row, &next) in rows.data().chunks(width).zip(&tokens[1..]) {
                loss += surprise(row, next);
                count += 1;
            }
        }
        (loss / f64::from(count)).exp()
    }
}

const CALIBRATED: usize = 16;
const MEASURED: usize = 16;

fn surprise(logits: &[f32], token: u32) -> f64 {
    let most = logits.iter().copied().fold(f32::MIN, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - most).exp()).sum();
    sum.ln() - f64::from(logits[token as usize] - most)
}

/// `E[x xᵀ]` of what goes into the keys of each layer.
pub fn calibrate(model: &Model, texts: &[Vec<u32>]) -> AttentionCalibration {
    let moment = |input: Value| {
        let mut model = Model { graph: model.graph.clone(), weights: model.weights.clone() };
        model.graph.output.value = input;
        let (mut sum, mut count) = (None, 0);
        for tokens in texts {
            let rows = reference::evaluate(&model, Input::Tokens(tokens), 512).unwrap();
            let rows = DMatrix::from_row_slice(rows.len(), rows.width(), rows.data());
            count += rows.nrows();
            let moment = rows.transpose() * rows;
            sum = Some(sum.map_or(moment.clone(), |sum: DMatrix<f64>| sum + moment));
        }
        sum.unwrap() / f64::from(u32::try_from(count).unwrap())
    };
    AttentionCalibration::new(key_inputs(model).into_iter().map(moment).collect()).unwrap()
}

fn key_inputs(model: &Model) -> Vec<Value> {
    let into_keys = |op: &Op| match op {
        Op::Linear { weight, .. } => model.graph.weight(*weight).name.ends_with("attn_k.weight"),
        _ => false,
    };
    let nodes = model.graph.nodes.iter().filter(|node| into_keys(&node.op));
    nodes.map(|node| node.inputs[0]).collect()
}
