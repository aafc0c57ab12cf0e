use edgeformer_core::{CacheFormat, Want};
use edgeformer_models::text::AddSpecial;
use edgeformer_models::{ModelFile, OpenOptions};
use edgeformer_train::curate::Judge;
use edgeformer_train::data::Template;

use super::judge_error;
use crate::evaluate::{Activations, LogSoftmax, Reader, Subject};
use crate::{
    Engine, EngineOptions, Error, GenerateOptions, ModelSource, Plan, Prompt, Result,
    SamplingOptions, Speculation,
};

/// Rows of logits that are held at a time.
const LOGITS: usize = 64;

/// Answers that are written at the same time.
const ABREAST: usize = 8;

/// How a model answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Answering {
    /// How tokens are chosen; the seed is that of each answer.
    pub sampling: SamplingOptions,
    /// Tokens of an answer at most.
    pub max_tokens: usize,
    /// Texts at which an answer ends.
    pub stop: Vec<String>,
}

impl Default for Answering {
    fn default() -> Self {
        Self {
            sampling: SamplingOptions::default(),
            max_tokens: 512,
            // Where models without a template go on to ask themselves.
            stop: vec!["\nQuestion:".into()],
        }
    }
}

/// A model that continues text, as a judge of records. It is loaded when it is first asked, once
/// for losses and once for answers, never both at a time.
pub struct ModelJudge {
    source: ModelSource,
    options: EngineOptions,
    answering: Answering,
    file: ModelFile,
    context: usize,
    /// The token that begins texts, where the model was trained with one.
    beginning: Option<u32>,
    loaded: Loaded,
}

enum Loaded {
    Nothing,
    Reader(Box<Reader>),
    Engine(Box<Engine>),
}

impl ModelJudge {
    /// Looks at a model's files.
    ///
    /// # Errors
    /// If they are damaged, the model does not continue text or has no tokenizer, or no backend
    /// runs it.
    pub fn open(
        source: &ModelSource,
        options: &EngineOptions,
        answering: Answering,
    ) -> Result<Self> {
        let file = source.open_file(&OpenOptions { tokenizer: true })?;
        let graph = &file.model.graph;
        if !graph.is_decoder() || !graph.is_causal() {
            let family = &graph.name;
            return Err(Error::Request(format!(
                "{source}: a {family} model continues no text and cannot judge records: name one that does with --model"
            )));
        }
        let options = judging(options);
        let tokenizer = file.tokenizer.as_ref().ok_or_else(|| {
            Error::Request(format!("{source}: the model has no tokenizer to read records with"))
        })?;
        let marks = tokenizer.encode("", AddSpecial::AsModel, false)?;
        let beginning = tokenizer.bos().filter(|bos| marks.first() == Some(bos));
        let context = Plan::of(source, &options)?.session.context;
        let loaded = Loaded::Nothing;
        Ok(Self { source: source.clone(), options, answering, file, context, beginning, loaded })
    }

    /// The tokens of a text, the one that begins texts in front. Marks are read where there is a
    /// template that writes them.
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let tokenizer =
            self.file.tokenizer.as_ref().expect("it was there when the file was opened");
        let marks = self.file.chat_template.is_some();
        let body = tokenizer.encode(text, AddSpecial::Never, marks)?;
        let vocabulary = self.file.model.graph.vocabulary();
        if let Some(&token) = body.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(edgeformer_core::Error::Token { token, vocabulary }.into());
        }
        let beginning = self.beginning.filter(|bos| body.first() != Some(bos));
        Ok(beginning.into_iter().chain(body).collect())
    }

    fn reader(&mut self) -> Result<&mut Reader> {
        if !matches!(self.loaded, Loaded::Reader(_)) {
            self.loaded = Loaded::Nothing;
            let subject = Subject::open(&self.source, &self.options, Activations::AsUsual)?;
            let reader = Reader::open(&subject.program, &subject.session)?;
            self.loaded = Loaded::Reader(Box::new(reader));
        }
        match &mut self.loaded {
            Loaded::Reader(reader) => Ok(reader),
            Loaded::Nothing | Loaded::Engine(_) => Err(Error::Stopped),
        }
    }

    fn engine(&mut self) -> Result<&Engine> {
        if !matches!(self.loaded, Loaded::Engine(_)) {
            self.loaded = Loaded::Nothing;
            let options =
                EngineOptions { sequences: ABREAST, output_rows: None, ..self.options.clone() };
            self.loaded = Loaded::Engine(Box::new(Engine::open(&self.source, &options)?));
        }
        match &self.loaded {
            Loaded::Engine(engine) => Ok(engine),
            Loaded::Nothing | Loaded::Reader(_) => Err(Error::Stopped),
        }
    }

    fn mean_loss(&mut self, prompt: &str, answer: &str) -> Result<Option<f64>> {
        let whole = self.encode(&format!("{prompt}{answer}"))?;
        let given = self.encode(prompt)?;
        // Where a token spans the end of the prompt, it is the answer's.
        let shared = whole.iter().zip(&given).take_while(|(a, b)| a == b).count();
        let Some(last) = whole.len().checked_sub(1).filter(|&last| last > 0) else {
            return Ok(None);
        };
        let first = shared.clamp(1, last);
        let nll = score(self.reader()?, &whole, first)?;
        Ok(Some(nll / (whole.len() - first) as f64))
    }

    fn answers(&mut self, prompt: &str, count: usize, seed: u64) -> Result<Vec<String>> {
        let tokens = self.encode(prompt)?;
        let answering = self.answering.clone();
        let engine = self.engine()?;
        let start = |index: u64| {
            let seed = seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let options = GenerateOptions {
                sampling: SamplingOptions { seed, ..answering.sampling.clone() },
                max_tokens: Some(answering.max_tokens),
                stop: answering.stop.clone(),
                ..GenerateOptions::default()
            };
            engine.generate(Prompt::Tokens(&tokens), &options)
        };
        // All are under way before the first is waited for.
        let streams: Vec<_> = (0..count as u64).map(start).collect::<Result<_>>()?;
        streams.into_iter().map(|mut stream| stream.text()).collect()
    }
}

