//! What a model makes of examples.

use candle_core::{D, Tensor};

use crate::objective::Target;

/// What a model makes of examples.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Evaluation {
    /// The sum of losses over all targets.
    pub loss: f64,
    /// How many targets there are.
    pub targets: usize,
    /// Those of them that are classes.
    pub classes: usize,
    /// Classes that the model finds likeliest.
    pub right: usize,
}

impl Evaluation {
    /// The mean loss of a target.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.targets.max(1) as f64
    }

    /// The share of classes that the model tells; `None` where there are none.
    pub fn accuracy(&self) -> Option<f64> {
        (self.classes > 0).then(|| self.right as f64 / self.classes as f64)
    }

    /// That of these examples and of others.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            loss: self.loss + other.loss,
            targets: self.targets + other.targets,
            classes: self.classes + other.classes,
            right: self.right + other.right,
        }
    }

    /// That of rows of output whose losses are known.
    pub(crate) fn of(loss: f64, output: &Tensor, targets: &[&Target]) -> candle_core::Result<Self> {
        let mut found = Self { loss, ..Self::default() };
        found.targets = targets.iter().map(|target| target.count()).sum();
        found.classes = targets.iter().filter(|target| matches!(target, Target::Class(_))).count();
        if found.classes > 0 {
            let told = output.argmax(D::Minus1)?.to_vec1::<u32>()?;
            let rows = targets
                .iter()
                .scan(0, |next, target| Some(std::mem::replace(next, *next + target.rows().len())));
            let is_right = |(target, row): (&&Target, usize)| match target {
                Target::Class(class) => told[row] == *class,
                Target::Tokens(_) | Target::Value(_) => false,
            };
            found.right = targets.iter().zip(rows).filter(|&pair| is_right(pair)).count();
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn classes_that_are_likeliest_are_right() {
        let output = [[0.1f32, 2.0, 0.3], [5.0, 1.0, 0.0], [0.0, 0.0, 1.0], [9.0, 0.0, 1.0]];
        let output = Tensor::new(&output, &Device::Cpu).unwrap();
        let tokens = Target::Tokens(vec![Some(0)]);
        let targets = [&Target::Class(1), &tokens, &Target::Class(2), &Target::Class(1)];
        let found = Evaluation::of(2.0, &output, &targets).unwrap();
        assert_eq!(found, Evaluation { loss: 2.0, targets: 4, classes: 3, right: 2 });
        assert_eq!(found.and(found).accuracy(), Some(2.0 / 3.0));
        assert_eq!(found.mean_loss(), 0.5);
        let texts = Evaluation::of(1.0, &output.narrow(0, 0, 1).unwrap(), &[&tokens]).unwrap();
        assert_eq!((texts.accuracy(), texts.targets), (None, 1));
    }
}
