//! Rotary position embedding: where its frequencies come from.

use serde::{Deserialize, Serialize};

/// Rotary position embedding (RoFormer, arXiv 2104.09864) of the first `dims` columns of every
/// head by the row's position; the others pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rope {
    /// Heads in a row.
    pub heads: usize,
    /// Columns of a head that are rotated; even.
    pub dims: usize,
    /// Which columns form a pair.
    pub layout: RopeLayout,
    /// Base of the geometric series of frequencies (`rope_theta`).
    pub base: f32,
    /// How the frequencies are changed for longer contexts.
    pub scaling: RopeScaling,
}

/// Which columns of a head are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RopeLayout {
    /// Column `i` with column `i + dims / 2`: Hugging Face's `rotate_half`, GGUF's NEOX.
    Halves,
    /// Column `2i` with column `2i + 1`: the paper's, GGUF's NORM.
    Interleaved,
}

/// How frequencies are changed for contexts longer than the model was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All divided by `factor`.
    Linear {
        /// The divisor.
        factor: f32,
    },
    /// Llama 3.1: long waves divided by `factor`, short ones kept, a ramp between.
    Llama3 {
        /// The divisor.
        factor: f32,
        /// Waves longer than `original_context / low_freq_factor` are divided.
        low_freq_factor: f32,
        /// Waves shorter than `original_context / high_freq_factor` are kept.
        high_freq_factor: f32,
        /// The context the model was first trained on.
        original_context: usize,
    },
    /// YaRN (arXiv 2309.00071): interpolated by `factor` below `beta_slow` rotations over the
    /// original context, kept above `beta_fast`, a ramp between.
    Yarn {
        /// The divisor.
        factor: f32,
        /// The context the model was first trained on.
        original_context: usize,
        /// Rotations from which a frequency is kept.
        beta_fast: f32,
        /// Rotations up to which it is divided.
        beta_slow: f32,
        /// Whether the ramp's ends are rounded to whole dimensions (`truncate`).
        truncate: bool,
        /// What sines and cosines are multiplied with.
        attention_factor: f32,
    },
    /// LongRoPE (arXiv 2402.13753): a divisor for each pair of columns, one set for contexts up
    /// to the original, another beyond.
    LongRope {
        /// Divisors within the original context, `dims / 2`.
        short: Vec<f32>,
        /// Divisors beyond it, `dims / 2`.
        long: Vec<f32>,
        /// The context the model was first trained on.
        original_context: usize,
        /// What sines and cosines are multiplied with.
        attention_factor: f32,
    },
    /// A divisor for each pair of columns, `dims / 2` (GGUF's `rope_freqs.weight`).
    Factors {
        /// The divisors.
        factors: Vec<f32>,
    },
}

impl Rope {
    /// Radians that a position turns each pair of columns by, `dims / 2` of them.
    ///
    /// `context` is the length the session was opened for; LongRoPE chooses its set by it.
    pub fn frequencies(&self, context: usize) -> Vec<f32> {
        let pairs = self.dims / 2;
        let plain =
            (0..pairs).map(|pair| 1.0 / self.base.powf(2.0 * pair as f32 / self.dims as f32));
        match &self.scaling {
            RopeScaling::None => plain.collect(),
            RopeScaling::Linear { factor } => plain.map(|frequency| frequency / factor).collect(),
            &RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_context,
            } => plain
                .map(|frequency| {
                    let wavelength = std::f32::consts::TAU / frequency;
                    let waves = original_context as f32 / wavelength;
                    let kept = (waves - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    mix(frequency / factor, frequency, kept.clamp(0.0, 1.0))
                })
                .collect(),
            &RopeScaling::Yarn {
                factor, original_context, beta_fast, beta_slow, truncate, ..
            } => {
                let mut low = self.dimension_of(beta_fast, original_context);
                let mut high = self.dimension_of(beta_slow, original_context);
                if truncate {
                    (low, high) = (low.floor(), high.ceil());
                }
                low = low.max(0.0);
                high = high.min(self.dims as f32 - 1.0);
                // Keeps the ramp from a division by zero, as the reference does.
                let width = if high == low { 0.001 } else { high - low };
                plain
                    .enumerate()
                    .map(|(pair, frequency)| {
                        let divided = ((pair as f32 - low) / width).clamp(0.0, 1.0);
                        mix(frequency, frequency / factor, divided)
                    })
                    .collect()
            }
            RopeScaling::LongRope { short, long, original_context, .. } => {
                let factors = if context > *original_context { long } else { short };
                plain.zip(factors).map(|(frequency, factor)| frequency / factor).collect()
            }
            RopeScaling::Factors { factors } => {
                plain.zip(factors).map(|(frequency, factor)| frequency / factor).collect()
            }
        }
    }

    /// What sines and cosines are multiplied with.
    pub fn attention_factor(&self) -> f32 {
        match self.scaling {
            RopeScaling::Yarn { attention_factor, .. }
            | RopeScaling::LongRope { attention_factor, .. } => attention_factor,
            _ => 1.0,
        }
    }

    /// The pair of columns that turns `rotations` times over `context` (YaRN, equation 17).
    fn dimension_of(&self, rotations: f32, context: usize) -> f32 {
        let turns = context as f32 / (rotations * std::f32::consts::TAU);
        self.dims as f32 * turns.ln() / (2.0 * self.base.ln())
    }
}

/// YaRN's temperature for scores, as a factor of sines and cosines: `0.1 * mscale * ln(factor) + 1`.
pub fn yarn_mscale(factor: f32, mscale: f32) -> f32 {
    if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 }
}

fn mix(from: f32, to: f32, share: f32) -> f32 {
    from * (1.0 - share) + to * share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(scaling: RopeScaling) -> Rope {
        Rope { heads: 1, dims: 8, layout: RopeLayout::Halves, base: 10_000.0, scaling }
    }

    #[test]
    fn the_first_pair_turns_one_radian_a_position() {
        let frequencies = rope(RopeScaling::None).frequencies(16);
        assert_eq!(frequencies.len(), 4);
        assert_eq!(frequencies[0], 1.0);
        assert!((frequencies[2] - 0.01).abs() < 1e-7);
    }

    #[test]
    fn llama3_keeps_short_waves_and_divides_long_ones() {
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 64,
        };
        let (plain, scaled) =
            (rope(RopeScaling::None).frequencies(1), rope(scaling).frequencies(1));
        assert_eq!(scaled[0], plain[0]);
        assert!((scaled[3] - plain[3] / 8.0).abs() < 1e-9);
    }

    #[test]
    fn longrope_chooses_by_context() {
        let scaling = RopeScaling::LongRope {
            short: vec![1.0; 4],
            long: vec![2.0; 4],
            original_context: 16,
            attention_factor: 1.5,
        };
        let rope = rope(scaling);
        assert_eq!(rope.frequencies(16)[0], 1.0);
        assert_eq!(rope.frequencies(17)[0], 0.5);
        assert_eq!(rope.attention_factor(), 1.5);
    }
}
