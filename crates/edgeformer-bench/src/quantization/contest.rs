use std::path::Path;
use std::time::Instant;

use edgeformer::quantize::{MethodName, Mixture, Quantized, Request, Size, Told, quantize};
use edgeformer_quantize::calibration::Imatrix;
use serde::{Deserialize, Serialize};

use super::judge::{Figures, Judge};
use super::model::Prepared;
use crate::{Error, Result};

/// Who made a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Maker {
    /// llama.cpp's quantizer.
    Peer,
    /// `edgeformer quantize`, with the best of what it tries.
    Auto,
    /// The same with one method, which takes seconds.
    KQuant,
}

impl Maker {
    /// Every one, the one that others are laid beside first.
    pub const ALL: [Self; 3] = [Self::Peer, Self::Auto, Self::KQuant];

    /// What tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Peer => "llama.cpp",
            Self::Auto => "auto",
            Self::KQuant => "kquant",
        }
    }
}

/// A file of one format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The mixture, by llama.cpp's name.
    pub format: String,
    /// Whether it was calibrated with the text for that.
    pub with_text: bool,
    /// Who made it.
    pub maker: Maker,
    /// What `auto` found best.
    pub chosen: Option<String>,
    /// Seconds that making it took.
    pub seconds: f64,
    /// What it is worth.
    pub figures: Figures,
}

impl Judge<'_> {
    /// Makes a file of a mixture and judges it; the importance matrix is that of the text.
    pub(super) fn row(
        &self,
        folder: &Path,
        mixture: Mixture,
        imatrix: Option<&Imatrix>,
        maker: Maker,
    ) -> Result<Row> {
        let output = folder.join(format!("{mixture}.gguf"));
        let started = Instant::now();
        let chosen = match maker {
            Maker::Peer => {
                self.quantize_by_peer(&output, mixture, imatrix)?;
                None
            }
            Maker::Auto => self.quantize_by_auto(&output, mixture, imatrix.is_some())?,
            Maker::KQuant => {
                self.quantize_by_kquant(&output, mixture, imatrix)?;
                None
            }
        };
        let seconds = started.elapsed().as_secs_f64();
        let figures = self.figures(&output)?;
        std::fs::remove_file(&output).map_err(|error| Error::file(&output, error))?;
        let (format, with_text) = (mixture.name().to_owned(), imatrix.is_some());
        Ok(Row { format, with_text, maker, chosen, seconds, figures })
    }

    pub(super) fn quantize_by_peer(
        &self,
        output: &Path,
        mixture: Mixture,
        imatrix: Option<&Imatrix>,
    ) -> Result<()> {
        let float = &self.prepared.float;
        (self.peer.quantize)(float, output, mixture.file_type(), imatrix, self.threads)
    }

    fn quantize_by_auto(
        &self,
        output: &Path,
        mixture: Mixture,
        with_text: bool,
    ) -> Result<Option<String>> {
        let request = self.request(output, Size::Mixture(mixture));
        let request = if with_text { self.calibrated(request) } else { request };
        Ok(best_of(&self.quantize(&request)?))
    }

    fn quantize_by_kquant(
        &self,
        output: &Path,
        mixture: Mixture,
        imatrix: Option<&Imatrix>,
    ) -> Result<()> {
        let file = output.with_extension("imatrix");
        let mut request =
            Request { method: MethodName::KQuant, ..self.request(output, Size::Mixture(mixture)) };
        if let Some(imatrix) = imatrix {
            imatrix.write(&file).map_err(edgeformer::Error::from)?;
            request.imatrix = Some(file);
        }
        self.quantize(&request).map(drop)
    }

    pub(super) fn quantize(&self, request: &Request) -> Result<Quantized> {
        Ok(quantize(request, &self.prepared.engine, Told::default())?)
    }

    /// The same with the text to calibrate with, of which no more is read than llama.cpp's
    /// importance matrix was made of.
    pub(super) fn calibrated(&self, request: Request) -> Request {
        let Prepared { text, calibration, .. } = self.prepared;
        Request { text: Some(text.clone()), chunks: Some(calibration.count()), ..request }
    }

    /// What is asked of EdgeFormer where nothing else is said.
    pub(super) fn request(&self, output: &Path, size: Size) -> Request {
        Request {
            method: MethodName::Auto,
            chunks: self.own_chunks,
            force: true,
            ..Request::new(&self.prepared.float, output, size)
        }
    }
}

/// Of what was tried, that of least divergence.
fn best_of(quantized: &Quantized) -> Option<String> {
    let tried = quantized.tried.iter();
    tried.min_by(|a, b| a.kl_mean.total_cmp(&b.kl_mean)).map(|tried| tried.what.clone())
}
