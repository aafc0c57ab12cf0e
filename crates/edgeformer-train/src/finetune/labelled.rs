//! What is to be classified or valued, as examples: folders of images, arrays, texts with a label.

use std::path::Path;

use edgeformer_core::graph::{GraphInput, OutputKind};
use edgeformer_models::ModelFile;
use edgeformer_models::preprocessor::Preprocessor;
use edgeformer_models::text::AddSpecial;

use super::examples::{Encoded, Encoding};
use crate::data::{Arrays, ImageFolder, Label, Labels, Pool, Record, Strictness};
use crate::{Error, Example, Result, Sample, Target};

/// Reads an image and prepares it as a model was trained, `[channels, height, width]`.
pub type ReadImage<'a> = dyn Fn(&Path, &Preprocessor) -> Result<Vec<f32>, String> + 'a;

/// A model that gives scores of classes, or a value.
pub(super) struct Judge<'a> {
    file: &'a ModelFile,
    outputs: usize,
}

impl<'a> Judge<'a> {
    /// The model, if it is one.
    pub fn of(file: &'a ModelFile) -> Option<Self> {
        let graph = &file.model.graph;
        let judges = graph.output.kind == OutputKind::ClassScores;
        judges.then(|| Self { file, outputs: graph.output_width() })
    }

    /// Whether its one output is a value: a single class would teach nothing (`num_labels = 1` at
    /// Hugging Face).
    pub fn values(&self) -> bool {
        self.outputs == 1
    }

    /// The examples of a folder of images, a file of arrays, or records of texts.
    pub fn read(
        &self,
        path: &Path,
        strictness: Strictness,
        encoding: Option<&Encoding<'_>>,
        read_image: &ReadImage<'_>,
    ) -> Result<(Encoded, usize)> {
        if path.is_dir() {
            return Ok((self.images(path, read_image)?, 0));
        }
        if path.extension().is_some_and(|ending| ending == "safetensors") {
            return Ok((self.arrays(path)?, 0));
        }
        let Some(encoding) = encoding else {
            let problem = "is no folder of images and no file of arrays (.safetensors)";
            return Err(Error::file(path, problem));
        };
        let pool = Pool::open(path, strictness)?;
        Ok((self.texts(&pool, encoding)?, pool.bad.len()))
    }

    fn images(&self, path: &Path, read_image: &ReadImage<'_>) -> Result<Encoded> {
        let Some(preprocessor) = &self.file.preprocessor else {
            let name = &self.file.model.graph.name;
            return Err(Error::file(path, format!("a {name} model reads no images")));
        };
        let folder = ImageFolder::open(path)?;
        let classes = folder.classes.iter().map(|name| {
            self.class_of(name).map_err(|problem| Error::file(path.join(name), problem))
        });
        let classes = classes.collect::<Result<Vec<u32>>>()?;
        let example = |image: &crate::data::LabelledImage| {
            let pixels = read_image(&image.path, preprocessor)
                .map_err(|problem| Error::file(&image.path, problem))?;
            let target = Target::Class(classes[image.label]);
            Ok(Example { input: Sample::Pixels(pixels), target })
        };
        let examples = folder.images.iter().map(example).collect::<Result<_>>()?;
        Ok(Encoded { examples, ..Encoded::default() })
    }

