use super::layout::BLOCK;
use crate::kernels::Q8Rows;
use crate::kernels::q8::GROUP;

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
    #[inline]
    pub unsafe fn four_codes(&self, index: usize, step: usize) -> i32 {
        // SAFETY: four codes are readable there; no alignment is needed.
        unsafe { self.codes.add(index * BLOCK + 4 * step).cast::<i32>().read_unaligned() }
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
    #[inline]
    pub unsafe fn sums_of_halves(&self, half: usize) -> [f32; GROUP] {
        // SAFETY: as in `sums`.
        unsafe { *self.of_halves[half].cast() }
    }
}
