use rayon::prelude::*;

use crate::Result;
use crate::parameters::Parameter;

/// An exponential mean of the weights that learn, by step (Polyak and Juditsky 1992; with a decay as
/// TensorFlow's and timm's `ModelEma`): `mean = decay * mean + (1 - decay) * weight`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Average {
    pub decay: f64,
    pub means: Vec<Vec<f32>>,
}

impl Average {
    /// The weights as they are.
    pub fn of(parameters: &[Parameter], decay: f64) -> Result<Self> {
        Ok(Self { decay, means: values(parameters)? })
    }

    /// Takes the weights of another step in. Early means forget faster: `(1 + step) / (10 + step)`
    /// where that is less than the decay, as `tf.train.ExponentialMovingAverage` has it.
    pub fn take(&mut self, parameters: &[Parameter], step: u64) -> Result<()> {
        let decay = self.decay.min((1.0 + step as f64) / (10.0 + step as f64)) as f32;
        for (means, parameter) in self.means.iter_mut().zip(parameters) {
            means.par_iter_mut().zip(parameter.values()?).for_each(|(mean, value)| {
                *mean += (1.0 - decay) * (value - *mean);
            });
        }
        Ok(())
    }
}

/// The values of all parameters.
pub(crate) fn values(parameters: &[Parameter]) -> Result<Vec<Vec<f32>>> {
    parameters.iter().map(Parameter::values).collect()
}

/// Gives all parameters values.
pub(crate) fn set_values(parameters: &[Parameter], values: &[Vec<f32>]) -> Result<()> {
    let mut pairs = parameters.iter().zip(values);
    pairs.try_for_each(|(parameter, values)| parameter.set_values(values))
}
