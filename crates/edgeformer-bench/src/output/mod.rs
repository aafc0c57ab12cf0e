//! What is shown of measurements: Markdown, JSON, PNG.

pub mod chart;

mod document;
mod files;
mod format;
mod table;

use serde::Serialize;

use crate::Result;

pub use document::fill;
pub use files::{to_json, write};
pub use format::{bytes, rate, ratio, short};
pub use table::Table;

/// Measurements that can be shown.
pub trait Report: Serialize {
    /// What its files and its place in a document are called.
    fn name(&self) -> &'static str;

    /// Tables, with the machine and the model above them.
    fn to_markdown(&self) -> String;

    /// A chart, as a PNG file.
    ///
    /// # Errors
    /// If it cannot be drawn.
    fn to_png(&self) -> Result<Vec<u8>>;
}
