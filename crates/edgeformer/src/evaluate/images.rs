use serde::{Deserialize, Serialize};

use super::embeddings::identity;
use super::{Control, Interval, Labelled, run, wilson};
use crate::{Class, Engine, Error, Result, load_image};

/// Classes that count as named.
const NAMED: usize = 5;

/// How often a model names what is on an image. Intervals are Wilson's, of 95 %.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classification {
    /// Images that were looked at.
    pub images: usize,
    /// Share of those with a label on which the likeliest class is the right one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top1: Option<Share>,
    /// Share of them on which one of the five likeliest is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top5: Option<Share>,
    /// Share on which the reference's likeliest class is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top1_agreement: Option<Share>,
}

/// A share and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// The share.
    pub share: f64,
    /// Its interval.
    pub ci95: Interval,
}

impl Share {
    /// Of those for which it is known; `None` if it is for none.
    fn of(hits: impl Iterator<Item = Option<bool>>) -> Option<Self> {
        let known: Vec<bool> = hits.flatten().collect();
        let count = known.len() as u64;
        let hits = known.into_iter().filter(|hit| *hit).count() as u64;
        (count > 0).then(|| Self { share: hits as f64 / count as f64, ci95: wilson(hits, count) })
    }
}

/// What an image left.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Seen {
    top1: Option<bool>,
    top5: Option<bool>,
    agrees: Option<bool>,
}

impl Classification {
    fn of(records: &[Seen]) -> Self {
        Self {
            images: records.len(),
            top1: Share::of(records.iter().map(|record| record.top1)),
            top5: Share::of(records.iter().map(|record| record.top5)),
            top1_agreement: Share::of(records.iter().map(|record| record.agrees)),
        }
    }
}

/// Looks at images, with a reference too where there is one.
///
/// # Errors
/// If the model classifies no images, an image cannot be read, a label is none of the model's, the
/// saved state is of another run, or the run was stopped ([`Error::Interrupted`]).
pub fn classify_images(
    engine: &Engine,
    reference: Option<&Engine>,
    images: &[Labelled],
    control: &Control<'_>,
) -> Result<Classification> {
    let texts: Vec<String> = images.iter().map(|image| format!("{image:?}")).collect();
    let bound = [
        run::bound("command", "accuracy of images"),
        run::bound("--model or way to run it", &identity(engine)),
        run::bound(
            "--reference or way to run it",
            &reference.map_or_else(|| "none".into(), identity),
        ),
        run::bound(
            "set of images or labels",
            &run::identity_of_texts(texts.iter().map(String::as_str)),
        ),
    ];
    let records =
        run::each(control, &bound, images.len(), |index| look(engine, reference, &images[index]))?;
    Ok(Classification::of(&records))
}

fn look(engine: &Engine, reference: Option<&Engine>, labelled: &Labelled) -> Result<Seen> {
    let image = load_image(&labelled.path)?;
    let classes = engine.classify(&image, usize::MAX)?;
    let wrong = |error: Error| Error::EvaluationFile {
        path: labelled.path.clone(),
        problem: error.to_string(),
    };
    let label = labelled.label.as_ref();
    let right = label
        .map(|label| label.index(engine.labels(), classes.len()))
        .transpose()
        .map_err(wrong)?;
    let likeliest = first(&classes)?;
    let among = |right| classes.iter().take(NAMED).any(|class| class.index == right);
    let agrees = match reference {
        Some(reference) => Some(first(&reference.classify(&image, 1)?)? == likeliest),
        None => None,
    };
    Ok(Seen { top1: right.map(|right| right == likeliest), top5: right.map(among), agrees })
}

/// The likeliest class.
fn first(classes: &[Class]) -> Result<usize> {
    let nonsense = || Error::Generation("the model computes nonsense: a score is no number".into());
    let first = classes.first().ok_or_else(nonsense)?;
    if first.probability.is_finite() { Ok(first.index) } else { Err(nonsense()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_what_is_known() {
        let seen = |top1, agrees| Seen { top1, top5: top1.map(|_| true), agrees };
        let records = [seen(Some(true), None), seen(None, None), seen(Some(false), None)];
        let found = Classification::of(&records);
        assert_eq!((found.images, found.top1.unwrap().share), (3, 0.5));
        assert_eq!((found.top5.unwrap().share, found.top1_agreement), (1.0, None));
    }
}
