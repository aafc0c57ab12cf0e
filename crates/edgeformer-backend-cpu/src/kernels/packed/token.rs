use super::layout::BLOCK;
use crate::kernels::Q8Rows;
pub(in crate::kernels) use crate::kernels::q8::GROUP;

/// Where the 8-bit activations of a token start: what the inner loops of the tables walk along.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Token {
    codes: *const i8,
    scales: *const f32,
    sums: *const f32,
    /// Of the first and the last half of every block.
    of_halves: [*const f32; 2],
}

impl Token {
    /// No token: it has no block.
    pub const NONE: Self = {
        let none = std::ptr::null();
        Self { codes: std::ptr::null(), scales: none, sums: none, of_halves: [none; 2] }
    };

    /// A row of activations.
    pub fn new(x: Q8Rows<'_>, index: usize) -> Self {
        let row = x.row(index);
        Self {
            codes: row.codes.as_ptr(),
            scales: row.scales.as_ptr(),
            sums: row.sums.as_ptr(),
            of_halves: [row.low_sums.as_ptr(), row.high_sums.as_ptr()],
        }
    }

    /// The activations from block `index` on: behind so many blocks.
    ///
    /// # Safety
    /// The token has such a block, or it is the end of the row.
    #[inline]
    pub unsafe fn after_blocks(self, index: usize) -> Self {
        // SAFETY: rows of codes, of scales and of sums have so many blocks.
        unsafe {
            Self {
                codes: self.codes.add(index * BLOCK),
                scales: self.scales.add(index),
                sums: self.sums.add(index),
                of_halves: self.of_halves.map(|sums| sums.add(index)),
            }
        }
    }

    /// Codes `4 * step..` of block `index`, four bytes.
    ///
    /// # Safety
    /// The token has such a block, and `step` is below eight.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub unsafe fn four_codes(&self, index: usize, step: usize) -> i32 {
        // SAFETY: four codes are readable there; no alignment is needed.
        unsafe { self.codes.add(index * BLOCK + 4 * step).cast::<i32>().read_unaligned() }
    }

    /// The 32 codes of block `index`.
    ///
    /// # Safety
    /// The token has such a block.
    #[cfg(target_arch = "aarch64")]
    #[inline]
    pub unsafe fn block_codes(&self, index: usize) -> *const i8 {
        // SAFETY: as the caller says.
        unsafe { self.codes.add(index * BLOCK) }
    }

    /// The scale of block `index`.
    ///
    /// # Safety
    /// The token has such a block.
    #[inline]
    pub unsafe fn scale(&self, index: usize) -> f32 {
        // SAFETY: as the caller says.
        unsafe { *self.scales.add(index) }
    }

    /// The sum of block `index`.
    ///
    /// # Safety
    /// The token has such a block.
    #[inline]
    pub unsafe fn sum(&self, index: usize) -> f32 {
        // SAFETY: as the caller says.
        unsafe { *self.sums.add(index) }
    }

    /// The sums of the first eight blocks, zeros behind the last.
    ///
    /// # Safety
    /// The token starts at a multiple of eight blocks, of which there is one.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub unsafe fn sums(&self) -> [f32; GROUP] {
        // SAFETY: rows of sums are padded to groups of eight; an array of floats needs no more
        // alignment than they have.
        unsafe { *self.sums.cast() }
    }

    /// As [`sums`](Self::sums), of the first or the last half of each block.
    ///
    /// # Safety
    /// As there, and `half` is below two.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub unsafe fn sums_of_halves(&self, half: usize) -> [f32; GROUP] {
        // SAFETY: as in `sums`.
        unsafe { *self.of_halves[half].cast() }
    }
}

/// What eight blocks of a token contribute to a product by the offset of its codes alone: of whole
/// blocks, or of their halves where these have scales of their own.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Excess([[f32; GROUP]; 2]);

#[cfg(target_arch = "x86_64")]
impl Excess {
    /// Of formats without an offset.
    pub const NONE: Self = Self([[0.0; GROUP]; 2]);

    /// Of the token's first eight blocks.
    ///
    /// # Safety
    /// The token has a block; rows of sums are padded to eight.
    #[inline]
    pub unsafe fn new(token: &Token, offset: i32, halves: bool) -> Self {
        let mut excess = Self::NONE;
        if offset == 0 {
            return excess;
        }
        let parts = if halves { 2 } else { 1 };
        for (part, out) in excess.0.iter_mut().enumerate().take(parts) {
            // SAFETY: eight sums are readable.
            let sums = unsafe {
                match halves {
                    true => token.sums_of_halves(part),
                    false => token.sums(),
                }
            };
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum * offset as f32;
            }
        }
        excess
    }

    /// Of a part of block `index`, counted within its eight.
    #[inline]
    pub fn of(&self, part: usize, index: usize) -> f32 {
        self.0[part][index % GROUP]
    }
}
