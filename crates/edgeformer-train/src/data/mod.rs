//! What is learned from.
//!
//! - `lines`: a file line by line, none longer than memory likes
//! - `records`: what a line says; `pool`: all of a file, with the lines as they were
//! - `segments`: a record as text, what is learned told from what is given
//! - `images`: a folder of images by class; `arrays`: inputs and labels in a safetensors file

mod arrays;
mod images;
mod lines;
mod pool;
mod records;
mod segments;

pub use arrays::{Arrays, Labels};
pub use images::{ImageFolder, LabelledImage};
pub use lines::{Lines, MAX_LINE, NumberedLine};
pub use pool::{BadLine, Entry, Pool, Strictness};
pub use records::{Label, Parsed, Record, parse};
pub use segments::{Segment, Template};
