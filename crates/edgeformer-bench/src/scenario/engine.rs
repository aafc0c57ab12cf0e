use std::time::Instant;

use serde::{Deserialize, Serialize};

use edgeformer::{Engine, EngineOptions, GenerateOptions, ModelSource, TextStream};

use super::{Answer, Query, Scenario, SystemUnderTest};
use crate::{Error, ModelChoice, Result};

/// What a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleShape {
    /// Tokens of its prompt.
    pub prompt: usize,
    /// Tokens of its answer.
    pub answer: usize,
}

/// The engine, as people use it: sequences are scheduled, sampled and streamed.
pub struct EngineUnderTest {
    engine: Engine,
    shape: SampleShape,
    vocabulary: usize,
}

impl EngineUnderTest {
    /// Opens a model for queries of a scenario; offline as many samples run side by side as in a
    /// multi-stream query, the others wait.
    ///
    /// # Errors
    /// If the model cannot be opened or does not continue text, or a sample has no tokens.
    pub fn open(model: &ModelChoice, scenario: Scenario, shape: SampleShape) -> Result<Self> {
        if shape.prompt == 0 || shape.answer == 0 {
            return Err(Error::Request("prompts and answers start at 1 token".into()));
        }
        let side_by_side = scenario.samples_per_query();
        let options = EngineOptions {
            threads: model.threads,
            context: Some(shape.prompt + shape.answer),
            sequences: side_by_side.or(Scenario::MultiStream.samples_per_query()).unwrap_or(1),
            tokenizer: false,
            ..EngineOptions::default()
        };
        let engine = Engine::open(&ModelSource::Path(model.path.clone()), &options)?;
        let vocabulary = engine.graph().vocabulary();
        if !engine.graph().is_decoder() || vocabulary == 0 {
            let path = model.path.display();
            return Err(Error::Request(format!(
                "{path}: only models that continue text are measured"
            )));
        }
        Ok(Self { engine, shape, vocabulary })
    }

    fn start(&self, sample: usize) -> Result<TextStream> {
        let mut options = GenerateOptions {
            max_tokens: Some(self.shape.answer),
            ignore_eos: true,
            ..GenerateOptions::default()
        };
        options.sampling.temperature = 0.0;
        let prompt = prompt(sample, self.shape.prompt, self.vocabulary);
        Ok(self.engine.generate(prompt.as_slice(), &options)?)
    }
}

impl SystemUnderTest for EngineUnderTest {
    fn answer(&mut self, query: Query) -> Result<Answer> {
        let start = Instant::now();
        let samples = query.first..query.first + query.samples;
        let streams: Vec<TextStream> =
            samples.map(|sample| self.start(sample)).collect::<Result<_>>()?;
        let (mut tokens, mut first_token) = (0, f64::INFINITY);
        for mut stream in streams {
            // Nobody reads the text: there is no tokenizer.
            let _no_text = stream.text()?;
            let finish = stream
                .finish()
                .ok_or_else(|| Error::Process("an answer ended without saying how".into()))?;
            tokens += finish.tokens.len();
            first_token = first_token.min(finish.stats.time_to_first_token);
        }
        Ok(Answer { seconds: start.elapsed().as_secs_f64(), first_token, tokens })
    }
}

/// A prompt like no other, so that no beginning is remembered: random tokens, of the sample's
/// number (SplitMix64, Steele, Lea, Flood 2014).
fn prompt(sample: usize, length: usize, vocabulary: usize) -> Vec<u32> {
    let mut state = sample as u64;
    let mut draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    // Samples with neighbouring numbers would share all but one draw: each starts elsewhere.
    let mut start = draw();
    (0..length)
        .map(|_| {
            start = start.wrapping_add(draw());
            (start % vocabulary as u64) as u32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_differ_from_their_first_tokens_on() {
        let prompts: Vec<_> = (0..200).map(|sample| prompt(sample, 8, 512)).collect();
        let mut beginnings: Vec<_> = prompts.iter().map(|prompt| &prompt[..4]).collect();
        beginnings.sort_unstable();
        beginnings.dedup();
        assert_eq!(beginnings.len(), 200);
        assert!(prompts.iter().flatten().all(|&token| token < 512));
        assert_eq!(prompt(7, 8, 512), prompts[7]);
    }
}
