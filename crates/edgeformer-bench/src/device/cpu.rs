use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::output::bytes;

/// A cache of the CPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuCache {
    /// 1 is the nearest.
    pub level: u32,
    /// `data`, `instruction` or `unified`.
    pub kind: String,
    /// Its size.
    pub bytes: u64,
    /// Logical cores that share it.
    pub cores: usize,
}

impl fmt::Display for CpuCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind.as_str() {
            "data" => "d",
            "instruction" => "i",
            _ => "",
        };
        write!(f, "L{}{kind} {}", self.level, bytes(self.bytes))?;
        if self.cores > 1 { write!(f, " for {} cores", self.cores) } else { Ok(()) }
    }
}

/// The caches that Linux lists in a folder of a core, as its
/// `Documentation/ABI/testing/sysfs-devices-system-cpu` says; none where it lists none.
pub(super) fn caches(folder: &Path) -> Vec<CpuCache> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut caches: Vec<CpuCache> =
        entries.filter_map(|entry| cache(&entry.ok()?.path())).collect();
    caches.sort_by(|a, b| (a.level, &a.kind).cmp(&(b.level, &b.kind)));
    caches
}

fn cache(folder: &Path) -> Option<CpuCache> {
    let read = |file| fs::read_to_string(folder.join(file)).ok().map(|text| text.trim().to_owned());
    Some(CpuCache {
        level: read("level")?.parse().ok()?,
        kind: read("type")?.to_lowercase(),
        bytes: size(&read("size")?)?,
        cores: read("shared_cpu_list").map_or(1, |list| listed(&list)),
    })
}

/// `32K`, `1M`.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// How many a list such as `0-3,8` names; at least 1.
fn listed(list: &str) -> usize {
    let count = |part: &str| match part.split_once('-') {
        Some((first, last)) => {
            let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
            Some(last.saturating_sub(first) + 1)
        }
        None => part.parse::<usize>().ok().map(|_| 1),
    };
    list.split(',').filter_map(count).sum::<usize>().max(1)
}

/// What kernels could ask for, by the names in `/proc/cpuinfo`.
const ASKED: [&str; 16] = [
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512vbmi",
    "amx_int8",
    "asimd",
    "asimdhp",
    "asimddp",
    "i8mm",
    "sve",
];

/// What `/proc/cpuinfo` calls the list on the architecture that was built for: under an emulator it
/// may be that of the machine beneath.
const LIST: &str =
    if cfg!(any(target_arch = "x86", target_arch = "x86_64")) { "flags" } else { "Features" };

/// What this CPU has of it.
pub(super) fn features() -> Vec<String> {
    features_of(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default(), LIST)
}

fn features_of(info: &str, list: &str) -> Vec<String> {
    let lists = info.lines().filter_map(|line| line.split_once(':'));
    let mut lists = lists.filter(|(name, _)| name.trim() == list);
    let list: Vec<&str> =
        lists.next().map_or(Vec::new(), |(_, list)| list.split_whitespace().collect());
    ASKED.into_iter().filter(|name| list.contains(name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_read_from_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        for (name, level, kind, size, shared) in [
            ("index3", "3", "Unified", "32768K", "0-3,8"),
            ("index0", "1", "Data", "32K", "0"),
            ("broken", "x", "Data", "32K", "0"),
        ] {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            for (file, text) in
                [("level", level), ("type", kind), ("size", size), ("shared_cpu_list", shared)]
            {
                fs::write(path.join(file), format!("{text}\n")).unwrap();
            }
        }
        let shown: Vec<String> = caches(folder.path()).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["L1d 32.0 KiB", "L3 32.0 MiB for 5 cores"]);
        assert!(caches(&folder.path().join("absent")).is_empty());
    }

    #[test]
    fn features_are_those_that_kernels_know() {
        let info = "flags\t\t: fpu avx2 fma sse\n\nflags\t: f16c\n";
        assert_eq!(features_of(info, "flags"), ["avx2", "fma"]);
        assert!(features_of(info, "Features").is_empty(), "an emulator's machine");
        let info = "Features\t: asimd asimddp crc32\n";
        assert_eq!(features_of(info, "Features"), ["asimd", "asimddp"]);
        assert!(features_of("", "flags").is_empty());
    }
}
