//! What a way to keep the past does to what the model says.

use edgeformer::evaluate::Windows;
use serde::{Deserialize, Serialize};

use edgeformer_core::SessionOptions;

use super::{Configuration, session_of};
use crate::quality::sized;
use crate::subject::{ModelChoice, Subject};
use crate::{Error, Quality, Result, quality};

/// Compares one configuration with the baseline on a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QualityJob {
    /// The model.
    pub model: ModelChoice,
    /// How the past is kept.
    pub configuration: Configuration,
    /// The text.
    pub tokens: Vec<u32>,
    /// Tokens of a window.
    pub context: usize,
    /// The token that begins every window.
    pub beginning: Option<u32>,
}

impl QualityJob {
    /// Compares in this process.
    ///
    /// # Errors
    /// If the model cannot be opened, the text is too short, or the backend refuses the
    /// configuration.
    pub fn run(&self) -> Result<Quality> {
        let windows = Windows::new(&self.tokens, self.context, self.beginning)?;
        let folder =
            tempfile::tempdir().map_err(|error| Error::file(&std::env::temp_dir(), error))?;
        let subject = Subject::open(&self.model, false)?;
        let base = sized(&SessionOptions::default(), self.context);
        let session = |configuration| session_of(&subject, configuration, &base, folder.path());
        let (baseline, _) = session(&Configuration::BASELINE)?;
        let (candidate, _) = session(&self.configuration)?;
        quality(&subject.program, &baseline, &candidate, &windows)
    }
}
