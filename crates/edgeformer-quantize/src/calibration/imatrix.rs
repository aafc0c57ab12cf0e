//! Importance matrices: how much each input channel of a weight matters.

use std::collections::BTreeMap;
use std::path::Path;

use edgeformer_core::Tensor;
use edgeformer_models::gguf::{Gguf, GgufWriter, MetadataArray};

use crate::{Error, Result};

/// The ending of a tensor with sums of squares.
const SUMS: &str = ".in_sum2";
/// The ending of a tensor with how many rows were summed up.
const COUNTS: &str = ".counts";
/// The ending of a tensor with largest absolute values. llama.cpp's reader ignores tensors with
/// endings that it does not know, so they live in the same file.
const LARGEST: &str = ".in_absmax";

/// Sums of squares of what a model's products read, by weight: llama.cpp's importance matrix
/// (`imatrix`), in its GGUF form.
///
/// | what | where |
/// |---|---|
/// | `general.type` | `imatrix` |
/// | `imatrix.datasets`, `.chunk_count`, `.chunk_size` | texts, chunks read, tokens of a chunk |
/// | `NAME.in_sum2` `[matrices, columns]` | sums of x² |
/// | `NAME.counts` `[matrices, 1]` | rows that were summed up |
/// | `NAME.in_absmax` `[matrices, columns]` | largest abs x; ours, may be absent, llama.cpp ignores it |
///
/// A stack (experts) has a row a matrix, any other weight one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Imatrix {
    /// The texts that were read.
    pub datasets: Vec<String>,
    /// Chunks that were read.
    pub chunks: u32,
    /// Tokens of a chunk.
    pub chunk_size: u32,
    /// By name of the weight.
    pub entries: BTreeMap<String, ImatrixEntry>,
}

/// The sums of one weight.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImatrixEntry {
    /// Columns of the weight: the width of an input.
    pub columns: usize,
    /// Sums of x², `columns` a matrix.
    pub sums: Vec<f32>,
    /// Rows that were summed up, one a matrix.
    pub counts: Vec<f32>,
    /// Largest absolute values, `columns` a matrix; empty in files that llama.cpp wrote.
    pub largest: Vec<f32>,
}

impl ImatrixEntry {
    /// `E[x²]` of every input channel of a matrix; ones where it never read anything (an expert that
    /// no token picked), nothing if there is no such matrix.
    pub fn importance(&self, matrix: usize) -> Option<Vec<f32>> {
        let count = *self.counts.get(matrix)?;
        let sums = self.sums.get(matrix * self.columns..)?.get(..self.columns)?;
        if count > 0.0 {
            return Some(sums.iter().map(|sum| sum / count).collect());
        }
        Some(vec![1.0; self.columns])
    }
}

impl Imatrix {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or is no importance matrix.
    pub fn read(path: &Path) -> Result<Self> {
        let gguf = Gguf::open(path)
            .map_err(|error| problem(path, format!("{error}; llama.cpp's older .dat files are converted with its llama-imatrix --in-file FILE.dat --output-format gguf")))?;
        let metadata = gguf.metadata();
        let kind = metadata.str("general.type")?;
        if kind != Some("imatrix") {
            let kind = kind.unwrap_or("nothing");
            let problem_text = format!(
                "general.type is {kind:?}, an importance matrix has \"imatrix\": make one with edgeformer calibrate"
            );
            return Err(problem(path, problem_text));
        }
        let datasets = metadata.str_array("imatrix.datasets")?;
        let mut imatrix = Self {
            datasets: datasets.into_iter().flatten().map(str::to_owned).collect(),
            chunks: metadata.u32("imatrix.chunk_count")?.unwrap_or(0),
            chunk_size: metadata.u32("imatrix.chunk_size")?.unwrap_or(0),
            entries: BTreeMap::new(),
        };
        for info in gguf.tensors() {
            if let Some(name) = info.name().strip_suffix(SUMS) {
                imatrix.entries.insert(name.to_owned(), entry(path, &gguf, name)?);
            }
        }
        Ok(imatrix)
    }

    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut writer = GgufWriter::new();
        writer
            .metadata("general.type", "imatrix")
            .metadata("imatrix.datasets", MetadataArray::strings(&self.datasets))
            .metadata("imatrix.chunk_count", self.chunks)
            .metadata("imatrix.chunk_size", self.chunk_size);
        for (name, entry) in &self.entries {
            let matrices = entry.counts.len();
            let sums = Tensor::from_f32([matrices, entry.columns], &entry.sums)?;
            let counts = Tensor::from_f32([matrices, 1], &entry.counts)?;
            writer.tensor(format!("{name}{SUMS}"), &sums);
            writer.tensor(format!("{name}{COUNTS}"), &counts);
            if !entry.largest.is_empty() {
                let largest = Tensor::from_f32([matrices, entry.columns], &entry.largest)?;
                writer.tensor(format!("{name}{LARGEST}"), &largest);
            }
        }
        Ok(writer.write_file(path)?)
    }

    /// The sums of a weight, if they are there and fit it: `columns` wide, `matrices` of them.
    ///
    /// # Errors
    /// If they are there and do not fit: the file is another model's.
    pub fn for_weight(
        &self,
        name: &str,
        matrices: usize,
        columns: usize,
    ) -> Result<Option<&ImatrixEntry>> {
        let Some(entry) = self.entries.get(name) else { return Ok(None) };
        if entry.columns == columns && entry.counts.len() == matrices {
            return Ok(Some(entry));
        }
        let problem = format!(
            "the importance matrix has {} x {} for it, the tensor is {matrices} x {columns}: it is another model's, run edgeformer calibrate on this one",
            entry.counts.len(),
            entry.columns
        );
        Err(Error::tensor(name, problem))
    }
}

