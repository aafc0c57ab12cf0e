use serde::{Deserialize, Serialize};

/// A place where a backend can run graphs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Name within its backend, for example `cpu` or `cuda:0`. Open: backends choose their own.
    pub id: String,
    /// What a person calls it, for example the CPU's model name.
    pub description: String,
    /// Facts a person may want, in order: instruction set, cores, memory, huge pages.
    pub facts: Vec<(String, String)>,
    /// `auto` takes the device with the highest score that can run the graph. The CPU scores 100.
    pub score: u32,
}
