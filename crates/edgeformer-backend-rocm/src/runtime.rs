//! The ONNX Runtime that runs graphs on AMD GPUs: looked at before anything of it starts.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::path::Path;

use edgeformer_backend_onnx::{ExecutionProvider, OnnxBackend, OnnxOptions, RuntimeLibrary};
use edgeformer_core::Error;

use crate::detect::{Needed, Problem, load_needed};
use crate::{NAME, Precision, RocmOptions};

/// The provider's name in the ONNX backend.
pub(crate) const PROVIDER: &str = "migraphx";
/// ONNX Runtime's names of it, and of the one that version 1.23 has removed.
const MIGRAPHX: &str = "MIGraphXExecutionProvider";
const ROCM: &str = "ROCMExecutionProvider";
/// The first minor version of ONNX Runtime 1 that the ONNX backend runs.
const OLDEST: u32 = 23;
/// The library that the provider is in, beside ONNX Runtime's own.
const PROVIDER_FILE: &str = "libonnxruntime_providers_migraphx.so";
/// Where the ROCm lies that it was built for, by its own list of folders.
const BUILT_FOR: &str = "/opt/rocm-";
/// More digits and dots than a version has.
const MAX_NUMBER: usize = 16;
/// More bytes than it has.
const MAX_PROVIDER_BYTES: u64 = 256 << 20;

/// The runtime, with all that its provider needs.
///
/// # Errors
/// The first piece that is missing.
pub(crate) fn find(options: &RocmOptions) -> Result<RuntimeLibrary, Problem> {
    let backend = OnnxBackend::new(OnnxOptions {
        name: Some(NAME),
        library: options.library.clone(),
        ..OnnxOptions::default()
    });
    let runtime = backend.runtime().map_err(|error| match error {
        Error::Backend { problem, .. } => Problem::NoRuntime { problem },
        other => Problem::NoRuntime { problem: other.to_string() },
    })?;
    check(&runtime)?;
    check_provider(&runtime.path.with_file_name(PROVIDER_FILE), options)?;
    Ok(runtime)
}

fn check(runtime: &RuntimeLibrary) -> Result<(), Problem> {
    let RuntimeLibrary { path, version, providers } = runtime;
    let (path, version) = (path.clone(), version.clone());
    let has = |name: &str| providers.iter().any(|provider| provider == name);
    if runtime.numbers() < (1, OLDEST) {
        return Err(match has(ROCM) {
            true => Problem::RocmProvider { path, version },
            false => Problem::OldRuntime { path, version },
        });
    }
    match has(MIGRAPHX) {
        true => Ok(()),
        false => Err(Problem::NoProvider { path, version, providers: providers.join(", ") }),
    }
}

/// Loads what the provider's library says that it needs: before it does, for then what is missing
/// has a name, and may lie where the loader would not look.
fn check_provider(path: &Path, options: &RocmOptions) -> Result<(), Problem> {
    let unreadable = |error| Problem::NoProviderFile { path: path.into(), error };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_PROVIDER_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    for (library, what, package) in [
        ("libamdhip64.so.", "the HIP runtime", "hip-runtime-amd"),
        ("libmigraphx_c.so.", "MIGraphX", "migraphx"),
    ] {
        let Some(name) = numbered(&bytes, library, 0) else { continue };
        let needed = Needed { name: &name, what, package };
        load_needed(&needed, &options.places.libraries).map_err(|problem| Problem::Needed {
            by: path.into(),
            rocm: numbered(&bytes, BUILT_FOR, b'/')
                .map_or_else(|| "another ROCm".into(), |path| path.replace(BUILT_FOR, "ROCm ")),
            name: name.clone(),
            problem: Box::new(problem),
        })?;
    }
    Ok(())
}

/// A text in a library that starts so, goes on with a number and ends with that byte.
fn numbered(bytes: &[u8], start: &str, end: u8) -> Option<String> {
    let start = start.as_bytes();
    let at = bytes.windows(start.len()).position(|window| window == start)?;
    let rest = &bytes[at + start.len()..];
    let is_number = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
    let length = rest.iter().take(MAX_NUMBER).take_while(is_number).count();
    let whole = length > 0 && rest.get(length) == Some(&end);
    whole.then(|| String::from_utf8_lossy(&bytes[at..at + start.len() + length]).into_owned())
}

/// The ONNX backend on one GPU.
///
/// # Errors
/// If the table of ranges or the folder of compiled models cannot be used.
pub(crate) fn backend(options: &RocmOptions, gpu: usize) -> Result<OnnxBackend, Problem> {
    let provider =
        ExecutionProvider { name: PROVIDER.into(), options: provider_options(options, gpu)? };
    Ok(OnnxBackend::new(OnnxOptions {
        name: Some(NAME),
        library: options.library.clone(),
        provider: Some(provider),
        ..OnnxOptions::default()
    }))
}

