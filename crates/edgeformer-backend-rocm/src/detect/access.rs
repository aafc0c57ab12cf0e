//! Whether this process may use the GPUs: the driver and its device file.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use super::read::read_bounded;
use super::{Places, Problem, pci, topology};

/// The driver's version, where it is one that has versions of its own (AMD's package; the kernel's
/// own module has none).
pub(crate) fn driver_version(sysfs: &Path) -> Option<String> {
    let text = read_bounded(&sysfs.join("module/amdgpu/version")).ok()?;
    let version: String =
        text.trim().chars().filter(|letter| letter.is_ascii_graphic()).take(64).collect();
    (!version.is_empty()).then_some(version)
}

/// Says what is missing where the driver shows no folder of nodes.
pub(crate) fn check_driver(sysfs: &Path) -> Result<(), Problem> {
    let nodes = topology::nodes_folder(sysfs);
    if nodes.is_dir() {
        return Ok(());
    }
    if !sysfs.join("class").is_dir() {
        return Err(Problem::NoSysfs { path: sysfs.into() });
    }
    match pci::amd_gpus(sysfs).into_iter().next() {
        None => Err(Problem::NoGpu { path: sysfs.join("bus/pci/devices") }),
        Some(slot) if sysfs.join("module/amdgpu").is_dir() => {
            Err(Problem::NoCompute { slot, path: nodes })
        }
        Some(slot) => Err(Problem::NoDriver { slot }),
    }
}

/// Opens the driver's device file as ROCm does, for reading and writing.
pub(crate) fn check_device_file(places: &Places) -> Result<(), Problem> {
    let path = &places.kfd;
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let Err(error) = opened else { return Ok(()) };
    Err(match error.kind() {
        io::ErrorKind::NotFound => Problem::NoDeviceFile { path: path.clone() },
        io::ErrorKind::PermissionDenied => {
            Problem::Denied { path: path.clone(), group: group_of(path, &places.groups) }
        }
        _ => Problem::Unreadable { path: path.clone(), error },
    })
}

/// The group that a file belongs to, by its name where `groups` knows it.
fn group_of(path: &Path, groups: &Path) -> String {
    let Some(id) = group_id(path) else { return "another group".into() };
    let text = fs::read_to_string(groups).unwrap_or_default();
    group_name(&text, id).map_or_else(|| format!("group {id}"), |name| format!("group {name}"))
}

#[cfg(unix)]
fn group_id(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    Some(fs::metadata(path).ok()?.gid())
}

#[cfg(not(unix))]
fn group_id(_: &Path) -> Option<u32> {
    None
}

/// The name of a group in lines of `NAME:PASSWORD:ID:MEMBERS`.
fn group_name(groups: &str, id: u32) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_named() {
        let groups = "root:x:0:\nvideo:x:44:me\nrender:x:105:me,you\nbroken\n:x:7:\n";
        assert_eq!(group_name(groups, 105), Some("render"));
        assert_eq!(group_name(groups, 44), Some("video"));
        assert_eq!(group_name(groups, 7), None);
        assert_eq!(group_name(groups, 1), None);
    }

    #[test]
    fn a_driver_may_have_a_version() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(driver_version(folder.path()), None);
        fs::create_dir_all(folder.path().join("module/amdgpu")).unwrap();
        fs::write(folder.path().join("module/amdgpu/version"), "6.14.14\n").unwrap();
        assert_eq!(driver_version(folder.path()).as_deref(), Some("6.14.14"));
    }
}
