//! Reading sysfs within bounds.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// More bytes than a file of sysfs has: those are a page.
const MAX_BYTES: u64 = 64 << 10;

/// A file that says what cannot be, and how.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub String);

impl Malformed {
    pub fn new(problem: &str) -> Self {
        Self(problem.into())
    }
}

/// A file's text, where it is not longer than files of sysfs are.
pub(super) fn read_bounded(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it is longer than {MAX_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not text"))
}

/// What in a folder has a number for a name, in the order of the numbers.
pub(super) fn children(folder: &Path, most: usize) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(number) = number.and_then(|name| name.parse().ok()) else { continue };
        found.push((number, path));
        if found.len() > most {
            return Err(io::Error::other(format!("it has more than {most} entries")));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sort_as_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["10", "2", "0", "+1", "x", "99999999999"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = children(folder.path(), 8).unwrap();
        assert_eq!(found.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 2, 10]);
        assert!(children(folder.path(), 2).is_err());
    }

    #[test]
    fn long_files_are_not_read_to_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("properties");
        fs::write(&path, vec![b'1'; MAX_BYTES as usize]).unwrap();
        assert_eq!(read_bounded(&path).unwrap().len(), MAX_BYTES as usize);
        fs::write(&path, vec![b'1'; MAX_BYTES as usize + 1]).unwrap();
        assert!(read_bounded(&path).is_err());
        fs::write(&path, [0xff]).unwrap();
        assert!(read_bounded(&path).is_err());
        // Endless, and no file of sysfs.
        if Path::new("/dev/zero").exists() {
            assert!(read_bounded(Path::new("/dev/zero")).is_err());
        }
    }
}
