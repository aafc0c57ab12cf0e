//! Devices side by side: tokens a second and memory over the length of a sequence, one line a
//! device, and what the lines reveal.
//!
//! What is compared comes from [`crate::speed::SpeedReport::to_json_lines`], one file a device or
//! several devices in one.
//!
//! - `curve`: what one device did with one model, over lengths
//! - `findings`: what the curves say beside each other
//! - `report`: tables and charts

mod curve;
mod findings;
mod report;

pub use curve::{Comparison, Curve, LENGTHS, Quantity};
pub use findings::findings;
