//! Errors as JSON: those of the core, kind by kind.

use edgeformer_core::{Error, Format, SequenceId};
use serde::{Deserialize, Serialize};

/// An error that crosses.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum WireError {
    Graph {
        graph: String,
        node: String,
        problem: String,
    },
    Weight {
        name: String,
        problem: String,
    },
    Format {
        format: String,
        problem: String,
    },
    Step {
        problem: String,
    },
    Token {
        token: u32,
        vocabulary: usize,
    },
    UnknownSequence {
        sequence: u64,
    },
    ContextFull {
        sequence: u64,
        needed: usize,
        limit: usize,
    },
    CacheFull {
        needed: usize,
        free: usize,
    },
    SavedSequence {
        problem: String,
    },
    NoBackend {
        problem: String,
    },
    Unsupported {
        backend: String,
        reasons: String,
    },
    Backend {
        backend: String,
        problem: String,
    },
    Config {
        problem: String,
    },
    Io {
        problem: String,
    },
    /// A kind that came later.
    Other {
        problem: String,
    },
}

impl From<Error> for WireError {
    fn from(error: Error) -> Self {
        match error {
            Error::Graph { graph, node, problem } => Self::Graph { graph, node, problem },
            Error::Weight { name, problem } => Self::Weight { name, problem },
            Error::Format { format, problem } => Self::Format { format: format.into(), problem },
            Error::Step(problem) => Self::Step { problem },
            Error::Token { token, vocabulary } => Self::Token { token, vocabulary },
            Error::UnknownSequence(id) => Self::UnknownSequence { sequence: id.0 },
            Error::ContextFull { sequence, needed, limit } => {
                Self::ContextFull { sequence: sequence.0, needed, limit }
            }
            Error::CacheFull { needed, free } => Self::CacheFull { needed, free },
            Error::SavedSequence(problem) => Self::SavedSequence { problem },
            Error::NoBackend(problem) => Self::NoBackend { problem },
            Error::Unsupported { backend, reasons } => Self::Unsupported { backend, reasons },
            Error::Backend { backend, problem } => Self::Backend { backend, problem },
            Error::Config(problem) => Self::Config { problem },
            Error::Io(error) => Self::Io { problem: error.to_string() },
            other => Self::Other { problem: other.to_string() },
        }
    }
}

impl WireError {
    /// The error on this side. `backend` is who it came from.
    #[cfg_attr(not(feature = "host"), allow(dead_code))]
    pub fn into_error(self, backend: &str) -> Error {
        match self {
            Self::Graph { graph, node, problem } => Error::Graph { graph, node, problem },
            Self::Weight { name, problem } => Error::Weight { name, problem },
            Self::Format { format, problem } => match format.parse::<Format>() {
                Ok(format) => Error::Format { format: format.name(), problem },
                Err(_) => Error::Backend {
                    backend: backend.into(),
                    problem: format!("format {format}: {problem}"),
                },
            },
            Self::Step { problem } => Error::Step(problem),
            Self::Token { token, vocabulary } => Error::Token { token, vocabulary },
            Self::UnknownSequence { sequence } => Error::UnknownSequence(SequenceId(sequence)),
            Self::ContextFull { sequence, needed, limit } => {
                Error::ContextFull { sequence: SequenceId(sequence), needed, limit }
            }
            Self::CacheFull { needed, free } => Error::CacheFull { needed, free },
            Self::SavedSequence { problem } => Error::SavedSequence(problem),
            Self::NoBackend { problem } => Error::NoBackend(problem),
            Self::Unsupported { backend, reasons } => Error::Unsupported { backend, reasons },
            Self::Backend { backend, problem } => Error::Backend { backend, problem },
            Self::Config { problem } => Error::Config(problem),
            Self::Io { problem } => Error::Io(std::io::Error::other(problem)),
            Self::Other { problem } => Error::Backend { backend: backend.into(), problem },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_cross_as_what_they_are() {
        let text = |text: &str| text.to_owned();
        let errors = [
            Error::Graph { graph: text("g"), node: text("3 linear"), problem: text("wide") },
            Error::Weight { name: text("w"), problem: text("is missing") },
            Error::Format { format: "q4_0", problem: text("odd") },
            Error::Step(text("empty")),
            Error::Token { token: 7, vocabulary: 5 },
            Error::UnknownSequence(SequenceId(u64::MAX)),
            Error::ContextFull { sequence: SequenceId(1), needed: 9, limit: 8 },
            Error::CacheFull { needed: 2, free: 1 },
            Error::SavedSequence(text("cut off")),
            Error::NoBackend(text("none")),
            Error::Unsupported { backend: text("npu"), reasons: text("no rope") },
            Error::Backend { backend: text("npu"), problem: text("burnt") },
            Error::Config(text("unknown")),
            Error::Io(std::io::Error::other("disk full")),
        ];
        for error in errors {
            let (kind, told) = (std::mem::discriminant(&error), error.to_string());
            let json = serde_json::to_string(&WireError::from(error)).unwrap();
            let back = serde_json::from_str::<WireError>(&json).unwrap().into_error("plugin");
            assert_eq!((std::mem::discriminant(&back), back.to_string()), (kind, told), "{json}");
        }
    }

    #[test]
    fn kinds_that_are_not_known_here_are_told_as_the_backends() {
        let unknown = WireError::Format { format: "q9_z".into(), problem: "odd".into() };
        let told = unknown.into_error("npu").to_string();
        assert_eq!(told, "backend \"npu\": format q9_z: odd");
    }
}
