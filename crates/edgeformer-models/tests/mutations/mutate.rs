//! Damage: what disks, networks and enemies do to a file.

use std::ops::Range;

/// A source of choices that repeats itself from a seed (SplitMix64).
pub struct Choices(pub u64);

impl Choices {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, 0 where that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A short range of `len` bytes, most often a few bytes long.
    fn range(&mut self, len: usize) -> Range<usize> {
        let start = self.below(len + 1);
        let longest = if self.below(4) == 0 { len } else { 16 };
        start..len.min(start + self.below(longest + 1))
    }
}

/// Damages `bytes` once to three times. `other` is another valid file, to splice from.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], choices: &mut Choices) {
    for _ in 0..=choices.below(3) {
        match choices.below(10) {
            0 => flip_bits(bytes, choices),
            1 => overwrite_byte(bytes, choices),
            2 => overwrite_integer(bytes, choices),
            3 => overwrite_field(bytes, choices),
            4 => bytes.truncate(choices.below(bytes.len() + 1)),
            5 => extend(bytes, choices),
            6 => drop(bytes.drain(choices.range(bytes.len()))),
            7 => repeat(bytes, choices),
            8 => splice(bytes, other, choices),
            _ => rewrite_number(bytes, choices),
        }
    }
}

fn flip_bits(bytes: &mut [u8], choices: &mut Choices) {
    for _ in 0..=choices.below(4) {
        let at = choices.below(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << choices.below(8);
        }
    }
}

fn overwrite_byte(bytes: &mut [u8], choices: &mut Choices) {
    const INTERESTING: &[u8] = b"\0\x01\x7f\x80\xff\"\\{}[],:-.e09 \n/";
    let at = choices.below(bytes.len());
    let value = choices.pick(INTERESTING);
    if let Some(byte) = bytes.get_mut(at) {
        *byte = value;
    }
}

/// A value at which sums and products overflow, or checks are off by one.
fn interesting(len: usize, choices: &mut Choices) -> u64 {
    let len = len as u64;
    let edge = 1u64 << choices.below(64);
    let near = choices.pick(&[0, 1, 2, u64::MAX, u64::MAX - 1, u64::MAX - 31]);
    choices.pick(&[0, u64::MAX, edge, edge.wrapping_add(near), len.wrapping_add(near), near])
}

fn overwrite_integer(bytes: &mut [u8], choices: &mut Choices) {
    let at = choices.below(bytes.len());
    write_integer(bytes, at, choices);
}

/// As [`overwrite_integer`], where a small integer stands: a count, a length, a type, an offset.
fn overwrite_field(bytes: &mut [u8], choices: &mut Choices) {
    let from = choices.below(bytes.len());
    let small = |window: &[u8]| window[0] != 0 && window[1..] == [0; 3];
    let found = bytes.get(from..).and_then(|rest| rest.windows(4).position(small));
    write_integer(bytes, from + found.unwrap_or_default(), choices);
}

fn write_integer(bytes: &mut [u8], at: usize, choices: &mut Choices) {
    let value = interesting(bytes.len(), choices).to_le_bytes();
    let width = choices.pick(&[2, 4, 8, 8]);
    for (byte, value) in bytes.iter_mut().skip(at).zip(&value[..width]) {
        *byte = *value;
    }
}

fn extend(bytes: &mut Vec<u8>, choices: &mut Choices) {
    let value = choices.next() as u8;
    bytes.extend((0..choices.below(64)).map(|i| value.wrapping_mul(i as u8)));
}

fn repeat(bytes: &mut Vec<u8>, choices: &mut Choices) {
    let part = bytes[choices.range(bytes.len())].repeat(1 + choices.below(3));
    let at = choices.below(bytes.len() + 1);
    bytes.splice(at..at, part);
}

fn splice(bytes: &mut Vec<u8>, other: &[u8], choices: &mut Choices) {
    let part = other[choices.range(other.len())].to_vec();
    let place = choices.range(bytes.len());
    bytes.splice(place, part);
}

/// Another number in decimal, for the headers that are text.
fn rewrite_number(bytes: &mut Vec<u8>, choices: &mut Choices) {
    let from = choices.below(bytes.len());
    let rest = bytes.get(from..).unwrap_or_default();
    let Some(start) = rest.iter().position(u8::is_ascii_digit).map(|start| from + start) else {
        return;
    };
    let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = match choices.below(8) {
        0 => "-1".into(),
        1 => "1e308".into(),
        2 => "null".into(),
        3 => "NaN".into(),
        4 => choices.below(32).to_string(),
        _ => interesting(bytes.len(), choices).to_string(),
    };
    bytes.splice(start..start + digits, number.into_bytes());
}
