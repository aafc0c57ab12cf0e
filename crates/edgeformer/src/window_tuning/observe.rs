use edgeformer_core::AttentionMass;

use crate::{Engine, Error, GenerateOptions, Result};

/// Where the attention of a text went.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Observation {
    /// By slot, head and distance.
    pub mass: AttentionMass,
    /// Tokens of the longest piece: no query could look back further.
    pub longest: usize,
    /// Tokens of all pieces.
    pub tokens: usize,
}

/// The pieces in which a text is looked at: each as long as the context, each with the token that
/// the model starts with.
///
/// # Errors
/// If the model has no tokenizer.
pub fn pieces(engine: &Engine, text: &str) -> Result<Vec<Vec<u32>>> {
    let tokens = engine.tokenize(text)?;
    let start = engine.tokenize("")?.first().copied();
    let start = start.filter(|start| tokens.first() == Some(start));
    let body = &tokens[usize::from(start.is_some())..];
    let room = engine.context().saturating_sub(usize::from(start.is_some())).max(1);
    Ok(body
        .chunks(room)
        .map(|piece| start.into_iter().chain(piece.iter().copied()).collect())
        .collect())
}

/// Runs the pieces through an engine that observes. `done` is called after each.
///
/// # Errors
/// If there is no piece, the model writes no text, or the engine does not observe
/// ([`EngineOptions::observe_attention`](crate::EngineOptions)).
pub fn observe(
    engine: &Engine,
    pieces: &[Vec<u32>],
    mut done: impl FnMut(),
) -> Result<Observation> {
    // Before the work rather than behind it.
    let before = engine.attention_mass()?;
    if before.is_none() {
        return Err(Error::Request(format!(
            "{} does not record attention: choose another --backend",
            engine.plan().backend
        )));
    }
    let nothing = GenerateOptions { max_tokens: Some(0), ..GenerateOptions::default() };
    for piece in pieces {
        engine.generate(piece.as_slice(), &nothing)?.text()?;
        done();
    }
    let longest = pieces.iter().map(Vec::len).max();
    let longest = longest.ok_or_else(|| Error::Request("the text is empty".into()))?;
    let tokens = pieces.iter().map(Vec::len).sum();
    let mass = engine.attention_mass()?.ok_or(Error::Stopped)?;
    Ok(Observation { mass, longest, tokens })
}
