//! Statistics of inputs, and the factors of them that rounding needs.

mod factor;
mod hessian;
#[cfg(test)]
mod tests;

pub(crate) use factor::Factor;
pub use hessian::Hessian;