    fn arrays(&self, path: &Path) -> Result<Encoded> {
        let arrays = Arrays::open(path)?;
        let expected = match self.file.model.graph.input {
            GraphInput::Pixels { channels, size: [height, width] } => vec![channels, height, width],
            GraphInput::Signal { channels, samples } => vec![channels, samples],
            GraphInput::Tokens { .. } => {
                return Err(Error::file(path, "the model reads text: arrays cannot teach it"));
            }
        };
        if arrays.shape != expected {
            let problem = format!(
                "tensor \"inputs\": examples have shape {:?}, the model takes {expected:?}",
                arrays.shape
            );
            return Err(Error::file(path, problem));
        }
        let example = |index: usize| {
            let values = arrays.input(index).unwrap_or_default().to_vec();
            let input = match self.file.model.graph.input {
                GraphInput::Signal { .. } => Sample::Signal(values),
                _ => Sample::Pixels(values),
            };
            let target = self.target(&arrays.labels, index).map_err(|problem| {
                Error::file(path, format!("tensor \"labels\", example {index}: {problem}"))
            })?;
            Ok(Example { input, target })
        };
        let examples = (0..arrays.len()).map(example).collect::<Result<_>>()?;
        Ok(Encoded { examples, ..Encoded::default() })
    }

    fn texts(&self, pool: &Pool, encoding: &Encoding<'_>) -> Result<Encoded> {
        let mut encoded = Encoded::default();
        for entry in &pool.entries {
            let wrong = |problem: String| Error::Line {
                path: pool.path.clone(),
                line: entry.line,
                problem,
            };
            let Record::Text { text, label: Some(label) } = &entry.record else {
                return Err(wrong("has no text with a label".into()));
            };
            let target = match label {
                Label::Class(name) => self.class_of(name).map(Target::Class),
                Label::Index(index) if !self.values() => self.index(*index).map(Target::Class),
                Label::Index(value) => Ok(Target::Value(*value as f32)),
                Label::Value(value) => self.value(*value as f32),
            };
            let target = target.map_err(wrong)?;
            let mut tokens = encoding.tokenizer.encode(text, AddSpecial::AsModel, false)?;
            if tokens.len() > encoding.context {
                if !encoding.truncate {
                    let (found, most) = (tokens.len(), encoding.context);
                    return Err(wrong(format!(
                        "has {found} tokens, the context {most}: shorten it, or let it be cut (--truncate)"
                    )));
                }
                // The mark that ends a text stays where it is.
                let last = tokens.last().copied();
                tokens.truncate(encoding.context);
                if let (Some(end), Some(last)) = (tokens.last_mut(), last) {
                    *end = last;
                }
                encoded.truncated += 1;
            }
            encoded.examples.push(Example { input: Sample::Tokens(tokens), target });
        }
        Ok(encoded)
    }

    fn target(&self, labels: &Labels, index: usize) -> Result<Target, String> {
        match labels {
            Labels::Classes(classes) => {
                let class = classes[index];
                self.index(i64::try_from(class).unwrap_or(i64::MAX)).map(Target::Class)
            }
            Labels::Values { width: 1, values } => self.value(values[index]),
            Labels::Values { width, .. } => Err(format!("has {width} values, a model learns one")),
        }
    }

    fn value(&self, value: f32) -> Result<Target, String> {
        match self.values() {
            true => Ok(Target::Value(value)),
            false => Err(format!("is the value {value}, the model tells {} classes", self.outputs)),
        }
    }

    fn index(&self, index: i64) -> Result<u32, String> {
        let known = u32::try_from(index).ok().filter(|&class| (class as usize) < self.outputs);
        known.ok_or_else(|| {
            format!("class {index} is none of the model's, which are 0 to {}", self.outputs - 1)
        })
    }

    /// The class of a name, or of a number where classes have no names.
    fn class_of(&self, name: &str) -> Result<u32, String> {
        let labels = &self.file.labels;
        if let Some(index) = labels.iter().position(|label| label == name) {
            return Ok(index as u32);
        }
        let known = match labels.len() {
            0 => format!("0 to {}", self.outputs - 1),
            1..=12 => labels.join(", "),
            count => format!("{}, ... ({count} classes)", labels[..12].join(", ")),
        };
        let number = name.parse::<i64>().ok().filter(|_| labels.is_empty());
        let unknown = || format!("class {name:?} is none of the model's, which are {known}");
        self.index(number.ok_or_else(unknown)?).map_err(|_| unknown())
    }
}
