use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use edgeformer_models::ModelFile;
use edgeformer_models::atomic::write_atomically;
use serde::{Deserialize, Serialize};

use super::{Choices, MachineKey, ModelKey, Tuning};
use crate::engine::Chosen;
use crate::{Error, Result};

/// Bytes that a profile has at most.
const LONGEST: u64 = 1 << 22;

/// What was measured on a machine: a file of the user's cache folder, named after the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The machine.
    pub machine: MachineKey,
    /// What is best for each model.
    pub models: BTreeMap<ModelKey, Tuning>,
}

impl Profile {
    /// The profile of a machine in a folder; an empty one if there is none.
    ///
    /// # Errors
    /// If its file cannot be read, is damaged or speaks of another machine; in one line.
    pub fn load(folder: &Path, machine: &MachineKey) -> Result<Self, String> {
        let path = Self::path(folder, machine);
        let wrong = |problem: &dyn std::fmt::Display| format!("{}: {problem}", path.display());
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self { machine: machine.clone(), models: BTreeMap::new() });
            }
            Err(error) => return Err(wrong(&error)),
        };
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).map_err(|error| wrong(&error))?;
        let profile: Self = serde_json::from_str(&text)
            .map_err(|error| wrong(&format!("this is no profile of edgeformer tune: {error}")))?;
        match profile.machine == *machine {
            true => Ok(profile),
            false => Err(wrong(&"it was measured on another machine")),
        }
    }

    /// Remembers what was found for a model; the file appears whole or stays as it was. What
    /// cannot be read is replaced. Returns the file's path.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn remember(
        folder: &Path,
        machine: &MachineKey,
        model: ModelKey,
        tuning: Tuning,
    ) -> Result<PathBuf> {
        let mut profile = Self::load(folder, machine)
            .unwrap_or_else(|_| Self { machine: machine.clone(), models: BTreeMap::new() });
        profile.models.insert(model, tuning);
        let path = Self::path(folder, machine);
        fs::create_dir_all(folder).map_err(|error| Error::Profile {
            path: folder.to_owned(),
            problem: format!("{error}; EDGEFORMER_CACHE names another folder"),
        })?;
        write_atomically(&path, |mut out| {
            serde_json::to_writer_pretty(&mut out, &profile)?;
            out.write_all(b"\n")
        })?;
        Ok(path)
    }

    fn path(folder: &Path, machine: &MachineKey) -> PathBuf {
        folder.join(machine.file_name())
    }
}

/// What a profile says for a model.
pub(crate) struct Found {
    pub choices: Choices,
    /// What is to be told of it, a line each.
    pub told: Vec<String>,
}

/// Looks a model up in the profile of the machine. A profile that is of no use is told and
/// ignored: it only ever saves time.
pub(crate) fn look_up(folder: &Path, chosen: &Chosen, file: &ModelFile) -> Found {
    let machine = MachineKey::here(&chosen.name(), &chosen.choice.device);
    let none = |told: String| Found { choices: Choices::default(), told: vec![told] };
    let profile = match Profile::load(folder, &machine) {
        Ok(profile) => profile,
        Err(problem) => return none(format!("profile ignored: {problem}")),
    };
    match profile.models.get(&ModelKey::of(file)) {
        Some(tuning) => {
            let from = Profile::path(folder, &machine).display().to_string();
            let lines = tuning.explain().into_iter().map(|line| format!("tuned: {line}"));
            Found {
                choices: within_reason(tuning.choices),
                told: std::iter::once(format!("profile {from}")).chain(lines).collect(),
            }
        }
        None => none("no profile of this model on this machine: edgeformer tune makes one".into()),
    }
}

/// Choices of a file that somebody may have edited: what no tuning gives is left out.
fn within_reason(choices: Choices) -> Choices {
    let within = |value: Option<usize>, most| value.filter(|value| (1..=most).contains(value));
    Choices {
        threads: within(choices.threads, 1024),
        threads_batch: within(choices.threads_batch, 1024),
        chunk: within(choices.chunk, 1 << 16),
        ..choices
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgeformer_core::Device;

    fn machine(name: &str) -> MachineKey {
        let device =
            Device { id: "cpu".into(), description: name.into(), facts: Vec::new(), score: 1 };
        MachineKey::here("cpu/cpu", &device)
    }

    fn model(name: &str) -> ModelKey {
        serde_json::from_value(name.into()).unwrap()
    }

    fn tuning(threads: usize) -> Tuning {
        let choices = Choices { threads: Some(threads), ..Choices::default() };
        Tuning { choices, ..Tuning::default() }
    }

    #[test]
    fn profiles_remember_model_by_model() {
        let folder = tempfile::tempdir().unwrap();
        // The folder need not be there yet.
        let folder = folder.path().join("cache");
        let here = machine("a");
        assert!(Profile::load(&folder, &here).unwrap().models.is_empty());
        Profile::remember(&folder, &here, model("x"), tuning(1)).unwrap();
        Profile::remember(&folder, &here, model("y"), tuning(2)).unwrap();
        Profile::remember(&folder, &here, model("x"), tuning(3)).unwrap();
        let profile = Profile::load(&folder, &here).unwrap();
        assert_eq!(profile.models[&model("x")], tuning(3));
        assert_eq!(profile.models[&model("y")], tuning(2));
        assert!(Profile::load(&folder, &machine("b")).unwrap().models.is_empty());
    }

    #[test]
    fn damaged_and_foreign_profiles_are_refused_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, here) = (folder.path(), machine("a"));
        let path = Profile::remember(folder, &here, model("x"), tuning(1)).unwrap();
        fs::write(&path, "{\"machine\": 7}").unwrap();
        assert!(Profile::load(folder, &here).unwrap_err().contains("no profile"));
        let foreign = Profile { machine: machine("b"), models: BTreeMap::new() };
        fs::write(&path, serde_json::to_string(&foreign).unwrap()).unwrap();
        assert!(Profile::load(folder, &here).unwrap_err().contains("another machine"));
        Profile::remember(folder, &here, model("x"), tuning(2)).unwrap();
        assert_eq!(Profile::load(folder, &here).unwrap().models[&model("x")], tuning(2));
    }

    #[test]
    fn what_no_tuning_gives_is_left_out() {
        let wild = Choices {
            threads: Some(0),
            threads_batch: Some(9999),
            chunk: Some(128),
            ..Choices::default()
        };
        assert_eq!(within_reason(wild), Choices { chunk: Some(128), ..Choices::default() });
    }
}
