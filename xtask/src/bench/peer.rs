//! How this task is built with its peers: they are long builds, and llama.cpp's speed depends on
//! for which machine it is compiled.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::run::{Result, cargo, root, target};

/// For which instruction sets llama.cpp is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Isa {
    /// Everything that this machine has
    #[default]
    Native,
    /// AVX2, FMA, F16C and BMI2 alone: on a machine with VNNI, what llama.cpp does without
    Avx2,
}

/// A build of this task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Its cargo features.
    pub features: Vec<&'static str>,
    /// For which instruction sets peers are compiled.
    pub isa: Isa,
}

/// llama.cpp, of tasks that lay its quantizer beside ours.
#[derive(Debug, Args)]
pub struct LlamaCpp {
    /// For which instruction sets llama.cpp is built
    #[arg(long, value_enum, default_value_t)]
    peer_isa: Isa,
}

impl LlamaCpp {
    /// How such a task must be built.
    pub fn build(&self) -> Build {
        Build { features: vec!["peer-llama-cpp"], isa: self.peer_isa }
    }

    /// What was built.
    pub fn version(&self) -> Result<String> {
        let versions = versions(&["llama.cpp".to_owned()])?;
        Ok(versions.into_iter().next().map(|(_, version)| version).unwrap_or_default())
    }
}

impl Isa {
    fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Avx2 => "avx2",
        }
    }

    /// What cmake is told. The build script of `llama-cpp-sys-2` hands it on; without a word, ggml
    /// is compiled for AVX2, FMA, F16C and BMI2. EdgeFormer itself is the same in both builds.
    fn compiler_flags(self) -> Option<&'static str> {
        match self {
            Self::Native => Some("-march=native -fPIC"),
            Self::Avx2 => None,
        }
    }
}

impl Build {
    /// A build without peers.
    pub const PLAIN: Self = Self { features: Vec::new(), isa: Isa::Native };

    /// Where it lies: builds with different flags do not replace each other.
    fn target(&self) -> PathBuf {
        let target = target();
        if self.features.is_empty() { target } else { target.join("peers").join(self.isa.name()) }
    }

    /// The command that builds it.
    pub fn command(&self) -> Command {
        let mut command = cargo();
        command.args(["build", "--release", "--quiet", "--package", "xtask", "--target-dir"]);
        command.arg(self.target());
        if !self.features.is_empty() {
            command.args(["--features", &self.features.join(",")]);
            command.env("EDGEFORMER_PEER_ISA", self.isa.name());
        }
        if let Some(flags) = self.isa.compiler_flags().filter(|_| !self.features.is_empty()) {
            command.env("CMAKE_C_FLAGS", flags).env("CMAKE_CXX_FLAGS", flags);
        }
        command
    }

    /// The program that it makes.
    pub fn program(&self) -> PathBuf {
        let name = format!("xtask{}", std::env::consts::EXE_SUFFIX);
        self.target().join("release").join(name)
    }
}

/// Versions of peers: those that `Cargo.lock` holds, and how they were built.
pub fn versions(peers: &[String]) -> Result<Vec<(String, String)>> {
    // On another device there is no repository, nor are there peers.
    if peers.is_empty() {
        return Ok(Vec::new());
    }
    let file = root().join("Cargo.lock");
    let lock = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let version = |peer: &String| {
        let engine = edgeformer_bench::peers::Engine::named(peer).ok()?;
        let package = match engine.name {
            "llama.cpp" => "llama-cpp-sys-2",
            "candle" => "candle-transformers",
            "edgeformer/candle" => "candle-core",
            "edgeformer/onnx" => "ort",
            _ => return None,
        };
        let build = engine.build.map_or(String::new(), |build| format!(", {build} build"));
        let version = locked(&lock, package).unwrap_or("of unknown version");
        Some((peer.clone(), format!("({package} {version}{build})")))
    };
    Ok(peers.iter().filter_map(version).collect())
}

/// The version of a package in a lock file.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let (_, behind) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    behind.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_that_are_locked() {
        let lock = "[[package]]\nname = \"ab\"\nversion = \"1.0\"\n\n[[package]]\nname = \"b\"\n\
                    version = \"2.1\"\nsource = \"x\"\n";
        assert_eq!((locked(lock, "b"), locked(lock, "c")), (Some("2.1"), None));
    }

    #[test]
    fn builds_lie_apart_and_say_what_they_are() {
        let build = |isa| Build { features: vec!["peer-llama-cpp"], isa };
        let [native, avx2] = [Isa::Native, Isa::Avx2].map(build);
        assert!(native.program() != avx2.program() && native.program() != Build::PLAIN.program());
        let flags = |build: &Build| {
            let command = build.command();
            command.get_envs().any(|(name, _)| name == "CMAKE_C_FLAGS")
        };
        assert_eq!([&native, &avx2, &Build::PLAIN].map(flags), [true, false, false]);
    }
}
