//! Looks at a library without starting anything of ONNX Runtime: what it is can be said of versions
//! that this program could not run, too.

use std::ffi::{CStr, c_char, c_int};
use std::path::{Path, PathBuf};
use std::ptr;

use ort::sys::{OrtApi, OrtApiBase};

use crate::error::Problem;

/// The version of the interface that is asked for the list of providers, which is in all since: that
/// of ONNX Runtime 1.11.
const INTERFACE: u32 = 11;

/// An ONNX Runtime library, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeLibrary {
    /// Where it is.
    pub path: PathBuf,
    /// Its version, for example `1.27.1`.
    pub version: String,
    /// The execution providers that it was built with, by ONNX Runtime's names, for example
    /// `MIGraphXExecutionProvider`. Empty where it is older than 1.11. That what a provider needs is
    /// installed, or that there is a device, they do not say.
    pub providers: Vec<String>,
}

impl RuntimeLibrary {
    /// The major and the minor number of the version, zero where it has none.
    pub fn numbers(&self) -> (u32, u32) {
        let mut numbers = self.version.split('.').map(|part| part.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}

/// Loads the library at a path, asks what it is, and lets it go.
pub(crate) fn look(path: &Path) -> Result<RuntimeLibrary, Problem> {
    if !starts_as_library(path) {
        let why = "its first bytes are no library's".into();
        return Err(Problem::NotALibrary { path: path.into(), why });
    }
    // SAFETY: the initialisers of a library that the user names are run: that is what loading is.
    let library = unsafe { libloading::Library::new(path) }.map_err(|error| {
        let why = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Problem::NotALibrary { path: path.into(), why }
    })?;
    type GetBase = unsafe extern "C" fn() -> *const OrtApiBase;
    // SAFETY: a symbol of this name is ONNX Runtime's, whose type this has been since 1.0.
    let base = unsafe { library.get::<GetBase>(b"OrtGetApiBase\0") };
    let Ok(base) = base else { return Err(Problem::WithoutApi { path: path.into() }) };
    // SAFETY: it takes nothing and returns a pointer to a static table or null.
    let base = unsafe { base().as_ref() };
    let Some(base) = base else { return Err(Problem::WithoutApi { path: path.into() }) };
    // SAFETY: the table is ONNX Runtime's; the function returns a static C string.
    let version = unsafe { CStr::from_ptr((base.GetVersionString)()) };
    let version = version.to_string_lossy().into_owned();
    let mut looked = RuntimeLibrary { path: path.into(), version, providers: Vec::new() };
    if looked.numbers() >= (1, INTERFACE) {
        // SAFETY: the table is that of a library that is loaded and has this interface.
        looked.providers = unsafe { providers(base) };
    }
    Ok(looked)
}

/// The execution providers that a library was built with.
///
/// # Safety
/// The table must be that of a loaded library, of a version that has [`INTERFACE`].
unsafe fn providers(base: &OrtApiBase) -> Vec<String> {
    // SAFETY: the function takes any number and gives a static table or null.
    let api: *const OrtApi = unsafe { (base.GetApi)(INTERFACE) };
    if api.is_null() {
        return Vec::new();
    }
    let mut names: *mut *mut c_char = ptr::null_mut();
    let mut count: c_int = 0;
    // SAFETY: the table may be shorter than the newest: no reference is made to it, and both fields
    // stand in what every interface has had since long before this one. The pointers are to locals
    // that live through the call, which writes a list of `count` C strings.
    unsafe {
        let get = ptr::read(&raw const (*api).GetAvailableProviders);
        let status = get(&mut names, &mut count);
        if !status.0.is_null() {
            ptr::read(&raw const (*api).ReleaseStatus)(status.0);
            return Vec::new();
        }
    }
    let name = |index| {
        // SAFETY: the list has `count` pointers to C strings that stay until it is released.
        unsafe { CStr::from_ptr(*names.add(index)) }.to_string_lossy().into_owned()
    };
    let found = (0..usize::try_from(count).unwrap_or(0)).map(name).collect();
    // SAFETY: the list is that of the call above and released once.
    unsafe {
        let status = ptr::read(&raw const (*api).ReleaseAvailableProviders)(names, count);
        if !status.0.is_null() {
            ptr::read(&raw const (*api).ReleaseStatus)(status.0);
        }
    }
    found
}

/// Whether a file begins as libraries do: the loader's own words for text files differ.
fn starts_as_library(path: &Path) -> bool {
    use std::io::Read;
    let mut magic = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    let known: [&[u8]; 6] = [
        b"\x7fELF",
        b"MZ",
        &[0xcf, 0xfa, 0xed, 0xfe],
        &[0xca, 0xfe, 0xba, 0xbe],
        &[0xca, 0xfe, 0xba, 0xbf],
        &[0xce, 0xfa, 0xed, 0xfe],
    ];
    read.is_ok() && known.iter().any(|known| magic.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_not_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so");
        std::fs::write(&path, "not a library").unwrap();
        let text = look(&path).unwrap_err().to_string();
        let text = text.replace(&path.display().to_string(), "[path]");
        insta::assert_snapshot!(text, @"[path] is not a shared library that can be loaded here: its first bytes are no library's");
    }

    #[test]
    fn versions_have_numbers() {
        let numbers = |version: &str| {
            let looked = RuntimeLibrary {
                path: PathBuf::new(),
                version: version.into(),
                providers: Vec::new(),
            };
            looked.numbers()
        };
        assert_eq!(numbers("1.27.1"), (1, 27));
        assert_eq!(numbers("none"), (0, 0));
    }
}
