//! What the kernel's driver for computing on AMD GPUs (`amdkfd`) says about them in sysfs:
//! `/sys/class/kfd/kfd/topology/nodes/N/` (Linux, `drivers/gpu/drm/amd/amdkfd/kfd_topology.c`).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::read::{Malformed, children, read_bounded};
use super::{Problem, pci};

/// PCI's number of AMD, as the driver writes it.
const AMD: u64 = 0x1002;
/// More nodes than any machine has.
const MAX_NODES: usize = 1024;
/// Heaps that are memory of the GPU itself (`HSA_MEM_HEAP_TYPE_FB_PUBLIC` and `_PRIVATE`).
const OWN_HEAPS: [u64; 2] = [1, 2];
/// More bytes than a GPU has: a pebibyte.
const MAX_MEMORY: u64 = 1 << 50;

/// A GPU that the driver offers for computing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gpu {
    /// What the driver calls the chip, for example `navi31`; may be empty.
    pub name: String,
    /// The instruction set, for example `gfx1100`; older drivers do not say.
    pub gfx: Option<String>,
    /// PCI's number of the kind of device.
    pub device_id: u16,
    /// Bytes of memory of its own; none where it uses the machine's.
    pub memory: u64,
    /// Where it is plugged in, as `0000:03:00.0`.
    pub slot: String,
}

/// What the driver shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Topology {
    /// The GPUs, in the order of their nodes, which is that of ROCm.
    pub gpus: Vec<Gpu>,
    /// Nodes that may not be read: a container is shown no others than its own GPUs.
    pub hidden: usize,
}

/// Where the nodes are below sysfs.
pub(crate) fn nodes_folder(sysfs: &Path) -> PathBuf {
    sysfs.join("class/kfd/kfd/topology/nodes")
}

/// Reads all nodes.
///
/// # Errors
/// If the folder cannot be read, or a node says what cannot be.
pub(crate) fn read(sysfs: &Path) -> Result<Topology, Problem> {
    let folder = nodes_folder(sysfs);
    let unreadable = |path: &Path, error| Problem::Unreadable { path: path.into(), error };
    let mut topology = Topology::default();
    let nodes = children(&folder, MAX_NODES).map_err(|error| unreadable(&folder, error))?;
    for (_, path) in nodes {
        let properties = path.join("properties");
        match read_bounded(&properties) {
            Ok(text) => topology.gpus.extend(gpu(&path, &text)?),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => topology.hidden += 1,
            Err(error) => return Err(unreadable(&properties, error)),
        }
    }
    Ok(topology)
}

/// The GPU that a node's properties describe; none if they are those of a processor.
fn gpu(path: &Path, text: &str) -> Result<Option<Gpu>, Problem> {
    let malformed = |path: PathBuf| move |Malformed(problem)| Problem::Malformed { path, problem };
    let described = node_properties(text).map_err(malformed(path.join("properties")))?;
    let Some(Described { gfx, device_id, slot }) = described else { return Ok(None) };
    let name = read_bounded(&path.join("name")).unwrap_or_default();
    let printable = name.trim().chars().filter(|letter| !letter.is_control()).take(64).collect();
    let mut memory = 0;
    // Where a bank may not be read its bytes are not known: HIP knows the total.
    for (_, bank) in children(&path.join("mem_banks"), MAX_NODES).unwrap_or_default() {
        let Ok(text) = read_bounded(&bank.join("properties")) else { continue };
        memory += bank_bytes(&text).map_err(malformed(bank.join("properties")))?;
    }
    Ok(Some(Gpu { name: printable, gfx, device_id, memory, slot }))
}

/// What the properties of a GPU's node say.
#[derive(Debug, PartialEq, Eq)]
struct Described {
    gfx: Option<String>,
    device_id: u16,
    slot: String,
}

fn node_properties(text: &str) -> Result<Option<Described>, Malformed> {
    let known =
        ["simd_count", "gfx_target_version", "vendor_id", "device_id", "location_id", "domain"];
    let values = numbers(text, &known)?;
    let simds = values.get("simd_count").ok_or_else(|| Malformed::new("it has no simd_count"))?;
    if *simds == 0 {
        return Ok(None);
    }
    let value = |name: &str| values.get(name).copied().unwrap_or(0);
    if value("vendor_id") != AMD {
        let problem = format!("vendor_id is {}, AMD's is {AMD}", value("vendor_id"));
        return Err(Malformed(problem));
    }
    let device_id = u16::try_from(value("device_id"))
        .map_err(|_| Malformed(format!("device_id {} is no PCI device", value("device_id"))))?;
    let slot = pci::slot(value("domain"), value("location_id"))?;
    let gfx = match value("gfx_target_version") {
        0 => None,
        version => Some(gfx_name(version)?),
    };
    Ok(Some(Described { gfx, device_id, slot }))
}

/// The compiler's name of an instruction set: 90402 is `gfx942`, 110000 is `gfx1100`. Minor number
/// and stepping are hexadecimal digits (LLVM, "User Guide for AMDGPU Backend", processors).
fn gfx_name(version: u64) -> Result<String, Malformed> {
    let (major, minor, step) = (version / 10_000, version / 100 % 100, version % 100);
    if !(1..100).contains(&major) || minor > 0xf || step > 0xf {
        let problem = format!(
            "gfx_target_version {version} is no instruction set: major * 10000 + minor * 100 + stepping"
        );
        return Err(Malformed(problem));
    }
    Ok(format!("gfx{major}{minor:x}{step:x}"))
}

