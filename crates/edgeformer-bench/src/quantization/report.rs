use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::{Figures, FormatError, Maker, Promise, Row};
use crate::output::chart::{Bar, Panel, bars};
use crate::output::{Report, Table, short};
use crate::{Machine, Result};

/// EdgeFormer's quantized files beside llama.cpp's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantizationReport {
    /// On what it was measured.
    pub machine: Machine,
    /// What was called.
    pub command: String,
    /// llama.cpp's version and build.
    pub peer: String,
    /// By model.
    pub models: Vec<ModelReport>,
}

/// What was measured of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelReport {
    /// What it is called.
    pub name: String,
    /// Tokens of a window.
    pub context: usize,
    /// Windows that were judged by.
    pub windows: usize,
    /// Windows of the text to calibrate with.
    pub calibration_windows: usize,
    /// The f32 model beside itself.
    pub float: Figures,
    /// Files by format.
    pub rows: Vec<Row>,
    /// Files of which something is promised.
    pub promises: Vec<Promise>,
    /// Errors of tensors, by format.
    pub tensors: Vec<FormatError>,
}

impl ModelReport {
    /// llama.cpp's file of the same format and the same text.
    fn peer_of(&self, row: &Row) -> Option<&Figures> {
        let same = |peer: &&Row| {
            (&peer.format, peer.with_text) == (&row.format, row.with_text)
                && peer.maker == Maker::Peer
        };
        self.rows.iter().find(same).map(|peer| &peer.figures)
    }

    /// What the row's file costs by what llama.cpp's does, and by how much it is larger.
    fn beside(&self, row: &Row) -> String {
        let Some(peer) = self.peer_of(row).filter(|_| row.maker != Maker::Peer) else {
            return String::new();
        };
        let ratio = format!("{:.2}x", row.figures.kl_mean / peer.kl_mean);
        match row.figures.bytes.checked_sub(peer.bytes) {
            None | Some(0) => ratio,
            Some(more) => format!("{ratio}, but {more} B larger"),
        }
    }

    fn files(&self) -> Table {
        let mut table = Table::new([
            "format",
            "text",
            "by",
            "bytes",
            "bpw",
            "perplexity",
            "ratio",
            "KL mean",
            "to llama.cpp's",
            "KL p99",
            "top-1",
            "llama.cpp reads",
            "s",
        ]);
        for row in &self.rows {
            let [bytes, bits, rest @ ..] = shown(&row.figures);
            let [perplexity, ratio, kl, p99, top, read] = rest;
            let by = match &row.chosen {
                Some(chosen) => format!("{} ({chosen})", row.maker.name()),
                None => row.maker.name().into(),
            };
            let text = if row.with_text { "yes" } else { "none" };
            let beside = self.beside(row);
            let seconds = format!("{:.1}", row.seconds);
            table.row([
                row.format.clone(),
                text.into(),
                by,
                bytes,
                bits,
                perplexity,
                ratio,
                kl,
                beside,
                p99,
                top,
                read,
                seconds,
            ]);
        }
        table
    }

    fn promised(&self) -> Table {
        let header = ["file", "bytes", "bpw", "perplexity", "ratio", "KL mean", "KL p99", "top-1"];
        let mut table =
            Table::new(header.into_iter().chain(["llama.cpp reads", "promised", "kept"]));
        for promise in &self.promises {
            let limits = &promise.limits;
            let parts = [
                limits.kl_mean.map(|limit| format!("KL ≤ {limit}")),
                limits.perplexity_ratio.map(|limit| format!("ratio ≤ {limit}")),
                limits.bits_per_weight.map(|limit| format!("≤ {limit} bpw")),
            ];
            let promised = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
            let kept = match limits.are_kept(&promise.figures) {
                None => "",
                Some(true) => "yes",
                Some(false) => "**no**",
            };
            let cells = std::iter::once(promise.name.clone()).chain(shown(&promise.figures));
            table.row(cells.chain([promised, kept.into()]));
        }
        table
    }

    fn errors(&self) -> Table {
        let mut table = Table::new([
            "format",
            "tensors",
            "squared error, kquant",
            "llama.cpp",
            "ratio",
            "tensors where ours is larger",
        ]);
        for error in &self.tensors {
            table.row([
                error.format.name().to_owned(),
                error.tensors.to_string(),
                short(error.ours),
                short(error.theirs),
                error.ratio(),
                error.larger.to_string(),
            ]);
        }
        table
    }

    fn to_markdown(&self) -> String {
        format!(
            "### {}\n\n{} windows of {} tokens held out, {} to calibrate with. In f32 its \
             perplexity is {:.4}, by llama.cpp {:.4}.\n\n{}\n{}\n{}",
            self.name,
            self.windows,
            self.context,
            self.calibration_windows,
            self.float.perplexity,
            self.float.peer_perplexity,
            self.files().to_markdown(),
            self.promised().to_markdown(),
            self.errors().to_markdown()
        )
    }
}

/// Bytes, bits, perplexity, its ratio, divergence, its quantile, agreement, and how far llama.cpp's
/// perplexity of the same file is from it.
fn shown(figures: &Figures) -> [String; 8] {
    [
        figures.bytes.to_string(),
        format!("{:.3}", figures.bits_per_weight),
        format!("{:.4}", figures.perplexity),
        format!("{:.4}", figures.perplexity_ratio),
        short(figures.kl_mean),
        short(figures.kl_p99),
        format!("{:.2} %", figures.top1_agreement * 100.0),
        format!("{:.4} ({:+.2} %)", figures.peer_perplexity, figures.difference() * 100.0),
    ]
}

impl Report for QuantizationReport {
    fn name(&self) -> &'static str {
        "quantization"
    }

    fn to_markdown(&self) -> String {
        let mut text = format!("{}\n\n`{}`: {}\n", self.machine.to_line(), self.command, self.peer);
        for model in &self.models {
            write!(text, "\n{}", model.to_markdown()).expect("a string takes what it is given");
        }
        text
    }

    fn to_png(&self) -> Result<Vec<u8>> {
        let bar = |row: &Row| {
            let text = if row.with_text { ", text" } else { "" };
            Bar {
                label: format!("{}{text}, {}", row.format, row.maker.name()),
                value: Some(row.figures.kl_mean),
                text: short(row.figures.kl_mean),
            }
        };
        let panel = |model: &ModelReport| Panel {
            title: format!("KL divergence from f32, {}", model.name),
            bars: model.rows.iter().map(bar).collect(),
        };
        let panels: Vec<Panel> = self.models.iter().map(panel).collect();
        bars("Quantized files", &self.machine.to_line(), &panels)
    }
}

#[cfg(test)]
mod tests;
