use edgeformer_models::ModelFile;
use edgeformer_models::text::{AddSpecial, Tokenizer};

use crate::data::{Entry, Pool, Segment, Template};
use crate::{Error, Example, Result, Sample, Target};

/// How records become tokens.
#[derive(Clone, Copy)]
pub struct Encoding<'a> {
    /// The model's tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// What makes prompts of messages.
    pub template: Option<&'a dyn Template>,
    /// Tokens of a record at most.
    pub context: usize,
    /// Whether longer ones are cut.
    pub truncate: bool,
}

/// What became of a file of records.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    /// What is learned, in the file's order.
    pub examples: Vec<Example>,
    /// Records that were cut.
    pub truncated: usize,
    /// Records of which nothing is left to learn.
    pub empty: usize,
}

impl std::fmt::Debug for Encoding<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoding")
            .field("has_template", &self.template.is_some())
            .field("context", &self.context)
            .field("truncate", &self.truncate)
            .finish_non_exhaustive()
    }
}

impl<'a> Encoding<'a> {
    /// How a model's records become tokens.
    ///
    /// # Errors
    /// If it has no tokenizer.
    pub fn of(file: &'a ModelFile, context: usize, truncate: bool) -> Result<Self> {
        let tokenizer = file.tokenizer.as_ref().ok_or_else(|| {
            Error::Request("the model has no tokenizer to read records with".into())
        })?;
        let template = file.chat_template.as_ref().map(|template| template as &dyn Template);
        Ok(Self { tokenizer, template, context, truncate })
    }
}

/// The records of a file as examples of what follows each token.
///
/// # Errors
/// If a record is longer than the context and is not to be cut, with its line; if a conversation
/// has no template.
pub fn encode(pool: &Pool, encoding: &Encoding<'_>) -> Result<Encoded> {
    let mut encoded = Encoded::default();
    for entry in &pool.entries {
        let (mut tokens, mut learned) =
            one(entry, encoding).map_err(|error| line(pool, entry, error))?;
        if tokens.len() > encoding.context {
            if !encoding.truncate {
                let problem = format!(
                    "has {} tokens, the context {}: shorten it, or let it be cut (--truncate)",
                    tokens.len(),
                    encoding.context
                );
                return Err(line(pool, entry, problem));
            }
            tokens.truncate(encoding.context);
            learned.truncate(encoding.context);
            encoded.truncated += 1;
        }
        match example(tokens, &learned) {
            Some(example) => encoded.examples.push(example),
            None => encoded.empty += 1,
        }
    }
    Ok(encoded)
}

/// The records of a file as one stream, cut into windows of `context` tokens: every token but the
/// first of a window is learned. What is left at the end is a shorter window. A window begins
/// `stride` tokens behind the one before it.
///
/// # Errors
/// As [`encode`], but that no record is too long.
pub fn windows(pool: &Pool, encoding: &Encoding<'_>, stride: usize) -> Result<Encoded> {
    let mut stream = Vec::new();
    for entry in &pool.entries {
        let (tokens, _) = one(entry, encoding).map_err(|error| line(pool, entry, error))?;
        stream.extend(tokens);
    }
    let from = |start: usize| &stream[start..(start + encoding.context).min(stream.len())];
    // The last window ends the stream: what would begin behind it is a part of it.
    let last = stream.len().saturating_sub(encoding.context).div_ceil(stride.max(1));
    let windows = (0..=last).map(|index| from(index * stride.max(1)));
    let examples =
        windows.filter_map(|window| example(window.to_vec(), &vec![true; window.len()])).collect();
    Ok(Encoded { examples, ..Encoded::default() })
}

fn line(pool: &Pool, entry: &Entry, problem: impl std::fmt::Display) -> Error {
    Error::Line { path: pool.path.clone(), line: entry.line, problem: problem.to_string() }
}

/// Every row foretells the token behind it, if that is learned.
fn example(tokens: Vec<u32>, learned: &[bool]) -> Option<Example> {
    let following = tokens.iter().zip(learned).skip(1);
    let mut targets: Vec<Option<u32>> =
        following.map(|(&token, &learned)| learned.then_some(token)).collect();
    if targets.iter().all(Option::is_none) {
        return None;
    }
    targets.push(None);
    Some(Example { input: Sample::Tokens(tokens), target: Target::Tokens(targets) })
}

/// The tokens of a record, and which of them are learned. The end of a text is learned too.
fn one(entry: &Entry, encoding: &Encoding<'_>) -> Result<(Vec<u32>, Vec<bool>)> {
    let segments = entry.record.segments(encoding.template)?;
    let (mut tokens, mut learned) = (Vec::new(), Vec::new());
    let mut add = |more: Vec<u32>, learn: bool| {
        learned.extend(std::iter::repeat_n(learn, more.len()));
        tokens.extend(more);
    };
    let tokenizer = encoding.tokenizer;
    let marks = tokenizer.encode("", AddSpecial::AsModel, false)?;
    let beginning = tokenizer.bos().filter(|bos| marks.first() == Some(bos));
    add(beginning.into_iter().collect(), false);
    // Marks are read where there is a template that writes them.
    let parse = encoding.template.is_some();
    let mut ends_learned = false;
    for Segment { text, learn } in &segments {
        let mut piece = tokenizer.encode(text, AddSpecial::Never, parse)?;
        if piece.first().is_some_and(|first| beginning == Some(*first)) {
            // The template has written it.
            piece.remove(0);
        }
        add(piece, *learn);
        ends_learned = *learn;
    }
    let end = tokenizer.eos().filter(|_| ends_learned);
    let ends = tokenizer.end_tokens();
    if tokens.last().is_some_and(|last| ends.contains(last)) {
        return Ok((tokens, learned));
    }
    tokens.extend(end);
    learned.extend(end.map(|_| true));
    Ok((tokens, learned))
}
