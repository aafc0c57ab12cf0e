//! What the machine says about itself.

use std::fs;

/// The CPU's name as a person knows it.
pub(crate) fn cpu_name() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = ["model name", "Model", "Hardware", "cpu model"];
    let found = named.iter().find_map(|field| cpuinfo_field(&info, field));
    found.map_or_else(|| format!("{} CPU", std::env::consts::ARCH), str::to_owned)
}

fn cpuinfo_field<'a>(info: &'a str, field: &str) -> Option<&'a str> {
    info.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == field && !value.trim().is_empty()).then(|| value.trim())
    })
}

/// Bytes of main memory, where the system says so.
pub(crate) fn memory_bytes() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let kib = cpuinfo_field(&info, "MemTotal")?.strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    kib.checked_mul(1024)
}

/// When the system keeps anonymous memory in huge pages: `always`, `madvise` or `never`, where it
/// tells. Weights that are packed at start ask for them: they get them unless it is `never`.
pub(crate) fn huge_pages() -> Option<String> {
    let text = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok()?;
    chosen_word(&text).map(str::to_owned)
}

/// The word in brackets of `always [madvise] never`.
fn chosen_word(choices: &str) -> Option<&str> {
    choices.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let info = "processor\t: 0\nmodel\t\t: 1\nmodel name\t: EPYC: fast\n";
        assert_eq!(cpuinfo_field(info, "model name"), Some("EPYC: fast"));
        assert_eq!(cpuinfo_field(info, "Model"), None);
    }

    #[test]
    fn the_choice_in_brackets_is_found() {
        for (choices, chosen) in [
            ("[always] madvise never\n", Some("always")),
            ("always [madvise] never\n", Some("madvise")),
            ("always madvise [never]\n", Some("never")),
            ("always madvise never\n", None),
            ("always [madvise", None),
            ("", None),
        ] {
            assert_eq!(chosen_word(choices), chosen, "{choices:?}");
        }
    }
}
