//! Saved prompts: the tokens of a sequence, then the sequence as the cache exports it.
//!
//! Little-endian throughout:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic `EFPROMPT` |
//! | 4 | version: 1, or 2 where the request said how strongly adapters act |
//! | 8 | number of tokens |
//! | 4 each | the tokens |
//! | | in version 2: |
//! | 8 | number of adapters |
//! | 4 each | their scales |
//! | 8 | FNV-1a of everything before |
//! | | the sequence, which names its model and the options of its cache, with a check of its own |
//!
//! The file is written and read in passing: nothing but the tokens is held in memory, and no more
//! of them than have come.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use edgeformer_core::{AdapterScales, KvCache, SequenceId};
use edgeformer_models::atomic::write_atomically;

use super::kept::Seen;
use crate::hash::Fnv;
use crate::{Error, Result};

const MAGIC: [u8; 8] = *b"EFPROMPT";
const VERSION: u32 = 1;
const WITH_SCALES: u32 = 2;

/// Writes a sequence that has `seen` so much. After an error the file is as it was.
pub(super) fn save(
    path: &Path,
    seen: &Seen,
    sequence: SequenceId,
    cache: &mut dyn KvCache,
) -> Result<()> {
    let header = header(seen);
    Ok(write_atomically(path, |out| {
        out.write_all(&header)?;
        out.write_all(&fnv(&header).to_le_bytes())?;
        cache.export(sequence, out).map_err(|error| match error {
            edgeformer_core::Error::Io(error) => error,
            error => io::Error::other(error),
        })
    })?)
}

fn header(Seen { tokens, adapters }: &Seen) -> Vec<u8> {
    let scales = adapters.all();
    let version = if scales.is_some() { WITH_SCALES } else { VERSION };
    let mut header = Vec::with_capacity(MAGIC.len() + 12 + 4 * tokens.len());
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&version.to_le_bytes());
    header.extend_from_slice(&(tokens.len() as u64).to_le_bytes());
    header.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
    if let Some(scales) = scales {
        header.extend_from_slice(&(scales.len() as u64).to_le_bytes());
        header.extend(scales.iter().flat_map(|scale| scale.to_le_bytes()));
    }
    header
}

/// Reads a sequence and what it has seen. After an error the cache is as it was.
pub(super) fn load(path: &Path, cache: &mut dyn KvCache) -> Result<(SequenceId, Seen)> {
    let wrong = |problem: String| Error::PromptCache { path: path.to_owned(), problem };
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut file = BufReader::with_capacity(1 << 18, file);
    let seen = read_seen(&mut file).map_err(wrong)?;
    let sequence = cache.import(&mut file).map_err(|error| wrong(error.to_string()))?;
    let problem = match file.read(&mut [0]) {
        Ok(0) if cache.len(sequence) == seen.tokens.len() => {
            match cache.set_adapters(sequence, &seen.adapters) {
                Ok(()) => return Ok((sequence, seen)),
                Err(error) => error.to_string(),
            }
        }
        Ok(0) => format!(
            "damaged: it lists {} tokens, its cache holds {}",
            seen.tokens.len(),
            cache.len(sequence)
        ),
        Ok(_) => "damaged: something follows its end".into(),
        Err(error) => error.to_string(),
    };
    cache.remove(sequence);
    Err(wrong(problem))
}

