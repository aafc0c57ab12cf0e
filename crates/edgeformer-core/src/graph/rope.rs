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

    /// Checks every `step`th frequency; the values are those of the formulas in Hugging Face's
    /// `modeling_rope_utils.py`, computed in double precision.
    fn assert_frequencies(rope: &Rope, step: usize, expected: [f32; 8]) {
        let frequencies = rope.frequencies(1);
        assert_eq!(frequencies.len(), 8 * step);
        for (frequency, expected) in frequencies.into_iter().step_by(step).zip(expected) {
            assert!((frequency / expected - 1.0).abs() < 1e-5, "{frequency} {expected}");
        }
    }

    fn yarn(factor: f32, original_context: usize, truncate: bool) -> RopeScaling {
        RopeScaling::Yarn {
            factor,
            original_context,
            beta_fast: 32.0,
            beta_slow: 1.0,
            truncate,
            attention_factor: 1.25,
        }
    }

    #[test]
    fn yarn_ramps_between_whole_dimensions() {
        let rope = Rope { dims: 64, ..rope(yarn(40.0, 4096, true)) };
        let expected =
            [1.0, 3.162_277_7e-1, 1e-1, 2.687_936e-2, 5.5e-3, 7.905_694e-4, 2.5e-5, 7.905_694e-6];
        assert_frequencies(&rope, 4, expected);
        assert_eq!(rope.attention_factor(), 1.25);
    }

    #[test]
    fn yarn_ramps_between_fractions_of_dimensions() {
        let rope = Rope { dims: 64, base: 150_000.0, ..rope(yarn(32.0, 4096, false)) };
        let expected = [
            1.0,
            2.254_18e-1,
            5.081_327_5e-2,
            6.794_959_5e-3,
            4.564_839_2e-4,
            1.818_833_7e-5,
            4.099_978_5e-6,
            9.242_089_5e-7,
        ];
        assert_frequencies(&rope, 4, expected);
    }

    #[test]
    fn yarn_without_a_ramp_divides_all_but_the_first() {
        let rope = Rope { dims: 16, ..rope(yarn(4.0, 6, true)) };
        let expected =
            [1.0, 7.905_694e-2, 2.5e-2, 7.905_694e-3, 2.5e-3, 7.905_694e-4, 2.5e-4, 7.905_694e-5];
        assert_frequencies(&rope, 1, expected);
    }

    #[test]
    fn llama3_ramps_between_the_wavelengths() {
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192,
        };
        let rope = Rope { dims: 64, base: 500_000.0, ..rope(scaling) };
        let expected = [
            1.0,
            1.939_227_5e-1,
            3.760_603e-2,
            7.292_664_7e-3,
            5.248_461_6e-4,
            3.428_102_2e-5,
            6.647_87e-6,
            1.289_173_2e-6,
        ];
        assert_frequencies(&rope, 4, expected);
    }

    #[test]
    fn linear_and_factors_divide() {
        let plain = rope(RopeScaling::None).frequencies(1);
        let linear = rope(RopeScaling::Linear { factor: 4.0 }).frequencies(1);
        let factors = RopeScaling::Factors { factors: vec![1.0, 2.0, 4.0, 8.0] };
        let factors = rope(factors).frequencies(1);
        for pair in 0..4 {
            assert_eq!(linear[pair], plain[pair] / 4.0);
            assert_eq!(factors[pair], plain[pair] / [1.0, 2.0, 4.0, 8.0][pair]);
        }
    }

    #[test]
    fn mscale_grows_with_the_logarithm() {
        assert_eq!(yarn_mscale(1.0, 1.0), 1.0);
        assert_eq!(yarn_mscale(0.5, 1.0), 1.0);
        // DeepSeek-V2: 0.1 * 0.707 * ln 40 + 1.
        assert!((yarn_mscale(40.0, 0.707) - 1.260_804).abs() < 1e-5);
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
