//! Beginnings against a plain list of them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::Place::Behind;
use super::{NodeId, Place, PrefixIndex, Start, chain};

const START: Place = Place::Start(Start(0));

fn index() -> PrefixIndex {
    PrefixIndex::new(1, 2, 2)
}

#[test]
fn beginnings_are_told_apart_by_all_their_tokens() {
    let mut index = index();
    let a = index.insert(START, &[1, 2]).unwrap();
    let b = index.insert(START, &[3, 4]).unwrap();
    let behind_a = index.insert(Behind(a), &[5, 6]).unwrap();
    let behind_b = index.insert(Behind(b), &[5, 6]).unwrap();
    assert_ne!(behind_a, behind_b);
    assert_eq!(index.insert(Behind(a), &[5, 6]), Some(behind_a));
    assert_eq!(index.find(Behind(b), &[5, 6]), Some(behind_b));
    assert_eq!(index.find(START, &[5, 6]), None);
    assert_eq!((index.place(behind_b), index.place(b)), (Some(Behind(b)), Some(START)));
    assert_eq!(index.len(), 4);
}

#[test]
fn starts_are_told_apart() {
    let mut index = index();
    let other = Place::Start(Start(1));
    let a = index.insert(START, &[1, 2]).unwrap();
    assert_eq!(index.find(other, &[1, 2]), None);
    let b = index.insert(other, &[1, 2]).unwrap();
    assert_ne!(a, b);
    assert_eq!((index.find(START, &[1, 2]), index.find(other, &[1, 2])), (Some(a), Some(b)));
    assert_eq!(index.place(b), Some(other));
}

#[test]
fn a_page_is_exactly_full() {
    let mut index = index();
    assert_eq!(index.insert(START, &[1]), None);
    assert_eq!(index.insert(START, &[1, 2, 3]), None);
    assert_eq!(index.find(START, &[]), None);
    assert_eq!(index.len(), 0);
}

#[test]
fn nodes_go_with_their_last_page_and_their_last_child() {
    let mut index = index();
    let a = index.insert(START, &[1, 2]).unwrap();
    let b = index.insert(Behind(a), &[3, 4]).unwrap();
    index.set_page(a, 0, 10);
    index.set_page(b, 0, 11);
    index.set_page(b, 1, 12);
    index.clear_page(a, 0);
    assert_eq!(index.page(a, 0), None);
    // The way to what hangs on it.
    assert_eq!(index.find(START, &[1, 2]), Some(a));
    index.clear_page(b, 0);
    assert_eq!((index.page(b, 0), index.page(b, 1), index.len()), (None, Some(12), 2));
    index.clear_page(b, 1);
    assert_eq!(index.len(), 0);
    assert_eq!(index.find(START, &[1, 2]), None);
}

#[test]
fn ids_of_nodes_that_went_name_nothing() {
    let mut index = index();
    let gone = index.insert(START, &[1, 2]).unwrap();
    index.clear_page(gone, 0);
    let other = index.insert(START, &[1, 2]).unwrap();
    assert_ne!(gone, other);
    index.set_page(other, 0, 5);
    index.set_page(gone, 0, 6);
    index.clear_page(gone, 0);
    assert_eq!((index.page(gone, 0), index.page(other, 0)), (None, Some(5)));
    assert_eq!(index.insert(Behind(gone), &[3, 4]), None);
    assert_eq!(index.find(Behind(gone), &[3, 4]), None);
}

#[test]
fn keys_depend_on_seed_order_and_every_token() {
    let keys = [
        chain(1, &[1, 2]),
        chain(2, &[1, 2]),
        chain(1, &[2, 1]),
        chain(1, &[1, 3]),
        chain(1, &[0, 2]),
        chain(chain(1, &[1]), &[2]),
        chain(0, &[0]),
        chain(0, &[0, 0]),
    ];
    let distinct = |mask: u64| keys.iter().map(|key| key & mask).collect::<BTreeSet<_>>().len();
    assert_eq!(distinct(u64::MAX), keys.len());
    assert!(distinct(0xff) >= keys.len() - 1, "low bits depend on all");
}

#[test]
fn a_warm_index_keeps_its_memory() {
    let mut index = index();
    let mut last: Vec<NodeId> = Vec::new();
    let mut memory = None;
    for round in 0..100u32 {
        for token in 0..64 {
            let parent = last.last().filter(|_| token % 8 != 0);
            let place = parent.map_or(START, |&parent| Behind(parent));
            let node = index.insert(place, &[round, token]).unwrap();
            index.set_page(node, 0, token);
            last.push(node);
        }
        last.drain(..).for_each(|node| index.clear_page(node, 0));
        assert_eq!(index.len(), 0);
        let now = index.nodes.capacities();
        assert_eq!(*memory.get_or_insert(now), now);
    }
}

