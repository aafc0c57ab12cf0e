//! A word being merged: symbols in a doubly linked list, and the queue of possible merges.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

const END: u32 = u32::MAX;

/// One symbol of the word; `T` is what the algorithm knows of it.
struct Link<T> {
    value: T,
    previous: u32,
    next: u32,
    alive: bool,
}

/// Two neighbours that could become one. The queue gives the greatest priority first, and among
/// equals the leftmost.
#[derive(PartialEq, Eq)]
struct Pair<P, M> {
    priority: P,
    left: u32,
    right: u32,
    merged: M,
}

impl<P: Ord, M: Eq> Ord for Pair<P, M> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.priority.cmp(&other.priority).then_with(|| other.left.cmp(&self.left))
    }
}

impl<P: Ord, M: Eq> PartialOrd for Pair<P, M> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What two neighbours would become, and how urgent that is.
pub(super) type Merge<P, T> = Option<(P, T)>;

/// Merges neighbours, the greatest priority first, until no two can be merged; returns what is
/// left. `merge` says what two neighbours become.
pub(super) fn merge_all<T: Copy + Eq, P: Ord>(
    symbols: impl Iterator<Item = T>,
    merge: impl Fn(T, T) -> Merge<P, T>,
) -> impl Iterator<Item = T> {
    let mut links: Vec<Link<T>> = symbols
        .enumerate()
        .map(|(i, value)| Link {
            value,
            previous: (i as u32).wrapping_sub(1),
            next: i as u32 + 1,
            alive: true,
        })
        .collect();
    if let Some(last) = links.last_mut() {
        last.next = END;
    }
    let mut queue = BinaryHeap::new();
    for left in 1..links.len() as u32 {
        enqueue(&links, left - 1, left, &merge, &mut queue);
    }
    while let Some(pair) = queue.pop() {
        if still_stands(&links, &pair, &merge) {
            join(&mut links, &pair);
            let Link { previous, next, .. } = links[pair.left as usize];
            enqueue(&links, previous, pair.left, &merge, &mut queue);
            enqueue(&links, pair.left, next, &merge, &mut queue);
        }
    }
    links.into_iter().filter(|link| link.alive).map(|link| link.value)
}

fn enqueue<T: Copy + Eq, P: Ord>(
    links: &[Link<T>],
    left: u32,
    right: u32,
    merge: &impl Fn(T, T) -> Merge<P, T>,
    queue: &mut BinaryHeap<Pair<P, T>>,
) {
    if left == END || right == END {
        return;
    }
    let merged = merge(links[left as usize].value, links[right as usize].value);
    if let Some((priority, merged)) = merged {
        queue.push(Pair { priority, left, right, merged });
    }
}

/// Whether the two are still neighbours and have not changed since they were queued.
fn still_stands<T: Copy + Eq, P: Ord>(
    links: &[Link<T>],
    pair: &Pair<P, T>,
    merge: &impl Fn(T, T) -> Merge<P, T>,
) -> bool {
    let (left, right) = (&links[pair.left as usize], &links[pair.right as usize]);
    left.alive
        && right.alive
        && left.next == pair.right
        && merge(left.value, right.value)
            .is_some_and(|(priority, merged)| priority == pair.priority && merged == pair.merged)
}

fn join<T: Copy, P>(links: &mut [Link<T>], pair: &Pair<P, T>) {
    let after = links[pair.right as usize].next;
    links[pair.right as usize].alive = false;
    links[pair.left as usize].value = pair.merged;
    links[pair.left as usize].next = after;
    if after != END {
        links[after as usize].previous = pair.left;
    }
}
