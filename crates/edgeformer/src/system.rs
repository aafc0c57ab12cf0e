//! What the operating system says of cores and memory.

use crate::budget::System;

/// Cores that this process may run on; 1 where the system does not tell.
pub fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The most memory this process has had resident, where the system tells (Linux).
pub fn peak_resident_bytes() -> Option<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// Memory that a program could take now without swapping, where the system tells (Linux).
pub fn available_memory() -> Option<u64> {
    System::default().available()
}

/// A field of a file of lines such as `VmHWM:  1234 kB`, in bytes.
fn field(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
