//! ROCm's libraries, loaded only where there is a GPU. All that is unsafe in this crate is here.
//!
//! A library that was loaded stays: HIP has threads of its own that do not survive its unloading.

use std::ffi::{CStr, c_char, c_int};
use std::path::{Path, PathBuf};

use libloading::Library;

use super::Problem;

/// HIP's runtime, newest first, as installed for programs and for developers.
const HIP: [&str; 3] = ["libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so"];
/// What HIP stands on.
const HSA: [&str; 1] = ["libhsa-runtime64.so.1"];
/// `hipErrorNoDevice`.
const NO_DEVICE: c_int = 100;
/// Bytes for a name.
const NAME_BYTES: usize = 256;

/// What HIP says about the GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hip {
    /// Its version, as `7.2.4`.
    pub version: String,
    /// The GPUs that it lets this process use, by their numbers.
    pub gpus: Vec<HipGpu>,
}

/// A GPU as HIP knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HipGpu {
    /// What a person calls it, for example `AMD Radeon RX 7900 XTX`; may be empty.
    pub name: String,
    /// Bytes of memory that can be allocated.
    pub memory: Option<u64>,
    /// Where it is plugged in, as `0000:03:00.0`.
    pub slot: Option<String>,
}

/// Loads HIP and asks it for its version and its GPUs.
///
/// # Errors
/// If a library is missing or has not the functions of HIP, or HIP refuses.
pub(crate) fn hip(folders: &[PathBuf]) -> Result<Hip, Problem> {
    load(&HSA, "the HSA runtime", "hsa-rocr", folders)?;
    let (library, file) = load(&HIP, "the HIP runtime", "hip-runtime-amd", folders)?;
    Functions::of(library, &file)?.ask()
}

/// A library of ROCm that ONNX Runtime's provider needs.
pub(crate) struct Needed<'a> {
    /// Its file's name.
    pub name: &'a str,
    /// What a person calls it.
    pub what: &'static str,
    /// ROCm's package that has it.
    pub package: &'static str,
}

/// Loads it, so that the provider finds it wherever it lies.
///
/// # Errors
/// If it is missing.
pub(crate) fn load_needed(needed: &Needed<'_>, folders: &[PathBuf]) -> Result<(), Problem> {
    load(&[needed.name], needed.what, needed.package, folders).map(|_| ())
}

/// Loads the first of the names that is there: in the folders, then where the loader looks.
fn load(
    names: &[&str],
    what: &'static str,
    package: &'static str,
    folders: &[PathBuf],
) -> Result<(&'static Library, String), Problem> {
    let in_folders =
        names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = in_folders.filter(|path| path.exists());
    let mut broken = None;
    for candidate in found.chain(names.iter().map(PathBuf::from)) {
        // SAFETY: the initialisers of ROCm's own libraries are run, from the folder that the user
        // names or the system's: that is what loading is.
        match unsafe { Library::new(&candidate) } {
            // Never unloaded: see the head of this file.
            Ok(library) => {
                return Ok((Box::leak(Box::new(library)), candidate.display().to_string()));
            }
            Err(error) => broken = broken.or(reason(&candidate, &error)),
        }
    }
    Err(match broken {
        Some((path, why)) => Problem::Broken { what, path, why, package },
        None => {
            let folders: Vec<_> = folders.iter().map(|path| path.display().to_string()).collect();
            let looked =
                if folders.is_empty() { String::new() } else { folders.join(", ") + " or " };
            Problem::NoLibrary { what, names: names.join(", "), looked, package }
        }
    })
}

/// Why a library that is there cannot be loaded; none if it is simply not there.
fn reason(candidate: &Path, error: &libloading::Error) -> Option<(PathBuf, String)> {
    let mut text = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        text = source.to_string();
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let name = format!("{}: ", candidate.display());
    let absent = text.starts_with(&name) && text.contains("No such file");
    let why = text.strip_prefix(&name).unwrap_or(&text).to_owned();
    (!absent || candidate.is_absolute()).then(|| (candidate.to_owned(), why))
}

/// HIP's functions, all of which have had these types since ROCm 4 (`hip_runtime_api.h`). The
/// structure of properties changed with every major version: it is not used.
struct Functions {
    version: unsafe extern "C" fn(*mut c_int) -> c_int,
    count: unsafe extern "C" fn(*mut c_int) -> c_int,
    name: unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int,
    memory: unsafe extern "C" fn(*mut usize, c_int) -> c_int,
    slot: unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int,
    error: unsafe extern "C" fn(c_int) -> *const c_char,
}