fn entry(path: &Path, gguf: &Gguf, name: &str) -> Result<ImatrixEntry> {
    let tensor = |ending: &str| gguf.tensor(&format!("{name}{ending}"));
    let damaged = |what: &str| problem(path, format!("tensor {name:?}: {what}: make it again"));
    let (Some(sums), Some(counts)) = (tensor(SUMS), tensor(COUNTS)) else {
        return Err(damaged("there are sums without counts"));
    };
    let columns = sums.row_len();
    let largest = tensor(LARGEST).map(|largest| largest.to_f32()).unwrap_or_default();
    let entry = ImatrixEntry { columns, sums: sums.to_f32(), counts: counts.to_f32(), largest };
    if entry.sums.len() != columns * entry.counts.len() {
        return Err(damaged("sums and counts are of different matrices"));
    }
    if !entry.largest.is_empty() && entry.largest.len() != entry.sums.len() {
        return Err(damaged("sums and largest values are of different matrices"));
    }
    let wrong = |value: &f32| !value.is_finite() || *value < 0.0;
    if entry.sums.iter().chain(&entry.counts).chain(&entry.largest).any(wrong) {
        return Err(damaged(
            "a sum of squares, a count or a largest value is negative or no number",
        ));
    }
    Ok(entry)
}

fn problem(path: &Path, problem: String) -> Error {
    Error::Request(format!("{}: {problem}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Imatrix {
        let entry = ImatrixEntry {
            columns: 2,
            sums: vec![8.0, 2.0, 0.0, 0.0],
            counts: vec![4.0, 0.0],
            largest: vec![2.0, 1.0, 0.0, 0.0],
        };
        Imatrix {
            datasets: vec!["text.txt".into()],
            chunks: 3,
            chunk_size: 512,
            entries: [("blk.0.ffn_up_exps.weight".to_owned(), entry)].into(),
        }
    }

    #[test]
    fn files_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("imatrix.gguf");
        some().write(&path).unwrap();
        assert_eq!(Imatrix::read(&path).unwrap(), some());
        let mut without = some();
        without.entries.get_mut("blk.0.ffn_up_exps.weight").unwrap().largest.clear();
        without.write(&path).unwrap();
        assert_eq!(Imatrix::read(&path).unwrap(), without, "as llama.cpp writes it");
    }

    #[test]
    fn importance_is_a_mean_and_one_where_nothing_was_read() {
        let imatrix = some();
        let entry = imatrix.for_weight("blk.0.ffn_up_exps.weight", 2, 2).unwrap().unwrap();
        assert_eq!(entry.importance(0), Some(vec![2.0, 0.5]));
        assert_eq!(entry.importance(1), Some(vec![1.0, 1.0]));
        assert_eq!(entry.importance(2), None);
        assert!(imatrix.for_weight("other", 2, 2).unwrap().is_none());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let error = some().for_weight("blk.0.ffn_up_exps.weight", 1, 2).unwrap_err();
        insta::assert_snapshot!(error, @r#"tensor "blk.0.ffn_up_exps.weight": the importance matrix has 2 x 2 for it, the tensor is 1 x 2: it is another model's, run edgeformer calibrate on this one"#);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gguf");
        std::fs::write(&path, b"\x07\0\0\0").unwrap();
        assert!(Imatrix::read(&path).unwrap_err().to_string().contains("llama-imatrix"));
        GgufWriter::new().metadata("general.type", "model").write_file(&path).unwrap();
        assert!(Imatrix::read(&path).unwrap_err().to_string().contains("edgeformer calibrate"));
        let mut damaged = some();
        damaged.entries.get_mut("blk.0.ffn_up_exps.weight").unwrap().sums[1] = f32::NAN;
        damaged.write(&path).unwrap();
        assert!(Imatrix::read(&path).unwrap_err().to_string().contains("no number"));
        let mut damaged = some();
        damaged.entries.get_mut("blk.0.ffn_up_exps.weight").unwrap().largest[1] = -1.0;
        damaged.write(&path).unwrap();
        assert!(Imatrix::read(&path).unwrap_err().to_string().contains("negative"));
    }
}
