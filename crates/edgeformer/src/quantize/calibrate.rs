use std::path::Path;

use edgeformer_core::Want;
use edgeformer_quantize::calibration::{Collector, HessianWriter, Hessians, Imatrix, SeenInput};

use crate::evaluate::{Reader, Subject, Windows};
use crate::{Error, Result};

/// How Hessians are recorded.
#[derive(Debug, Clone, Copy)]
pub struct HessianOptions<'a> {
    /// The folder that is written.
    pub folder: &'a Path,
    /// Columns of a block of a Hessian; products of inputs in different blocks are not kept. None
    /// is all of them. What is kept grows with the square of it.
    pub block: Option<usize>,
    /// Bytes of Hessians that are recorded at a time. What does not fit is recorded in further
    /// passes over the text.
    pub memory: u64,
    /// Whether a folder of Hessians that is there is replaced.
    pub force: bool,
}

/// What was recorded.
#[derive(Debug)]
#[non_exhaustive]
pub struct Calibration {
    /// `E[x²]` by weight.
    pub imatrix: Imatrix,
    /// `E[x xᵀ]` by weight, where it was asked for.
    pub hessians: Option<Hessians>,
}

/// How a long run is watched and stopped.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// Told what goes on, and how much of how much is done.
    pub progress: &'a dyn Fn(&str, u64, u64),
    /// Asked whether to stop.
    pub stopped: &'a dyn Fn() -> bool,
}

impl Default for Told<'_> {
    fn default() -> Self {
        Self { progress: &|_, _, _| (), stopped: &|| false }
    }
}

impl Told<'_> {
    /// # Errors
    /// If it is to be stopped.
    pub(crate) fn go_on(&self) -> Result<()> {
        if (self.stopped)() {
            return Err(Error::Request("interrupted: nothing was written".into()));
        }
        Ok(())
    }
}

/// Reads windows of text and records what the model's products read.
///
/// # Errors
/// If the backend shows no inputs, the model refuses the text, or the folder cannot be written.
pub fn calibrate(
    subject: &Subject,
    windows: &Windows,
    datasets: &[String],
    hessians: Option<&HessianOptions<'_>>,
    told: Told<'_>,
) -> Result<Calibration> {
    let collector = Collector::default();
    let mut reader = Reader::open(&subject.program, &subject.session)?;
    reader.observe(collector.observer())?;
    read_all(&mut reader, windows, "calibrating", told)?;
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (chunks, size) = (count(windows.count()), count(windows.context()));
    let imatrix = collector.imatrix(datasets.to_vec(), chunks, size);
    let Some(options) = hessians else { return Ok(Calibration { imatrix, hessians: None }) };

    let mut writer = HessianWriter::create(options.folder, datasets.to_vec(), options.force)?;
    let inputs = collector.inputs();
    let block = options.block.unwrap_or(0);
    let passes = passes(&inputs, if block == 0 { usize::MAX } else { block }, options.memory);
    for (index, inputs) in passes.iter().enumerate() {
        let what = match passes.len() {
            1 => "recording Hessians".to_owned(),
            all => format!("recording Hessians, pass {} of {all}", index + 1),
        };
        collector.record_hessians(inputs, block);
        read_all(&mut reader, windows, &what, told)?;
        collector.write_hessians(&mut writer)?;
    }
    Ok(Calibration { imatrix, hessians: Some(writer.finish()?) })
}

/// Reads every window, every row of it wanted: rows that nobody wants are not computed behind the
/// last attention, and not shown.
pub(crate) fn read_all(
    reader: &mut Reader,
    windows: &Windows,
    what: &str,
    told: Told<'_>,
) -> Result<()> {
    let all = windows.count() as u64;
    (told.progress)(what, 0, all);
    for (index, tokens) in windows.tokens().chunks_exact(windows.context()).enumerate() {
        told.go_on()?;
        reader.begin(&[])?;
        let rows = reader.rows();
        tokens.chunks(rows).try_for_each(|tokens| reader.read(tokens, Want::All))?;
        (told.progress)(what, index as u64 + 1, all);
    }
    Ok(())
}

/// Inputs in groups whose Hessians fit into memory; one that does not fit alone is a group.
fn passes(inputs: &[SeenInput], block: usize, memory: u64) -> Vec<Vec<SeenInput>> {
    let mut passes: Vec<Vec<SeenInput>> = Vec::new();
    let mut taken = u64::MAX;
    for input in inputs {
        let bytes = input.hessian_bytes(block);
        taken = taken.saturating_add(bytes);
        if taken > memory {
            passes.push(Vec::new());
            taken = bytes;
        }
        passes.last_mut().expect("the first one starts a pass").push(input.clone());
    }
    passes
}
