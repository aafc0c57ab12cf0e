//! Sums and largest values over what an observed session multiplies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edgeformer_core::{InputObserver, ObservedInput};

use super::hessians::HessianWriter;
use super::imatrix::{Imatrix, ImatrixEntry};
use crate::Result;
use crate::linalg::Hessian;

/// Sums up the inputs of products. Clones add to the same sums.
#[derive(Debug, Clone, Default)]
pub struct Collector {
    sums: Arc<Mutex<Sums>>,
}

/// Inputs are told apart by the first weight that reads them, and the matrix of a stack.
type Key = (String, usize);

#[derive(Debug, Default)]
struct Sums {
    inputs: BTreeMap<Key, Input>,
    /// The inputs whose Hessians are wanted, and the columns of a block of them.
    hessians: Wanted,
    hessian_block: usize,
    problem: Option<crate::Error>,
}

/// Hessians that are recorded.
#[derive(Debug, Default)]
enum Wanted {
    #[default]
    None,
    These(Vec<Key>),
}

/// What is known of one input.
#[derive(Debug, Default)]
struct Input {
    /// All weights that read it.
    weights: Vec<String>,
    /// In double precision: a long text adds small squares to large sums.
    squares: Vec<f64>,
    /// Largest absolute values.
    largest: Vec<f32>,
    rows: u64,
    hessian: Option<Hessian>,
}

/// An input that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenInput {
    key: Key,
    /// Columns.
    pub columns: usize,
}

impl SeenInput {
    /// Bytes that its Hessian takes in blocks of that many columns.
    pub fn hessian_bytes(&self, block: usize) -> u64 {
        let block = block.clamp(1, self.columns.max(1));
        let triangle = |n: usize| (n as u64) * (n as u64 + 1) / 2 * 4;
        (self.columns / block) as u64 * triangle(block) + triangle(self.columns % block)
    }
}

impl Collector {
    /// What a session is given to fill this.
    pub fn observer(&self) -> InputObserver {
        let collector = self.clone();
        Box::new(move |input| collector.lock().add(input))
    }

