//! `cargo xtask bench --device`, end to end: over ssh to a server of this test's own.

mod support;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use self::support::stories;

const SSHD: &str = "/usr/sbin/sshd";

/// A server on this machine with keys of its own, ended when dropped.
struct Server {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Server {
    /// Starts one; says in one line that a test is skipped if there is none.
    fn start() -> Option<Self> {
        if !Path::new(SSHD).exists() {
            eprintln!("skipped: there is no {SSHD}");
            return None;
        }
        let folder = tempfile::tempdir().expect("there is room");
        let path = |name: &str| folder.path().join(name);
        for key in ["host", "user"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path(key));
            assert!(keygen.status().expect("it comes with ssh").success());
        }
        // As root it insists on this folder; anybody else cannot make it, and need not.
        let _exists = fs::create_dir_all("/run/sshd");
        let port = free_port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\n\
             PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nSubsystem sftp internal-sftp\n",
            path("host").display(),
            path("user.pub").display()
        );
        fs::write(path("config"), config).expect("the folder is new");
        let mut sshd = Command::new(SSHD);
        sshd.args(["-D", "-e", "-f"]).arg(path("config"));
        let child = sshd.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it is there");
        let server = Self { child, folder, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "the server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self) -> Vec<String> {
        let options = [
            format!("Port={}", self.port),
            format!("IdentityFile={}", self.path("user").display()),
            "IdentitiesOnly=yes".into(),
            "StrictHostKeyChecking=no".into(),
            format!("UserKnownHostsFile={}", self.path("known").display()),
            "LogLevel=ERROR".into(),
        ];
        options.into_iter().flat_map(|option| ["--ssh-option".into(), option]).collect()
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was ended");
    }
}

fn bench(device: &str, arguments: &[String]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["bench", "--as-built", "--device", device]).args(arguments);
    let output = command.output().expect("the program was built for this test");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("every system has it");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn figures_of_another_device_come_back() {
    let Some(model) = stories() else { return };
    let Some(server) = Server::start() else { return };
    // A name that a shell would take apart.
    let there = server.path("kept there's");
    let words = ["--cases", "pp8,tg2", "--threads", "1", "--repeats", "1", "--json"];
    let mut arguments: Vec<String> = words.map(str::to_owned).into();
    arguments.extend(["--models".to_owned(), model.display().to_string()]);
    arguments.extend(["--name".to_owned(), "the board".to_owned()]);
    arguments.extend(["--device-folder".to_owned(), there.display().to_string()]);
    arguments.extend(server.options());
    let device = format!("{}@127.0.0.1", user());

    let (code, stdout, stderr) = bench(&device, &arguments);
    assert_eq!(code, Some(0), "{stderr}");
    let rows: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is an object"))
        .collect();
    let cases: Vec<_> = rows.iter().map(|row| &row["case"]).collect();
    assert_eq!(cases, ["pp8", "tg2"], "{stdout}");
    for row in &rows {
        assert!(row["tokens_per_second"].as_f64().unwrap() > 0.0, "{row:#}");
        assert_eq!(row["device"]["name"], "the board", "{row:#}");
        assert_eq!(row["device"]["emulated"], false, "{row:#}");
    }
    assert!(there.join("stories260k-f32.gguf").is_file(), "{stderr}");
    assert!(stderr.contains("copying"), "{stderr}");

    // What is there already is not copied again.
    let (code, _, stderr) = bench(&device, &arguments);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stderr.contains("copying"), "{stderr}");
}

#[test]
fn devices_that_cannot_be_used_say_why() {
    let Some(model) = stories() else { return };
    let Some(server) = Server::start() else { return };
    let named = |file: &Path| -> Vec<String> {
        let mut arguments = vec!["--models".to_owned(), file.display().to_string()];
        arguments.extend(["--cases".to_owned(), "pp8".to_owned()]);
        arguments
            .extend(["--device-folder".to_owned(), server.path("there").display().to_string()]);
        arguments.extend(server.options());
        arguments
    };
    let here = format!("{}@127.0.0.1", user());
    for (device, arguments, expected) in [
        // The first option of a name counts, as in ssh_config.
        (
            here.clone(),
            [vec!["--ssh-option".into(), "Port=1".into()], named(&model)].concat(),
            "cannot be reached",
        ),
        ("nobody-of-this-name@127.0.0.1".into(), named(&model), "Permission denied"),
        (here, named(Path::new("absent.gguf")), "absent.gguf"),
    ] {
        let (code, _, stderr) = bench(&device, &arguments);
        assert!(code == Some(1) && stderr.contains(expected), "{device}: {stderr}");
    }
    let (code, _, stderr) = bench("qemu-abacus", &[]);
    assert!(code == Some(2) && stderr.contains("only qemu-aarch64"), "{stderr}");
}
