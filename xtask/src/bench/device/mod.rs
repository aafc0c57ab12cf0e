//! `--device`: the benchmark on another device. Builds for it, copies, runs there, fetches.

mod build;
mod emulator;
mod ssh;

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use crate::run::Result;
use build::Architecture;
use emulator::Emulator;
use ssh::Ssh;

/// Where the benchmark runs, if not here.
#[derive(Debug, Clone, Args)]
pub struct DeviceArguments {
    /// Measure on another device: USER@HOST (over ssh), or qemu-aarch64 (an emulator on this
    /// machine, whose speeds are marked as emulated)
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<Device>,
    /// An option for ssh and scp, as in ssh_config, may be named several times: Port=2222,
    /// IdentityFile=KEY
    #[arg(long, requires = "device", value_name = "KEY=VALUE")]
    ssh_option: Vec<String>,
    /// Where the program and models are kept on the device, seen from the user's home
    #[arg(
        long,
        requires = "device",
        default_value = ".cache/edgeformer-bench",
        value_name = "FOLDER"
    )]
    device_folder: String,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// A machine that ssh reaches: `HOST` or `USER@HOST`, or a name of ssh_config.
    Ssh(String),
    /// Another architecture under an emulator.
    Emulated(Architecture),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if let Some(name) = text.strip_prefix("qemu-") {
            return match Architecture::of_machine(name) {
                Some(Architecture::Aarch64) => Ok(Self::Emulated(Architecture::Aarch64)),
                _ => Err(format!("there is no emulated device {text:?}, only qemu-aarch64")),
            };
        }
        // ssh would take it for an option.
        let is_host =
            !text.is_empty() && !text.starts_with('-') && !text.contains(char::is_whitespace);
        match is_host {
            true => Ok(Self::Ssh(text.into())),
            false => Err("a device is USER@HOST or qemu-aarch64".into()),
        }
    }
}

/// What is to be run on a device.
pub struct Remote<'a> {
    /// Files that it reads.
    pub files: &'a [PathBuf],
    /// Arguments of this program there, made of where the files are there.
    pub arguments: &'a dyn Fn(&[String]) -> Vec<String>,
}

impl DeviceArguments {
    /// Runs this program on the device and returns what it writes to standard output; what it
    /// writes to standard error is seen as it comes.
    ///
    /// # Errors
    /// If the device cannot be reached, no program can be built for it, or it fails there.
    pub fn run(&self, device: &Device, remote: &Remote<'_>) -> Result<String> {
        match device {
            Device::Ssh(host) => Ssh::new(host, &self.ssh_option, &self.device_folder)?.run(remote),
            Device::Emulated(architecture) => Emulator::new(*architecture)?.run(remote),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_hosts_or_emulators() {
        let device = |text: &str| text.parse::<Device>();
        assert_eq!(device("pi@board.local"), Ok(Device::Ssh("pi@board.local".into())));
        assert_eq!(device("board"), Ok(Device::Ssh("board".into())));
        assert_eq!(device("qemu-aarch64"), Ok(Device::Emulated(Architecture::Aarch64)));
        for wrong in ["", "-oProxyCommand=x", "a b", "qemu-x86_64", "qemu-abacus"] {
            assert!(device(wrong).is_err(), "{wrong}");
        }
    }
}
