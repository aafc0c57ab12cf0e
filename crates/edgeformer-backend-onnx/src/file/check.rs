//! Whether what a `.onnx` file says of its weights holds.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path};

use edgeformer_core::Result;

use super::wire::{Field, read};

/// Larger files hold their weights themselves, which no export of ours does.
const MOST: u64 = 1 << 31;

/// Checks that every tensor outside of a `.onnx` file lies in a regular file of the same folder,
/// and wholly. Returns how many there are.
///
/// # Errors
/// If the file cannot be read, is damaged, or names a place that leaves the folder, is a link or
/// no regular file, or ends before the tensor does.
pub fn check(path: &Path) -> Result<usize> {
    let problem = |what: String| {
        std::io::Error::new(ErrorKind::InvalidData, format!("{}: {what}", path.display()))
    };
    let bytes = fs::metadata(path)?.len();
    if bytes > MOST {
        return Err(problem(format!("{bytes} bytes, a file of 2 GiB at most is expected")).into());
    }
    let file = fs::read(path)?;
    let externals =
        externals(&file).ok_or_else(|| problem("it is damaged, or no ONNX file".into()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for external in &externals {
        external
            .check(folder)
            .map_err(|what| problem(format!("tensor {:?}: {what}", external.tensor)))?;
    }
    Ok(externals.len())
}

/// A tensor's bytes outside of the file.
#[derive(Debug, Default, PartialEq, Eq)]
struct External {
    tensor: String,
    location: String,
    offset: u64,
    length: u64,
}

impl External {
    fn check(&self, folder: &Path) -> Result<(), String> {
        let location = Path::new(&self.location);
        let mut parts = location.components();
        let inside = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
        if !inside {
            return Err(format!(
                "its data are at {:?}, outside of the file's folder",
                self.location
            ));
        }
        let found = fs::symlink_metadata(folder.join(location))
            .map_err(|error| format!("its data {:?}: {error}", self.location))?;
        if !found.is_file() {
            return Err(format!("its data {:?} are a link or no regular file", self.location));
        }
        let end = self.offset.checked_add(self.length).filter(|&end| end <= found.len());
        match end {
            Some(_) => Ok(()),
            None => Err(format!(
                "bytes {} and {} more of {:?}, which has {}",
                self.offset,
                self.length,
                self.location,
                found.len()
            )),
        }
    }
}

/// The tensors of the graph that lie outside.
fn externals(file: &[u8]) -> Option<Vec<External>> {
    let mut externals = Vec::new();
    for graph in messages(file, 7)? {
        for tensor in messages(graph, 5)? {
            let fields = read(tensor)?;
            if fields.contains(&(14, Field::Integer(1))) {
                externals.push(external(tensor)?);
            }
        }
    }
    Some(externals)
}

fn external(tensor: &[u8]) -> Option<External> {
    let mut external = External { tensor: text(tensor, 8)?, ..External::default() };
    for entry in messages(tensor, 13)? {
        let value = text(entry, 2)?;
        match text(entry, 1)?.as_str() {
            "location" => external.location = value,
            "offset" => external.offset = value.parse().ok()?,
            "length" => external.length = value.parse().ok()?,
            _ => {}
        }
    }
    Some(external)
}

fn messages(message: &[u8], number: u32) -> Option<Vec<&[u8]>> {
    let fields = read(message)?.into_iter();
    Some(
        fields
            .filter_map(|field| match field {
                (found, Field::Bytes(bytes)) if found == number => Some(bytes),
                _ => None,
            })
            .collect(),
    )
}

fn text(message: &[u8], number: u32) -> Option<String> {
    String::from_utf8(messages(message, number)?.first()?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(folder: &Path, location: &str, length: u64) -> String {
        let external =
            External { tensor: "w".into(), location: location.into(), offset: 4, length };
        external.check(folder).unwrap_err()
    }

    #[test]
    fn data_must_lie_beside_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::write(folder.join("data"), [0; 16]).unwrap();
        fs::create_dir(folder.join("inner")).unwrap();
        let good =
            External { location: "data".into(), offset: 4, length: 12, ..External::default() };
        assert_eq!(good.check(folder), Ok(()));
        insta::assert_snapshot!(refused(folder, "../data", 4), @r#"its data are at "../data", outside of the file's folder"#);
        insta::assert_snapshot!(refused(folder, "/etc/passwd", 4), @r#"its data are at "/etc/passwd", outside of the file's folder"#);
        insta::assert_snapshot!(refused(folder, "", 4), @r#"its data are at "", outside of the file's folder"#);
        insta::assert_snapshot!(refused(folder, "inner", 4), @r#"its data "inner" are a link or no regular file"#);
        insta::assert_snapshot!(refused(folder, "data", 13), @r#"bytes 4 and 13 more of "data", which has 16"#);
        insta::assert_snapshot!(refused(folder, "data", u64::MAX), @r#"bytes 4 and 18446744073709551615 more of "data", which has 16"#);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.join("data"), folder.join("link")).unwrap();
            insta::assert_snapshot!(refused(folder, "link", 4), @r#"its data "link" are a link or no regular file"#);
        }
    }

    #[test]
    fn what_is_no_onnx_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        fs::write(&path, "not a model").unwrap();
        let text = check(&path).unwrap_err().to_string();
        assert!(text.ends_with("it is damaged, or no ONNX file"), "{text}");
        assert!(check(&folder.path().join("absent.onnx")).is_err());
    }
}
