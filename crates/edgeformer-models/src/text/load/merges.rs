//! The merges of a BPE file, kept in one arena until the vocabulary is known.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::json_model::AppendPiece;
use crate::error::quote;
use crate::text::vocabulary::Problem;

/// Pairs of pieces, in the order of their urgency.
#[derive(Default)]
pub(in crate::text) struct Merges {
    arena: String,
    /// Where the left and the right piece of every merge end in the arena.
    ends: Vec<(u32, u32)>,
}

impl Merges {
    /// Adds a merge written as two pieces with a space between them.
    pub fn push_line(&mut self, line: &str) -> Result<(), Problem> {
        let (left, right) = split_merge(line)?;
        self.arena.push_str(left);
        let middle = self.arena.len() as u32;
        self.arena.push_str(right);
        self.ends.push((middle, self.arena.len() as u32));
        Ok(())
    }

    /// The merges, for [`crate::text::bpe::Bpe::new`].
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<(&str, &str), Problem>> {
        let mut start = 0;
        self.ends.iter().map(move |&(middle, end)| {
            let pair =
                (&self.arena[start..middle as usize], &self.arena[middle as usize..end as usize]);
            start = end as usize;
            Ok(pair)
        })
    }
}

/// The two pieces of a merge's line. A piece may begin with a space, but not contain one.
pub(in crate::text) fn split_merge(line: &str) -> Result<(&str, &str), Problem> {
    let first = line.chars().next().map_or(0, char::len_utf8);
    match line[first..].find(' ').map(|at| line.split_at(first + at)) {
        Some((left, right)) if right.len() > 1 => Ok((left, &right[1..])),
        _ => Err(format!("merge {} is not two pieces with a space between them", quote(line))),
    }
}

impl<'de> Deserialize<'de> for Merges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(MergesVisitor)
    }
}

struct MergesVisitor;

impl<'de> Visitor<'de> for MergesVisitor {
    type Value = Merges;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of merges")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merges, A::Error> {
        let mut merges = Merges::default();
        while list.next_element_seed(MergeSeed(&mut merges))?.is_some() {}
        Ok(merges)
    }
}

/// One merge: `"a b"` in older files, `["a", "b"]` in newer ones.
struct MergeSeed<'a>(&'a mut Merges);

impl<'de> serde::de::DeserializeSeed<'de> for MergeSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MergeSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a merge: two pieces")
    }

    fn visit_str<E: serde::de::Error>(self, line: &str) -> Result<(), E> {
        self.0.push_line(line).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<(), A::Error> {
        use serde::de::Error as _;
        let merges = self.0;
        let mut ends = [0; 2];
        for (i, end) in ends.iter_mut().enumerate() {
            pair.next_element_seed(AppendPiece(&mut merges.arena))?
                .ok_or_else(|| A::Error::invalid_length(i, &"two pieces"))?;
            *end = merges.arena.len() as u32;
        }
        if pair.next_element::<serde::de::IgnoredAny>()?.is_some() {
            return Err(A::Error::invalid_length(3, &"two pieces"));
        }
        merges.ends.push((ends[0], ends[1]));
        Ok(())
    }
}
