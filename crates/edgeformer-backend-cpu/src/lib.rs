//! The SIMD CPU backend of EdgeFormer.

mod cache;
mod kernels;
mod pool;
