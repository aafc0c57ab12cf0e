//! Changes of a model's weights that leave what it computes as it is, and make it easier to
//! quantize.
//!
//! - [`fold`]: which matrices read which norm or product, so that a scale can move between them
//! - [`awq`]: scales that protect the channels that matter (Lin et al., arXiv 2306.00978)
//! - [`smooth`]: scales that move outliers from activations to weights (Xiao et al., arXiv
//!   2211.10438)
//! - [`rotate`]: rotations that spread outliers over all channels (QuaRot, arXiv 2404.00456;
//!   SpinQuant, arXiv 2405.16406)
//!
//! All of them change a [`Checkpoint`](edgeformer_models::checkpoint::Checkpoint) in place.
//! Changed tensors are f32 and are computed when they are asked for, one at a time.

pub mod awq;
pub mod fold;
pub mod rotate;
pub mod smooth;

mod edit;
mod random;
mod scale;

#[cfg(test)]
mod tests;

pub use scale::{fold_scales, scale_imatrix};