/// The provider's options, by the names of `migraphx_execution_provider_info.h`.
fn provider_options(options: &RocmOptions, gpu: usize) -> Result<Vec<(String, String)>, Problem> {
    let mut set = vec![("device_id", gpu.to_string())];
    let mut folder = options.precision.name().to_owned();
    match &options.precision {
        Precision::Model => {}
        Precision::Fp16 => set.push(("migraphx_fp16_enable", "1".into())),
        Precision::Int8 { calibration } => {
            let unreadable = |error| Problem::Calibration { path: calibration.clone(), error };
            let path = calibration.canonicalize().map_err(unreadable)?;
            let mut hash = DefaultHasher::new();
            fs::read(&path).map_err(unreadable)?.hash(&mut hash);
            folder = format!("{folder}-{:016x}", hash.finish());
            set.push(("migraphx_int8_enable", "1".into()));
            set.push(("migraphx_int8_calibration_table_name", path.display().to_string()));
        }
    }
    if let Some(cache) = &options.model_cache {
        // What is compiled does not have the precision in its name.
        let path = cache.join(folder);
        fs::create_dir_all(&path).map_err(|error| Problem::Cache { path: path.clone(), error })?;
        set.push(("migraphx_model_cache_dir", path.display().to_string()));
    }
    Ok(set.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(version: &str, providers: &[&str]) -> RuntimeLibrary {
        RuntimeLibrary {
            path: "/opt/libonnxruntime.so".into(),
            version: version.into(),
            providers: providers.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn runtimes_that_cannot_serve_are_told_from_those_that_can() {
        assert!(check(&runtime("1.27.1", &[MIGRAPHX, "CPUExecutionProvider"])).is_ok());
        let refused = |version, providers| check(&runtime(version, providers)).unwrap_err();
        insta::assert_snapshot!(refused("1.22.2", &[ROCM]), @"/opt/libonnxruntime.so is ONNX Runtime 1.22.2 with the ROCm provider, which later versions do not have: set EDGEFORMER_ORT to the libonnxruntime.so of the Python package onnxruntime-migraphx, 1.23 or newer");
        insta::assert_snapshot!(refused("1.22.0", &[MIGRAPHX]), @"/opt/libonnxruntime.so is ONNX Runtime 1.22.0, 1.23 or newer is needed: set EDGEFORMER_ORT to the libonnxruntime.so of the Python package onnxruntime-migraphx");
        insta::assert_snapshot!(refused("1.32.0", &["CPUExecutionProvider"]), @"/opt/libonnxruntime.so is ONNX Runtime 1.32.0 without MIGraphX (it has CPUExecutionProvider): set EDGEFORMER_ORT to the libonnxruntime.so of the Python package onnxruntime-migraphx");
    }

    #[test]
    fn names_with_numbers_are_found_among_bytes() {
        let bytes = b"\0libc.so.6\0libmigraphx_c.so.3\0libamdhip64.so.7x\0/opt/rocm-7.2.4/lib:\0";
        let migraphx = numbered(bytes, "libmigraphx_c.so.", 0);
        assert_eq!(migraphx.as_deref(), Some("libmigraphx_c.so.3"));
        assert_eq!(numbered(bytes, BUILT_FOR, b'/').as_deref(), Some("/opt/rocm-7.2.4"));
        assert_eq!(numbered(bytes, "libamdhip64.so.", 0), None);
        assert_eq!(numbered(b"libamdhip64.so.", "libamdhip64.so.", 0), None);
        assert_eq!(numbered(b"", "libamdhip64.so.", 0), None);
    }

    #[test]
    fn precision_and_cache_become_the_providers_options() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("ranges");
        fs::write(&table, "{}").unwrap();
        let text = |precision| {
            let options = RocmOptions {
                precision,
                model_cache: Some(folder.path().join("cache")),
                ..RocmOptions::default()
            };
            let set = provider_options(&options, 1).unwrap();
            let text: Vec<_> = set.iter().map(|(key, value)| format!("{key}={value}")).collect();
            text.join("\n").replace(&folder.path().display().to_string(), "[folder]")
        };
        insta::assert_snapshot!(text(Precision::Model), @"
device_id=1
migraphx_model_cache_dir=[folder]/cache/model
");
        insta::assert_snapshot!(text(Precision::Fp16), @"
device_id=1
migraphx_fp16_enable=1
migraphx_model_cache_dir=[folder]/cache/fp16
");
        let int8 = text(Precision::Int8 { calibration: table.clone() });
        insta::assert_snapshot!(int8, @"
device_id=1
migraphx_int8_enable=1
migraphx_int8_calibration_table_name=[folder]/ranges
migraphx_model_cache_dir=[folder]/cache/int8-557a7b12513fca99
");
        assert!(folder.path().join("cache/fp16").is_dir());

        // Other ranges make another model.
        fs::write(&table, "{\"x\": 1}").unwrap();
        assert_ne!(text(Precision::Int8 { calibration: table }), int8);
    }

    #[test]
    fn files_that_are_not_there_are_named() {
        let refused = |options: RocmOptions| backend(&options, 0).unwrap_err().to_string();
        let precision = Precision::Int8 { calibration: "/nowhere/ranges".into() };
        let text = refused(RocmOptions { precision, ..RocmOptions::default() });
        insta::assert_snapshot!(text, @"/nowhere/ranges, which EDGEFORMER_ROCM_CALIBRATION names, cannot be read: No such file or directory (os error 2)");
        let model_cache = Some("/proc/nowhere".into());
        let text = refused(RocmOptions { model_cache, ..RocmOptions::default() });
        insta::assert_snapshot!(text, @"/proc/nowhere/model, where compiled models are kept, cannot be made: No such file or directory (os error 2); set XDG_CACHE_HOME to a folder that can be written");
    }
}