impl Functions {
    fn of(library: &'static Library, file: &str) -> Result<Self, Problem> {
        macro_rules! function {
            ($name:literal) => {{
                // SAFETY: a symbol of this name in a library of HIP's name is HIP's function, of
                // the type that the field has; the library is never unloaded.
                let symbol = unsafe { library.get(concat!($name, "\0").as_bytes()) };
                let absent = |_| Problem::NotHip { path: file.into(), symbol: $name };
                *symbol.map_err(absent)?
            }};
        }
        Ok(Self {
            version: function!("hipRuntimeGetVersion"),
            count: function!("hipGetDeviceCount"),
            name: function!("hipDeviceGetName"),
            memory: function!("hipDeviceTotalMem"),
            slot: function!("hipDeviceGetPCIBusId"),
            error: function!("hipGetErrorString"),
        })
    }

    fn ask(&self) -> Result<Hip, Problem> {
        let mut version = 0;
        // SAFETY: the pointer is to a local that lives through the call.
        let status = unsafe { (self.version)(&mut version) };
        self.check("hipRuntimeGetVersion", status)?;
        let mut count = 0;
        // SAFETY: as above.
        let status = unsafe { (self.count)(&mut count) };
        if status != NO_DEVICE {
            self.check("hipGetDeviceCount", status)?;
        }
        let usable = if status == NO_DEVICE { 0 } else { count.max(0) };
        let gpus = (0..usable).map(|number| self.gpu(number)).collect();
        Ok(Hip { version: version_name(version), gpus })
    }

    /// What a GPU says about itself. What it does not say is left out: sysfs may know.
    fn gpu(&self, number: c_int) -> HipGpu {
        let mut memory = 0;
        // SAFETY: the pointer is to a local that lives through the call.
        let told = unsafe { (self.memory)(&mut memory, number) } == 0;
        let slot = self.text(self.slot, number).map(|slot| slot.to_ascii_lowercase());
        HipGpu {
            name: self.text(self.name, number).unwrap_or_default(),
            memory: told.then_some(memory as u64),
            slot,
        }
    }

    fn text(
        &self,
        function: unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int,
        number: c_int,
    ) -> Option<String> {
        let mut bytes = [0 as c_char; NAME_BYTES];
        // SAFETY: the function writes at most as many bytes as it is told; one more is there.
        let status = unsafe { function(bytes.as_mut_ptr(), NAME_BYTES as c_int - 1, number) };
        // The last byte is still zero.
        let bytes = bytes.map(|byte| byte.cast_unsigned());
        let text = CStr::from_bytes_until_nul(&bytes).ok()?.to_string_lossy();
        let text: String = text.trim().chars().filter(|letter| !letter.is_control()).collect();
        (status == 0 && !text.is_empty()).then_some(text)
    }

    fn check(&self, call: &'static str, status: c_int) -> Result<(), Problem> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the function takes any number and gives a static C string or null.
        let text = unsafe { (self.error)(status) };
        let why = match text.is_null() {
            true => "without a reason".into(),
            // SAFETY: not null, so a static C string.
            false => unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned(),
        };
        Err(Problem::HipRefused { call, status, why })
    }
}

/// 70253211 is 7.2.53211: major, two digits of minor, five of patch.
fn version_name(version: c_int) -> String {
    format!("{}.{}.{}", version / 10_000_000, version / 100_000 % 100, version % 100_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_three_numbers() {
        assert_eq!(version_name(70_253_211), "7.2.53211");
        assert_eq!(version_name(60_443_482), "6.4.43482");
    }

    #[test]
    fn what_is_nowhere_is_named_with_its_package() {
        let folders = [PathBuf::from("/opt/rocm/lib")];
        let missing = load(&["libnowhere.so.1"], "the HIP runtime", "hip-runtime-amd", &folders);
        insta::assert_snapshot!(missing.unwrap_err(), @"the HIP runtime is not installed: nothing named libnowhere.so.1 is in /opt/rocm/lib or the loader's path; install ROCm's package hip-runtime-amd (ROCm 6 or 7), or set ROCM_PATH");
        let missing = load(&["libnowhere.so.1"], "MIGraphX", "migraphx", &[]);
        insta::assert_snapshot!(missing.unwrap_err(), @"MIGraphX is not installed: nothing named libnowhere.so.1 is in the loader's path; install ROCm's package migraphx (ROCm 6 or 7), or set ROCM_PATH");
    }

    #[test]
    fn what_is_there_and_no_library_is_named_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("libbroken.so.1"), "text").unwrap();
        let folders = [folder.path().to_owned()];
        let broken = load(&["libbroken.so.1"], "MIGraphX", "migraphx", &folders).unwrap_err();
        let text = broken.to_string().replace(&folder.path().display().to_string(), "[folder]");
        insta::assert_snapshot!(text, @"MIGraphX cannot be loaded from [folder]/libbroken.so.1: file too short; install ROCm's package migraphx again");
    }
}
