//! XXH64: 64-bit hashes at the speed of memory (the xxHash specification by Yann Collet, version
//! 0.1.1). It finds accidents, not forgeries.

const PRIME_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME_5: u64 = 0x27D4_EB2F_1656_67C5;

/// Bytes that are taken in at a time.
const STRIPE: usize = 32;

/// The hash of some bytes, in as many pieces as they come.
pub(super) struct Xxh64 {
    lanes: [u64; 4],
    /// The beginning of a stripe whose rest has not come yet.
    rest: [u8; STRIPE],
    rest_len: usize,
    bytes: u64,
}

impl Default for Xxh64 {
    fn default() -> Self {
        let lanes = [PRIME_1.wrapping_add(PRIME_2), PRIME_2, 0, 0u64.wrapping_sub(PRIME_1)];
        Self { lanes, rest: [0; STRIPE], rest_len: 0, bytes: 0 }
    }
}

impl Xxh64 {
    /// The hash of bytes that are all there.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut hash = Self::default();
        hash.add(bytes);
        hash.value()
    }

    /// Takes in what comes next.
    pub fn add(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if self.rest_len > 0 {
            let missing = bytes.len().min(STRIPE - self.rest_len);
            self.rest[self.rest_len..][..missing].copy_from_slice(&bytes[..missing]);
            self.rest_len += missing;
            bytes = &bytes[missing..];
            if self.rest_len < STRIPE {
                return;
            }
            self.lanes = take_in(self.lanes, &self.rest);
        }
        let (stripes, rest) = bytes.as_chunks::<STRIPE>();
        self.lanes = stripes.iter().fold(self.lanes, take_in);
        self.rest[..rest.len()].copy_from_slice(rest);
        self.rest_len = rest.len();
    }

    /// The hash of all that came.
    pub fn value(&self) -> u64 {
        let mut hash = if self.bytes < STRIPE as u64 {
            PRIME_5
        } else {
            let [a, b, c, d] = self.lanes;
            let sum = a.rotate_left(1).wrapping_add(b.rotate_left(7));
            let sum = sum.wrapping_add(c.rotate_left(12)).wrapping_add(d.rotate_left(18));
            self.lanes.into_iter().fold(sum, |hash, lane| {
                (hash ^ round(0, lane)).wrapping_mul(PRIME_1).wrapping_add(PRIME_4)
            })
        };
        hash = hash.wrapping_add(self.bytes);
        let (words, rest) = self.rest[..self.rest_len].as_chunks::<8>();
        for word in words {
            hash ^= round(0, u64::from_le_bytes(*word));
            hash = hash.rotate_left(27).wrapping_mul(PRIME_1).wrapping_add(PRIME_4);
        }
        let (halves, rest) = rest.as_chunks::<4>();
        for half in halves {
            hash ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(PRIME_1);
            hash = hash.rotate_left(23).wrapping_mul(PRIME_2).wrapping_add(PRIME_3);
        }
        for &byte in rest {
            hash ^= u64::from(byte).wrapping_mul(PRIME_5);
            hash = hash.rotate_left(11).wrapping_mul(PRIME_1);
        }
        hash = (hash ^ (hash >> 33)).wrapping_mul(PRIME_2);
        hash = (hash ^ (hash >> 29)).wrapping_mul(PRIME_3);
        hash ^ (hash >> 32)
    }
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIME_2)).rotate_left(31).wrapping_mul(PRIME_1)
}

fn take_in(lanes: [u64; 4], stripe: &[u8; STRIPE]) -> [u64; 4] {
    let words = stripe.as_chunks::<8>().0;
    std::array::from_fn(|lane| round(lanes[lane], u64::from_le_bytes(words[lane])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_hashes() {
        // Of the specification's sanity checks and of `xxhsum -H64`.
        assert_eq!(Xxh64::of(b""), 0xEF46_DB37_51D8_E999);
        assert_eq!(Xxh64::of(b"a"), 0xD24E_C4F1_A98C_6E5B);
        assert_eq!(Xxh64::of(b"abc"), 0x44BC_2CF5_AD77_0999);
        let long = b"Nobody inspects the spammish repetition";
        assert_eq!(Xxh64::of(long), 0xFBCE_A83C_8A37_8BF1);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(bytes: Vec<u8>, cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5)) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut hash = Xxh64::default();
            cuts.windows(2).for_each(|cut| hash.add(&bytes[cut[0]..cut[1]]));
            prop_assert_eq!(hash.value(), Xxh64::of(&bytes));
        }

        #[test]
        fn every_bit_counts(mut bytes in proptest::collection::vec(any::<u8>(), 1..200), at: prop::sample::Index, bit in 0..8) {
            let before = Xxh64::of(&bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1u8 << bit;
            prop_assert_ne!(Xxh64::of(&bytes), before);
        }
    }
}
