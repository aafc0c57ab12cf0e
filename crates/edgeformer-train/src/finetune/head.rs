//! A new classifier for a model that has none.

use std::collections::BTreeSet;
use std::path::Path;

use edgeformer_models::ModelFile;
use edgeformer_models::classifier::{Classifier, unnamed};
use serde::Serialize;

use super::initial::drawn;
use super::request::Request;
use crate::data::{Label, Pool};
use crate::{Error, Result};

/// What the numbers of a new classifier are for.
const HEAD: u64 = 6;

/// The most classes that a new classifier may have.
const MOST: usize = 1 << 16;

/// How many classes a new classifier has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumLabels {
    /// So many; one is a value (regression).
    Count(usize),
    /// As many as the data have.
    OfData,
}

/// The classifier that a request wants on a model, its weights following from the seed alone.
///
/// # Errors
/// If the data cannot be read or have other classes than were asked for, or the model has a
/// classifier already or reads no text.
pub(super) fn new_classifier(request: &Request, file: &ModelFile) -> Result<Option<Classifier>> {
    let Some(wanted) = request.num_labels else { return Ok(None) };
    let labels = labels(wanted, &request.data, &stated(request)?)?;
    Ok(Some(Classifier::new(file, labels, &mut drawn(request.seed, HEAD))?))
}

/// The labels of the data.
fn stated(request: &Request) -> Result<Vec<Label>> {
    let path = &request.data;
    if path.is_dir() || path.extension().is_some_and(|ending| ending == "safetensors") {
        let problem = "a new classifier learns from texts with a label: give a file of records";
        return Err(Error::file(path, problem));
    }
    let pool = Pool::open(path, request.strictness)?;
    let labels: Vec<Label> =
        pool.entries.iter().filter_map(|entry| entry.record.label().cloned()).collect();
    match labels.is_empty() {
        true => Err(Error::file(path, "no record has a text with a label: nothing tells classes")),
        false => Ok(labels),
    }
}

/// The names of the classes: those of the data in their order, else `LABEL_0` and so on.
fn labels(wanted: NumLabels, path: &Path, stated: &[Label]) -> Result<Vec<String>> {
    let wrong = |problem: String| Err(Error::file(path, problem));
    let names: BTreeSet<&str> = stated.iter().filter_map(name).collect();
    let named = stated.iter().filter(|label| name(label).is_some()).count();
    let count = match wanted {
        NumLabels::Count(count) if named == stated.len() && count != names.len() => {
            let found = names.len();
            return wrong(format!(
                "has {found} classes ({}), and {count} are asked for: ask for {found} (--num-labels)",
                shown(&names)
            ));
        }
        NumLabels::Count(count) => count,
        NumLabels::OfData if named > 0 && named < stated.len() => {
            return wrong(
                "has labels that are texts and others that are numbers: make them one".into(),
            );
        }
        NumLabels::OfData if named == 0 => of_numbers(stated),
        NumLabels::OfData => names.len(),
    };
    if count > MOST {
        return wrong(format!("would make {count} classes, at most {MOST} are learned"));
    }
    if named < stated.len() {
        return Ok((0..count).map(unnamed).collect());
    }
    match names.len() {
        1 => wrong(format!(
            "has one class alone ({}): there is nothing to tell apart",
            shown(&names)
        )),
        _ => Ok(names.into_iter().map(str::to_owned).collect()),
    }
}

/// The classes of labels that are numbers: one more than the highest index, one for values.
fn of_numbers(stated: &[Label]) -> usize {
    let index = |label: &Label| match label {
        Label::Index(index) => usize::try_from(*index).ok(),
        Label::Class(_) | Label::Value(_) => None,
    };
    let indices: Option<Vec<usize>> = stated.iter().map(index).collect();
    // Negative whole numbers are values too.
    let highest = indices.and_then(|indices| indices.into_iter().max());
    highest.map_or(1, |highest| highest.saturating_add(1))
}

fn name(label: &Label) -> Option<&str> {
    match label {
        Label::Class(name) => Some(name),
        Label::Index(_) | Label::Value(_) => None,
    }
}

fn shown(names: &BTreeSet<&str>) -> String {
    const SHOWN: usize = 12;
    let first: Vec<&str> = names.iter().copied().take(SHOWN).collect();
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    first.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(wanted: NumLabels, stated: &[Label]) -> Result<Vec<String>, String> {
        labels(wanted, Path::new("d.jsonl"), stated).map_err(|error| error.to_string())
    }

    fn classes(names: &[&str]) -> Vec<Label> {
        names.iter().map(|name| Label::Class((*name).to_owned())).collect()
    }

    fn numbers(indices: &[i64]) -> Vec<Label> {
        indices.iter().map(|&index| Label::Index(index)).collect()
    }

    #[test]
    fn classes_are_those_of_the_data_in_their_order() {
        use NumLabels::{Count, OfData};
        let named = classes(&["sad", "glad", "sad", "calm"]);
        for wanted in [OfData, Count(3)] {
            assert_eq!(of(wanted, &named).unwrap(), ["calm", "glad", "sad"]);
        }
        assert_eq!(of(OfData, &numbers(&[0, 2])).unwrap(), ["LABEL_0", "LABEL_1", "LABEL_2"]);
        assert_eq!(of(Count(4), &numbers(&[0, 2])).unwrap().len(), 4);
        for values in [vec![Label::Value(0.5), Label::Index(3)], numbers(&[-1, 1])] {
            assert_eq!(of(OfData, &values).unwrap(), ["LABEL_0"]);
        }
        assert_eq!(of(Count(1), &[Label::Value(0.5)]).unwrap(), ["LABEL_0"]);
    }

    #[test]
    fn what_cannot_be_is_told() {
        let named = classes(&["sad", "glad"]);
        let told = of(NumLabels::Count(3), &named).unwrap_err();
        assert!(told.contains("2 classes (glad, sad), and 3 are asked for"), "{told}");
        let mixed = [classes(&["sad"]), numbers(&[1])].concat();
        assert!(of(NumLabels::OfData, &mixed).unwrap_err().contains("others that are numbers"));
        assert!(of(NumLabels::OfData, &classes(&["sad"])).unwrap_err().contains("one class alone"));
        let far = numbers(&[i64::MAX]);
        assert!(of(NumLabels::OfData, &far).unwrap_err().contains("at most 65536"));
    }
}
