//! The table in a library.

use std::mem::{MaybeUninit, offset_of};
use std::path::Path;

use libloading::Library;

use super::{LoadError, Result};
use crate::abi::{ABI_VERSION, BackendV1, SYMBOL};

/// What every version of the table begins with.
#[repr(C)]
struct Head {
    abi_version: u32,
    struct_size: usize,
}

/// Loads a library for good and returns its table.
///
/// # Safety
/// The library is run as a part of this process: it must be what it says it is.
pub unsafe fn table(path: &Path) -> Result<&'static BackendV1> {
    let wrong = |problem: String| LoadError::new(path, problem);
    // SAFETY: the caller promises it.
    let library = unsafe { open(path) };
    let library = library.map_err(|error| {
        wrong(format!("is no library that can be loaded here: {}", why(&error)))
    })?;
    // Never unloaded, whatever is found in it: what it started may still run.
    let library: &'static Library = Box::leak(Box::new(library));
    // SAFETY: the symbol is the interface's own: whoever defines it defines a table.
    let head = unsafe { library.get::<*const Head>(SYMBOL.as_bytes()) };
    let head = *head.map_err(|_| {
        wrong(format!("has no symbol {SYMBOL}: it was not made with export_backend!"))
    })?;
    // SAFETY: as above; its first two fields are the same in every version.
    let Head { abi_version, struct_size } = unsafe { head.read() };
    if abi_version != ABI_VERSION {
        return Err(wrong(format!(
            "speaks version {abi_version} of the interface, this program version {ABI_VERSION}: build it against the same edgeformer-plugin"
        )));
    }
    if struct_size < NEEDED {
        return Err(wrong(format!(
            "its table has {struct_size} bytes, {} are needed: build it against the same edgeformer-plugin",
            NEEDED
        )));
    }
    // SAFETY: the table is of this version and has at least what is needed.
    Ok(Box::leak(Box::new(unsafe { extended(head.cast(), struct_size) })))
}

/// Bytes of the first tables of this version.
const NEEDED: usize = offset_of!(BackendV1, cache_set_adapters);

/// A table whose functions behind its end are absent.
///
/// # Safety
/// `table` has `size` bytes, at least [`NEEDED`] of them.
unsafe fn extended(table: *const u8, size: usize) -> BackendV1 {
    let mut whole = MaybeUninit::<BackendV1>::zeroed();
    let whole_size = size_of::<BackendV1>();
    let known = if size < whole_size { NEEDED } else { whole_size };
    // SAFETY: both have so many bytes. What stays zero is optional functions, and that is their
    // absence.
    unsafe {
        std::ptr::copy_nonoverlapping(table, whole.as_mut_ptr().cast(), known);
        whole.assume_init()
    }
}

/// Every symbol is found now or never, and none is lent to other libraries.
///
/// # Safety
/// As for [`table`].
#[cfg(unix)]
unsafe fn open(path: &Path) -> std::result::Result<Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: the caller promises it.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
}

/// # Safety
/// As for [`table`].
#[cfg(not(unix))]
unsafe fn open(path: &Path) -> std::result::Result<Library, libloading::Error> {
    // SAFETY: the caller promises it.
    unsafe { Library::new(path) }
}

/// The loader's own words.
fn why(error: &libloading::Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}
