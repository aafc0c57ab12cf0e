//! Sums and largest values over what an observed session multiplies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use edgeformer_core::{InputObserver, ObservedInput, Rows};

use super::imatrix::{Imatrix, ImatrixEntry};

/// Sums up the inputs of products. Clones add to the same sums.
#[derive(Debug, Clone, Default)]
pub struct Collector {
    sums: Arc<Mutex<BTreeMap<String, Vec<Sums>>>>,
}

/// Of one matrix.
#[derive(Debug, Clone, Default)]
struct Sums {
    /// In double precision: a long text adds small squares to large sums.
    squares: Vec<f64>,
    /// Largest absolute values.
    largest: Vec<f32>,
    rows: u64,
}

impl Collector {
    /// What a session is given to fill this.
    pub fn observer(&self) -> InputObserver {
        let collector = self.clone();
        Box::new(move |input| collector.add(input))
    }

    fn add(&self, input: ObservedInput<'_>) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        // Weights that read the same rows have the same sums: one is filled, the others copy it
        // in the end ([`Collector::imatrix`] would not know which), so each is filled here.
        for weight in input.weights {
            let of_weight = sums.entry((*weight).to_owned()).or_default();
            if of_weight.len() <= input.part {
                of_weight.resize_with(input.part + 1, Sums::default);
            }
            of_weight[input.part].add(input.rows);
        }
    }

    /// The importance matrix of what was read.
    pub fn imatrix(&self, datasets: Vec<String>, chunks: u32, chunk_size: u32) -> Imatrix {
        let sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = sums.iter().map(|(name, parts)| (name.clone(), entry(parts))).collect();
        Imatrix { datasets, chunks, chunk_size, entries }
    }
}

fn entry(parts: &[Sums]) -> ImatrixEntry {
    let columns = parts.iter().map(|part| part.squares.len()).max().unwrap_or(0);
    let mut entry = ImatrixEntry { columns, ..ImatrixEntry::default() };
    for part in parts {
        let zeros = std::iter::repeat(0.0);
        let squares = part.squares.iter().map(|&square| square as f32);
        entry.sums.extend(squares.chain(zeros.clone()).take(columns));
        entry.largest.extend(part.largest.iter().copied().chain(zeros).take(columns));
        entry.counts.push(part.rows as f32);
    }
    entry
}

impl Sums {
    fn add(&mut self, rows: Rows<'_>) {
        self.squares.resize(rows.width(), 0.0);
        self.largest.resize(rows.width(), 0.0);
        for row in rows.iter() {
            for (sum, &x) in self.squares.iter_mut().zip(row) {
                *sum += f64::from(x) * f64::from(x);
            }
            for (largest, &x) in self.largest.iter_mut().zip(row) {
                *largest = largest.max(x.abs());
            }
        }
        self.rows += rows.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_of_squares_by_weight_and_part() {
        let collector = Collector::default();
        let mut observe = collector.observer();
        let mut show = |weights: &[&str], part, values: &[f32]| {
            observe(ObservedInput { weights, part, rows: Rows::new(values, 2) });
        };
        show(&["q", "k"], 0, &[1.0, 2.0, 3.0, -4.0]);
        show(&["q", "k"], 0, &[0.0, 1.0]);
        show(&["experts"], 2, &[5.0, 0.5]);
        let imatrix = collector.imatrix(vec!["t".into()], 1, 3);
        assert_eq!(imatrix.entries["q"], imatrix.entries["k"]);
        assert_eq!(imatrix.entries["q"].sums, [10.0, 21.0]);
        assert_eq!(imatrix.entries["q"].counts, [3.0]);
        assert_eq!(imatrix.entries["q"].largest, [3.0, 4.0]);
        let experts = &imatrix.entries["experts"];
        assert_eq!(experts.sums, [0.0, 0.0, 0.0, 0.0, 25.0, 0.25]);
        assert_eq!(experts.counts, [0.0, 0.0, 1.0]);
        assert_eq!(experts.largest, [0.0, 0.0, 0.0, 0.0, 5.0, 0.5]);
        assert_eq!(experts.importance(0), Some(vec![1.0, 1.0]));
    }
}
