//! How good a model is, and what a way to run it costs: perplexity, divergence, accuracy.
//!
//! A text is cut into windows; a session reads each and its logits are scored a few rows at a
//! time, so that memory does not grow with the text. Every window leaves a small record, and the
//! figures are folded from the records in their order: a run that was interrupted and goes on from
//! a file of them ends with the same bits.
//!
//! - `windows`, `reader`, `subject`: a text, a session that reads it, a model that is opened;
//!   `reference`: one that many are laid beside
//! - `logits`, `statistics`: what a row of logits says, what many numbers say
//! - `perplexity`, `divergence`, `kl`: figures of texts
//! - `questions`, `choices`, `embeddings`, `labels`, `images`: figures of answers, vectors, classes
//! - `run`, `state`, `exact`: one record after the other, kept in a file

mod choices;
mod dequantize;
mod divergence;
mod embeddings;
mod exact;
#[cfg(feature = "vision")]
mod images;
mod kl;
mod labels;
mod logits;
mod perplexity;
mod questions;
mod reader;
mod reference;
mod run;
mod state;
mod statistics;
mod subject;
mod windows;

pub use choices::{MultipleChoice, answer};
pub use dequantize::dequantized;
pub use divergence::{Divergence, Position};
pub use embeddings::{Similarity, compare_embeddings};
#[cfg(feature = "vision")]
pub use images::{Classification, Share, classify_images};
pub use kl::{Kl, compare};
pub use labels::{Label, Labelled, images_in, read_labels};
pub use logits::LogSoftmax;
pub use perplexity::{Perplexity, perplexity};
pub use questions::{Question, read_questions};
pub use reader::{Reader, diverge};
pub use reference::Reference;
pub use run::Control;
pub use statistics::{Interval, Moments, quantile, wilson};
pub use subject::{Activations, Subject, read_text, text_windows};
pub use windows::{Cut, Window, Windows};
#[cfg(test)]
#[cfg(all(feature = "embedded-model", feature = "cpu"))]
mod tests;
