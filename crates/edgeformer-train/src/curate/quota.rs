//! How many records of a class or a source may be kept.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::data::Entry;
use crate::{Error, Result};

/// A limit on what groups of records may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// What records are grouped by.
    pub by: GroupBy,
    /// The share that a group may take at most; `None` is the same for all, and what a small group
    /// leaves goes to the others.
    pub most: Option<f64>,
}

/// What records are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// Their class, or else their label.
    Class,
    /// Their source.
    Source,
}

impl FromStr for Quota {
    type Err = Error;

    /// `class`, `source`, `class=0.5` or `source=0.5`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::Request(format!(
                "{text:?} is no quota: write class or source for as many of each, or \
                 source=0.5 for at most half of one"
            ))
        };
        let (by, most) = match text.split_once('=') {
            None => (text, None),
            Some((by, most)) => {
                let most = most.parse().ok().filter(|most| *most > 0.0 && *most <= 1.0);
                (by, Some(most.ok_or_else(wrong)?))
            }
        };
        let by = match by {
            "class" => GroupBy::Class,
            "source" => GroupBy::Source,
            _ => return Err(wrong()),
        };
        Ok(Self { by, most })
    }
}

/// Records in groups, and how many of each may be kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Groups {
    /// The groups' names.
    pub names: Vec<String>,
    /// The group of each record.
    pub of: Vec<usize>,
    /// Records of each group that may be kept.
    pub room: Vec<usize>,
}

impl Groups {
    /// All records in one group that may have everything.
    pub fn one(records: usize) -> Self {
        Self { names: vec![String::new()], of: vec![0; records], room: vec![usize::MAX] }
    }

    /// Groups by a quota, of which `keep` records are kept in all. Records without a class or
    /// source are a group of their own.
    pub fn by(quota: Quota, entries: &[&Entry], keep: usize) -> Self {
        let name = |entry: &&Entry| match quota.by {
            GroupBy::Class => entry.class().unwrap_or_default(),
            GroupBy::Source => entry.source.clone().unwrap_or_default(),
        };
        let of: Vec<String> = entries.iter().map(name).collect();
        let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
        of.iter().for_each(|name| *sizes.entry(name).or_default() += 1);
        let names: Vec<String> = sizes.keys().map(|name| (*name).to_owned()).collect();
        let sizes: Vec<usize> = sizes.into_values().collect();
        let room = match quota.most {
            Some(most) => vec![((most * keep as f64).floor() as usize).max(1); sizes.len()],
            None => equal(&sizes, keep),
        };
        let place = |name: &String| names.partition_point(|other| other < name);
        Self { of: of.iter().map(place).collect(), names, room }
    }
}

/// As many of each group as it has, up to the same for all; what cannot be shared out equally goes
/// to the first.
fn equal(sizes: &[usize], keep: usize) -> Vec<usize> {
    let mut room = vec![0; sizes.len()];
    let mut left = keep;
    loop {
        let open: Vec<usize> =
            (0..sizes.len()).filter(|&group| room[group] < sizes[group]).collect();
        if left == 0 || open.is_empty() {
            return room;
        }
        let each = (left / open.len()).max(1);
        for group in open {
            let more = each.min(sizes[group] - room[group]).min(left);
            room[group] += more;
            left -= more;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotas_are_read() {
        let read = |text: &str| text.parse::<Quota>().unwrap();
        assert_eq!(read("class"), Quota { by: GroupBy::Class, most: None });
        assert_eq!(read("source=0.5"), Quota { by: GroupBy::Source, most: Some(0.5) });
        for wrong in ["", "author", "class=0", "class=2", "class=x"] {
            assert!(wrong.parse::<Quota>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn small_groups_leave_their_room_to_others() {
        assert_eq!(equal(&[10, 2, 10], 12), [5, 2, 5]);
        assert_eq!(equal(&[10, 10, 10], 10), [4, 3, 3]);
        assert_eq!(equal(&[1, 1], 10), [1, 1]);
        assert!(equal(&[], 10).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_groups_are_even(
            sizes in prop::collection::vec(0usize..30, 1..8), keep in 0usize..100,
        ) {
            let room = equal(&sizes, keep);
            prop_assert_eq!(room.iter().sum::<usize>(), keep.min(sizes.iter().sum()));
            let most = room.iter().max().copied().unwrap_or(0);
            for (room, size) in room.iter().zip(&sizes) {
                prop_assert!(room == size || *room + 1 >= most && room < size);
            }
        }
    }
}
