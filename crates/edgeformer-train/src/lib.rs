//! Training of EdgeFormer's graphs: the graph that serves is the graph that is differentiated.
//!
//! - `data`: what is learned from: records of text, folders of images, arrays
//! - `curate`: choosing among records: valid, new, hard enough, well reasoned, unlike each other
#![forbid(unsafe_code)]

pub mod curate;
pub mod data;
mod error;

pub use error::{Error, Result};
