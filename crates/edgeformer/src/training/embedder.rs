use std::sync::{Arc, Mutex, PoisonError};

use edgeformer_core::{InputObserver, ObservedInput, Want};
use edgeformer_models::OpenOptions;
use edgeformer_train::curate::Embedder;

use super::judge::judging;
use super::judge_error;
use crate::evaluate::{Activations, Reader, Subject};
use crate::{Engine, EngineOptions, Error, ModelSource, Pooling, Result};

/// A model that says what texts are about. It is loaded when it is first asked.
pub struct ModelEmbedder {
    source: ModelSource,
    options: EngineOptions,
    pooling: Option<Pooling>,
    loaded: Option<Loaded>,
}

enum Loaded {
    /// A text encoder, as `edgeformer embed` asks it.
    Encoder(Box<Engine>),
    /// A model that continues text: the mean of the states that its output matrix reads.
    Decoder(Box<Decoder>),
}

struct Decoder {
    subject: Subject,
    reader: Reader,
    states: Arc<Mutex<States>>,
}

/// The rows that a product read last: in the end those of the output matrix.
#[derive(Default)]
struct States {
    rows: Vec<f32>,
    width: usize,
}

impl ModelEmbedder {
    /// Looks at the files of a text encoder, or of a model that continues text.
    ///
    /// # Errors
    /// If they are damaged, or the model reads no text.
    pub fn open(
        source: &ModelSource,
        options: &EngineOptions,
        pooling: Option<Pooling>,
    ) -> Result<Self> {
        let file = source.open_file(&OpenOptions { tokenizer: true })?;
        let family = &file.model.graph.name;
        let problem = match file.tokenizer {
            _ if file.model.graph.vocabulary() == 0 => format!("a {family} model reads no text"),
            _ if file.hyper.classes().is_some() => {
                format!("a {family} model with classes gives no vector of a text")
            }
            None => "the model has no tokenizer to read records with".into(),
            Some(_) => {
                let (source, options) = (source.clone(), options.clone());
                return Ok(Self { source, options, pooling, loaded: None });
            }
        };
        Err(Error::Request(format!("{source}: {problem}: name another one with --embedding-model")))
    }

    fn vector(&mut self, text: &str) -> Result<Vec<f32>> {
        let loaded = match self.loaded.take() {
            Some(loaded) => loaded,
            None => Loaded::open(&self.source, &self.options)?,
        };
        match self.loaded.insert(loaded) {
            Loaded::Encoder(engine) => engine.embed(fitting(engine, text)?, self.pooling),
            Loaded::Decoder(decoder) => decoder.vector(text),
        }
    }
}

impl Loaded {
    fn open(source: &ModelSource, options: &EngineOptions) -> Result<Self> {
        let file = source.open_file(&OpenOptions { tokenizer: false })?;
        match file.model.graph.is_decoder() {
            true => Ok(Self::Decoder(Box::new(Decoder::open(source, options)?))),
            false => Ok(Self::Encoder(Box::new(Engine::open(source, options)?))),
        }
    }
}

/// As much of a text, from its beginning, as an encoder reads: shortened by its share, and again
/// where tokens are uneven.
fn fitting<'a>(engine: &Engine, mut text: &'a str) -> Result<&'a str> {
    let context = engine.context();
    loop {
        let tokens = engine.tokenize(text)?.len();
        if tokens <= context || text.is_empty() {
            return Ok(text);
        }
        let share = (text.len() as u128 * context as u128 / tokens as u128) as usize;
        text = beginning(text, share.min(text.len() - 1));
    }
}

/// At most so many bytes of a text, whole characters.
fn beginning(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    &text[..end]
}

impl Decoder {
    fn open(source: &ModelSource, options: &EngineOptions) -> Result<Self> {
        let subject = Subject::open(source, &judging(options), Activations::AsUsual)?;
        let mut reader = Reader::open(&subject.program, &subject.session)?;
        let states = Arc::new(Mutex::new(States::default()));
        reader.observe(observer(&states)).map_err(|error| {
            Error::Request(format!(
                "{error}; name an encoder with --embedding-model, or --backend cpu"
            ))
        })?;
        Ok(Self { subject, reader, states })
    }

    fn vector(&mut self, text: &str) -> Result<Vec<f32>> {
        let mut tokens = self.subject.tokenize(text)?;
        tokens.truncate(self.subject.session.context);
        let mut sums: Vec<f64> = Vec::new();
        self.reader.begin(&[])?;
        for read in tokens.chunks(self.reader.rows()) {
            self.reader.read(read, Want::All)?;
            let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
            sums.resize(states.width, 0.0);
            for row in states.rows.chunks_exact(states.width.max(1)) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
            }
        }
        let count = tokens.len().max(1) as f64;
        Ok(sums.into_iter().map(|sum| (sum / count) as f32).collect())
    }
}

fn observer(states: &Arc<Mutex<States>>) -> InputObserver {
    let states = states.clone();
    Box::new(move |input: ObservedInput<'_>| {
        let mut states = states.lock().unwrap_or_else(PoisonError::into_inner);
        states.rows.clear();
        states.rows.extend_from_slice(input.rows.data());
        states.width = input.rows.width();
    })
}

impl Embedder for ModelEmbedder {
    fn embed(&mut self, text: &str) -> edgeformer_train::Result<Vec<f32>> {
        self.vector(text).map_err(judge_error("embedding a text"))
    }

    fn leans(&self) -> bool {
        matches!(self.loaded, Some(Loaded::Decoder(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_are_whole_characters() {
        assert_eq!(beginning("aäb", 2), "a");
        assert_eq!(beginning("aäb", 3), "aä");
        assert_eq!(beginning("ä", 1), "");
    }

    #[cfg(all(feature = "embedded-model", feature = "cpu"))]
    #[test]
    fn decoders_give_the_mean_of_what_their_output_matrix_reads() {
        let options = EngineOptions::default();
        let mut embedder = ModelEmbedder::open(&ModelSource::Embedded, &options, None).unwrap();
        let one = embedder.embed("the king is dead").unwrap();
        let width = one.len();
        assert!(width > 16 && one.iter().any(|value| *value != 0.0));
        assert_eq!(one, embedder.embed("the king is dead").unwrap());
        // Longer than a step of rows, and than the context.
        assert_eq!(embedder.embed(&"my lord ".repeat(2000)).unwrap().len(), width);
        let cosine = |a: &[f32], b: &[f32]| {
            let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        let near = embedder.embed("the king is gone").unwrap();
        let far = embedder.embed("12 + 7 = 19; 4 * 5").unwrap();
        assert!(cosine(&one, &near) > cosine(&one, &far));
    }
}