#[derive(Debug, Clone)]
enum Action {
    /// Behind one of the nodes there ever were, or at a start.
    Insert {
        parent: Option<usize>,
        start: u32,
        token: u32,
    },
    Set {
        node: usize,
        group: usize,
        page: u32,
    },
    Clear {
        node: usize,
        group: usize,
    },
}

/// As it is; four keys in all; one.
const HASHES: &[fn(u64, &[u32]) -> u64] =
    &[chain, |before, tokens| chain(before, tokens) & 3, |_, _| 0];

fn action() -> impl Strategy<Value = Action> {
    let node = any::<usize>;
    prop_oneof![
        3 => (prop::option::weighted(0.8, node()), 0..2u32, 0..3u32)
            .prop_map(|(parent, start, token)| Action::Insert { parent, start, token }),
        3 => (node(), 0..2usize, any::<u32>())
            .prop_map(|(node, group, page)| Action::Set { node, group, page }),
        4 => (node(), 0..2usize).prop_map(|(node, group)| Action::Clear { node, group }),
    ]
}

/// A beginning as one would write it down.
#[derive(Clone)]
struct Known {
    id: NodeId,
    /// In the list.
    parent: Option<usize>,
    /// The number of the start, then the tokens.
    path: Vec<u32>,
    pages: [Option<u32>; 2],
    alive: bool,
}

fn insert(
    index: &mut PrefixIndex,
    list: &mut Vec<Known>,
    parent: Option<usize>,
    start: u32,
    token: u32,
) {
    let before = parent.map(|parent| list[parent].clone());
    let tokens = [token, token + 1];
    let place = before.as_ref().map_or(at_start(start), |known| Behind(known.id));
    let found = index.insert(place, &tokens);
    if before.as_ref().is_some_and(|known| !known.alive) {
        return assert_eq!(found, None);
    }
    let mut path = before.map_or(vec![start], |known| known.path);
    path.extend(tokens);
    let known = list.iter().find(|known| known.alive && known.path == path);
    match known {
        Some(known) => assert_eq!(found, Some(known.id)),
        None => {
            let id = found.unwrap();
            assert!(list.iter().all(|known| known.id != id), "an id is given out once");
            list.push(Known { id, parent, path, pages: [None; 2], alive: true });
        }
    }
}

fn at_start(number: u32) -> Place {
    Place::Start(Start(number.into()))
}

fn clear(list: &mut [Known], node: usize, group: usize) {
    list[node].pages[group] = None;
    let mut next = Some(node);
    while let Some(node) = next {
        let has_children = list.iter().any(|known| known.alive && known.parent == Some(node));
        let known = &mut list[node];
        if !known.alive || has_children || known.pages != [None; 2] {
            return;
        }
        known.alive = false;
        next = known.parent;
    }
}

fn check(index: &PrefixIndex, list: &[Known]) {
    assert_eq!(index.len(), list.iter().filter(|known| known.alive).count());
    for known in list {
        let place = known.parent.map_or(at_start(known.path[0]), |parent| Behind(list[parent].id));
        for (group, page) in known.pages.iter().enumerate() {
            assert_eq!(index.page(known.id, group), page.filter(|_| known.alive));
        }
        assert_eq!(index.place(known.id), known.alive.then_some(place));
        let found = index.find(place, &known.path[known.path.len() - 2..]);
        let alive = list.iter().find(|other| other.alive && other.path == known.path);
        // A parent that went and came back has another id.
        let reachable = known.parent.is_none_or(|parent| list[parent].alive);
        assert_eq!(found, alive.map(|other| other.id).filter(|_| reachable));
    }
}

proptest! {
    #[test]
    fn any_operations_leave_what_a_plain_list_would(
        actions in prop::collection::vec(action(), 1..120),
        hash in prop::sample::select(HASHES),
    ) {
        let mut index = index();
        index.hash = hash;
        let mut list = Vec::new();
        for action in actions {
            match action {
                Action::Insert { parent, start, token } => {
                    let parent = parent.and_then(|parent| parent.checked_rem(list.len()));
                    insert(&mut index, &mut list, parent, start, token);
                }
                Action::Set { node, group, page } => {
                    let Some(node) = node.checked_rem(list.len()) else { continue };
                    index.set_page(list[node].id, group, page);
                    if list[node].alive {
                        list[node].pages[group] = Some(page);
                    }
                }
                Action::Clear { node, group } => {
                    let Some(node) = node.checked_rem(list.len()) else { continue };
                    index.clear_page(list[node].id, group);
                    clear(&mut list, node, group);
                }
            }
            check(&index, &list);
        }
    }
}
