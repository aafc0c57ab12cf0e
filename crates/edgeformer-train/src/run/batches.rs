use std::cell::RefCell;

use edgeformer_core::random::Random;

/// What the numbers of an order are for.
const ORDER: u64 = 1;

/// The order in which examples are learned: every epoch has its own, a batch may begin in one and
/// end in the next.
#[derive(Debug)]
pub struct Order {
    seed: u64,
    examples: usize,
    batch: usize,
    /// The epoch that was shuffled last.
    epoch: RefCell<Option<(usize, Vec<usize>)>>,
}

impl Order {
    /// The order of so many examples in batches of so many; both at least 1.
    pub fn new(seed: u64, examples: usize, batch: usize) -> Self {
        Self { seed, examples: examples.max(1), batch: batch.max(1), epoch: RefCell::new(None) }
    }

    /// The examples of a step, counted from 0.
    pub fn batch(&self, step: u64) -> Vec<usize> {
        let first = step as usize * self.batch;
        (first..first + self.batch).map(|position| self.at(position)).collect()
    }

    /// How often all examples have been seen before a step.
    pub fn epochs(&self, step: u64) -> f64 {
        step as f64 * self.batch as f64 / self.examples as f64
    }

    /// Steps in which all examples are seen so often, rounded up.
    pub fn steps(&self, epochs: f64) -> u64 {
        (epochs * self.examples as f64 / self.batch as f64).ceil() as u64
    }

    fn at(&self, position: usize) -> usize {
        let (epoch, place) = (position / self.examples, position % self.examples);
        let mut known = self.epoch.borrow_mut();
        match known.as_ref().filter(|(known, _)| *known == epoch) {
            Some((_, order)) => order[place],
            None => {
                let mut order: Vec<usize> = (0..self.examples).collect();
                Random::of(self.seed, &[ORDER, epoch as u64]).shuffle(&mut order);
                let example = order[place];
                *known = Some((epoch, order));
                example
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_epoch_sees_every_example_once(
            examples in 1usize..40, batch in 1usize..9, seed in any::<u64>()
        ) {
            let order = Order::new(seed, examples, batch);
            let steps = order.steps(3.0);
            let seen: Vec<usize> = (0..steps).flat_map(|step| order.batch(step)).collect();
            for epoch in seen.chunks_exact(examples).take(3) {
                let mut epoch = epoch.to_vec();
                epoch.sort_unstable();
                prop_assert!(epoch.into_iter().eq(0..examples));
            }
            // The order of a step does not depend on which were asked for before.
            let last = Order::new(seed, examples, batch).batch(steps - 1);
            prop_assert_eq!(last, order.batch(steps - 1));
        }
    }
}
