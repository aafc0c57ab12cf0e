//! Where the library is looked for. The one place that reads environment variables.

use std::env;
use std::path::{Path, PathBuf};

use crate::error::Problem;

/// A library to load, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub path: PathBuf,
    pub from: &'static str,
}

/// What the environment says.
struct Surroundings {
    named: Vec<(&'static str, Option<PathBuf>)>,
    folders: Vec<PathBuf>,
}

impl Place {
    /// The library at that path, or the first of: `EDGEFORMER_ORT`, `ORT_DYLIB_PATH`, what
    /// `cargo xtask setup-ort` has put into the cache folder.
    pub fn find(path: Option<&Path>) -> Result<Self, Problem> {
        let surroundings = Surroundings {
            named: ["EDGEFORMER_ORT", "ORT_DYLIB_PATH"]
                .map(|name| (name, env::var_os(name).filter(|path| !path.is_empty())))
                .into_iter()
                .map(|(name, path)| (name, path.map(PathBuf::from)))
                .collect(),
            folders: ort_cache_folder().into_iter().collect(),
        };
        surroundings.find(path)
    }
}

/// The folder that `cargo xtask setup-ort` puts the library into:
/// `$XDG_CACHE_HOME/edgeformer/onnxruntime`, by default in `~/.cache`.
pub(crate) fn ort_cache_folder() -> Option<PathBuf> {
    Some(edgeformer_core::Config::default().cache_folder()?.join("onnxruntime"))
}

impl Surroundings {
    fn find(&self, path: Option<&Path>) -> Result<Place, Problem> {
        if let Some(path) = path {
            return there(path, "the option");
        }
        for (name, path) in &self.named {
            if let Some(path) = path {
                return there(path, name);
            }
        }
        self.folders.iter().find_map(|folder| newest(folder)).ok_or_else(|| {
            let names: Vec<_> = self.named.iter().map(|(name, _)| (*name).to_owned()).collect();
            let folders = self.folders.iter().map(|folder| folder.display().to_string());
            Problem::Missing {
                looked: names.into_iter().chain(folders).collect::<Vec<_>>().join(", "),
            }
        })
    }
}

fn there(path: &Path, from: &'static str) -> Result<Place, Problem> {
    if path.is_dir() {
        return newest(path)
            .map(|place| Place { from, ..place })
            .ok_or_else(|| Problem::Absent { path: path.join("libonnxruntime.so"), from });
    }
    match path.is_file() {
        // Absolute, so that the loader does not search for it.
        true => Ok(Place { path: path.canonicalize().unwrap_or_else(|_| path.into()), from }),
        false => Err(Problem::Absent { path: path.into(), from }),
    }
}

/// The library of the highest version in a folder.
fn newest(folder: &Path) -> Option<Place> {
    let entries = std::fs::read_dir(folder).ok()?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let found = paths
        .filter(|path| path.is_file())
        .filter_map(|path| Some((version(path.file_name()?.to_str()?)?, path)));
    let (_, path) = found.max()?;
    Some(Place { path: path.canonicalize().ok()?, from: "the cache folder" })
}

/// The version in a library's file name, empty where it has none.
fn version(name: &str) -> Option<Vec<u32>> {
    let rest = match name.strip_prefix("libonnxruntime.") {
        Some(rest) => rest,
        None => return (name == "onnxruntime.dll").then(Vec::new),
    };
    let number = |part: &str| part.parse().ok();
    match rest.strip_prefix("so") {
        Some("") => Some(Vec::new()),
        Some(version) => version.strip_prefix('.')?.split('.').map(number).collect(),
        None if rest == "dylib" => Some(Vec::new()),
        None => rest.strip_suffix(".dylib")?.split('.').map(number).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_a_folder_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "libonnxruntime.so.1.9.0",
            "libonnxruntime.so.1.23.2",
            "libonnxruntime_providers_cuda.so",
        ];
        names.iter().for_each(|name| std::fs::write(folder.path().join(name), "").unwrap());
        let found = newest(folder.path()).unwrap().path;
        assert_eq!(found.file_name().unwrap(), "libonnxruntime.so.1.23.2");
        assert_eq!(newest(&folder.path().join("absent")), None);
    }

    #[test]
    fn names_of_libraries_have_versions() {
        assert_eq!(version("libonnxruntime.so"), Some(vec![]));
        assert_eq!(version("libonnxruntime.so.1.32.0"), Some(vec![1, 32, 0]));
        assert_eq!(version("libonnxruntime.1.32.0.dylib"), Some(vec![1, 32, 0]));
        assert_eq!(version("onnxruntime.dll"), Some(vec![]));
        assert_eq!(version("libonnxruntime_providers_shared.so"), None);
        assert_eq!(version("libonnxruntime.so.old"), None);
    }

    #[test]
    fn what_is_named_is_taken_or_refused_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libonnxruntime.so.1.23.0");
        std::fs::write(&library, "").unwrap();
        let surroundings = |named: Option<&str>| Surroundings {
            named: vec![("EDGEFORMER_ORT", named.map(PathBuf::from)), ("ORT_DYLIB_PATH", None)],
            folders: vec![folder.path().into()],
        };
        let found = surroundings(None).find(None).unwrap();
        assert_eq!(found.path, library.canonicalize().unwrap());
        let refused = surroundings(Some("/nowhere/lib.so")).find(None).unwrap_err();
        insta::assert_snapshot!(refused, @"/nowhere/lib.so, which EDGEFORMER_ORT names, is not there: correct it, or run `cargo xtask setup-ort`");
        let nothing =
            Surroundings { named: surroundings(None).named, folders: vec!["/nowhere".into()] };
        insta::assert_snapshot!(nothing.find(None).unwrap_err(), @"there is no ONNX Runtime library: looked for EDGEFORMER_ORT, ORT_DYLIB_PATH, /nowhere; run `cargo xtask setup-ort`, or set EDGEFORMER_ORT to a libonnxruntime of version 1.23 or newer");
    }
}