impl Judge for ModelJudge {
    fn template(&self) -> Option<&dyn Template> {
        self.file.chat_template.as_ref().map(|template| template as &dyn Template)
    }

    fn context(&self) -> usize {
        self.context
    }

    fn tokens(&mut self, text: &str) -> edgeformer_train::Result<usize> {
        Ok(self.encode(text).map_err(judge_error("counting tokens"))?.len())
    }

    fn loss(&mut self, prompt: &str, answer: &str) -> edgeformer_train::Result<Option<f64>> {
        self.mean_loss(prompt, answer).map_err(judge_error("measuring a loss"))
    }

    fn sample(
        &mut self,
        prompt: &str,
        count: usize,
        seed: u64,
    ) -> edgeformer_train::Result<Vec<String>> {
        self.answers(prompt, count, seed).map_err(judge_error("sampling answers"))
    }

    fn rest(&mut self) {
        self.loaded = Loaded::Nothing;
    }
}

/// How a model is run to be asked: keys and values in f32, so that the model is measured and not
/// its cache; nothing guessed.
pub(super) fn judging(options: &EngineOptions) -> EngineOptions {
    EngineOptions {
        output_rows: Some(LOGITS),
        sequences: 1,
        cache_type_k: options.cache_type_k.or(Some(CacheFormat::F32)),
        cache_type_v: options.cache_type_v.or(Some(CacheFormat::F32)),
        speculation: Speculation::default(),
        ..options.clone()
    }
}

/// Sum of the negative log-likelihoods of the tokens from `first` on, which is not 0.
fn score(reader: &mut Reader, tokens: &[u32], first: usize) -> Result<f64> {
    reader.begin(&tokens[..first - 1])?;
    let (read, next) = (&tokens[first - 1..tokens.len() - 1], &tokens[first..]);
    let (rows, mut sum) = (reader.rows(), 0.0);
    for (read, next) in read.chunks(rows).zip(next.chunks(rows)) {
        reader.read(read, Want::All)?;
        for (logits, &next) in reader.logits().iter().zip(next) {
            sum -= LogSoftmax::of(logits)?.of_token(next)?;
        }
    }
    Ok(sum)
}

#[cfg(test)]
#[cfg(all(feature = "embedded-model", feature = "cpu"))]
mod tests {
    use super::*;

    fn judge() -> ModelJudge {
        let answering = Answering { max_tokens: 12, ..Answering::default() };
        ModelJudge::open(&ModelSource::Embedded, &EngineOptions::default(), answering).unwrap()
    }

    #[test]
    fn losses_are_those_of_all_logits() {
        let mut judge = judge();
        let (prompt, answer) = ("ROMEO: my lord, ".repeat(9), "the king is dead");
        let found = judge.loss(&prompt, answer).unwrap().unwrap();
        let tokens = judge.encode(&format!("{prompt}{answer}")).unwrap();
        let given = judge.encode(&prompt).unwrap();
        let first = tokens.iter().zip(&given).take_while(|(a, b)| a == b).count();
        let options = judging(&EngineOptions::default());
        let all =
            Engine::open(&ModelSource::Embedded, &options).unwrap().evaluate(&tokens).unwrap();
        let nll = |at: usize| {
            -LogSoftmax::of(all.rows().row(at - 1)).unwrap().of_token(tokens[at]).unwrap()
        };
        let sum: f64 = (first..tokens.len()).map(nll).sum();
        let expected = sum / (tokens.len() - first) as f64;
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }

    #[test]
    fn what_fits_is_less_surprising() {
        let mut judge = judge();
        let likely = judge.loss("", "and the king is dead, my lord").unwrap().unwrap();
        let unlikely = judge.loss("", "zxqv kkk wwwq jjjz").unwrap().unwrap();
        assert!(likely < unlikely, "{likely} {unlikely}");
    }

    #[test]
    fn the_same_seed_gives_the_same_answers() {
        let mut judge = judge();
        let first = judge.sample("To be", 3, 5).unwrap();
        assert_eq!(first.len(), 3);
        assert!(first[0] != first[1] || first[1] != first[2], "{first:?}");
        assert!(judge.loss("To be", " or not").unwrap().is_some());
        assert_eq!(first, judge.sample("To be", 3, 5).unwrap());
        assert_ne!(first, judge.sample("To be", 3, 6).unwrap());
    }
}
