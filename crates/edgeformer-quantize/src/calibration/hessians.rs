//! Hessians on disk: a folder with a file for each input that weights share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use edgeformer_models::atomic::write_atomically;
use serde::{Deserialize, Serialize};

use crate::linalg::Hessian;
use crate::{Error, Result};

/// The file that makes a folder one of Hessians.
const INDEX: &str = "hessians.json";

/// What a folder of Hessians holds. One is read at a time: memory does not grow with the model.
///
/// | file | holds |
/// |---|---|
/// | `hessians.json` | texts, and by weight and part the number of a file |
/// | `N.hessian` | [`Hessian::to_bytes`] |
///
/// Weights that read the same rows (queries, keys and values) share a file.
#[derive(Debug, Clone)]
pub struct Hessians {
    folder: PathBuf,
    index: Index,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Index {
    /// The texts that were read.
    datasets: Vec<String>,
    /// By weight, one a matrix of a stack; `null` for a matrix that read nothing.
    weights: BTreeMap<String, Vec<Option<usize>>>,
}

impl Hessians {
    /// Opens a folder that [`HessianWriter`] has written.
    ///
    /// # Errors
    /// If it is none.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(INDEX);
        let wrong = |problem: String| {
            let remedy = "name a folder of edgeformer calibrate --hessians";
            Error::Request(format!("{}: {problem}: {remedy}", path.display()))
        };
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let index = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { folder: folder.to_owned(), index })
    }

    /// The Hessian of a matrix with that many columns, `None` if none was recorded.
    ///
    /// # Errors
    /// If it was and cannot be read, or is of another width: of another model.
    pub fn of(&self, weight: &str, part: usize, columns: usize) -> Result<Option<Hessian>> {
        let number = self.index.weights.get(weight).and_then(|parts| *parts.get(part)?);
        let Some(number) = number else { return Ok(None) };
        let path = file(&self.folder, number);
        let wrong = |problem: String| {
            let remedy = "run edgeformer calibrate again";
            Error::Request(format!("{}: {problem}: {remedy}", path.display()))
        };
        let bytes = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
        let hessian = Hessian::from_bytes(&bytes).map_err(|error| wrong(error.to_string()))?;
        if hessian.size() == columns {
            return Ok(Some(hessian));
        }
        let size = hessian.size();
        Err(wrong(format!("it is of {size} inputs, {weight:?} has {columns}")))
    }

    /// The texts that were read.
    pub fn datasets(&self) -> &[String] {
        &self.index.datasets
    }
}

/// Writes a folder of Hessians, one at a time.
#[derive(Debug)]
pub struct HessianWriter {
    folder: PathBuf,
    index: Index,
    written: usize,
}

impl HessianWriter {
    /// Begins a folder.
    ///
    /// # Errors
    /// If it cannot be made, or there is one already and `force` is not set.
    pub fn create(folder: &Path, datasets: Vec<String>, force: bool) -> Result<Self> {
        let io = |error: std::io::Error| Error::Request(format!("{}: {error}", folder.display()));
        if folder.join(INDEX).exists() {
            if !force {
                let problem = "holds Hessians already: name another folder, or --force";
                return Err(Error::Request(format!("{}: {problem}", folder.display())));
            }
            // Without its index a folder holds nothing: what is overwritten is not half of both.
            std::fs::remove_file(folder.join(INDEX)).map_err(io)?;
        }
        std::fs::create_dir_all(folder).map_err(io)?;
        let index = Index { datasets, ..Index::default() };
        Ok(Self { folder: folder.to_owned(), index, written: 0 })
    }

    /// Writes the Hessian of a part of some weights.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add<S: AsRef<str>>(
        &mut self,
        weights: &[S],
        part: usize,
        hessian: &Hessian,
    ) -> Result<()> {
        let bytes = hessian.to_bytes();
        write_atomically(&file(&self.folder, self.written), |out| out.write_all(&bytes))?;
        for weight in weights {
            let parts = self.index.weights.entry(weight.as_ref().to_owned()).or_default();
            parts.resize((part + 1).max(parts.len()), None);
            parts[part] = Some(self.written);
        }
        self.written += 1;
        Ok(())
    }

    /// Writes the index: now the folder can be opened.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> Result<Hessians> {
        write_atomically(&self.folder.join(INDEX), |out| {
            serde_json::to_writer_pretty(&mut *out, &self.index)?;
            out.write_all(b"\n")
        })?;
        Ok(Hessians { folder: self.folder, index: self.index })
    }
}

fn file(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number}.hessian"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_by_weight_and_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("h");
        let mut hessian = Hessian::new(3, 0);
        hessian.add_rows(&[1.0, 2.0, 3.0]).unwrap();
        let mut writer = HessianWriter::create(&path, vec!["t".into()], false).unwrap();
        writer.add(&["q", "k"], 0, &hessian).unwrap();
        writer.add(&["experts"], 2, &hessian).unwrap();
        assert!(Hessians::open(&path).is_err(), "an unfinished folder is none");
        writer.finish().unwrap();
        let read = Hessians::open(&path).unwrap();
        assert_eq!(read.of("k", 0, 3).unwrap(), Some(hessian.clone()));
        assert_eq!(read.of("experts", 2, 3).unwrap(), Some(hessian));
        assert_eq!(read.of("experts", 1, 3).unwrap(), None);
        assert_eq!(read.of("v", 0, 3).unwrap(), None);
        let error = read.of("k", 0, 4).unwrap_err().to_string();
        assert!(error.contains("of 3 inputs, \"k\" has 4"), "{error}");
        assert!(HessianWriter::create(&path, Vec::new(), false).is_err());
        assert!(HessianWriter::create(&path, Vec::new(), true).is_ok());
    }

    #[test]
    fn damaged_files_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = HessianWriter::create(folder.path(), Vec::new(), false).unwrap();
        writer.add(&["q"], 0, &Hessian::new(2, 0)).unwrap();
        let hessians = writer.finish().unwrap();
        std::fs::write(folder.path().join("0.hessian"), b"short").unwrap();
        let error = hessians.of("q", 0, 2).unwrap_err().to_string();
        assert!(error.contains("0.hessian") && error.contains("calibrate"), "{error}");
        std::fs::write(folder.path().join(INDEX), b"{").unwrap();
        assert!(Hessians::open(folder.path()).is_err());
    }
}