    fn lock(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The inputs that were seen.
    pub fn inputs(&self) -> Vec<SeenInput> {
        let seen = |(key, input): (&Key, &Input)| SeenInput {
            key: key.clone(),
            columns: input.squares.len(),
        };
        self.lock().inputs.iter().map(seen).collect()
    }

    /// Records the Hessians of these inputs alone from now on, and squares no more.
    pub fn record_hessians(&self, inputs: &[SeenInput], block: usize) {
        let mut sums = self.lock();
        sums.hessians = Wanted::These(inputs.iter().map(|input| input.key.clone()).collect());
        sums.hessian_block = block;
    }

    /// Writes the recorded Hessians, and forgets them.
    ///
    /// # Errors
    /// If one cannot be written, or an input changed its width meanwhile.
    pub fn write_hessians(&self, writer: &mut HessianWriter) -> Result<()> {
        let mut sums = self.lock();
        if let Some(problem) = sums.problem.take() {
            return Err(problem);
        }
        for ((_, part), input) in &mut sums.inputs {
            if let Some(hessian) = input.hessian.take() {
                writer.add(&input.weights, *part, &hessian)?;
            }
        }
        Ok(())
    }

    /// The importance matrix of what was read.
    pub fn imatrix(&self, datasets: Vec<String>, chunks: u32, chunk_size: u32) -> Imatrix {
        let sums = self.lock();
        let mut parts: BTreeMap<&str, Vec<(usize, &Input)>> = BTreeMap::new();
        for ((_, part), input) in &sums.inputs {
            for weight in &input.weights {
                parts.entry(weight).or_default().push((*part, input));
            }
        }
        let entries = parts.iter().map(|(&name, parts)| (name.to_owned(), entry(parts))).collect();
        Imatrix { datasets, chunks, chunk_size, entries }
    }
}

/// Matrices of a stack in order, those that read nothing left at zero.
fn entry(parts: &[(usize, &Input)]) -> ImatrixEntry {
    let columns = parts.first().map_or(0, |(_, input)| input.squares.len());
    let matrices = parts.iter().map(|(part, _)| part + 1).max().unwrap_or(0);
    let mut entry = ImatrixEntry {
        columns,
        sums: vec![0.0; matrices * columns],
        counts: vec![0.0; matrices],
        largest: vec![0.0; matrices * columns],
    };
    for (part, input) in parts {
        let own = part * columns..(part + 1) * columns;
        let sums = entry.sums[own.clone()].iter_mut().zip(&input.squares);
        sums.for_each(|(sum, &square)| *sum = square as f32);
        entry.largest[own].copy_from_slice(&input.largest);
        entry.counts[*part] = input.rows as f32;
    }
    entry
}

impl Sums {
    fn add(&mut self, input: ObservedInput<'_>) {
        let Some(first) = input.weights.first() else { return };
        let key = ((*first).to_owned(), input.part);
        match &self.hessians {
            Wanted::None => {
                let seen = self.inputs.entry(key).or_default();
                seen.weights = input.weights.iter().map(|&name| name.to_owned()).collect();
                seen.add_squares(&input);
            }
            Wanted::These(keys) if keys.contains(&key) => {
                let block = self.hessian_block;
                let seen = self.inputs.entry(key).or_default();
                let width = input.rows.width();
                let hessian = seen.hessian.get_or_insert_with(|| Hessian::new(width, block));
                if let Err(problem) = hessian.add_rows(input.rows.data()) {
                    self.problem = Some(problem);
                }
            }
            Wanted::These(_) => {}
        }
    }
}

impl Input {
    fn add_squares(&mut self, input: &ObservedInput<'_>) {
        self.squares.resize(input.rows.width(), 0.0);
        self.largest.resize(input.rows.width(), 0.0);
        for row in input.rows.iter() {
            for (sum, &x) in self.squares.iter_mut().zip(row) {
                *sum += f64::from(x) * f64::from(x);
            }
            for (largest, &x) in self.largest.iter_mut().zip(row) {
                *largest = largest.max(x.abs());
            }
        }
        self.rows += input.rows.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use edgeformer_core::Rows;

    use super::super::Hessians;
    use super::*;

    fn show(observe: &mut InputObserver, weights: &[&str], part: usize, values: &[f32]) {
        observe(ObservedInput { weights, part, rows: Rows::new(values, 2) });
    }

    #[test]
    fn sums_are_of_squares_by_weight_and_part() {
        let collector = Collector::default();
        let mut observe = collector.observer();
        show(&mut observe, &["q", "k"], 0, &[1.0, 2.0, 3.0, -4.0]);
        show(&mut observe, &["q", "k"], 0, &[0.0, 1.0]);
        show(&mut observe, &["experts"], 2, &[5.0, 0.5]);
        let imatrix = collector.imatrix(vec!["t".into()], 1, 3);
        assert_eq!(imatrix.entries["q"], imatrix.entries["k"]);
        assert_eq!(imatrix.entries["q"].sums, [10.0, 21.0]);
        assert_eq!(imatrix.entries["q"].counts, [3.0]);
        assert_eq!(imatrix.entries["q"].largest, [3.0, 4.0]);
        let experts = &imatrix.entries["experts"];
        assert_eq!(experts.sums, [0.0, 0.0, 0.0, 0.0, 25.0, 0.25]);
        assert_eq!(experts.counts, [0.0, 0.0, 1.0]);
        assert_eq!(experts.importance(0), Some(vec![1.0, 1.0]));
    }

    #[test]
    fn hessians_are_recorded_of_those_that_are_wanted() {
        let collector = Collector::default();
        let mut observe = collector.observer();
        let read = |observe: &mut InputObserver| {
            show(observe, &["q", "k"], 0, &[1.0, 2.0, 3.0, -4.0]);
            show(observe, &["o"], 0, &[1.0, 1.0]);
        };
        read(&mut observe);
        let seen = collector.inputs();
        let bytes: Vec<_> = seen.iter().map(|input| input.hessian_bytes(9)).collect();
        assert_eq!(bytes, [12, 12]);
        let wanted: Vec<_> = seen.into_iter().filter(|input| input.key.0 == "q").collect();
        collector.record_hessians(&wanted, 0);
        read(&mut observe);

        let folder = tempfile::tempdir().unwrap();
        let mut writer = HessianWriter::create(folder.path(), Vec::new(), false).unwrap();
        collector.write_hessians(&mut writer).unwrap();
        let hessians: Hessians = writer.finish().unwrap();
        let k = hessians.of("k", 0, 2).unwrap().unwrap();
        assert_eq!((k.samples(), k.diagonal()), (2, vec![5.0, 10.0]));
        assert_eq!(hessians.of("o", 0, 2).unwrap(), None);
        // Squares were not counted twice.
        assert_eq!(collector.imatrix(Vec::new(), 1, 1).entries["q"].sums, [10.0, 20.0]);
    }
}
