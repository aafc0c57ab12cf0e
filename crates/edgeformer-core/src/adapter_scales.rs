use std::sync::Arc;

use crate::{Error, Result};

/// How strongly each adapter of a graph acts on a sequence: a scale for each of
/// [`Graph::adapters`](crate::Graph::adapters), or nothing, and then each has its usual one.
///
/// Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AdapterScales(Option<Arc<[f32]>>);

impl AdapterScales {
    /// Nothing was said: each adapter has its usual scale.
    pub const USUAL: Self = Self(None);

    /// A scale for each adapter: 0 leaves it out.
    ///
    /// # Errors
    /// If one is no finite number.
    pub fn new(scales: &[f32]) -> Result<Self> {
        match scales.iter().position(|scale| !scale.is_finite()) {
            Some(adapter) => Err(Error::Step(format!(
                "the scale of adapter {adapter} is {}, it must be a finite number",
                scales[adapter]
            ))),
            None => Ok(Self(Some(scales.into()))),
        }
    }

    /// The scale of an adapter; `None` where nothing was said.
    pub fn of(&self, adapter: usize) -> Option<f32> {
        self.0.as_deref()?.get(adapter).copied()
    }

    /// All of them; `None` where nothing was said.
    pub fn all(&self) -> Option<&[f32]> {
        self.0.as_deref()
    }

    /// Whether they are for a graph with so many adapters.
    ///
    /// # Errors
    /// If they are more or fewer.
    pub fn check(&self, adapters: usize) -> Result<()> {
        match self.all() {
            Some(scales) if scales.len() != adapters => Err(Error::Step(format!(
                "{} scales were given, the graph has {adapters} adapters",
                scales.len()
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_for_the_adapters_there_are() {
        let none = AdapterScales::default();
        assert!((none.of(0), none.all()) == (None, None) && none.check(3).is_ok());
        let two = AdapterScales::new(&[0.0, -0.5]).unwrap();
        assert_eq!((two.of(0), two.of(1), two.of(2)), (Some(0.0), Some(-0.5), None));
        assert!(two.check(2).is_ok());
        let told = two.check(3).unwrap_err().to_string();
        assert!(told.contains("2 scales") && told.contains("3 adapters"), "{told}");
        let told = AdapterScales::new(&[1.0, f32::INFINITY]).unwrap_err().to_string();
        assert!(told.contains("adapter 1 is inf"), "{told}");
    }
}
