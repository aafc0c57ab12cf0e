use std::path::Path;

use edgeformer::ModelSource;
use edgeformer::evaluate::{Activations, Control, LogSoftmax, Moments, Subject, compare};
use edgeformer_models::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};

use super::model::Prepared;
use crate::peers::Quantizer;
use crate::{Error, Result};

/// What a quantized file is worth on the text that was held out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of its tensors.
    pub tensor_bytes: u64,
    /// Bits of its tensors, scales and all, by weight.
    pub bits_per_weight: f64,
    /// Perplexity, by EdgeFormer.
    pub perplexity: f64,
    /// The same by that of the f32 model.
    pub perplexity_ratio: f64,
    /// Divergence from the f32 model, in nats a token.
    pub kl_mean: f64,
    /// What 99 % of the tokens stay below.
    pub kl_p99: f64,
    /// Share of the tokens at which both hold the same token for the likeliest.
    pub top1_agreement: f64,
    /// Perplexity of the same file on the same tokens, by llama.cpp.
    pub peer_perplexity: f64,
}

impl Figures {
    /// How far the two perplexities of one file are apart.
    pub fn difference(&self) -> f64 {
        self.perplexity / self.peer_perplexity - 1.0
    }
}

/// Who judges files of one model.
pub(super) struct Judge<'a> {
    pub prepared: &'a Prepared,
    pub peer: &'a Quantizer,
    pub threads: usize,
    /// Windows that models write themselves at most, to calibrate with.
    pub own_chunks: Option<usize>,
}

impl Judge<'_> {
    /// Reads the held-out text with a file: with EdgeFormer and with llama.cpp.
    pub fn figures(&self, path: &Path) -> Result<Figures> {
        let Prepared { reference, judged, engine, .. } = self.prepared;
        let source = ModelSource::Path(path.to_owned());
        let candidate = Subject::open(&source, engine, Activations::AsUsual)?;
        let kl = compare(reference, &candidate, judged, &Control::default())?;
        let (tensor_bytes, weights) = tensors(path)?;
        let file = std::fs::metadata(path).map_err(|error| Error::file(path, error))?;
        Ok(Figures {
            bytes: file.len(),
            tensor_bytes,
            bits_per_weight: tensor_bytes as f64 * 8.0 / weights.max(1) as f64,
            perplexity: kl.perplexity,
            perplexity_ratio: kl.perplexity_ratio,
            kl_mean: kl.kl_mean,
            kl_p99: kl.kl_p99,
            top1_agreement: kl.top1_agreement,
            peer_perplexity: self.peer_perplexity(path)?,
        })
    }

    /// Perplexity of a file by llama.cpp's logits.
    pub fn peer_perplexity(&self, path: &Path) -> Result<f64> {
        let mut nll = Moments::default();
        (self.peer.read)(path, &self.prepared.judged, self.threads, &mut |logits, next| {
            nll.add(-LogSoftmax::of(logits)?.of_token(next)?);
            Ok(())
        })?;
        Ok(nll.mean().exp())
    }
}

/// Bytes and weights of a file's tensors.
fn tensors(path: &Path) -> Result<(u64, u64)> {
    let checkpoint = Checkpoint::open(path)?;
    let mut sums = (0, 0);
    for tensor in &checkpoint.tensors {
        sums.0 += tensor.format().tensor_bytes(tensor.shape())? as u64;
        sums.1 += tensor.elements() as u64;
    }
    Ok(sums)
}
