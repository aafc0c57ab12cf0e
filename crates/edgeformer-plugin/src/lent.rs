//! Memory that one side lends the other.

/// A list that is lent for the call.
///
/// # Safety
/// `first` must point to `count` values that stay as they are for `'a`.
pub(crate) unsafe fn list<'a, T>(first: *const T, count: usize) -> &'a [T] {
    if count == 0 {
        return &[];
    }
    // SAFETY: the caller promises it.
    unsafe { std::slice::from_raw_parts(first, count) }
}
