use edgeformer_core::Format;

use super::tensors::{Kind, Tensor};

/// Which format each tensor gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mixture {
    base: Format,
    /// llama.cpp's `_M`: half of the delicate tensors get 6 bits.
    medium: bool,
}

impl Mixture {
    pub fn name(self) -> String {
        format!("{}{}", self.base, if self.medium { "_m" } else { "" })
    }

    pub fn format(self, tensor: &Tensor) -> Format {
        let wanted = match tensor.kind {
            Kind::Norm | Kind::Bias => return Format::F32,
            // llama.cpp does the same to tied tables.
            Kind::Vocabulary if self.base.block_len() > 1 && self.base != Format::Q8_0 => {
                Format::Q6K
            }
            Kind::Delicate { layer, layers } if self.medium && more_bits(layer, layers) => {
                Format::Q6K
            }
            _ => self.base,
        };
        if tensor.row().is_multiple_of(wanted.block_len()) { wanted } else { narrow(wanted) }
    }
}

/// Layers whose delicate tensors get more bits: the first and the last eighth, and every third.
fn more_bits(layer: usize, layers: usize) -> bool {
    let eighth = layers / 8;
    layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2
}

/// The format with blocks of 32 that llama.cpp takes where rows are not multiples of 256.
fn narrow(format: Format) -> Format {
    match format {
        Format::Q2K | Format::Q3K | Format::Iq4Xs => Format::Iq4Nl,
        Format::Q4K => Format::Q5_0,
        Format::Q5K => Format::Q5_1,
        Format::Q6K => Format::Q8_0,
        other => other,
    }
}

impl std::str::FromStr for Mixture {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_lowercase();
        let (base, medium) =
            name.strip_suffix("_m").map_or((name.as_str(), false), |base| (base, true));
        let base: Format =
            base.parse().map_err(|error| format!("{error}; q4_k_m and q5_k_m are mixtures"))?;
        if medium && !matches!(base, Format::Q4K | Format::Q5K) {
            return Err(format!("there is no mixture {text:?}; q4_k_m and q5_k_m are"));
        }
        Ok(Self { base, medium })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(mixture: &str, kind: Kind, row: usize) -> Format {
        let tensor = Tensor { name: "t".into(), shape: vec![4, row], kind };
        mixture.parse::<Mixture>().unwrap().format(&tensor)
    }

    #[test]
    fn mixtures_are_those_of_llama_cpp() {
        assert_eq!(format("q4_0", Kind::Matrix, 896), Format::Q4_0);
        assert_eq!(format("Q4_0", Kind::Vocabulary, 896), Format::Q8_0);
        assert_eq!(format("q4_0", Kind::Vocabulary, 2048), Format::Q6K);
        assert_eq!(format("f16", Kind::Vocabulary, 2048), Format::F16);
        assert_eq!(format("q4_k_m", Kind::Matrix, 576), Format::Q5_0);
        assert_eq!(format("q4_k_m", Kind::Delicate { layer: 0, layers: 16 }, 2048), Format::Q6K);
        assert_eq!(format("q4_k_m", Kind::Delicate { layer: 2, layers: 16 }, 2048), Format::Q4K);
        assert_eq!(format("q8_0", Kind::Norm, 2048), Format::F32);
        assert!("q8_0_m".parse::<Mixture>().is_err());
    }
}
