use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::UNIX_EPOCH;

use super::Remote;
use super::build::Architecture;
use crate::run::{Result, output_of};

/// What ssh ends with if it did not come as far as running something.
const UNREACHABLE: i32 = 255;

/// A machine that ssh reaches.
#[derive(Debug)]
pub struct Ssh {
    host: String,
    /// Options for ssh and scp alike.
    options: Vec<String>,
    /// Where things are kept there: an absolute path.
    folder: String,
    architecture: Architecture,
}

impl Ssh {
    /// Reaches the machine, asks what it is, and makes a folder there.
    ///
    /// # Errors
    /// If it cannot be reached, or is none that a program can be built for.
    pub fn new(host: &str, options: &[String], folder: &str) -> Result<Self> {
        // Nobody is there to type a password, nor to wait for a machine that is off.
        let always = ["BatchMode=yes", "ConnectTimeout=10"].map(str::to_owned);
        let options = options.iter().chain(&always);
        let mut ssh = Self {
            host: host.into(),
            options: options.flat_map(|option| ["-o".to_owned(), option.clone()]).collect(),
            folder: String::new(),
            architecture: Architecture::X86_64,
        };
        let system = ssh.ask("uname -s -m")?;
        ssh.architecture = architecture(host, &system)?;
        let folder = quote(folder);
        ssh.folder = ssh.ask(&format!("mkdir -p {folder} && cd {folder} && pwd"))?;
        Ok(ssh)
    }

    /// Copies the program and what it reads, and runs it there.
    ///
    /// # Errors
    /// If something cannot be copied, or the program fails.
    pub fn run(&self, remote: &Remote<'_>) -> Result<String> {
        let program = self.copy(&self.architecture.program()?)?;
        self.ask(&format!("{} bench --help", quote(&program))).map_err(|error| {
            format!("the program does not start there (an older C library?): {error}")
        })?;
        let files: Vec<String> =
            remote.files.iter().map(|file| self.copy(file)).collect::<Result<_>>()?;
        let mut words = vec![quote(&program)];
        words.extend((remote.arguments)(&files).iter().map(|word| quote(word)));
        output_of(self.ssh().arg(format!("cd {} && {}", quote(&self.folder), words.join(" "))))
    }

    /// Copies a file into the folder, unless one of its name, size and time is there already.
    fn copy(&self, file: &Path) -> Result<String> {
        let wrong = |error: &dyn ToString| format!("{}: {}", file.display(), error.to_string());
        let name = file.file_name().ok_or_else(|| wrong(&"no file to copy"))?.to_string_lossy();
        let there = format!("{}/{name}", self.folder);
        let facts = fs::metadata(file).map_err(|error| wrong(&error))?;
        if !facts.is_file() {
            return Err(wrong(&"only files are copied to a device: name a GGUF file"));
        }
        let time = facts.modified().map_err(|error| wrong(&error))?;
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let same = format!("{} {seconds}", facts.len());
        if self.ask(&format!("stat -c '%s %Y' {}", quote(&there))).is_ok_and(|known| known == same)
        {
            return Ok(there);
        }
        eprintln!("copying {} to {}", file.display(), self.host);
        let mut copy = Command::new("scp");
        // With its time and its right to be executed.
        copy.args(["-q", "-p"]).args(&self.options).arg("--").arg(file);
        copy.arg(format!("{}:{there}", self.host));
        self.checked("scp", &mut copy)?;
        Ok(there)
    }

    fn ssh(&self) -> Command {
        let mut command = Command::new("ssh");
        command.args(&self.options).args(["--", &self.host]).stdin(Stdio::null());
        command
    }

    /// What a command there says, without the end of the line.
    fn ask(&self, command: &str) -> Result<String> {
        let output = self.checked("ssh", self.ssh().arg(command))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn checked(&self, program: &str, command: &mut Command) -> Result<Output> {
        let output = command.output().map_err(|error| {
            format!("{program}: {error}: install OpenSSH (Debian: apt-get install openssh-client)")
        })?;
        if output.status.success() {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        Err(match output.status.code() {
            Some(UNREACHABLE) => format!("{} cannot be reached: {said}", self.host),
            _ => format!("{}: {program}: {}: {said}", self.host, output.status),
        })
    }
}

/// The architecture that `uname -s -m` tells.
fn architecture(host: &str, system: &str) -> Result<Architecture> {
    let Some(("Linux", machine)) = system.split_once(' ') else {
        return Err(format!("{host} runs {system:?}, only Linux is known"));
    };
    Architecture::of_machine(machine)
        .ok_or_else(|| format!("{host} is a {machine}, known are {}", Architecture::known()))
}

/// A word for a POSIX shell.
fn quote(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=,:@+".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_shell_as_they_are() {
        for word in ["plain", "", "a b", "it's", "$HOME", "a\nb", "'", "*", "~", "a;b"] {
            let said =
                Command::new("sh").arg("-c").arg(format!("printf %s {}", quote(word))).output();
            assert_eq!(String::from_utf8(said.unwrap().stdout).unwrap(), word);
        }
        assert_eq!(quote("models/a-b_1.gguf"), "models/a-b_1.gguf");
    }

    #[test]
    fn machines_that_nothing_is_built_for_are_refused() {
        assert_eq!(architecture("h", "Linux aarch64"), Ok(Architecture::Aarch64));
        let error = architecture("h", "Linux s390x").unwrap_err();
        assert_eq!(error, "h is a s390x, known are x86_64, aarch64, armv7l, riscv64");
        assert!(architecture("h", "Darwin arm64").unwrap_err().contains("only Linux is known"));
        assert!(architecture("h", "").is_err());
    }
}
