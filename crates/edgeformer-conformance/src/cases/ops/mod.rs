//! One small graph an op, deterministic weights, compared with the reference in one piece, in
//! chunks, token by token and among other sequences.

mod attention;
mod classifiers;
mod encoders;
mod experts;
mod linear;
mod rope;
mod tokens;

use std::sync::Arc;

use edgeformer_core::{Format, Graph, Input, Model, Result};

use crate::bench::{Bench, Stop, exact};
use crate::compare::near;
use crate::feed;
use crate::random::{Random, random_model};
use crate::reference;
use crate::suite::{Case, Group};

/// What f32 arithmetic in any order may cost.
pub(super) const FLOAT: f64 = 1e-4;

/// How a graph is built.
type Build = fn() -> Result<Graph>;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = tokens::cases();
    cases.extend(linear::cases());
    cases.extend(rope::cases());
    cases.extend(attention::cases());
    cases.extend(experts::cases());
    cases.extend(encoders::cases());
    cases.extend(classifiers::cases());
    cases
}

/// A case over a causal text graph with f32 weights.
fn text(name: &str, build: Build) -> Case {
    Case::new(Group::Ops, format!("ops/{name}"), move |bench| {
        let model = random_model(build()?, 1, |_| Format::F32)?;
        check_text(bench, Arc::new(model), FLOAT)
    })
}

/// Runs a causal text model in every way of feeding.
fn check_text(bench: &Bench<'_>, model: Arc<Model>, limit: f64) -> Result<(), Stop> {
    check_text_beside(bench, &model, &model, limit)
}

/// Runs a causal text model in every way of feeding, beside the plain evaluation of one that should
/// say the same.
pub(super) fn check_text_beside(
    bench: &Bench<'_>,
    model: &Arc<Model>,
    plain: &Model,
    limit: f64,
) -> Result<(), Stop> {
    let options = exact();
    let vocabulary = model.graph.vocabulary();
    let mut random = Random::new(7);
    let texts: Vec<Vec<u32>> =
        [37, 18, 9, 1].iter().map(|&length| random.tokens(length, vocabulary)).collect();
    let expected = texts
        .iter()
        .map(|text| reference::evaluate(plain, Input::Tokens(text), options.context))
        .collect::<Result<Vec<_>>>()?;

    let mut session = bench.open(model, &options)?;
    for (how, chunk) in [("in one piece", 37), ("in chunks of 7", 7), ("token by token", 1)] {
        let found = feed::chunked(session.as_mut(), &texts[0], chunk)?;
        near(&found, expected[0].data(), limit).map_err(|stop| stop.at(how))?;
    }
    let found = feed::ragged(session.as_mut(), &texts)?;
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        near(found, expected.data(), limit)
            .map_err(|stop| stop.at(format!("text {index} among others")))?;
    }
    Ok(())
}
