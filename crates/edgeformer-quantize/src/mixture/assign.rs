//! The rules.

use edgeformer_core::Format;

use super::eligible::eligible;
use super::part::{Part, layer};
use super::{Mixture, ModelFacts};

/// The format of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// Which.
    pub format: Format,
    /// Which it would be if its rows were whole blocks of that.
    pub instead_of: Option<Format>,
}

impl Mixture {
    /// The format of a tensor, by its name in GGUF and its shape (rows last); none if it stays as
    /// it is: vectors, norms, routers, positions, and what is too small to matter.
    ///
    /// Tensors of one kind are taken to be in every layer: llama.cpp counts them, and parts ways
    /// for models that have attention in some layers only.
    pub fn assign(self, name: &str, shape: &[usize], model: &ModelFacts<'_>) -> Option<Assignment> {
        if !eligible(name, shape) {
            return None;
        }
        let base = self.base();
        if base.is_float() {
            return Some(Assignment { format: base, instead_of: None });
        }
        let row = shape.last().copied().unwrap_or(1);
        let tensor = Tensor { part: Part::of(name), layer: layer(name).unwrap_or(0), row };
        let wanted = self.wanted(&tensor, model);
        let format = fitting(wanted, row);
        Some(Assignment { format, instead_of: (format != wanted).then_some(wanted) })
    }

    fn wanted(self, tensor: &Tensor, model: &ModelFacts<'_>) -> Format {
        match tensor.part {
            Part::Output => self.output(tensor, model),
            Part::Vocabulary if !model.has_output => self.output(tensor, model),
            Part::AttentionV => self.attention_v(tensor, model),
            Part::AttentionK if model.experts == 8 => Format::Q8_0,
            Part::AttentionQkv => self.attention_qkv(),
            Part::AttentionOutput => self.attention_output(model),
            Part::FfnDown => self.ffn_down(tensor, model),
            Part::Vocabulary | Part::AttentionK | Part::Other => self.base(),
        }
    }

    fn output(self, tensor: &Tensor, model: &ModelFacts<'_>) -> Format {
        let odd = !tensor.row.is_multiple_of(self.base().block_len());
        if model.architecture == "falcon" || odd || self == Self::Q8_0 {
            Format::Q8_0
        } else {
            Format::Q6K
        }
    }

    fn attention_v(self, tensor: &Tensor, model: &ModelFacts<'_>) -> Format {
        if model.experts == 8 {
            return Format::Q8_0;
        }
        let many = model.gqa >= 4;
        let format = match self {
            Self::Q2K if many => Format::Q4K,
            Self::Q2K => Format::Q3K,
            Self::Q3KM if tensor.layer < 2 => Format::Q5K,
            Self::Q3KM => Format::Q4K,
            Self::Q3KL => Format::Q5K,
            Self::Iq4Nl | Self::Iq4Xs if many => Format::Q5K,
            Self::Q4KM | Self::Q5KM if tensor.gets_more_bits(model) => Format::Q6K,
            Self::Q4KS if tensor.layer < 4 => Format::Q5K,
            _ => self.base(),
        };
        // Eight heads share these values, which makes the tensor small.
        match format {
            Format::Q3K | Format::Q4K if is_70b(model) => Format::Q5K,
            other => other,
        }
    }

    fn attention_qkv(self) -> Format {
        match self {
            Self::Q3KM | Self::Q3KL => Format::Q4K,
            Self::Q4KM => Format::Q5K,
            Self::Q5KM => Format::Q6K,
            _ => self.base(),
        }
    }

    fn attention_output(self, model: &ModelFacts<'_>) -> Format {
        match self {
            Self::Q3KL if model.architecture == "falcon" => Format::Q4K,
            _ if model.architecture == "falcon" => self.base(),
            Self::Q2K
            | Self::Q3KS
            | Self::Q3KM
            | Self::Q4KS
            | Self::Q4KM
            | Self::Iq4Nl
            | Self::Iq4Xs
                if model.experts == 8 =>
            {
                Format::Q5K
            }
            _ if model.experts == 8 => self.base(),
            Self::Q2K => Format::Q3K,
            Self::Q3KM => Format::Q4K,
            Self::Q3KL => Format::Q5K,
            _ => self.base(),
        }
    }

    fn ffn_down(self, tensor: &Tensor, model: &ModelFacts<'_>) -> Format {
        let falcon = model.architecture == "falcon";
        let more = tensor.gets_more_bits(model);
        let first = |share: usize| tensor.layer < model.layers / share;
        match self {
            Self::Q2K => Format::Q3K,
            Self::Q3KM if first(16) => Format::Q5K,
            Self::Q3KM if !falcon || more => Format::Q4K,
            Self::Q3KL if falcon => Format::Q4K,
            Self::Q3KL => Format::Q5K,
            Self::Q4KM if falcon && first(16) => Format::Q6K,
            Self::Q4KM if falcon && more => Format::Q5K,
            Self::Q4KM if !falcon && more => Format::Q6K,
            Self::Iq4Nl | Self::Iq4Xs if first(8) && !model.has_importance => Format::Q5K,
            Self::Q5KM if more => Format::Q6K,
            Self::Q4KS if !falcon && first(8) => Format::Q5K,
            Self::Q4_0 if model.has_importance && first(8) => Format::Q4_1,
            Self::Q5_0 if model.has_importance && first(8) => Format::Q5_1,
            _ => self.base(),
        }
    }
}

/// What the rules ask about a tensor.
struct Tensor {
    part: Part,
    layer: usize,
    row: usize,
}

impl Tensor {
    /// The first and the last eighth of the layers, and every third between.
    fn gets_more_bits(&self, model: &ModelFacts<'_>) -> bool {
        let eighth = model.layers / 8;
        self.layer < eighth || self.layer >= 7 * model.layers / 8 || (self.layer - eighth) % 3 == 2
    }
}

fn is_70b(model: &ModelFacts<'_>) -> bool {
    model.layers == 80 && matches!(model.architecture, "llama" | "qwen2") && model.gqa == 8
}

/// The format, or one with shorter blocks that rows of this length are whole blocks of.
fn fitting(format: Format, row: usize) -> Format {
    if row.is_multiple_of(format.block_len()) {
        return format;
    }
    let narrow = match format {
        Format::Q2K | Format::Q3K | Format::Iq4Xs => Format::Iq4Nl,
        Format::Q4K => Format::Q5_0,
        Format::Q5K => Format::Q5_1,
        Format::Q6K => Format::Q8_0,
        _ => Format::F16,
    };
    if row.is_multiple_of(narrow.block_len()) { narrow } else { Format::F16 }
}
