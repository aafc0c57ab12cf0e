//! Whether a reader of what was written finds the model again.

use edgeformer_core::graph::{RopeLayout, RopeScaling};

use super::rope::{divisors, is_interleaved};
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::hyper::{Decoder, Family, Hyper};
use crate::json::Object;

/// Refuses a model of which something is lost: GGUF has no key for it, or not for this family.
pub(super) fn reads_back(made: &Checkpoint, hyper: &Hyper, config: &Object) -> Result<()> {
    match difference(&in_gguf(hyper), &made.hyper()?) {
        None => Ok(()),
        Some((stated, found)) => {
            let problem = format!(
                "says `{stated}`, which GGUF cannot state of {} models: it would become `{found}`",
                hyper.family().name()
            );
            Err(crate::Error::format(config.path(), "file", problem))
        }
    }
}

/// What a file says of a model: the same but for what conversion settles.
fn in_gguf(hyper: &Hyper) -> Hyper {
    let mut hyper = hyper.clone();
    if let Hyper::Decoder(decoder) = &mut hyper {
        settle(decoder);
    }
    hyper
}

fn settle(decoder: &mut Decoder) {
    if decoder.family == Family::Mistral {
        decoder.family = Family::Llama;
    }
    decoder.norm_offset = 0.0;
    if let Some(latent) = &mut decoder.latent {
        latent.split = true;
        decoder.attention.kv_heads = decoder.attention.heads;
    }
    let Some(rotary) = &mut decoder.rotary else { return };
    if let RopeScaling::Llama3 { .. } = rotary.scaling {
        rotary.scaling = RopeScaling::Factors { factors: divisors(rotary) };
    }
    if is_interleaved(decoder.family) {
        rotary.layout = RopeLayout::Interleaved;
    }
}

/// The first field in which two models differ, as both state it. Floats may differ by what
/// rounding does to them.
pub(in crate::checkpoint) fn difference(a: &Hyper, b: &Hyper) -> Option<(String, String)> {
    let (a, b) = (format!("{a:#?}"), format!("{b:#?}"));
    let (mut left, mut right) = (a.lines(), b.lines());
    loop {
        match (left.next(), right.next()) {
            (None, None) => return None,
            (a, b) => {
                let (a, b) = (a.unwrap_or("nothing").trim(), b.unwrap_or("nothing").trim());
                if !same(a, b) {
                    let plain = |line: &str| line.trim_end_matches([',', '{', '(']).to_owned();
                    return Some((plain(a), plain(b)));
                }
            }
        }
    }
}

/// Whether two lines of a debug text say the same.
fn same(a: &str, b: &str) -> bool {
    let number = |line: &str| {
        let text = line.rsplit(": ").next().unwrap_or(line);
        text.trim_end_matches(',').parse::<f64>().ok()
    };
    if a == b {
        return true;
    }
    let field = |line: &str| line.rsplit_once(": ").map(|(field, _)| field.to_owned());
    match (number(a), number(b)) {
        (Some(a_number), Some(b_number)) if field(a) == field(b) => {
            (a_number - b_number).abs() <= 1e-6 * a_number.abs()
        }
        _ => false,
    }
}
