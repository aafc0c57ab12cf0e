use edgeformer_core::Format;
use edgeformer_core::graph::Activation;

use super::kv::KvKernels;
use super::matmul::MatmulFn;
use super::packed::{PackedKernel, PanelLayout};
use super::q8::Q8RowMut;
use super::{Isa, MatmulKernel, scalar};

/// The kernels of one instruction set, chosen once when a program is compiled.
///
/// A table is handed out only for an [`Isa`], which exists only for what this machine has: that
/// is what makes the calls below sound.
pub struct Kernels {
    pub(super) isa: Isa,
    pub(super) matmul: fn(Format) -> MatmulFn,
    /// Products of panels; `None` for formats whose rows serve as the file holds them.
    pub(super) packed: fn(Format) -> Option<MatmulFn>,
    pub(super) quantize_row: unsafe fn(&[f32], Q8RowMut<'_>),
    pub(super) axpy_f32: unsafe fn(f32, &[f32], &mut [f32]),
    pub(super) rms_norm: unsafe fn(&[f32], &Affine<'_>, f32, &mut [f32]),
    pub(super) layer_norm: unsafe fn(&[f32], &Affine<'_>, f32, &mut [f32]),
    pub(super) softmax: unsafe fn(&mut [f32]),
    pub(super) activate: unsafe fn(Activation, &mut [f32]),
    pub(super) soft_cap: unsafe fn(&mut [f32], f32),
    pub(super) add: unsafe fn(&mut [f32], &[f32]),
    pub(super) multiply: unsafe fn(&mut [f32], &[f32]),
    pub(super) scale: unsafe fn(&mut [f32], f32),
    /// On keys and values.
    pub(super) kv: &'static KvKernels,
}

/// What a norm does to the normalised row: `x * (weight + offset) + bias`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Affine<'a> {
    /// As long as the row.
    pub weight: Option<&'a [f32]>,
    /// As long as the row.
    pub bias: Option<&'a [f32]>,
    /// Added to every element of `weight`.
    pub offset: f32,
}

impl Affine<'_> {
    fn check(&self, len: usize) {
        assert!(self.weight.is_none_or(|weight| weight.len() == len), "weights of another length");
        assert!(self.bias.is_none_or(|bias| bias.len() == len), "biases of another length");
    }
}

impl Kernels {
    /// The table of an instruction set.
    pub fn for_isa(isa: Isa) -> &'static Self {
        match isa {
            Isa::Scalar(_) => &scalar::TABLE,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(token) => super::x86::avx2::table(token),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni(token) => super::x86::avxvnni::table(token),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(token) => super::x86::avx512::table(token),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(token) => super::aarch64::neon::table(token),
            #[cfg(target_arch = "aarch64")]
            Isa::Dotprod(token) => super::aarch64::dotprod::table(token),
            #[cfg(target_arch = "aarch64")]
            Isa::I8mm(token) => super::aarch64::i8mm::table(token),
        }
    }

    /// Which instruction set it is for.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The matrix product for weights of a format.
    pub fn matmul(&self, format: Format) -> MatmulKernel {
        MatmulKernel::new(format, (self.matmul)(format))
    }

    /// The product of panels for weights of a format; `None` where there is none, or no panel of
    /// rows of `columns`.
    pub fn packed(&self, format: Format, columns: usize) -> Option<PackedKernel> {
        let layout = PanelLayout::new(format, columns)?;
        Some(PackedKernel::new(layout, (self.packed)(format)?))
    }

    /// One row of activations to 8 bits.
    pub(super) fn quantize_row(&self, values: &[f32], out: Q8RowMut<'_>) {
        assert_eq!(values.len(), out.codes.len());
        let blocks = values.len() / super::q8::BLOCK;
        let room = [out.scales.len(), out.sums.len(), out.low_sums.len(), out.high_sums.len()];
        assert!(room.iter().all(|&room| blocks <= room));
        // SAFETY: the machine has `self.isa`; the lengths were checked.
        unsafe { (self.quantize_row)(values, out) }
    }

    /// `y += alpha * x`.
    ///
    /// # Panics
    /// If the lengths differ, as all below.
    pub fn axpy_f32(&self, alpha: f32, x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), y.len());
        // SAFETY: the machine has `self.isa`; the lengths were checked.
        unsafe { (self.axpy_f32)(alpha, x, y) }
    }

    /// `out = x / sqrt(mean of x² + eps)`, then `affine`.
    pub fn rms_norm(&self, x: &[f32], affine: &Affine<'_>, eps: f32, out: &mut [f32]) {
        assert_eq!(x.len(), out.len());
        affine.check(x.len());
        // SAFETY: the machine has `self.isa`; the lengths were checked.
        unsafe { (self.rms_norm)(x, affine, eps, out) }
    }

    /// `out = (x - mean) / sqrt(mean of (x - mean)² + eps)`, then `affine`.
    pub fn layer_norm(&self, x: &[f32], affine: &Affine<'_>, eps: f32, out: &mut [f32]) {
        assert_eq!(x.len(), out.len());
        affine.check(x.len());
        // SAFETY: the machine has `self.isa`; the lengths were checked.
        unsafe { (self.layer_norm)(x, affine, eps, out) }
    }

    /// `x = exp(x - max) / sum of exp(x - max)`. Minus infinity becomes zero; at least one element
    /// must be finite.
    pub fn softmax(&self, x: &mut [f32]) {
        // SAFETY: the machine has `self.isa`.
        unsafe { (self.softmax)(x) }
    }

    /// Applies an elementwise function.
    pub fn activate(&self, function: Activation, x: &mut [f32]) {
        // SAFETY: the machine has `self.isa`.
        unsafe { (self.activate)(function, x) }
    }

    /// `x = cap * tanh(x / cap)`.
    pub fn soft_cap(&self, x: &mut [f32], cap: f32) {
        // SAFETY: the machine has `self.isa`.
        unsafe { (self.soft_cap)(x, cap) }
    }

    /// `x += y`.
    pub fn add(&self, x: &mut [f32], y: &[f32]) {
        assert_eq!(x.len(), y.len());
        // SAFETY: the machine has `self.isa`; the lengths were checked.
        unsafe { (self.add)(x, y) }
    }

    /// `x *= y`.
    pub fn multiply(&self, x: &mut [f32], y: &[f32]) {
        assert_eq!(x.len(), y.len());
        // SAFETY: the machine has `self.isa`; the lengths were checked.
        unsafe { (self.multiply)(x, y) }
    }

    /// `x *= factor`.
    pub fn scale(&self, x: &mut [f32], factor: f32) {
        // SAFETY: the machine has `self.isa`.
        unsafe { (self.scale)(x, factor) }
    }
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kernels({})", self.isa.name())
    }
}