/// Bytes of a memory bank, if it is the GPU's own.
fn bank_bytes(text: &str) -> Result<u64, Malformed> {
    let values = numbers(text, &["heap_type", "size_in_bytes"])?;
    let Some(bytes) = values.get("size_in_bytes") else {
        return Err(Malformed::new("it has no size_in_bytes"));
    };
    if !values.get("heap_type").is_some_and(|heap| OWN_HEAPS.contains(heap)) {
        return Ok(0);
    }
    if *bytes > MAX_MEMORY {
        return Err(Malformed(format!("size_in_bytes {bytes} is more than a GPU has")));
    }
    Ok(*bytes)
}

/// The numbers of known names in lines of `NAME NUMBER`. Other lines are anybody's.
fn numbers<'a>(text: &str, known: &[&'a str]) -> Result<BTreeMap<&'a str, u64>, Malformed> {
    let mut values = BTreeMap::new();
    for line in text.lines() {
        let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let Some(name) = known.iter().find(|known| **known == name) else { continue };
        let value = value.trim();
        let number = value
            .parse()
            .map_err(|_| Malformed(format!("{name} is {value:?}, which is no number")))?;
        if values.insert(*name, number).is_some() {
            return Err(Malformed(format!("{name} stands there twice")));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CARD: &str = "cpu_cores_count 0\nsimd_count 192\nmem_banks_count 1\nvendor_id 4098\n\
        device_id 29772\nlocation_id 768\ndomain 0\ngfx_target_version 110000\nunique_id 1\n";

    #[test]
    fn instruction_sets_have_the_compilers_names() {
        for (version, name) in [
            (80_003, "gfx803"),
            (90_010, "gfx90a"),
            (90_402, "gfx942"),
            (90_500, "gfx950"),
            (100_306, "gfx1036"),
            (110_000, "gfx1100"),
            (110_501, "gfx1151"),
            (120_001, "gfx1201"),
        ] {
            assert_eq!(gfx_name(version).unwrap(), name);
        }
        for nonsense in [1, 9_402, 91_600, 90_016, 1_000_000, u64::MAX] {
            assert!(gfx_name(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn a_card_is_described() {
        let described = node_properties(CARD).unwrap().unwrap();
        let expected = Described {
            gfx: Some("gfx1100".into()),
            device_id: 0x744c,
            slot: "0000:03:00.0".into(),
        };
        assert_eq!(described, expected);
        assert_eq!(node_properties("cpu_cores_count 16\nsimd_count 0\n").unwrap(), None);
    }

    #[test]
    fn nonsense_is_refused_unknown_names_are_not() {
        let refused = |text: &str| node_properties(text).unwrap_err().0;
        insta::assert_snapshot!(refused("vendor_id 4098\n"), @"it has no simd_count");
        insta::assert_snapshot!(refused("simd_count many\n"), @r#"simd_count is "many", which is no number"#);
        insta::assert_snapshot!(refused("simd_count\n"), @r#"simd_count is "", which is no number"#);
        insta::assert_snapshot!(refused("simd_count -1\n"), @r#"simd_count is "-1", which is no number"#);
        insta::assert_snapshot!(refused("simd_count 1\nsimd_count 1\n"), @"simd_count stands there twice");
        insta::assert_snapshot!(refused(&CARD.replace("4098", "4318")), @"vendor_id is 4318, AMD's is 4098");
        insta::assert_snapshot!(refused(&CARD.replace("29772", "99999")), @"device_id 99999 is no PCI device");
        insta::assert_snapshot!(refused(&CARD.replace("768", "99999")), @"domain 0 with location_id 99999 is no PCI slot");
        insta::assert_snapshot!(refused(&CARD.replace("110000", "7")), @"gfx_target_version 7 is no instruction set: major * 10000 + minor * 100 + stepping");
        assert!(node_properties(&format!("{CARD}new_name of something\nbare\n\n")).is_ok());
    }

    #[test]
    fn memory_of_its_own_counts() {
        assert_eq!(bank_bytes("heap_type 1\nsize_in_bytes 25753026560\n").unwrap(), 25_753_026_560);
        assert_eq!(bank_bytes("heap_type 2\nsize_in_bytes 1\n").unwrap(), 1);
        assert_eq!(bank_bytes("heap_type 0\nsize_in_bytes 9\n").unwrap(), 0);
        assert!(bank_bytes("heap_type 1\n").is_err());
        assert!(bank_bytes(&format!("heap_type 1\nsize_in_bytes {}\n", u64::MAX)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[a-z_ 0-9\\n\\-]{0,200}|\\PC{0,80}") {
            let _either = (node_properties(&text), bank_bytes(&text));
        }

        #[test]
        fn what_is_written_is_read(
            (major, minor, step) in (1_u64..100, 0_u64..16, 0_u64..16),
            (bus, device, function) in (0_u64..256, 0_u64..32, 0_u64..8),
            (domain, device_id) in (0_u64..=0xffff, any::<u16>()),
            noise in "([a-d]{1,8} [0-9a-z ]{0,8}\n){0,4}",
        ) {
            let version = major * 10_000 + minor * 100 + step;
            let location = bus << 8 | device << 3 | function;
            let text = format!(
                "{noise}simd_count 4\nvendor_id 4098\ndevice_id {device_id}\ndomain {domain}\n\
                 location_id {location}\ngfx_target_version {version}\n{noise}"
            );
            let described = node_properties(&text).unwrap().unwrap();
            prop_assert_eq!(described.device_id, device_id);
            prop_assert_eq!(described.gfx.unwrap(), format!("gfx{major}{minor:x}{step:x}"));
            let slot = format!("{domain:04x}:{bus:02x}:{device:02x}.{function}");
            prop_assert_eq!(described.slot, slot);
        }
    }
}
