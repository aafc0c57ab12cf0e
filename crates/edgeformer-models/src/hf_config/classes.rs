//! Classes that `config.json` states of a classifier.

use crate::Result;
use crate::json::Object;

/// Classes where neither names nor a number are stated: what `transformers` takes.
const DEFAULT: usize = 2;

/// Classes of images. A folder that says it holds the bare model has none.
pub(super) fn of_images(config: &Object) -> Result<Option<usize>> {
    let architectures = config.texts("architectures")?;
    let bare = |name: &&str| !name.ends_with("ForImageClassification");
    if !architectures.is_empty() && architectures.iter().all(bare) {
        return Ok(None);
    }
    Ok(stated(config)?.or((!architectures.is_empty()).then_some(DEFAULT)))
}

/// Classes of texts: only where the folder says that it holds a classifier, since any
/// configuration may name classes.
///
/// # Errors
/// If classes do not exclude each other: a share of all is not what such a model tells.
pub(super) fn of_texts(config: &Object) -> Result<Option<usize>> {
    let architectures = config.texts("architectures")?;
    if !architectures.iter().any(|name| name.ends_with("ForSequenceClassification")) {
        return Ok(None);
    }
    if let Some(kind @ "multi_label_classification") = config.optional_text("problem_type")? {
        let problem = format!("is {kind:?}, but only classes that exclude each other are read");
        return Err(config.error("problem_type", problem));
    }
    Ok(Some(stated(config)?.unwrap_or(DEFAULT)))
}

/// As many as `id2label` names, else `num_labels`.
fn stated(config: &Object) -> Result<Option<usize>> {
    if let Some(labels) = config.optional_object("id2label")? {
        return match labels.entries().count() {
            0 => Err(config.error("id2label", "is empty, a classifier has a class at least")),
            count => Ok(Some(count)),
        };
    }
    config.optional_size("num_labels")
}
