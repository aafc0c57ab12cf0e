//! Classes: those of texts, and how classes are told.

use edgeformer_core::graph::OutputKind;
use edgeformer_models::classifier::unnamed;
use serde::Serialize;

use crate::{Engine, Error, Result};

/// A class and how likely it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Class {
    /// Its index in the model's scores.
    pub index: usize,
    /// Its name, `LABEL_7` if the model has none for it.
    pub name: String,
    /// What the model computes of it. Of a model with one output alone this is the answer, a value.
    pub score: f32,
    /// Its share of the softmax over all classes: 1 where there is one output.
    pub probability: f32,
}

impl Engine {
    /// The likeliest `top` classes of a text, the likeliest first; of a model with one output its
    /// value.
    ///
    /// # Errors
    /// If the model classifies no texts or has no tokenizer, or the text is empty or does not fit
    /// the context.
    pub fn classify_text(&self, text: &str, top: usize) -> Result<Vec<Class>> {
        let graph = self.graph();
        if graph.output.kind != OutputKind::ClassScores || graph.vocabulary() == 0 {
            return Err(Error::Request(format!(
                "a {} model tells no classes of texts: use one that was trained to (finetune --num-labels)",
                graph.name
            )));
        }
        let tokens = self.whole_text(text, "classify")?;
        let scores = self.evaluate(&tokens)?;
        Ok(likeliest(scores.rows().row(0), self.labels(), top))
    }
}

/// The `top` highest scores as classes.
pub(crate) fn likeliest(scores: &[f32], labels: &[String], top: usize) -> Vec<Class> {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = scores.iter().map(|score| (score - max).exp()).sum();
    let class = |(index, &score): (usize, &f32)| Class {
        index,
        name: labels.get(index).cloned().unwrap_or_else(|| unnamed(index)),
        score,
        probability: (score - max).exp() / sum,
    };
    let mut classes: Vec<Class> = scores.iter().enumerate().map(class).collect();
    classes.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.index.cmp(&b.index)));
    classes.truncate(top);
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_come_with_names_and_shares() {
        let classes = likeliest(&[0.0, 2.0, 1.0], &["a".into(), "b".into()], 2);
        assert_eq!((classes[0].name.as_str(), classes[1].name.as_str()), ("b", "LABEL_2"));
        assert_eq!(classes[0].score, 2.0);
        assert!((classes[0].probability - 0.6652).abs() < 1e-3);
    }
}
