//! Pseudo-random numbers that are the same everywhere.

use edgeformer_core::random;

/// SplitMix64, in the distributions that rotations need.
pub(super) struct Random(random::Random);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(random::Random::seeded(seed))
    }

    pub fn draw(&mut self) -> u64 {
        self.0.draw()
    }

    /// Above 0, at most 1.
    pub fn uniform(&mut self) -> f64 {
        ((self.draw() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// 1 or -1.
    pub fn sign(&mut self) -> f32 {
        if self.draw() >> 63 == 0 { 1.0 } else { -1.0 }
    }

    /// Normally distributed (Box and Muller 1958).
    pub fn gaussian(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
