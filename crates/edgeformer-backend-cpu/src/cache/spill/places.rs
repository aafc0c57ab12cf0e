//! Which part of the file belongs to which page.

/// Where places begin: at whole blocks of the file system, so that writing a page never reads
/// what its neighbours have in the same block.
const ALIGNMENT: u64 = 4096;

/// Where a page lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cache) struct Place {
    pub(super) offset: u64,
    pub(super) len: usize,
}

impl Place {
    /// Bytes of the page.
    pub fn len(self) -> usize {
        self.len
    }
}

/// The places of a file. Those that are given back are used again for pages of the same length;
/// the file grows and never shrinks.
#[derive(Default)]
pub(super) struct Places {
    /// Where the next new place begins.
    end: u64,
    /// Bytes of the places in use.
    used: u64,
    /// By length of page. A cache has as many lengths as it has groups.
    sizes: Vec<Size>,
}

struct Size {
    len: usize,
    /// Places of this length, in use or not.
    count: usize,
    /// Offsets of those not in use.
    free: Vec<u64>,
}

impl Places {
    /// A place for a page of `len` bytes. Allocates when the file has to grow and at no other
    /// time.
    pub fn take(&mut self, len: usize) -> Place {
        self.used += len as u64;
        let size = self.size(len);
        if let Some(offset) = size.free.pop() {
            return Place { offset, len };
        }
        size.count += 1;
        // All of them may be given back.
        size.free.reserve(size.count);
        let offset = self.end;
        self.end += (len.max(1) as u64).next_multiple_of(ALIGNMENT);
        Place { offset, len }
    }

    /// Ends the use of a place.
    pub fn give_back(&mut self, place: Place) {
        self.used -= place.len as u64;
        let free = &mut self.size(place.len).free;
        debug_assert!(!free.contains(&place.offset), "{place:?} is given back twice");
        free.push(place.offset);
    }

    /// Bytes of the places in use.
    pub fn used(&self) -> u64 {
        self.used
    }

    fn size(&mut self, len: usize) -> &mut Size {
        let known = self.sizes.iter().position(|size| size.len == len);
        let index = known.unwrap_or_else(|| {
            self.sizes.push(Size { len, count: 0, free: Vec::new() });
            self.sizes.len() - 1
        });
        &mut self.sizes[index]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_in_use_do_not_overlap_and_are_used_again(
            actions in prop::collection::vec((any::<bool>(), 0..4usize, any::<usize>()), 1..100),
        ) {
            let lens = [0, 1, 4096, 5000];
            let mut places = Places::default();
            let mut live: Vec<Place> = Vec::new();
            let mut most = [0; 4];
            for (take, class, index) in actions {
                if take || live.is_empty() {
                    live.push(places.take(lens[class]));
                } else {
                    places.give_back(live.swap_remove(index % live.len()));
                }
                for (most, len) in most.iter_mut().zip(lens) {
                    *most = live.iter().filter(|place| place.len == len).count().max(*most);
                }
                live.sort_by_key(|place| place.offset);
                for pair in live.windows(2) {
                    prop_assert!(pair[0].offset + pair[0].len as u64 <= pair[1].offset);
                    prop_assert!(pair[0].offset < pair[1].offset);
                }
                prop_assert_eq!(places.used(), live.iter().map(|place| place.len as u64).sum());
            }
            let blocks = most[0] + most[1] + most[2] + 2 * most[3];
            prop_assert_eq!(places.end, blocks as u64 * ALIGNMENT);
        }
    }
}
