//! Rounding: from a matrix of floats to the bytes of a format, with as little harm as possible.
//!
//! | method | needs | minimises |
//! |---|---|---|
//! | [`Rtn`](Method::Rtn) | nothing | the error of the extreme values, or the squared error over clippings |
//! | [`KQuant`](Method::KQuant) | importance, if there is any | the weighted squared error |
//! | [`Hqq`](Method::Hqq) | nothing | the sum of `error^0.7`: what few outliers cost counts less |
//! | [`Gptq`](Method::Gptq) | a [`Hessian`] | the squared error of the products with the inputs |

pub(crate) mod coder;
pub(crate) mod fit;
pub(crate) mod grid;
pub(crate) mod kquant;
mod rows;
pub(crate) mod search;
pub(crate) mod task;

use edgeformer_core::Format;

use crate::Result;

/// Rounds.
pub fn round_matrix(
    weights: &[f32],
    cols: usize,
    format: Format,
    importance: Option<&[f32]>,
    threads: usize,
) -> Result<Vec<u8>> {
    rows::round(weights, cols, format, importance, threads)
}
