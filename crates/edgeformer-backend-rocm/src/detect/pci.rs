//! AMD GPUs on the PCI bus: whether there is one at all, with or without a driver.

use std::fs;
use std::path::Path;

use super::read::{Malformed, read_bounded};

/// PCI's number of AMD.
const AMD: &str = "0x1002";
/// Classes of a display controller and of a processing accelerator.
const GPU_CLASSES: [&str; 2] = ["0x03", "0x12"];

/// The slots of AMD's GPUs, as `0000:03:00.0`.
pub(super) fn amd_gpus(sysfs: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(sysfs.join("bus/pci/devices")) else { return Vec::new() };
    let is_gpu = |path: &Path| {
        let read = |name: &str| read_bounded(&path.join(name)).unwrap_or_default();
        read("vendor").trim() == AMD
            && GPU_CLASSES.iter().any(|class| read("class").starts_with(class))
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut slots: Vec<_> = paths
        .filter(|path| is_gpu(path))
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    slots.sort();
    slots
}

/// The slot's name of a domain and a location: eight bits of bus, five of device, three of function.
pub(super) fn slot(domain: u64, location: u64) -> Result<String, Malformed> {
    if domain > u64::from(u32::MAX) || location > 0xffff {
        return Err(Malformed(format!(
            "domain {domain} with location_id {location} is no PCI slot"
        )));
    }
    let (bus, device, function) = (location >> 8, location >> 3 & 0x1f, location & 7);
    Ok(format!("{domain:04x}:{bus:02x}:{device:02x}.{function}"))
}
