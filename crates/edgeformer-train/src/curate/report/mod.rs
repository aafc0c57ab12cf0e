//! What became of every line: for programs (`lines`), for people (`page`, with the plots of `svg`).

mod lines;
mod page;
mod svg;

pub use lines::jsonl;
pub use page::html;
