//! Charts as PNG files. Letters come from a font that is compiled in (Hack, of the crate
//! `epaint_default_fonts`; MIT and Bitstream Vera licences): a device at the edge has none.

mod bars;
mod canvas;
mod lines;

pub use bars::{Bar, Panel, bars};
pub use lines::{Line, LineChart, beside, lines};
