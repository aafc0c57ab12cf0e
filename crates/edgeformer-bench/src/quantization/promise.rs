use std::path::Path;

use edgeformer::quantize::{MethodName, Mixture, Request, Size};
use serde::{Deserialize, Serialize};

use super::judge::{Figures, Judge};
use crate::{Error, Result};

/// Bits a weight of what is called int4.
const INT4: f64 = 4.6;

/// What a file may lose at most, where something is promised.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Divergence, in nats a token.
    pub kl_mean: Option<f64>,
    /// Perplexity by that of the f32 model.
    pub perplexity_ratio: Option<f64>,
    /// Bits a weight.
    pub bits_per_weight: Option<f64>,
}

impl Limits {
    /// Whether a file keeps within them; `None` if there are none.
    pub fn are_kept(&self, figures: &Figures) -> Option<bool> {
        let pairs = [
            (self.kl_mean, figures.kl_mean),
            (self.perplexity_ratio, figures.perplexity_ratio),
            (self.bits_per_weight, figures.bits_per_weight),
        ];
        let kept = pairs.iter().filter_map(|(limit, is)| limit.map(|limit| *is <= limit));
        kept.reduce(|all, kept| all && kept)
    }
}

/// A file of a size of which something is promised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// What it is: the format or the size, and how it was made.
    pub name: String,
    /// What is promised.
    pub limits: Limits,
    /// What it is worth.
    pub figures: Figures,
}

/// Those files: int8, and where a model is bound int4 by two methods, without and with a text.
/// Others may have rows of which nothing small can be made.
pub(super) fn count(is_bound: bool) -> usize {
    if is_bound { 5 } else { 1 }
}

/// What is made, and what is promised of it.
type Order = (String, Limits, Request);

impl Judge<'_> {
    /// Makes and judges them. `told` is called before each.
    pub(super) fn promises(
        &self,
        folder: &Path,
        is_bound: bool,
        told: &mut dyn FnMut(&str),
    ) -> Result<Vec<Promise>> {
        let output = folder.join("promise.gguf");
        let mut orders = vec![self.int8(&output)];
        if is_bound {
            orders.extend(self.int4(&output));
        }
        let mut promises = Vec::with_capacity(orders.len());
        for (name, limits, request) in orders {
            told(&name);
            self.quantize(&request)?;
            promises.push(Promise { name, limits, figures: self.figures(&output)? });
            std::fs::remove_file(&output).map_err(|error| Error::file(&output, error))?;
        }
        Ok(promises)
    }

    fn int8(&self, output: &Path) -> Order {
        let limits =
            Limits { kl_mean: Some(0.002), perplexity_ratio: Some(1.002), bits_per_weight: None };
        let request = self.request(output, Size::Mixture(Mixture::Q8_0));
        let request = Request { method: MethodName::KQuant, ..request };
        ("int8 (q8_0)".into(), limits, request)
    }

    fn int4(&self, output: &Path) -> Vec<Order> {
        let methods = [(MethodName::Gptq, "gptq"), (MethodName::Auto, "auto")];
        let order = |with_text: bool, (method, name): (MethodName, &str)| {
            let limits = Limits {
                kl_mean: None,
                perplexity_ratio: Some(if with_text { 1.02 } else { 1.03 }),
                bits_per_weight: Some(INT4),
            };
            let request = self.request(output, Size::BitsPerWeight(INT4));
            let request = Request { method, ..request };
            let request = if with_text { self.calibrated(request) } else { request };
            let of = if with_text { "calibrated" } else { "no text" };
            (format!("int4 ({INT4} bpw), {name}, {of}"), limits, request)
        };
        [false, true]
            .into_iter()
            .flat_map(|with_text| methods.map(|method| order(with_text, method)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_kept_all_or_not() {
        let figures = Figures { kl_mean: 0.001, perplexity_ratio: 1.01, ..Figures::made_up() };
        let limits = |kl_mean, perplexity_ratio| {
            let limits = Limits { kl_mean, perplexity_ratio, bits_per_weight: None };
            limits.are_kept(&figures)
        };
        assert_eq!(limits(None, None), None);
        assert_eq!(limits(Some(0.002), None), Some(true));
        assert_eq!(limits(Some(0.002), Some(1.002)), Some(false));
        assert_eq!(limits(Some(0.0005), Some(1.02)), Some(false));
    }
}
