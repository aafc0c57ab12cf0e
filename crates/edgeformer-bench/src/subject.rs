use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use edgeformer::{EngineOptions, FoundPacked, builtin_backends};
use edgeformer_core::{
    Backend, Choice, CompileOptions, Device, Footprint, Graph, Program, Selection, SessionOptions,
};
use edgeformer_models::{ModelFile, OpenOptions, open_with};

use crate::{Error, Result};

/// Which model is measured, and with how many threads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelChoice {
    /// A GGUF file or a Hugging Face folder.
    pub path: PathBuf,
    /// Threads that compute; `None` lets the backend choose.
    pub threads: Option<usize>,
}

impl ModelChoice {
    /// What a table calls it: the file's name.
    pub fn name(&self) -> String {
        let name = self.path.file_stem().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }
}

/// What a table calls a text: the file's name, behind its folder's, for `test.txt` alone says
/// nothing.
pub(crate) fn text_name(path: &Path) -> String {
    let folder = path.parent().and_then(Path::file_name).map(Path::new);
    let name = path.file_stem().map_or(path, Path::new);
    folder.map_or(name.to_owned(), |folder| folder.join(name)).display().to_string()
}

/// The device that a graph runs on if nobody chooses.
pub(crate) fn chosen_device(graph: &Graph) -> Result<Device> {
    Ok(select(graph)?.device)
}

fn select(graph: &Graph) -> Result<Choice> {
    Ok(builtin_backends(&EngineOptions::default())?.select(&Selection::Auto, graph)?)
}

/// Why the packed file beside a model is refused, in one line: its weights are packed anew whenever
/// it is measured. `None` if it is used, or there is none.
///
/// # Errors
/// If the model cannot be opened, or no backend runs it.
pub fn packed_warning(model: &Path) -> Result<Option<String>> {
    let file = open_with(model, &OpenOptions { tokenizer: false })?;
    let Some(found) = FoundPacked::beside(&file) else { return Ok(None) };
    let Choice { backend, device, .. } = select(&file.model.graph)?;
    let compile = CompileOptions {
        device: device.id,
        packed: found.file.as_ref().ok().cloned(),
        ..CompileOptions::default()
    };
    let used = backend.check_packed(&file.model, &compile, false)?;
    Ok(found.warning(&used))
}

/// A compiled model under test: sessions of any options over one program.
pub struct Subject {
    /// The program.
    pub program: Arc<dyn Program>,
    /// Where it runs.
    pub device: Device,
    /// What its files hold.
    pub file: ModelFile,
    backend: Arc<dyn Backend>,
    compile: CompileOptions,
}

impl Subject {
    /// Opens and compiles a model that continues text.
    ///
    /// # Errors
    /// If its files are damaged, it does not continue text, or no backend runs it.
    pub fn open(choice: &ModelChoice, tokenizer: bool) -> Result<Self> {
        Self::open_on(&Selection::Auto, choice, tokenizer)
    }

    /// As [`open`](Self::open), on a backend of one's choice.
    ///
    /// # Errors
    /// As [`open`](Self::open), or if there is no such backend, or it does not run the model.
    pub fn open_on(backend: &Selection, choice: &ModelChoice, tokenizer: bool) -> Result<Self> {
        let file = open_with(&choice.path, &OpenOptions { tokenizer })?;
        let graph = &file.model.graph;
        if !graph.is_decoder() || !graph.is_causal() {
            let path = choice.path.display();
            return Err(Error::Request(format!(
                "{path}: only models that continue text are measured"
            )));
        }
        let found = builtin_backends(&EngineOptions::default())?.select(backend, graph)?;
        let compile = CompileOptions {
            device: found.device.id.clone(),
            threads: choice.threads,
            packed: FoundPacked::beside(&file).and_then(|found| found.file.ok()),
            ..CompileOptions::default()
        };
        let program = found.backend.compile(file.model.clone(), &compile)?;
        Ok(Self { program, device: found.device, file, backend: found.backend, compile })
    }

    /// What a session with these options would take.
    ///
    /// # Errors
    /// If such a session cannot be opened, with the reason.
    pub fn plan(&self, options: &SessionOptions) -> Result<Footprint> {
        Ok(self.backend.plan(&self.file.model, &self.compile, options)?)
    }

    /// Positions that the model was trained on.
    pub fn trained_context(&self) -> usize {
        self.program.graph().trained_context().unwrap_or(1)
    }

