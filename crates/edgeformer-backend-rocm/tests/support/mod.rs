//! Machines with AMD GPUs, as files.
#![allow(dead_code, reason = "not every file of tests needs all of it")]

use std::fs;
use std::path::{Path, PathBuf};

use edgeformer_backend_rocm::{Places, RocmBackend, RocmOptions};
use edgeformer_core::Backend;
use tempfile::TempDir;

/// A machine: its sysfs, its device file, its ROCm.
pub struct Machine {
    folder: PathBuf,
    nodes: usize,
    _removed_at_the_end: Option<TempDir>,
}

impl Machine {
    /// One without any AMD GPU.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for path in ["sys/class", "sys/bus/pci/devices", "lib"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        let path = folder.path().to_owned();
        Self { folder: path, nodes: 0, _removed_at_the_end: Some(folder) }
    }

    /// One that another test has made.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder, nodes: 0, _removed_at_the_end: None }
    }

    /// One with a driver, its device file and a processor's node.
    pub fn with_driver() -> Self {
        let mut machine = Self::new();
        machine.write("dev/kfd", "");
        machine.node("cpu_cores_count 16\nsimd_count 0\nmem_banks_count 1\nvendor_id 0\n", "", 0);
        machine
    }

    pub fn path(&self) -> &Path {
        &self.folder
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A GPU on the PCI bus, whatever the driver makes of it.
    pub fn on_the_bus(&self, slot: &str, vendor: &str, class: &str) {
        self.write(&format!("sys/bus/pci/devices/{slot}/vendor"), &format!("{vendor}\n"));
        self.write(&format!("sys/bus/pci/devices/{slot}/class"), &format!("{class}\n"));
    }

    /// A node of the driver, with a bank of memory.
    pub fn node(&mut self, properties: &str, name: &str, memory: u64) {
        let folder = format!("sys/class/kfd/kfd/topology/nodes/{}", self.nodes);
        self.write(&format!("{folder}/properties"), properties);
        self.write(&format!("{folder}/name"), &format!("{name}\n"));
        let bank = format!("heap_type 1\nsize_in_bytes {memory}\nflags 0\nwidth 384\n");
        self.write(&format!("{folder}/mem_banks/0/properties"), &bank);
        self.nodes += 1;
    }

    /// A GPU's node, on that bus.
    pub fn gpu(&mut self, gfx: u32, bus: u32, name: &str, memory: u64) {
        let location = bus << 8;
        self.on_the_bus(&format!("0000:{bus:02x}:00.0"), "0x1002", "0x030000");
        self.node(
            &format!(
                "cpu_cores_count 0\nsimd_count 192\nvendor_id 4098\ndevice_id 29772\n\
                 location_id {location}\ndomain 0\ngfx_target_version {gfx}\nnew_in_a_later_kernel x\n"
            ),
            name,
            memory,
        );
    }

    /// Puts one of this crate's examples where HIP is looked for.
    pub fn hip(&self, example: &str) {
        self.library(example, "libamdhip64.so.7");
        self.library("hip_empty", "libhsa-runtime64.so.1");
    }

    /// Puts one of this crate's examples into the folder of ROCm's libraries.
    pub fn library(&self, example: &str, name: &str) {
        let this = std::env::current_exe().unwrap();
        let target = this.parent().unwrap().parent().unwrap();
        let built = target.join("examples").join(format!("lib{example}.so"));
        fs::copy(&built, self.path().join("lib").join(name))
            .unwrap_or_else(|error| panic!("{}: {error}: is it built?", built.display()));
    }

    pub fn places(&self) -> Places {
        Places {
            sysfs: self.path().join("sys"),
            kfd: self.path().join("dev/kfd"),
            groups: self.path().join("etc/group"),
            libraries: vec![self.path().join("lib")],
        }
    }

    pub fn backend(&self, library: Option<PathBuf>) -> RocmBackend {
        let places = self.places();
        RocmBackend::new(RocmOptions { places, library, ..RocmOptions::default() })
    }

    /// Why there is no device, without the names of this machine's folders.
    pub fn refusal(&self, library: Option<PathBuf>) -> String {
        let error = self.backend(library).devices().unwrap_err();
        self.shown(&error.to_string())
    }

    pub fn shown(&self, text: &str) -> String {
        text.replace(&self.path().display().to_string(), "[machine]")
    }
}
