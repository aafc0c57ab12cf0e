//! This program, built for another architecture.

use std::path::PathBuf;
use std::process::Command;

use crate::arm;
use crate::run::{Result, cargo, read, root, run};

/// A processor architecture under Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    X86_64,
    Aarch64,
    Armv7,
    Riscv64,
}

impl Architecture {
    const ALL: [Self; 4] = [Self::X86_64, Self::Aarch64, Self::Armv7, Self::Riscv64];

    /// The one that `uname -m` calls so.
    pub fn of_machine(machine: &str) -> Option<Self> {
        match machine {
            "x86_64" | "amd64" => Some(Self::X86_64),
            "aarch64" | "arm64" => Some(Self::Aarch64),
            "armv7l" | "armv7" => Some(Self::Armv7),
            "riscv64" => Some(Self::Riscv64),
            _ => None,
        }
    }

    /// What `uname -m` says of those that are known.
    pub fn known() -> String {
        Self::ALL.map(Self::machine).join(", ")
    }

    fn machine(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Armv7 => "armv7l",
            Self::Riscv64 => "riscv64",
        }
    }

    fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => arm::TARGET,
            Self::Armv7 => "armv7-unknown-linux-gnueabihf",
            Self::Riscv64 => "riscv64gc-unknown-linux-gnu",
        }
    }

    fn is_here(self) -> bool {
        let same = match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Armv7 => "arm",
            Self::Riscv64 => "riscv64",
        };
        cfg!(target_os = "linux") && std::env::consts::ARCH == same
    }

    /// This program for the architecture: the one that runs where it is the same, for it has been
    /// built with optimization; otherwise one that is built now.
    ///
    /// # Errors
    /// If there is no standard library or no linker for it, or the build fails.
    pub fn program(self) -> Result<PathBuf> {
        if self.is_here() {
            return std::env::current_exe().map_err(|error| format!("this program: {error}"));
        }
        let (mut build, folder) = match self {
            Self::Aarch64 => (arm::cargo_for_arm("build")?, arm::target_folder()),
            other => (other.cross_build()?, root().join("target")),
        };
        eprintln!("building for {}: this takes minutes", self.target());
        run(build.args(["--release", "--quiet", "--package", "xtask"]))?;
        Ok(folder.join(self.target()).join("release/xtask"))
    }

    fn cross_build(self) -> Result<Command> {
        let target = self.target();
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut libraries = Command::new(rustc);
        libraries.current_dir(root()).args(["--print", "target-libdir", "--target", target]);
        let folder = read(&mut libraries).map(|text| PathBuf::from(text.trim()));
        if !folder.is_ok_and(|folder| folder.exists()) {
            return Err(format!(
                "there is no standard library of Rust for {target}: rustup target add {target}"
            ));
        }
        let mut build = cargo();
        build.args(["build", "--target", target]);
        Ok(build)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_known_by_what_uname_says() {
        for architecture in Architecture::ALL {
            assert_eq!(Architecture::of_machine(architecture.machine()), Some(architecture));
        }
        assert_eq!(Architecture::of_machine("arm64"), Some(Architecture::Aarch64));
        assert_eq!(Architecture::of_machine("s390x"), None);
    }

    #[test]
    fn what_runs_here_is_this_program() {
        let here = Architecture::ALL.into_iter().find(|architecture| architecture.is_here());
        if let Some(here) = here {
            assert_eq!(here.program(), Ok(std::env::current_exe().unwrap()));
        }
    }
}
