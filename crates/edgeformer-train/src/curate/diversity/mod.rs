//! Which records to keep, so that they cover what there is and do not resemble each other.
//!
//! - `picking`: what is open, and how near everything is to what was picked
//! - `best`, `k_center`, `facility`: in which order records are picked

mod best;
mod facility;
mod k_center;
mod picking;
#[cfg(test)]
mod tests;

pub use best::best;
pub use facility::facility_location;
pub use k_center::k_center;
pub use picking::{Picked, Picking, Refusal};

/// What a selection tells how far it is; `Err` stops it.
type Tell<'a> = &'a dyn Fn(usize, usize) -> crate::Result<()>;