fn read_seen(from: &mut impl Read) -> Result<Seen, String> {
    let mut all = vec![0; MAGIC.len() + 4];
    from.read_exact(&mut all[..MAGIC.len()]).map_err(cut)?;
    if all[..MAGIC.len()] != MAGIC {
        return Err("this is no saved prompt: it does not begin with EFPROMPT".into());
    }
    from.read_exact(&mut all[MAGIC.len()..]).map_err(cut)?;
    let version = u32::from_le_bytes(all[MAGIC.len()..].try_into().expect("four bytes"));
    if ![VERSION, WITH_SCALES].contains(&version) {
        return Err(format!(
            "version {version}, this program reads versions {VERSION} and {WITH_SCALES}"
        ));
    }
    let tokens = read_list(from, &mut all)?.into_iter().map(u32::from_le_bytes).collect();
    let scales: Option<Vec<f32>> = match version {
        WITH_SCALES => {
            Some(read_list(from, &mut all)?.into_iter().map(f32::from_le_bytes).collect())
        }
        _ => None,
    };
    let mut check = [0; 8];
    from.read_exact(&mut check).map_err(cut)?;
    if u64::from_le_bytes(check) != fnv(&all) {
        return Err("damaged: its tokens are not those that were saved".into());
    }
    let adapters = scales.map(|scales| AdapterScales::new(&scales)).transpose();
    let adapters = adapters.map_err(|error| format!("damaged: {error}"))?.unwrap_or_default();
    Ok(Seen { tokens, adapters })
}

/// Elements of four bytes behind their number; everything that was read is put behind `all`.
fn read_list(from: &mut impl Read, all: &mut Vec<u8>) -> Result<Vec<[u8; 4]>, String> {
    let mut count = [0; 8];
    from.read_exact(&mut count).map_err(cut)?;
    let length = u64::from_le_bytes(count).checked_mul(4);
    let length = length.ok_or("damaged: a number of elements is too large")?;
    all.extend_from_slice(&count);
    let start = all.len();
    let read = from.take(length).read_to_end(all).map_err(|error| error.to_string())?;
    if (read as u64) < length {
        return Err(CUT.into());
    }
    Ok(all[start..].as_chunks().0.to_vec())
}

const CUT: &str = "damaged: it ends in the middle";

fn cut(_: io::Error) -> String {
    CUT.into()
}

fn fnv(bytes: &[u8]) -> u64 {
    let mut hash = Fnv::default();
    hash.add(bytes);
    hash.value()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `scales` from 0 to 16, quarter by quarter.
    fn seen(tokens: &[u32], scales: Option<&[u8]>) -> Seen {
        let scale = |quarters: &u8| f32::from(*quarters) / 4.0;
        let scales = scales.map(|scales| scales.iter().map(scale).collect::<Vec<f32>>());
        let adapters = scales.map(|scales| AdapterScales::new(&scales).unwrap());
        Seen { tokens: tokens.to_vec(), adapters: adapters.unwrap_or_default() }
    }

    fn file(seen: &Seen) -> Vec<u8> {
        let mut file = header(seen);
        file.extend(fnv(&file).to_le_bytes());
        file
    }

    proptest! {
        #[test]
        fn what_was_seen_comes_back(tokens: Vec<u32>, scales: Option<Vec<u8>>) {
            let seen = seen(&tokens, scales.as_deref());
            prop_assert_eq!(read_seen(&mut file(&seen).as_slice()), Ok(seen));
        }

        #[test]
        fn no_changed_byte_goes_unnoticed(tokens in proptest::collection::vec(any::<u32>(), 0..9), scales: Option<[u8; 3]>, at: prop::sample::Index, change in 1u8..) {
            let mut file = file(&seen(&tokens, scales.as_ref().map(|scales| &scales[..])));
            let at = at.index(file.len());
            file[at] ^= change;
            prop_assert!(read_seen(&mut file.as_slice()).is_err());
        }

        #[test]
        fn no_cut_goes_unnoticed(tokens in proptest::collection::vec(any::<u32>(), 0..9), scales: Option<[u8; 3]>, at: prop::sample::Index) {
            let file = file(&seen(&tokens, scales.as_ref().map(|scales| &scales[..])));
            let kept = at.index(file.len());
            prop_assert!(read_seen(&mut &file[..kept]).is_err());
        }
    }

    #[test]
    fn a_length_is_not_trusted_with_memory() {
        let mut file = file(&seen(&[1, 2, 3], None));
        file[12..20].copy_from_slice(&(1u64 << 61).to_le_bytes());
        assert!(read_seen(&mut file.as_slice()).unwrap_err().contains("damaged"));
        file[12..20].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(read_seen(&mut file.as_slice()).unwrap_err().contains("too large"));
    }
}
