//! Statistics of inputs, and the factors of them that rounding needs.

mod factor;
mod hessian;

pub(crate) use factor::Factor;
pub use hessian::Hessian;
