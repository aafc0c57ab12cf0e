//! Names of classes.

use crate::Result;
use crate::gguf::Metadata;
use crate::hyper::Hyper;

/// Where the names of classes of texts stand, behind the architecture (llama.cpp's key).
pub(crate) const OUTPUT_LABELS: &str = "classifier.output_labels";

/// llama.cpp's number of the pooling of classifiers and rerankers.
pub(crate) const RANK: u32 = 4;

/// The names of a classifier's classes; none where the file has none.
///
/// # Errors
/// If there are names of more or fewer classes than the classifier has.
pub(crate) fn labels(metadata: &Metadata, hyper: &Hyper) -> Result<Vec<String>> {
    let key = match hyper {
        Hyper::Vision(_) => "vit.labels".to_owned(),
        Hyper::Decoder(_) | Hyper::Encoder(_) => {
            let architecture = metadata.str("general.architecture")?.unwrap_or_default();
            format!("{architecture}.{OUTPUT_LABELS}")
        }
    };
    let Some(labels) = metadata.str_array(&key)? else { return Ok(Vec::new()) };
    match hyper.classes() {
        Some(classes) if classes == labels.len() => Ok(labels.map(str::to_owned).collect()),
        classes => {
            let classes = classes.unwrap_or(0);
            let problem = format!("has {} names for {classes} classes", labels.len());
            Err(metadata.error(&key, problem))
        }
    }
}
