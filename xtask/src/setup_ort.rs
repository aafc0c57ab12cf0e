use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use edgeformer_core::Config;
use sha2::{Digest, Sha256};

use crate::run::{Result, run};

/// The version that is fetched.
const VERSION: &str = "1.32.0";

/// The wheels that have the library: machine, what pip calls it, SHA-256 of the wheel. The library
/// does not depend on Python's version; that of the wheel is one that all of them are there for.
const WHEELS: [(&str, &str, &str); 2] = [
    (
        "x86_64",
        "manylinux_2_28_x86_64",
        "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d",
    ),
    (
        "aarch64",
        "manylinux_2_28_aarch64",
        "2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c",
    ),
];

/// Writes the one library of a wheel: WHEEL, OUT.
const UNPACK: &str = "\
import shutil, sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
names = [n for n in wheel.namelist() if n.startswith('onnxruntime/capi/libonnxruntime.so.')]
assert len(names) == 1, names
with wheel.open(names[0]) as source, open(sys.argv[2], 'xb') as target:
    shutil.copyfileobj(source, target)
";

#[derive(Debug, Args)]
pub struct SetupOrt {
    /// A wheel that was fetched before, instead of fetching it with pip
    #[arg(long, value_name = "FILE")]
    wheel: Option<PathBuf>,
    /// Where the library goes [default: onnxruntime/ in the user's cache folder, where the backend
    /// looks]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl SetupOrt {
    pub fn run(&self) -> Result<()> {
        let wheel = wheel_for(std::env::consts::OS, std::env::consts::ARCH)?;
        let folder = self
            .folder
            .clone()
            .or_else(cache_folder)
            .ok_or_else(|| "there is no cache folder: set HOME, or say --folder".to_string())?;
        let target = folder.join(format!("libonnxruntime.so.{VERSION}"));
        if target.is_file() {
            println!("{} is there already", target.display());
            return Ok(());
        }
        let at = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        fs::create_dir_all(&folder).map_err(|error| at(&folder, error))?;
        // In the folder itself, so that the library appears whole, by a rename.
        let scratch = tempfile::tempdir_in(&folder).map_err(|error| at(&folder, error))?;
        let file = match &self.wheel {
            Some(file) => file.clone(),
            None => fetch(wheel.platform, scratch.path())?,
        };
        let bytes = fs::read(&file).map_err(|error| at(&file, error))?;
        check_digest(&file, &bytes, wheel.digest)?;
        let unpacked = scratch.path().join("library");
        run(Command::new("python3").args(["-c", UNPACK]).args([&file, &unpacked]))?;
        fs::rename(&unpacked, &target).map_err(|error| at(&target, error))?;
        println!("{}", target.display());
        Ok(())
    }
}

/// Where the backend looks.
fn cache_folder() -> Option<PathBuf> {
    Some(Config::default().cache_folder()?.join("onnxruntime"))
}

#[derive(Debug)]
struct Wheel {
    platform: &'static str,
    digest: &'static str,
}

fn wheel_for(system: &str, machine: &str) -> Result<Wheel> {
    let known = WHEELS.iter().find(|(name, ..)| system == "linux" && *name == machine);
    let &(_, platform, digest) = known.ok_or_else(|| {
        format!(
            "no wheel is pinned for {system} on {machine}, there are x86_64 and aarch64 Linux: set EDGEFORMER_ORT to a library of your own"
        )
    })?;
    Ok(Wheel { platform, digest })
}

fn fetch(platform: &str, folder: &Path) -> Result<PathBuf> {
    let package = format!("onnxruntime=={VERSION}");
    let fixed = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"];
    let python = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"];
    let mut pip = Command::new("python3");
    pip.args(fixed).args(python).args(["--platform", platform, "--dest"]).arg(folder);
    run(pip.arg(package))?;
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    files
        .find(|file| file.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| format!("pip left no wheel in {}", folder.display()))
}

fn check_digest(file: &Path, bytes: &[u8], expected: &str) -> Result<()> {
    let mut found = String::new();
    for byte in Sha256::digest(bytes) {
        write!(found, "{byte:02x}").expect("writing to a string cannot fail");
    }
    match found == expected {
        true => Ok(()),
        false => Err(format!(
            "{} has SHA-256 {found}, {expected} is pinned: nothing is installed",
            file.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_are_refused() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(check_digest(Path::new("w.whl"), b"", empty), Ok(()));
        let refused = check_digest(Path::new("w.whl"), b"x", empty).unwrap_err();
        assert!(refused.ends_with("is pinned: nothing is installed"), "{refused}");
    }

    #[test]
    fn other_machines_are_told_what_to_do() {
        assert!(wheel_for("linux", "aarch64").is_ok());
        let refused = wheel_for("macos", "aarch64").unwrap_err();
        assert!(refused.contains("EDGEFORMER_ORT"), "{refused}");
    }

    #[test]
    fn a_wheel_of_another_digest_installs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("onnxruntime.whl");
        fs::write(&wheel, "no wheel").unwrap();
        let target = folder.path().join("target");
        let setup = SetupOrt { wheel: Some(wheel), folder: Some(target.clone()) };
        let refused = setup.run().unwrap_err();
        if cfg!(target_os = "linux") {
            assert!(refused.contains("is pinned"), "{refused}");
            assert_eq!(fs::read_dir(target).unwrap().count(), 0);
        }
    }
}
