//! Images and the classes that are on them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::read_text;
use crate::{Error, Result};

/// What file names of images end with.
const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

/// A class, by index or by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// Its index in the model's scores.
    Index(usize),
    /// Its name.
    Name(String),
}

impl Label {
    /// The index of the class.
    ///
    /// # Errors
    /// If the model has no class of that name or index.
    pub fn index(&self, names: &[String], classes: usize) -> Result<usize> {
        let unknown = |what: String| {
            Error::Request(format!("the model has no class {what}: inspect lists what it has"))
        };
        match self {
            Self::Index(index) if *index < classes => Ok(*index),
            Self::Index(index) => Err(unknown(format!("{index}, it has {classes}"))),
            Self::Name(name) => {
                let found = names.iter().position(|known| known == name);
                found.ok_or_else(|| unknown(format!("{name:?}")))
            }
        }
    }
}

/// An image and, where it is known, what is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// The file.
    pub path: PathBuf,
    /// What is on it.
    pub label: Option<Label>,
}

/// A line of JSONL.
#[derive(Deserialize)]
struct Line {
    image: String,
    label: Label,
}

/// What an entry of a JSON object may be: the class alone, or an object with it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Label(Label),
    Class {
        #[serde(alias = "label")]
        class: Label,
    },
}

/// Images of a folder with their classes, from a file of JSON lines `{"image": "a.jpg", "label": 3}`
/// or one JSON object `{"a.jpg": 3}`. Classes are indices or names.
///
/// # Errors
/// If the file cannot be read or is something else.
pub fn read_labels(path: &Path, folder: &Path) -> Result<Vec<Labelled>> {
    let text = read_text(path)?;
    let entries = parse(&text).map_err(|problem| Error::EvaluationFile {
        path: path.to_owned(),
        problem: format!("{problem}; labels are lines {{\"image\": \"a.jpg\", \"label\": 3}} or one object {{\"a.jpg\": 3}}"),
    })?;
    let labelled =
        |(image, label): (String, Label)| Labelled { path: folder.join(image), label: Some(label) };
    Ok(entries.into_iter().map(labelled).collect())
}

fn parse(text: &str) -> Result<Vec<(String, Label)>, String> {
    let by_file: Result<BTreeMap<String, Entry>, _> = serde_json::from_str(text);
    if let Some(by_file) = by_file.ok().filter(|by_file| !by_file.contains_key("image")) {
        let label = |entry| match entry {
            Entry::Label(label) | Entry::Class { class: label } => label,
        };
        return Ok(by_file.into_iter().map(|(image, entry)| (image, label(entry))).collect());
    }
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let line: Line =
                serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))?;
            Ok((line.image, line.label))
        })
        .collect()
}

/// The images of a folder, by name.
///
/// # Errors
/// If it cannot be read or has none.
pub fn images_in(folder: &Path) -> Result<Vec<Labelled>> {
    let wrong = |problem: String| Error::EvaluationFile { path: folder.to_owned(), problem };
    let entries = std::fs::read_dir(folder).map_err(|error| wrong(error.to_string()))?;
    let paths: std::io::Result<Vec<PathBuf>> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(|error| wrong(error.to_string()))?;
    paths.retain(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|it| EXTENSIONS.iter().any(|known| it.eq_ignore_ascii_case(known)))
    });
    if paths.is_empty() {
        return Err(wrong("there is no JPEG or PNG file in it".into()));
    }
    paths.sort();
    Ok(paths.into_iter().map(|path| Labelled { path, label: None }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_lines_or_one_object() {
        let expected = vec![
            ("a.jpg".to_owned(), Label::Index(3)),
            ("b.jpg".to_owned(), Label::Name("cock".into())),
        ];
        let lines =
            "{\"image\": \"a.jpg\", \"label\": 3}\n\n{\"image\": \"b.jpg\", \"label\": \"cock\"}\n";
        assert_eq!(parse(lines).unwrap(), expected);
        assert_eq!(parse(r#"{"a.jpg": 3, "b.jpg": "cock"}"#).unwrap(), expected);
        let objects =
            "{\"a.jpg\": {\"class\": 3, \"probability\": 0.5},\n\"b.jpg\": {\"label\": \"cock\"}}";
        assert_eq!(parse(objects).unwrap(), expected);
        assert!(parse("{\"image\": \"a.jpg\"}").unwrap_err().contains("line 1"));
    }

    #[test]
    fn names_are_those_of_the_model() {
        let names = ["cock".to_owned(), "hen".to_owned()];
        assert_eq!(Label::Name("hen".into()).index(&names, 2).unwrap(), 1);
        assert_eq!(Label::Index(1).index(&[], 2).unwrap(), 1);
        let told = |label: Label| label.index(&names, 2).unwrap_err().to_string();
        assert!(told(Label::Name("dog".into())).contains("no class \"dog\""));
        assert!(told(Label::Index(2)).contains("no class 2, it has 2"));
    }
}
