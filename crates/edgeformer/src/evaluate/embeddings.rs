use serde::{Deserialize, Serialize};

use super::{Activations, Control, exact, quantile, run, subject};
use crate::{Engine, Error, Pooling, Result};

/// How alike the vectors of two models are: the cosine of the angle between them, over texts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Similarity {
    /// Its mean.
    pub cosine_mean: f64,
    /// The cosine that 1 % of the texts stay below.
    pub cosine_p1: f64,
    /// The least.
    pub cosine_min: f64,
    /// Which text has it, from 1.
    pub least_alike: usize,
    /// Texts that were embedded.
    pub texts: usize,
}

/// The cosine of a text.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Cosine(#[serde(with = "exact")] f64);

impl Similarity {
    fn of(records: &[Cosine]) -> Result<Self> {
        let cosines: Vec<f64> = records.iter().map(|record| record.0).collect();
        let nothing = || Error::Request("there is no text to embed".into());
        let least = |least: usize, at: usize| if cosines[at] < cosines[least] { at } else { least };
        let least = (0..cosines.len()).reduce(least).ok_or_else(nothing)?;
        Ok(Self {
            cosine_mean: cosines.iter().sum::<f64>() / cosines.len() as f64,
            cosine_p1: quantile(&cosines, 0.01).ok_or_else(nothing)?,
            cosine_min: cosines[least],
            least_alike: least + 1,
            texts: cosines.len(),
        })
    }
}

/// Embeds texts with two models and compares the vectors.
///
/// # Errors
/// If a model is no encoder, a text does not fit its context, the vectors have different lengths,
/// the saved state is of another run, or the run was stopped ([`Error::Interrupted`]).
pub fn compare_embeddings(
    reference: &Engine,
    candidate: &Engine,
    texts: &[&str],
    pooling: Option<Pooling>,
    control: &Control<'_>,
) -> Result<Similarity> {
    let bound = [
        run::bound("command", "embeddings"),
        run::bound("--model or way to run it", &identity(candidate)),
        run::bound("--reference or way to run it", &identity(reference)),
        run::bound("--pooling", &format!("{pooling:?}")),
        run::bound("--text", &run::identity_of_texts(texts.iter().copied())),
    ];
    let records = run::each(control, &bound, texts.len(), |index| {
        let embed = |engine: &Engine| engine.embed(texts[index], pooling);
        cosine(&embed(reference)?, &embed(candidate)?).map(Cosine)
    })?;
    Similarity::of(&records)
}

/// What tells an engine's model, and how it is run, from others.
pub(super) fn identity(engine: &Engine) -> String {
    let key = subject::identity(engine.file(), Activations::AsUsual);
    format!("{key} {}", subject::settings(engine.plan()))
}

fn cosine(a: &[f32], b: &[f32]) -> Result<f64> {
    if a.len() != b.len() {
        return Err(Error::Request(format!(
            "the reference's vectors have {} numbers, the model's {}: name models of one width",
            a.len(),
            b.len()
        )));
    }
    let product = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let cosine = product(a, b) / (product(a, a) * product(b, b)).sqrt();
    if !cosine.is_finite() {
        return Err(Error::Generation(
            "the model computes nonsense: a vector has no length".into(),
        ));
    }
    Ok(cosine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_those_of_pencil_and_paper() {
        assert!((cosine(&[3.0, 4.0], &[4.0, 3.0]).unwrap() - 0.96).abs() < 1e-12);
        assert!((cosine(&[1.0, 0.0], &[-2.0, 0.0]).unwrap() + 1.0).abs() < 1e-12);
        assert!(cosine(&[1.0], &[1.0, 2.0]).unwrap_err().to_string().contains("1 numbers"));
        assert!(cosine(&[0.0], &[1.0]).is_err() && cosine(&[f32::NAN], &[1.0]).is_err());
    }

    #[test]
    fn the_least_alike_is_named() {
        let found = Similarity::of(&[Cosine(1.0), Cosine(0.5), Cosine(0.75)]).unwrap();
        assert_eq!((found.cosine_mean, found.cosine_min, found.least_alike), (0.75, 0.5, 2));
        assert!(Similarity::of(&[]).is_err());
    }
}
