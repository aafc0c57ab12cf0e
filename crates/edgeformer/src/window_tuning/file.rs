use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use edgeformer_core::{Graph, HeadWindows, Op};
use edgeformer_models::atomic::write_atomically;
use serde::{Deserialize, Serialize};

use super::{Observation, tune};
use crate::{Error, Result};

/// Bytes that such a file may have: a window is a few, and no model has a million heads.
const LONGEST: u64 = 1 << 24;

/// Tokens that a window may have.
const WIDEST: usize = 1 << 24;

/// The windows of a model's heads, and how they were found: JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowFile {
    /// The family of the model.
    pub family: String,
    /// Query heads of each cache slot.
    pub heads: Vec<usize>,
    /// The share of attention that the windows hold.
    pub mass: f64,
    /// First tokens that every query sees besides its window; their attention was not counted.
    pub sinks: usize,
    /// Tokens of the longest piece of text that was looked at.
    pub context: usize,
    /// Tokens that were looked at.
    pub tokens: usize,
    /// The windows.
    pub windows: HeadWindows,
}

impl WindowFile {
    /// What is known of a graph and an observation of it.
    pub fn new(graph: &Graph, mass: f64, sinks: usize, observation: &Observation) -> Self {
        Self {
            family: graph.name.clone(),
            heads: query_heads(graph),
            mass,
            sinks,
            context: observation.longest,
            tokens: observation.tokens,
            windows: tune::windows(&observation.mass, mass, observation.longest),
        }
    }

    /// Reads the windows of a model.
    ///
    /// # Errors
    /// If the file cannot be read, is no file of windows, or was made for another model.
    pub fn read(path: &Path, graph: &Graph) -> Result<Self> {
        let file = Self::read_unchecked(path)?;
        let wrong = |problem| Error::WindowFile { path: path.to_owned(), problem };
        file.check(graph).map_err(wrong)?;
        Ok(file)
    }

    /// Reads windows before it is known which model they are for; a session over another refuses
    /// them.
    ///
    /// # Errors
    /// If the file cannot be read or is no file of windows.
    pub fn read_unchecked(path: &Path) -> Result<Self> {
        let wrong = |problem: String| Error::WindowFile { path: path.to_owned(), problem };
        let file = File::open(path).map_err(|error| {
            wrong(format!("{error}; a window is N, MIN:MAX or a file of edgeformer tune-window"))
        })?;
        serde_json::from_reader(BufReader::new(file.take(LONGEST)))
            .map_err(|error| wrong(format!("this is no file of edgeformer tune-window: {error}")))
    }

    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(write_atomically(path, |mut out| {
            serde_json::to_writer_pretty(&mut out, self)?;
            out.write_all(b"\n")
        })?)
    }

    /// Whether these are windows of that graph; if not, why.
    fn check(&self, graph: &Graph) -> Result<(), String> {
        if self.family != graph.name {
            return Err(format!(
                "it was made for a {} model, this one is {}: run tune-window on this one",
                self.family, graph.name
            ));
        }
        let heads = query_heads(graph);
        let of_windows: Vec<usize> = self.windows.slots.iter().map(Vec::len).collect();
        if of_windows != heads {
            let counts = |heads: &[usize]| {
                format!("{} layers and {} heads", heads.len(), heads.iter().sum::<usize>())
            };
            return Err(format!(
                "it has windows for {}, this model has {}: run tune-window on this one",
                counts(&of_windows),
                counts(&heads)
            ));
        }
        let mut all = self.windows.slots.iter().flatten().flatten();
        match all.find(|window| !(1..=WIDEST).contains(*window)) {
            Some(window) => Err(format!("a window has {window} tokens, it must be 1 to {WIDEST}")),
            None => Ok(()),
        }
    }
}

/// Query heads of each cache slot.
fn query_heads(graph: &Graph) -> Vec<usize> {
    let mut heads = vec![0; graph.cache.slots.len()];
    for node in &graph.nodes {
        let (slot, count) = match &node.op {
            Op::Attention(attention) => (attention.slot, attention.heads),
            Op::LatentAttention(attention) => (Some(attention.slot), attention.heads),
            _ => continue,
        };
        if let Some(heads) = slot.and_then(|slot| heads.get_mut(slot.0 as usize)) {
            *heads = count;
        }
    }
    heads
}
