//! From logits to a token: llama.cpp's samplers, in llama.cpp's order.
//!
//! ```text
//! logit bias -> penalties -> DRY -> top-k -> typical -> top-p -> min-p -> temperature -> draw
//! ```

mod dry;
mod filters;
mod options;
mod penalties;
mod random;

use crate::{Error, Result};
pub use options::{Dry, Penalties, SamplingOptions};
pub(crate) use random::Random;

/// A token that may come next.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    token: u32,
    logit: f32,
}

/// Chooses tokens for one sequence. The same seed and logits give the same tokens.
#[derive(Debug, Clone)]
pub(crate) struct Sampler {
    options: SamplingOptions,
    random: Random,
    dry: Option<dry::Dry>,
    /// What the sequence holds: prompt and answer.
    history: Vec<u32>,
    candidates: Vec<Candidate>,
}

impl Sampler {
    /// A sampler for a sequence that starts with `prompt`. `breakers` are the tokens at which
    /// DRY stops looking for repetitions.
    pub fn new(options: &SamplingOptions, prompt: &[u32], breakers: Vec<u32>) -> Self {
        Self {
            options: options.clone(),
            random: Random::seeded(options.seed),
            dry: (options.dry.multiplier > 0.0).then(|| dry::Dry::new(options.dry, breakers)),
            history: prompt.to_vec(),
            candidates: Vec::new(),
        }
    }

    /// The next token; it becomes part of the history. `banned` are tokens that must not come
    /// (the end of text with `--ignore-eos`).
    ///
    /// # Errors
    /// If a logit is not a number: the model or its weights are damaged.
    pub fn next(&mut self, logits: &[f32], banned: &[u32]) -> Result<u32> {
        self.gather(logits, banned)?;
        let candidates = &mut self.candidates;
        penalties::apply(&self.options.penalties, &self.history, candidates);
        if let Some(dry) = &self.dry {
            dry.apply(&self.history, candidates);
        }
        let token = if self.options.temperature <= 0.0 {
            greedy(candidates)
        } else {
            filters::top_k(candidates, self.options.top_k);
            filters::typical_p(candidates, self.options.typical_p);
            filters::top_p(candidates, self.options.top_p);
            filters::min_p(candidates, self.options.min_p);
            candidates.iter_mut().for_each(|candidate| candidate.logit /= self.options.temperature);
            draw(candidates, &mut self.random)
        };
        self.history.push(token);
        Ok(token)
    }

    fn gather(&mut self, logits: &[f32], banned: &[u32]) -> Result<()> {
        if let Some(token) = logits.iter().position(|logit| logit.is_nan()) {
            let problem = format!(
                "the logit of token {token} is not a number: the weights are damaged or overflow"
            );
            return Err(Error::Generation(problem));
        }
        self.candidates.clear();
        self.candidates.extend((0..).zip(logits).map(|(token, &logit)| Candidate { token, logit }));
        for &(token, bias) in &self.options.logit_bias {
            if let Some(candidate) = self.candidates.get_mut(token as usize) {
                candidate.logit += bias;
            }
        }
        for &token in banned {
            if let Some(candidate) = self.candidates.get_mut(token as usize) {
                candidate.logit = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }
}

/// The likeliest token; of equals the first.
fn greedy(candidates: &[Candidate]) -> u32 {
    let best =
        candidates.iter().reduce(|best, next| if next.logit > best.logit { next } else { best });
    best.map_or(0, |best| best.token)
}

/// A token by its probability.
fn draw(candidates: &[Candidate], random: &mut Random) -> u32 {
    let shares = filters::softmax(candidates);
    let mut left = random.unit();
    for (candidate, share) in candidates.iter().zip(&shares) {
        left -= share;
        if left < 0.0 {
            return candidate.token;
        }
    }
    // Rounding may leave a trace over: the likeliest it is.
    greedy(candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> SamplingOptions {
        SamplingOptions { seed: 7, ..SamplingOptions::default() }
    }

    fn sampler(options: &SamplingOptions) -> Sampler {
        Sampler::new(options, &[], Vec::new())
    }

    #[test]
    fn temperature_zero_is_greedy_and_takes_the_first_of_equals() {
        let options = SamplingOptions { temperature: 0.0, ..options() };
        assert_eq!(sampler(&options).next(&[0.0, 2.0, 2.0, 1.0], &[]).unwrap(), 1);
        assert_eq!(sampler(&options).next(&[0.0, 2.0, 2.0, 1.0], &[1]).unwrap(), 2);
    }

    #[test]
    fn the_same_seed_draws_the_same_tokens() {
        let logits: Vec<f32> = (0..50).map(|token| (token as f32 * 0.7).sin()).collect();
        let draw = |seed| {
            let mut sampler = sampler(&SamplingOptions { seed, ..options() });
            (0..40).map(|_| sampler.next(&logits, &[]).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn draws_follow_the_distribution() {
        let options =
            SamplingOptions { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..options() };
        let mut sampler = sampler(&options);
        // Probabilities 0.8 and 0.2.
        let logits = [0.8f32.ln(), 0.2f32.ln()];
        let first = (0..4000).filter(|_| sampler.next(&logits, &[]).unwrap() == 0).count();
        assert!((3080..3320).contains(&first), "{first} of 4000 where 3200 are expected");
    }

    #[test]
    fn bias_and_bans_change_the_choice() {
        let options = SamplingOptions {
            temperature: 0.0,
            logit_bias: vec![(2, 5.0), (99, 1.0)],
            ..options()
        };
        assert_eq!(sampler(&options).next(&[1.0, 0.0, 0.0], &[]).unwrap(), 2);
        assert_eq!(sampler(&options).next(&[1.0, 0.0, 0.0], &[2]).unwrap(), 0);
    }

    #[test]
    fn a_logit_that_is_no_number_is_an_error() {
        let error = sampler(&options()).next(&[0.0, f32::NAN], &[]).unwrap_err();
        assert!(error.to_string().contains("token 1"), "{error}");
    }

    #[test]
    fn infinite_logits_still_give_a_token() {
        let mut sampler = sampler(&options());
        assert_eq!(sampler.next(&[f32::NEG_INFINITY, 3.0, f32::NEG_INFINITY], &[]).unwrap(), 1);
        assert!(sampler.next(&[f32::INFINITY, 3.0], &[]).unwrap() < 2);
        assert!(sampler.next(&[f32::NEG_INFINITY; 3], &[]).unwrap() < 3);
    }
}
