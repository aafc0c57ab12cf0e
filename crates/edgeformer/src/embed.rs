use edgeformer_core::graph::OutputKind;
use serde::{Deserialize, Serialize};

use crate::{Engine, Error, Graph, Result};

/// How the hidden states of a text become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The first: the class token.
    Cls,
}

impl Engine {
    /// One vector of unit length for a text.
    ///
    /// # Errors
    /// If the model is no encoder, or the text does not fit its context.
    pub fn embed(&self, text: &str, pooling: Option<Pooling>) -> Result<Vec<f32>> {
        let encodes = self.graph().output.kind == OutputKind::HiddenStates;
        if !encodes || self.graph().vocabulary() == 0 {
            let Graph { name, output, .. } = self.graph();
            let what = if output.kind == OutputKind::ClassScores { "classifier" } else { "model" };
            return Err(Error::Request(format!(
                "a {name} {what} does not embed text: use an encoder such as bert"
            )));
        }
        let tokens = self.whole_text(text, "embed")?;
        let states = self.evaluate(&tokens)?;
        let mut vector = vec![0.0; states.rows().width()];
        match pooling.unwrap_or_else(|| self.default_pooling()) {
            Pooling::Cls => vector.copy_from_slice(states.rows().row(0)),
            Pooling::Mean => {
                for row in states.rows().iter() {
                    vector
                        .iter_mut()
                        .zip(row)
                        .for_each(|(sum, value)| *sum += value / tokens.len() as f32);
                }
            }
        }
        normalise(&mut vector);
        Ok(vector)
    }

    fn default_pooling(&self) -> Pooling {
        match self.file().pooling {
            Some(edgeformer_core::graph::Pool::Class) => Pooling::Cls,
            _ => Pooling::Mean,
        }
    }
}

/// Scales to unit length; a zero vector stays.
fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_get_unit_length() {
        let mut vector = [3.0, 4.0];
        normalise(&mut vector);
        assert_eq!(vector, [0.6, 0.8]);
        let mut zero = [0.0];
        normalise(&mut zero);
        assert_eq!(zero, [0.0]);
    }
}
