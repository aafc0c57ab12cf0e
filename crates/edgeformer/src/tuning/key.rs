use edgeformer_core::{Device, Graph, Weights};
use edgeformer_models::ModelFile;
use serde::{Deserialize, Serialize};

use crate::budget::System;
use crate::engine::Chosen;
use crate::hash::Fnv;
use crate::{EngineOptions, Result};

/// What a profile was measured on. Another machine, other limits, another version: another profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineKey {
    /// The version of this library.
    pub version: String,
    /// `BACKEND/DEVICE`.
    pub backend: String,
    /// What the device is called: the CPU's model name.
    pub device: String,
    /// What is known of it: instruction set, cores, memory.
    pub facts: Vec<(String, String)>,
    /// Threads that affinity and the control group's quota allow.
    pub parallelism: usize,
    /// Bytes that the control group allows.
    pub memory_limit: Option<u64>,
}

impl MachineKey {
    /// The machine at hand, as the backend sees it that would run a graph.
    ///
    /// # Errors
    /// If no backend can run it.
    pub fn of(graph: &Graph, options: &EngineOptions) -> Result<Self> {
        let chosen = Chosen::of(graph, options)?;
        Ok(Self::here(&chosen.name(), &chosen.choice.device))
    }

    /// The machine at hand, under a backend's device.
    pub(crate) fn here(backend: &str, device: &Device) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            backend: backend.into(),
            device: device.description.clone(),
            facts: device.facts.clone(),
            parallelism: crate::available_cores(),
            memory_limit: System::default().limit_of_group(),
        }
    }

    /// The name of the profile's file.
    pub(super) fn file_name(&self) -> String {
        let mut hash = Fnv::default();
        let number = |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
        let fixed = [&self.version, &self.backend, &self.device];
        fixed.into_iter().for_each(|text| add_text(&mut hash, text));
        self.facts.iter().for_each(|(name, value)| {
            add_text(&mut hash, name);
            add_text(&mut hash, value);
        });
        add_text(&mut hash, &self.parallelism.to_string());
        add_text(&mut hash, &number(self.memory_limit));
        format!("profile-{:016x}.json", hash.value())
    }
}

/// Which model was measured: its graph and the formats of its weights, whatever its file is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelKey(String);

impl ModelKey {
    /// The key of a model.
    pub fn of(file: &ModelFile) -> Self {
        let graph = &file.model.graph;
        let mut hash = Fnv::default();
        add_text(&mut hash, &graph.to_text());
        let weights: &Weights = &file.model.weights;
        for (name, weight) in weights.iter() {
            add_text(&mut hash, name);
            weight.parts().iter().for_each(|part| add_text(&mut hash, part.format().name()));
        }
        Self(format!("{} {:016x}", graph.name, hash.value()))
    }
}

/// Takes in a text; the zero behind it keeps texts apart.
fn add_text(hash: &mut Fnv, text: &str) {
    hash.add(text.as_bytes());
    hash.add(&[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> MachineKey {
        let device = Device {
            id: "cpu".into(),
            description: "A CPU".into(),
            facts: vec![("cores".into(), "4".into())],
            score: 100,
        };
        MachineKey::here("cpu/cpu", &device)
    }

    #[test]
    fn whatever_changes_gives_another_file() {
        let changes: [fn(&mut MachineKey); 5] = [
            |key| key.version = "0".into(),
            |key| key.device = "Another CPU".into(),
            |key| key.facts[0].1 = "8".into(),
            |key| key.parallelism += 1,
            |key| key.memory_limit = Some(key.memory_limit.map_or(1, |limit| limit + 1)),
        ];
        for change in changes {
            let mut other = key();
            change(&mut other);
            assert_ne!(other.file_name(), key().file_name());
        }
        assert_eq!(key().file_name(), key().file_name());
    }
}
