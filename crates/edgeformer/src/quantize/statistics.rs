//! What the products of a model read: from files, or by running it.

use std::path::Path;

use edgeformer_quantize::calibration::{Hessians, Imatrix};

use super::{Calibration, HessianOptions, Request, Told, calibrate, own_text};
use crate::evaluate::{Subject, Windows, read_text, text_windows};
use crate::{Error, Result};

/// Windows of the model's own text.
const OWN_WINDOWS: usize = 128;
/// Every so many windows one is kept to judge by.
const JUDGED: usize = 8;
/// Bytes of Hessians that are recorded at a time.
const MEMORY: u64 = 1 << 30;
/// Columns of a block of a Hessian: beyond that, of all that correlates little is gained.
const BLOCK: usize = 8192;
/// From which the model's own text is drawn.
const SEED: u64 = 20;

/// Text in two parts: what is calibrated with, and what is judged by.
pub(super) struct Texts {
    pub calibration: Windows,
    pub judged: Windows,
    /// What it is.
    pub name: String,
}

impl Texts {
    /// The text that was named, or one that the model writes.
    pub fn of(subject: &Subject, request: &Request, told: Told<'_>) -> Result<Self> {
        let limit = request.chunks.unwrap_or(usize::MAX);
        let (windows, name) = match &request.text {
            Some(path) => {
                let windows = text_windows(subject, &read_text(path)?, None);
                let windows = windows.map_err(|error| named(path, error))?;
                (windows.take(limit), path.display().to_string())
            }
            None => {
                let windows = own_text(subject, OWN_WINDOWS.min(limit), SEED, told)?;
                (windows, "text of the model itself".to_owned())
            }
        };
        let (calibration, judged) = parted(windows, subject.beginning())?;
        Ok(Self { calibration, judged, name })
    }
}

fn named(path: &Path, error: Error) -> Error {
    match error {
        Error::Request(problem) => Error::Request(format!("{}: {problem}", path.display())),
        error => error,
    }
}

/// Parts windows: one in eight is for judging.
fn parted(windows: Windows, beginning: Option<u32>) -> Result<(Windows, Windows)> {
    if let Ok(parts) = windows.hold_out(JUDGED) {
        return Ok(parts);
    }
    // Too short to be parted: better judged by what was read than not at all.
    let context = windows.context();
    let last = &windows.tokens()[windows.tokens().len() - context..];
    let judged = Windows::new(last, context, beginning)?;
    Ok((windows, judged))
}

/// Statistics, as far as the request has files of them or the method needs them.
pub(super) struct Statistics {
    pub imatrix: Option<Imatrix>,
    pub hessians: Option<Hessians>,
}

impl Statistics {
    /// Those that the request has files of.
    pub fn given(request: &Request) -> Result<Self> {
        Ok(Self {
            imatrix: request.imatrix.as_deref().map(Imatrix::read).transpose()?,
            hessians: request.hessians.as_deref().map(Hessians::open).transpose()?,
        })
    }

    /// Whether all is there that the method needs.
    pub fn suffice(&self, request: &Request) -> bool {
        let method = request.method;
        let imatrix = self.imatrix.is_some() || !method.needs_statistics();
        imatrix && (self.hessians.is_some() || !method.needs_hessians())
    }

    /// Records what is missing: Hessians in `folder`.
    pub fn record(
        self,
        subject: &Subject,
        windows: &Windows,
        name: &str,
        request: &Request,
        folder: &Path,
        told: Told<'_>,
    ) -> Result<Self> {
        let wanted = request.method.needs_hessians() && self.hessians.is_none();
        let options = HessianOptions { folder, block: Some(BLOCK), memory: MEMORY, force: true };
        let options = wanted.then_some(&options);
        let Calibration { imatrix, hessians } =
            calibrate(subject, windows, &[name.to_owned()], options, told)?;
        Ok(Self { imatrix: self.imatrix.or(Some(imatrix)), hessians: self.hessians.or(hessians) })
    }
}
