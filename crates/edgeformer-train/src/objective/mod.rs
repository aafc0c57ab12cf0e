//! What is made small: the distance of a graph's output to what it should be.

mod cross_entropy;
mod distillation;

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::Result;
use cross_entropy::cross_entropy;
pub(crate) use distillation::divergence;

/// What is learned of an example.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Of a text: for each of its rows the token that follows, if it is to be learned.
    Tokens(Vec<Option<u32>>),
    /// The class of an image, a signal or a text.
    Class(u32),
    /// A number, which the first output stands for.
    Value(f32),
}

/// What the loss is.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Cross entropy with the token that follows, or with the class.
    #[default]
    CrossEntropy,
    /// The square of the difference to a number.
    SquaredError,
    /// The divergence of a teacher's answer from the model's, mixed with cross entropy (Hinton,
    /// Vinyals, Dean: "Distilling the knowledge in a neural network", 2015, section 2).
    Distillation {
        /// What logits are divided by.
        temperature: f64,
        /// Share of the divergence in the loss; the rest is cross entropy.
        share: f64,
    },
}

impl Target {
    /// How many rows of output it has something to say of.
    pub fn count(&self) -> usize {
        match self {
            Self::Tokens(tokens) => tokens.iter().flatten().count(),
            Self::Class(_) | Self::Value(_) => 1,
        }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Tokens(tokens) => size_of_val(tokens.as_slice()),
            Self::Class(_) | Self::Value(_) => 0,
        }
    }

    /// The rows of the output from the first to the last that something is learned of.
    pub fn rows(&self) -> std::ops::Range<usize> {
        let Self::Tokens(tokens) = self else { return 0..1 };
        let first = tokens.iter().position(Option::is_some);
        let last = tokens.iter().rposition(Option::is_some);
        first.zip(last).map_or(0..0, |(first, last)| first..last + 1)
    }

    fn classes(&self) -> Vec<Option<u32>> {
        match self {
            Self::Tokens(tokens) => tokens[self.rows()].to_vec(),
            Self::Class(class) => vec![Some(*class)],
            Self::Value(_) => vec![None],
        }
    }
}

/// The sum of losses over all targets, a scalar of f64. `output` has the rows that
/// [`Target::rows`] names of every example, below each other; so has a teacher's.
///
/// # Errors
/// If candle fails.
pub(crate) fn loss(
    objective: Objective,
    output: &Tensor,
    targets: &[&Target],
    teacher: Option<&Tensor>,
) -> Result<Tensor> {
    let classes = || -> Vec<_> { targets.iter().flat_map(|target| target.classes()).collect() };
    match (objective, teacher) {
        (Objective::SquaredError, _) => squared_error(output, targets),
        (Objective::Distillation { temperature, share }, Some(teacher)) => {
            let classes = classes();
            let apart = divergence(output, teacher, &classes, temperature)?;
            let hard = cross_entropy(output, &classes)?;
            Ok(((apart * share)? + (hard * (1.0 - share))?)?)
        }
        _ => Ok(cross_entropy(output, &classes())?),
    }
}

fn squared_error(output: &Tensor, targets: &[&Target]) -> Result<Tensor> {
    let values: Vec<f64> = targets
        .iter()
        .map(|target| match target {
            Target::Value(value) => f64::from(*value),
            Target::Class(_) | Target::Tokens(_) => 0.0,
        })
        .collect();
    let values = Tensor::from_vec(values, targets.len(), output.device())?;
    let found = output.narrow(1, 0, 1)?.squeeze(1)?.to_dtype(DType::F64)?;
    Ok((found - values)?.sqr()?.sum_all()?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn rows_are_those_between_the_first_and_the_last_target() {
        let target = Target::Tokens(vec![None, Some(1), None, Some(2), None]);
        assert_eq!((target.rows(), target.count()), (1..4, 2));
        assert_eq!(target.classes(), [Some(1), None, Some(2)]);
        assert_eq!(Target::Tokens(vec![None; 3]).rows(), 0..0);
    }

    #[test]
    fn a_squared_error_is_of_the_first_output() {
        let output = Tensor::new(&[[2f32, 9.0], [4.0, 9.0]], &Device::Cpu).unwrap();
        let targets = [&Target::Value(1.0), &Target::Value(6.0)];
        let loss = loss(Objective::SquaredError, &output, &targets, None).unwrap();
        assert_eq!(loss.to_scalar::<f64>().unwrap(), 5.0);
    }

    #[test]
    fn a_teacher_that_agrees_leaves_the_cross_entropy_alone() {
        let output = Tensor::new(&[[2f32, 1.0], [4.0, 0.5]], &Device::Cpu).unwrap();
        let targets = [&Target::Class(1), &Target::Class(0)];
        let of = |objective, teacher: &Tensor| {
            loss(objective, &output, &targets, Some(teacher)).unwrap().to_scalar::<f64>().unwrap()
        };
        let soft = Objective::Distillation { temperature: 2.0, share: 1.0 };
        assert!(of(soft, &output).abs() < 1e-6);
        let other = Tensor::new(&[[1f32, 2.0], [4.0, 0.5]], &Device::Cpu).unwrap();
        assert!(of(soft, &other) > 0.1);
        let mixed = Objective::Distillation { temperature: 2.0, share: 0.25 };
        let hard = of(Objective::CrossEntropy, &other);
        let expected = 0.25 * of(soft, &other) + 0.75 * hard;
        assert!((of(mixed, &other) - expected).abs() < 1e-9);
    }
}
