//! The binary with a backend from a shared library:
//!
//! ```text
//! cargo build --features plugins --example cpu_backend_plugin
//! cargo test --features plugins --test plugins
//! ```
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{edgeformer, refusal, stdout};

/// `examples/cpu_backend_plugin.rs`, where cargo has put it.
fn plugin() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let target = this.parent().unwrap().parent().unwrap();
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let file = target.join("examples").join(format!("{prefix}cpu_backend_plugin{suffix}"));
    assert!(file.is_file(), "the plugin is not built: see the top of this file");
    file
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A refusal, without the names of this machine's folders.
fn refused(arguments: &[&str], folder: &Path) -> String {
    refusal(arguments, 1).replace(text(folder), "[folder]")
}

const PROMPT: [&str; 7] = ["generate", "To be", "-n", "40", "--temp", "0", "--quiet"];

#[test]
fn a_plugin_writes_what_the_backend_that_is_built_in_writes() {
    let plugin = plugin();
    let own = stdout(&[&PROMPT[..], &["--backend", "cpu"]].concat());
    let choice = ["--plugin", text(&plugin), "--backend", "cpu-plugin"];
    assert_eq!(stdout(&[&PROMPT[..], &choice].concat()), own);

    let devices = stdout(&["devices", "--plugin", text(&plugin)]);
    let listed = |line: &str| line.starts_with("cpu-plugin/cpu  ") && line.ends_with("(score 99)");
    assert!(devices.lines().any(listed), "{devices}");
    assert!(devices.starts_with("cpu/cpu  "), "{devices}");
}

#[test]
fn a_folder_of_plugins_is_named_by_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(plugin(), folder.path().join("libmine.so")).unwrap();
    fs::write(folder.path().join("README"), "no library").unwrap();
    let run = |directory: &Path| {
        let mut command = edgeformer(&["devices", "--json"]);
        command.env("EDGEFORMER_PLUGIN_DIR", directory).current_dir(folder.path());
        let output = command.output().unwrap();
        let both = [output.stdout, output.stderr].concat();
        String::from_utf8(both).unwrap().replace(text(folder.path()), "[folder]")
    };
    assert!(run(folder.path()).contains("\"cpu-plugin\""));
    insta::assert_snapshot!(run(Path::new(".")), @"error: plugin .: plugins have absolute paths: name it from the root on");
}

#[test]
fn only_known_digests_are_loaded() {
    let plugin = plugin();
    let choice = ["devices", "--plugin", text(&plugin), "--plugin-digest"];
    let digest = edgeformer_plugin::host::Digest::of(fs::File::open(&plugin).unwrap()).unwrap();
    stdout(&[&choice[..], &[&digest.to_string()]].concat());
    let other = "0".repeat(64);
    let error = refused(&[&choice[..], &[&other]].concat(), plugin.parent().unwrap());
    let error = error.replace(&digest.to_string(), "[digest]");
    insta::assert_snapshot!(error, @"error: plugin [folder]/libcpu_backend_plugin.so: its SHA-256 is [digest], which is not among those allowed: --plugin-digest allows it");
    let error = refusal(&[&choice[..], &["abc"]].concat(), 2);
    insta::assert_snapshot!(error, @r#"error: configuration: plugin_digest: "abc" is no SHA-256: 64 hexadecimal digits, as sha256sum prints"#);
}

#[test]
fn what_is_no_plugin_is_refused_and_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let error = |plugins: &[&Path]| {
        let named = plugins.iter().flat_map(|path| ["--plugin", text(path)]);
        let arguments: Vec<&str> = PROMPT.into_iter().chain(named).collect();
        refused(&arguments, folder.path())
    };
    let copy = file("libcopy.so");
    fs::copy(plugin(), &copy).unwrap();
    fs::write(file("libtext.so"), "no library").unwrap();
    insta::assert_snapshot!(error(&[Path::new("libcopy.so")]), @"error: plugin libcopy.so: plugins have absolute paths: name it from the root on");
    insta::assert_snapshot!(error(&[&file("libgone.so")]), @"error: plugin [folder]/libgone.so: No such file or directory (os error 2)");
    insta::assert_snapshot!(error(&[&copy, &copy]), @r#"error: plugin [folder]/libcopy.so: its backend is named "cpu-plugin", as one that is registered already: load one of the two"#);
    let error = error(&[&copy, &file("libtext.so")]);
    assert!(error.contains("plugin [folder]/libtext.so: "), "{error}");
}
