use edgeformer_core::AdapterScales;

/// The scales of adapters over the positions of a sequence: each from a position on.
#[derive(Debug, Clone, Default)]
pub struct ScalesSince(Vec<(usize, AdapterScales)>);

impl ScalesSince {
    /// What is fed from position `len` on is under other scales.
    pub fn set(&mut self, len: usize, scales: AdapterScales) {
        self.truncate(len);
        self.0.push((len, scales));
    }

    /// The sequence has `len` tokens left; what is fed to it is under the scales that were set last.
    pub fn truncate(&mut self, len: usize) {
        let last = self.0.last().map(|(_, scales)| scales.clone());
        self.0.retain(|&(since, _)| since < len);
        if let Some(last) = last
            && self.0.last().is_none_or(|(_, scales)| *scales != last)
        {
            self.0.push((len, last));
        }
    }

    /// Those at a position.
    pub fn at(&self, position: usize) -> &AdapterScales {
        const USUAL: &AdapterScales = &AdapterScales::USUAL;
        let held = self.0.iter().rev().find(|&&(since, _)| since <= position);
        held.map_or(USUAL, |(_, scales)| scales)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_hold_from_where_they_were_set() {
        let [a, b] = [0.5, 2.0].map(|scale| AdapterScales::new(&[scale]).unwrap());
        let mut since = ScalesSince::default();
        since.set(3, a.clone());
        since.set(5, b.clone());
        let all = |since: &ScalesSince| [2, 3, 4, 5, 9].map(|at| since.at(at).of(0));
        assert_eq!(all(&since), [None, Some(0.5), Some(0.5), Some(2.0), Some(2.0)]);
        since.truncate(4);
        assert_eq!(all(&since), [None, Some(0.5), Some(2.0), Some(2.0), Some(2.0)]);
        since.truncate(0);
        assert_eq!(all(&since), [Some(2.0); 5]);
        since.set(0, a);
        assert_eq!(all(&since), [Some(0.5); 5]);
    }
}
