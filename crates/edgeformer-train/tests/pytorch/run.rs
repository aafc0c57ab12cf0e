//! A run of the fixtures: its settings, its batches, and what PyTorch saw.

use std::fs;
use std::path::Path;

use candle_core::Device;
use edgeformer_backend_candle::DeviceWeights;
use edgeformer_core::{Model, Tensor};
use edgeformer_models::checkpoint::Checkpoint;
use edgeformer_models::safetensors::Safetensors;
use edgeformer_models::{OpenOptions, open_with};
use edgeformer_train::{
    AdamWOptions, Decay, Example, Learning, Objective, Sample, Schedule, Shares, StepOptions,
    Target, Trainer, make_parameters,
};
use serde_json::Value;

use crate::STEP;

pub struct Run {
    options: StepOptions,
    expected: Vec<[f64; 2]>,
}

impl Run {
    pub fn read(fixture: &Path, checkpointing: bool) -> Self {
        let text = fs::read_to_string(fixture.join("run.json")).unwrap();
        let run: Value = serde_json::from_str(&text).unwrap();
        let number = |value: &Value| value.as_f64().unwrap();
        let pair = |value: &Value| [number(&value[0]), number(&value[1])];
        let schedule = Schedule {
            peak: number(&run["learning_rate"]),
            warmup: 0,
            steps: run["steps"].as_u64().unwrap(),
            decay: Decay::Constant,
        };
        let optimizer = AdamWOptions {
            betas: pair(&run["betas"]),
            eps: number(&run["eps"]),
            weight_decay: number(&run["weight_decay"]),
            decay_vectors: true,
            eight_bit: false,
        };
        let clip = Some(number(&run["clip_norm"]));
        let options = StepOptions {
            objective: Objective::CrossEntropy,
            schedule,
            optimizer,
            clip,
            context: 64,
            checkpointing,
        };
        let expected = run["loss_and_grad_norm"].as_array().unwrap().iter().map(pair).collect();
        Self { options, expected }
    }

    /// A model in GGUF's layout, ready to learn.
    pub fn trainer(&self, base: &Path, learning: &Learning) -> Trainer {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("base.gguf");
        Checkpoint::open(base).unwrap().write_gguf(&file).unwrap();
        let model = open_with(&file, &OpenOptions { tokenizer: false }).unwrap().model;
        self.trainer_of(&model, learning)
    }

    /// A model that is ready to learn.
    pub fn trainer_of(&self, model: &Model, learning: &Learning) -> Trainer {
        let mut weights = DeviceWeights::load(model, &Device::Cpu).unwrap();
        let parameters = make_parameters(&model.graph, &mut weights, learning).unwrap();
        Trainer::new(model.graph.clone(), weights, parameters, self.options)
    }

    /// Takes every step of the run and compares it.
    pub fn repeat(&self, trainer: &mut Trainer, batches: &[Vec<Example>]) {
        for (step, &[loss, norm]) in self.expected.iter().enumerate() {
            let batch: Vec<&Example> = batches[step % batches.len()].iter().collect();
            let report = trainer.step(&Shares::of(batch, 2048)).unwrap();
            let close = |found: f64, expected: f64| (found - expected).abs() <= STEP * expected;
            assert!(
                close(report.loss, loss) && close(report.gradient_norm, norm),
                "step {step}: {report:?}, PyTorch has loss {loss}, norm {norm}"
            );
        }
    }
}

/// What a weight has become.
pub fn learned(trainer: &Trainer, name: &str) -> Tensor {
    let parameter = trainer.parameters().iter().find(|one| one.name == name).unwrap();
    let values = parameter.variable.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    Tensor::from_f32(parameter.variable.dims(), &values).unwrap()
}

/// Batches of texts. A label stands where its token stands: the row before is to foretell it.
pub fn tokens(fixture: &Path) -> Vec<Vec<Example>> {
    let file = Safetensors::open(&fixture.join("batches.safetensors")).unwrap();
    let integers = |name: &str| file.integers(name).unwrap().unwrap();
    let (ids, labels) = (integers("input_ids"), integers("labels"));
    let &[batches, sequences, length] = ids.shape() else { panic!("{:?}", ids.shape()) };
    let (ids, labels) = (ids.to_vec(), labels.to_vec());
    let example = |index: usize| {
        let range = index * length..(index + 1) * length;
        let ids = ids[range.clone()].iter().map(|&id| id as u32).collect();
        let following = labels[range].iter().skip(1).copied().chain([-100]);
        let following = following.map(|label| u32::try_from(label).ok()).collect();
        Example { input: Sample::Tokens(ids), target: Target::Tokens(following) }
    };
    let batch = |batch: usize| (0..sequences).map(|one| example(batch * sequences + one)).collect();
    (0..batches).map(batch).collect()
}

/// Batches of images.
pub fn images(fixture: &Path) -> Vec<Vec<Example>> {
    let file = Safetensors::open(&fixture.join("batches.safetensors")).unwrap();
    let labels = file.integers("labels").unwrap().unwrap();
    let &[_, images] = labels.shape() else { panic!("{:?}", labels.shape()) };
    let pixels = file.tensor("pixel_values").unwrap();
    let size: usize = pixels.shape()[2..].iter().product();
    let pixels = pixels.to_f32();
    let examples: Vec<Example> = labels
        .iter()
        .zip(pixels.chunks_exact(size))
        .map(|(label, pixels)| Example {
            input: Sample::Pixels(pixels.to_vec()),
            target: Target::Class(label as u32),
        })
        .collect();
    examples.chunks(images).map(<[_]>::to_vec).collect()
}