    /// Tokens that the vocabulary has.
    pub fn vocabulary(&self) -> usize {
        self.program.graph().vocabulary()
    }

    /// The tokens of a text file, the model's beginning mark left out.
    ///
    /// # Errors
    /// If the file cannot be read, is no text, or the model has no tokenizer.
    pub fn tokens_of(&self, text: &Path) -> Result<Vec<u32>> {
        let words = std::fs::read_to_string(text).map_err(|error| Error::file(text, error))?;
        let missing = || {
            let path = self.file.source.path.display();
            Error::Request(format!("{path}: the model has no tokenizer to read a text with"))
        };
        let tokenizer = self.file.tokenizer.as_ref().ok_or_else(missing)?;
        Ok(tokenizer.encode(&words, edgeformer_models::text::AddSpecial::Never, false)?)
    }

    /// The token that begins a text, where the model was trained with one.
    pub fn beginning(&self) -> Option<u32> {
        let tokenizer = self.file.tokenizer.as_ref()?;
        let marks =
            tokenizer.encode("", edgeformer_models::text::AddSpecial::AsModel, false).ok()?;
        tokenizer.bos().filter(|bos| marks.first() == Some(bos))
    }
}

/// What a table says of its model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// The file's name.
    pub name: String,
    /// The model's family.
    pub family: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Positions that it was trained on.
    pub trained_context: usize,
    /// Layers that cache.
    pub layers: usize,
    /// Elements that are cached of a token, over all layers.
    pub cached_elements: usize,
}

impl Subject {
    /// What a table says of it.
    pub fn record(&self, choice: &ModelChoice) -> ModelRecord {
        let graph = self.program.graph();
        let elements = graph.cache.slots.iter().map(|slot| slot.elements());
        ModelRecord {
            name: choice.name(),
            family: graph.name.clone(),
            bytes: self.file.source.file_len() as u64,
            trained_context: self.trained_context(),
            layers: graph.cache.slots.len(),
            cached_elements: elements.map(|(keys, values)| keys + values).sum(),
        }
    }
}

impl ModelRecord {
    /// A line for people.
    pub fn to_line(&self) -> String {
        format!(
            "{} ({}, {}), trained on {} tokens, {} layers that cache {} elements of a token",
            self.name,
            self.family,
            crate::output::bytes(self.bytes),
            self.trained_context,
            self.layers,
            self.cached_elements
        )
    }
}

#[cfg(test)]
impl ModelRecord {
    /// A model for tests.
    pub(crate) fn made_up() -> Self {
        Self {
            name: "toy".into(),
            family: "llama".into(),
            bytes: 1 << 20,
            trained_context: 512,
            layers: 5,
            cached_elements: 320,
        }
    }
}

#[cfg(test)]
mod tests {
    use edgeformer::{ModelSource, pack};
    use edgeformer_core::PackedUse;

    use super::*;

    #[test]
    fn packed_files_are_used_or_told() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("tiny.gguf");
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/tiny");
        std::fs::copy(assets.join("tiny-shakespeare.gguf"), &model).unwrap();
        assert_eq!(packed_warning(&model).unwrap(), None, "there is none");
        let options = EngineOptions::default();
        let source = ModelSource::Path(model.clone());
        let packed = match pack(&source, &options, None, &|_, _| Ok(())) {
            Err(error) if error.to_string().contains("nothing to pack") => {
                return eprintln!("skipped: the kernels of this machine have no panels");
            }
            packed => packed.unwrap(),
        };
        assert_eq!(packed_warning(&model).unwrap(), None, "it is used");
        let subject = || {
            let choice = ModelChoice { path: model.clone(), threads: Some(1) };
            Subject::open(&choice, false).unwrap()
        };
        assert!(matches!(subject().program.packed(), PackedUse::Mapped(_)));
        let whole = std::fs::read(&packed.packed_file).unwrap();
        std::fs::remove_file(&packed.packed_file).unwrap();
        std::fs::write(&packed.packed_file, &whole[..whole.len() - 1]).unwrap();
        let warning = packed_warning(&model).unwrap().unwrap();
        assert!(warning.contains("tiny.gguf.packed ignored: "), "{warning}");
        assert!(matches!(subject().program.packed(), PackedUse::Refused(_)));
    }

    #[test]
    fn texts_are_called_by_folder_and_name() {
        assert_eq!(text_name(Path::new("/data/wikitext-2/test.txt")), "wikitext-2/test");
        assert_eq!(text_name(Path::new("test.txt")), "test");
    }
}
