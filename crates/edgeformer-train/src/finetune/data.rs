use std::fs;
use std::io::Read;
use std::path::Path;

use edgeformer_models::ModelFile;
use sha2::{Digest, Sha256};

use super::examples::{Encoded, Encoding, encode, windows};
use super::labelled::{Judge, ReadImage};
use super::request::Request;
use crate::data::{Entry, Pool, Record, Strictness};
use crate::run::evaluation;
use crate::trainer::{Example, Trainer};
use crate::{Error, Result};
use edgeformer_core::random::Random;

/// What the numbers of a split are for.
const SPLIT: u64 = 3;

/// What is learned, and what is validated with.
pub(super) struct Data {
    pub learned: Encoded,
    pub validation: Vec<Example>,
    pub bad_lines: usize,
    /// Of all files, for the card.
    pub sha256: String,
}

impl Data {
    /// Reads the files of a request; records have at most so many tokens.
    pub fn read(
        request: &Request,
        file: &ModelFile,
        context: usize,
        read_image: &ReadImage<'_>,
    ) -> Result<Self> {
        let read = |path: &Path, stride: usize| match Judge::of(file) {
            Some(judge) => {
                let encoding = Encoding::of(file, context, request.truncate).ok();
                judge.read(path, request.strictness, encoding.as_ref(), read_image)
            }
            None => texts(request, file, path, context, stride),
        };
        let (mut learned, bad_lines) = read(&request.data, request.stride.unwrap_or(context))?;
        let mut sha256 = sha256(&request.data)?;
        let validation = match &request.validation {
            Some(path) => {
                sha256 = format!("{sha256} and {}", self::sha256(path)?);
                read(path, context)?.0.examples
            }
            None => split(&mut learned.examples, request.validation_share, request.seed),
        };
        if learned.examples.is_empty() {
            return Err(Error::file(&request.data, "there is nothing to learn in it"));
        }
        Ok(Self { learned, validation, bad_lines, sha256 })
    }

    /// The validation loss before anything is learned.
    pub fn first_loss(&self, trainer: &Trainer, part_tokens: usize) -> Result<Option<f64>> {
        match self.validation.is_empty() {
            true => Ok(None),
            false => Ok(Some(evaluation(trainer, &self.validation, part_tokens)?.mean_loss())),
        }
    }
}

/// The records of a file for a model that continues text, and how many lines were none.
fn texts(
    request: &Request,
    file: &ModelFile,
    path: &Path,
    context: usize,
    stride: usize,
) -> Result<(Encoded, usize)> {
    let encoding = Encoding::of(file, context, request.truncate)?;
    let pool = pool_of(path, request.strictness)?;
    let encoded = match request.windows {
        true => windows(&pool, &encoding, stride)?,
        false => encode(&pool, &encoding)?,
    };
    Ok((encoded, pool.bad.len()))
}

/// The records of a file: a text by its name is one record.
fn pool_of(path: &Path, strictness: Strictness) -> Result<Pool> {
    if path.extension().is_none_or(|ending| ending != "txt") {
        return Pool::open(path, strictness);
    }
    let text = fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
    let record = Record::Text { text, label: None };
    let entry = Entry { line: 1, raw: String::new(), record, id: None, source: None, class: None };
    Ok(Pool { path: path.to_owned(), entries: vec![entry], bad: Vec::new() })
}

/// Takes a share of the examples out, at random.
fn split(examples: &mut Vec<Example>, share: f64, seed: u64) -> Vec<Example> {
    let count = (share * examples.len() as f64).round() as usize;
    if count == 0 {
        return Vec::new();
    }
    Random::of(seed, &[SPLIT]).shuffle(examples);
    examples.split_off(examples.len() - count)
}

/// That of a file, or of all files of a folder with their names, in their order.
fn sha256(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    add(path, &mut hash)?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn add(path: &Path, hash: &mut Sha256) -> Result<()> {
    let wrong = |source| Error::io(path, source);
    if path.is_dir() {
        let entries = fs::read_dir(path).map_err(wrong)?;
        let mut entries: Vec<_> = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .map_err(wrong)?;
        entries.sort();
        return entries.iter().try_for_each(|entry| {
            hash.update(entry.file_name().unwrap_or_default().as_encoded_bytes());
            add(entry, hash)
        });
    }
    let mut file = fs::File::open(path).map_err(wrong)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(wrong)?;
        if read == 0 {
            return Ok(());
        }
        hash.update(&buffer[..read]);
    }
}
