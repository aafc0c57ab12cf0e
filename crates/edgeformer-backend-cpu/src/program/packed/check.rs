use std::sync::Mutex;

use bytes::Bytes;
use edgeformer_core::{FileStamp, PackedFile, Weights};
use twox_hash::XxHash64;

use super::SEED;
use super::form::{Header, LAYOUT_VERSION, PANELS, Table};
use crate::pool::Pool;
use crate::program::pack_plan::{PackPlan, PackedTensor};

/// Panels begin at multiples of a cache line.
const ALIGNMENT: usize = 64;

/// A model, and how it is packed here: what a file is written from and has to fit.
pub(in crate::program) struct Subject<'a> {
    pub plan: &'a PackPlan,
    pub weights: &'a Weights,
    /// Of the model.
    pub fingerprint: u64,
    pub pool: &'a Pool,
}

/// The panels of a file, if it was packed from this model by these rules.
///
/// # Errors
/// What is wrong with it, in one sentence.
pub(in crate::program) fn panels(
    file: &PackedFile,
    subject: &Subject<'_>,
) -> Result<Bytes, String> {
    let (panels, table) = open(file, subject)?;
    if !untouched(&table.stamps, &subject.weights.stamps()) {
        check_sources(&table, subject)?;
    }
    // One page of each tensor was looked at; the rest of the model's file is not needed.
    subject.plan.tensors().iter().for_each(|tensor| subject.weights.release(tensor.source()));
    Ok(panels)
}

/// Reads all of a file and of the model.
///
/// # Errors
/// As [`panels`], or if a panel is not what was written.
pub(in crate::program) fn check_all(
    file: &PackedFile,
    subject: &Subject<'_>,
) -> Result<(), String> {
    let (panels, table) = open(file, subject)?;
    check_sources(&table, subject)?;
    let (found, damaged) = (&panels, "are damaged");
    first_problem(subject, damaged, |place, tensor| {
        let panels = &found[tensor.offset..tensor.offset + tensor.bytes()];
        XxHash64::oneshot(SEED, panels) == table.hashes[place].panels
    })
}

/// Everything but the question whether the model's bytes are those that were packed.
fn open(file: &PackedFile, subject: &Subject<'_>) -> Result<(Bytes, Table), String> {
    let Subject { plan, fingerprint, .. } = subject;
    let bytes = file.bytes();
    let header = Header::of(bytes)?;
    if header.layout_version != LAYOUT_VERSION {
        return Err(format!(
            "its panels are laid out by version {}, this program's by version {LAYOUT_VERSION}",
            header.layout_version
        ));
    }
    if header.fingerprint != *fingerprint {
        return Err("it was packed from another model".into());
    }
    // Not larger than the file, which is in memory.
    let end = PANELS + header.panels as usize;
    let table = Table::of(&bytes[end..], header)?;
    let fits = table.plan == plan.describe()
        && table.hashes.len() == plan.tensors().len()
        && header.panels == plan.bytes() as u64;
    if !fits {
        return Err("it was packed for another instruction set or by another version: other \
                    tensors are packed here"
            .into());
    }
    let panels = bytes.slice(PANELS..end);
    if !(panels.as_ptr() as usize).is_multiple_of(ALIGNMENT) {
        return Err("it is not aligned in memory".into());
    }
    Ok((panels, table))
}

/// Whether the model's files are as they were when they were packed.
fn untouched(before: &[FileStamp], now: &[FileStamp]) -> bool {
    let same = |(now, before): (&FileStamp, &FileStamp)| now.is_still(before);
    !now.is_empty() && now.len() == before.len() && now.iter().zip(before).all(same)
}

fn check_sources(table: &Table, subject: &Subject<'_>) -> Result<(), String> {
    first_problem(subject, "have changed in the model since it was packed", |place, tensor| {
        let same = XxHash64::oneshot(SEED, tensor.source()) == table.hashes[place].source;
        subject.weights.release(tensor.source());
        same
    })
}

/// Whether all tensors pass, by all threads; the first that does not is named.
fn first_problem(
    subject: &Subject<'_>,
    problem: &str,
    passes: impl Fn(usize, &PackedTensor) -> bool + Sync,
) -> Result<(), String> {
    let first = Mutex::new(None);
    subject.pool.for_each(subject.plan.tensors().iter().enumerate(), |_, (place, tensor)| {
        if !passes(place, tensor) {
            let mut first = first.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *first = Some(first.map_or(place, |first: usize| first.min(place)));
        }
    });
    match first.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        None => Ok(()),
        Some(place) => {
            let name = subject.plan.tensors()[place].name();
            Err(format!("the weights of {name:?} {problem}"))
        }
    }
}
