//! The kernels: the inner loops of every op, one table of them per instruction set.
//!
//! An [`Isa`] exists only for what this machine has; [`Kernels::for_isa`] gives its table. The
//! scalar table is the readable specification, every other table is tested against it.
//!
//! **Same bits.** Within a table every reduction has one fixed order. `out[t][r]` of a matrix
//! product depends on weight row `r` and activation row `t` alone: not on how many tokens or rows
//! are in the call, nor on how the call was split over threads.
//!
//! **Quantized products.** Activations become [`Q8Rows`]: blocks of 32 signed bytes under one
//! scale. Within a block the products are integers and exact; blocks are added up in f32.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod activations;
mod columns;
mod isa;
mod kv;
mod limits;
mod matmul;
mod packed;
mod q8;
mod scalar;
mod table;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use activations::Activations;
pub use columns::ColumnsMut;
pub use isa::Isa;
pub use kv::{KvRows, Queries, rotation};
pub use limits::{Sequence, read, sequences};
pub use matmul::MatmulKernel;
pub use packed::{PANEL_ROWS, PackedKernel, PanelLayout, decode_row, pack_panel};
pub use q8::{Q8Buffer, Q8Rows};
pub use table::{Affine, Kernels};
