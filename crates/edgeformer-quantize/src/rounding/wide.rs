//! The widest vectors of this machine.
//!
//! Searches are plain loops over lanes, which the compiler makes vectors of: those that every
//! machine of the architecture has, unless it is told that there are wider ones. The operations and
//! their order are the same in either, and so are the bits.

/// Work that is compiled for every width. What is `inline(always)` in it is, and what is not, is
/// not.
pub trait Work {
    /// What comes of it.
    type Output;

    /// Does it.
    fn run(self) -> Self::Output;
}

/// Does the work with the widest vectors there are.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn with_widest<W: Work>(work: W) -> W::Output {
    #[target_feature(enable = "avx2")]
    fn with_avx2<W: Work>(work: W) -> W::Output {
        work.run()
    }

    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has just said that it has AVX2, which is all that is asked of it.
        #[allow(unsafe_code)]
        return unsafe { with_avx2(work) };
    }
    work.run()
}

/// Does the work: NEON is a part of every AArch64, and of others nothing is known.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub fn with_widest<W: Work>(work: W) -> W::Output {
    work.run()
}
