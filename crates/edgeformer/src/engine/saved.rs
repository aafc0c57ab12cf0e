//! Saved prompts: the tokens of a sequence, then the sequence as the cache exports it.
//!
//! Little-endian throughout:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic `EFPROMPT` |
//! | 4 | version, 1 |
//! | 8 | number of tokens |
//! | 4 each | the tokens |
//! | 8 | FNV-1a of everything before |
//! | | the sequence, which names its model and the options of its cache, with a check of its own |
//!
//! The file is written and read in passing: nothing but the tokens is held in memory, and no more
//! of them than have come.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use edgeformer_core::{KvCache, SequenceId};
use edgeformer_models::atomic::write_atomically;

use crate::hash::Fnv;
use crate::{Error, Result};

const MAGIC: [u8; 8] = *b"EFPROMPT";
const VERSION: u32 = 1;

/// Writes a sequence that holds `tokens`. After an error the file is as it was.
pub(super) fn save(
    path: &Path,
    tokens: &[u32],
    sequence: SequenceId,
    cache: &mut dyn KvCache,
) -> Result<()> {
    let header = header(tokens);
    Ok(write_atomically(path, |out| {
        out.write_all(&header)?;
        out.write_all(&fnv(&header).to_le_bytes())?;
        cache.export(sequence, out).map_err(|error| match error {
            edgeformer_core::Error::Io(error) => error,
            error => io::Error::other(error),
        })
    })?)
}

fn header(tokens: &[u32]) -> Vec<u8> {
    let mut header = Vec::with_capacity(MAGIC.len() + 12 + 4 * tokens.len());
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&(tokens.len() as u64).to_le_bytes());
    header.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
    header
}

/// Reads a sequence and its tokens. After an error the cache is as it was.
pub(super) fn load(path: &Path, cache: &mut dyn KvCache) -> Result<(SequenceId, Vec<u32>)> {
    let wrong = |problem: String| Error::PromptCache { path: path.to_owned(), problem };
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut file = BufReader::with_capacity(1 << 18, file);
    let tokens = read_tokens(&mut file).map_err(wrong)?;
    let sequence = cache.import(&mut file).map_err(|error| wrong(error.to_string()))?;
    let problem = match file.read(&mut [0]) {
        Ok(0) if cache.len(sequence) == tokens.len() => return Ok((sequence, tokens)),
        Ok(0) => format!(
            "damaged: it lists {} tokens, its cache holds {}",
            tokens.len(),
            cache.len(sequence)
        ),
        Ok(_) => "damaged: something follows its end".into(),
        Err(error) => error.to_string(),
    };
    cache.remove(sequence);
    Err(wrong(problem))
}

fn read_tokens(from: &mut impl Read) -> Result<Vec<u32>, String> {
    let cut = |_| "damaged: it ends in the middle".to_string();
    let mut start = [0; MAGIC.len() + 12];
    from.read_exact(&mut start[..MAGIC.len()]).map_err(cut)?;
    if start[..MAGIC.len()] != MAGIC {
        return Err("this is no saved prompt: it does not begin with EFPROMPT".into());
    }
    from.read_exact(&mut start[MAGIC.len()..]).map_err(cut)?;
    let (version, count) = start[MAGIC.len()..].split_at(4);
    let version = u32::from_le_bytes(version.try_into().expect("four bytes"));
    if version != VERSION {
        return Err(format!("version {version}, this program reads version {VERSION}"));
    }
    let count = u64::from_le_bytes(count.try_into().expect("eight bytes"));
    let length = count.checked_mul(4).ok_or("damaged: its number of tokens is too large")?;
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let mut check = [0; 8];
    from.read_exact(&mut check).map_err(cut)?;
    if u64::from_le_bytes(check) != fnv(&[start.as_slice(), &bytes].concat()) {
        return Err("damaged: its tokens are not those that were saved".into());
    }
    let token = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    Ok(bytes.chunks_exact(4).map(token).collect())
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

    fn file(tokens: &[u32]) -> Vec<u8> {
        let mut file = header(tokens);
        file.extend(fnv(&file).to_le_bytes());
        file
    }

    proptest! {
        #[test]
        fn tokens_come_back(tokens: Vec<u32>) {
            prop_assert_eq!(read_tokens(&mut file(&tokens).as_slice()), Ok(tokens));
        }

        #[test]
        fn no_changed_byte_goes_unnoticed(tokens in proptest::collection::vec(any::<u32>(), 0..9), at: prop::sample::Index, change in 1u8..) {
            let mut file = file(&tokens);
            let at = at.index(file.len());
            file[at] ^= change;
            prop_assert!(read_tokens(&mut file.as_slice()).is_err());
        }

        #[test]
        fn no_cut_goes_unnoticed(tokens in proptest::collection::vec(any::<u32>(), 0..9), at: prop::sample::Index) {
            let file = file(&tokens);
            let kept = at.index(file.len());
            prop_assert!(read_tokens(&mut &file[..kept]).is_err());
        }
    }

    #[test]
    fn a_length_is_not_trusted_with_memory() {
        let mut file = file(&[1, 2, 3]);
        file[12..20].copy_from_slice(&(1u64 << 61).to_le_bytes());
        assert!(read_tokens(&mut file.as_slice()).unwrap_err().contains("damaged"));
        file[12..20].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(read_tokens(&mut file.as_slice()).unwrap_err().contains("too large"));
    }
}
