//! A hash index: numbers found by what they stand for.
//!
//! The keys live elsewhere (a token's piece in the vocabulary's arena, a merge's pair in the list
//! of merges), so the index costs four bytes a slot: a fifth of a map that owns its keys.

use std::hash::{BuildHasher, Hash, RandomState};

const EMPTY: u32 = u32::MAX;

/// Open addressing with linear probing over `u32` entries; the caller knows their keys.
#[derive(Clone)]
pub(super) struct Index {
    slots: Box<[u32]>,
    state: RandomState,
}

impl Index {
    /// An index for up to `entries` entries.
    pub fn new(entries: usize) -> Self {
        let slots = (entries + entries / 3 + 1).next_power_of_two();
        Self { slots: vec![EMPTY; slots].into_boxed_slice(), state: RandomState::new() }
    }

    /// The entry under `key`, where `is_key` says whether an entry has it.
    pub fn find<K: Hash + ?Sized>(&self, key: &K, is_key: impl Fn(u32) -> bool) -> Option<u32> {
        let entry = self.slots[self.slot(key, is_key)];
        (entry != EMPTY).then_some(entry)
    }

    /// Puts `entry` under `key`, or returns the entry that already stands there.
    pub fn insert<K: Hash + ?Sized>(
        &mut self,
        key: &K,
        entry: u32,
        is_key: impl Fn(u32) -> bool,
    ) -> Result<(), u32> {
        let slot = self.slot(key, is_key);
        match self.slots[slot] {
            EMPTY => {
                self.slots[slot] = entry;
                Ok(())
            }
            present => Err(present),
        }
    }

    /// The slot that holds the key, or the empty one where it belongs. An empty slot always
    /// exists: there are at most three quarters as many entries as slots.
    fn slot<K: Hash + ?Sized>(&self, key: &K, is_key: impl Fn(u32) -> bool) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.state.hash_one(key) as usize & mask;
        while self.slots[slot] != EMPTY && !is_key(self.slots[slot]) {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn finds_what_a_map_finds() {
        let keys: Vec<u64> = (0..500u64).map(|i| i * i % 613).collect();
        let mut map = HashMap::new();
        let mut index = Index::new(keys.len());
        for (i, key) in keys.iter().enumerate() {
            let in_map = *map.entry(*key).or_insert(i as u32);
            let in_index = index.insert(key, i as u32, |at| keys[at as usize] == *key);
            assert_eq!(in_index.err().unwrap_or(i as u32), in_map);
        }
        for key in 0..700u64 {
            let found = index.find(&key, |at| keys[at as usize] == key);
            assert_eq!(found, map.get(&key).copied());
        }
    }

    #[test]
    fn an_empty_index_finds_nothing() {
        assert_eq!(Index::new(0).find("a", |_| true), None);
    }
}
