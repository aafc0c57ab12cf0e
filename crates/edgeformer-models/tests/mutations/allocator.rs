//! An allocator that knows how much each thread holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes held now, and the most since the last [`peak_of`]. Negative while a thread frees
    /// what another made.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

/// The system's allocator, counting.
pub struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator unchanged, and its answer is
// returned. The counters are cells of the thread without a destructor: touching them neither
// allocates nor fails.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promise is the one that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promise is the one that the system's allocator asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller's promise is the one that the system's allocator asks for.
        unsafe { System.dealloc(memory, layout) }
    }

    // `realloc` stays what the trait makes of it: the new block is counted while the old one is
    // still held, which is what an allocator may need in the worst case.
}

fn count(bytes: isize) {
    HELD.with(|held| {
        let (now, peak) = held.get();
        let now = now + bytes;
        held.set((now, peak.max(now)));
    });
}

/// The most bytes that `work` held at once on this thread, beyond what was held before.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.with(|held| {
        let (now, _) = held.get();
        held.set((now, now));
        now
    });
    let result = work();
    let (_, peak) = HELD.with(Cell::get);
    (result, (peak - before).unsigned_abs())
}

/// The bytes that what `work` makes holds.
pub fn held_by<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let now = || HELD.with(|held| held.get().0);
    let before = now();
    let result = work();
    (result, (now() - before).unsigned_abs())
}
