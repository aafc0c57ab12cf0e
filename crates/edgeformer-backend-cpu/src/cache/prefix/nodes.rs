//! The nodes: their memory, their ids, and the buckets they are looked for in.

use super::{Place, Start};

/// No node, in a bucket's list.
const END: u32 = u32::MAX;

/// Names a node of the tree of known beginnings, as long as there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cache) struct NodeId {
    index: u32,
    /// Nodes that have been in the place before. Wraps after 2^32 of them.
    generation: u32,
}

/// The nodes of a tree, with their tokens and pages.
pub(super) struct Nodes {
    page_tokens: usize,
    groups: usize,
    /// One a place.
    nodes: Vec<Node>,
    /// `[places, page_tokens]`.
    tokens: Vec<u32>,
    /// `[places, groups]`.
    pages: Vec<Option<u32>>,
    /// Places without a node.
    vacant: Vec<u32>,
    /// By the low bits of the key: the first node of a list. A power of two, at least as many as
    /// places.
    buckets: Vec<u32>,
}

/// A beginning of sequences.
pub(super) struct Node {
    generation: u32,
    alive: bool,
    /// Hash of all its tokens.
    pub key: u64,
    /// What it hangs on.
    pub place: Place,
    children: u32,
    /// Groups that have a page here.
    filled: u32,
    /// The next node of the bucket's list.
    next: u32,
}

impl Nodes {
    /// No nodes.
    pub fn new(page_tokens: usize, groups: usize) -> Self {
        let (nodes, tokens, pages, vacant) = Default::default();
        Self { page_tokens, groups, nodes, tokens, pages, vacant, buckets: vec![END] }
    }

    /// Nodes there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.nodes.len() - self.vacant.len()
    }

    /// The node of that name, if it has not gone.
    pub fn get(&self, id: NodeId) -> Option<&Node> {
        let node = self.nodes.get(id.place())?;
        (node.alive && node.generation == id.generation).then_some(node)
    }

    /// The node for `tokens` at a place, looked for by its key.
    pub fn find(&self, key: u64, place: Place, tokens: &[u32]) -> Option<NodeId> {
        let mut index = self.buckets[self.bucket(key)];
        while index != END {
            let node = &self.nodes[index as usize];
            if node.key == key && node.place == place && self.tokens(index) == tokens {
                return Some(NodeId { index, generation: node.generation });
            }
            index = node.next;
        }
        None
    }

    /// Adds a node without pages. What it hangs on is alive, and it is not there yet.
    pub fn add(&mut self, key: u64, place: Place, tokens: &[u32]) -> NodeId {
        let index = self.vacant.pop().unwrap_or_else(|| self.grow());
        let own = index as usize;
        self.tokens[own * self.page_tokens..][..self.page_tokens].copy_from_slice(tokens);
        let node = &mut self.nodes[own];
        *node = Node { alive: true, key, place, ..Node::vacant(node.generation) };
        let id = NodeId { index, generation: node.generation };
        self.link(index);
        if let Place::Behind(parent) = place {
            self.nodes[parent.place()].children += 1;
        }
        id
    }

    /// Takes a bare node out; returns the one that it hung on.
    pub fn remove(&mut self, id: NodeId) -> Option<NodeId> {
        self.unlink(id.index);
        let node = &mut self.nodes[id.place()];
        let place = node.place;
        *node = Node::vacant(node.generation.wrapping_add(1));
        self.vacant.push(id.index);
        let Place::Behind(parent) = place else { return None };
        self.nodes[parent.place()].children -= 1;
        Some(parent)
    }

    /// The page of a group at a node that has not gone.
    pub fn page(&self, id: NodeId, group: usize) -> Option<u32> {
        self.get(id)?;
        self.pages[self.page_index(id, group)]
    }

    /// Sets or clears the page of a group at a node that has not gone.
    pub fn change_page(&mut self, id: NodeId, group: usize, page: Option<u32>) {
        if self.get(id).is_none() {
            return;
        }
        let index = self.page_index(id, group);
        let filled = &mut self.nodes[id.place()].filled;
        *filled -= u32::from(self.pages[index].is_some());
        *filled += u32::from(page.is_some());
        self.pages[index] = page;
    }

    /// Of every list.
    #[cfg(test)]
    pub fn capacities(&self) -> [usize; 5] {
        let Self { nodes, tokens, pages, vacant, buckets, .. } = self;
        [
            nodes.capacity(),
            tokens.capacity(),
            pages.capacity(),
            vacant.capacity(),
            buckets.capacity(),
        ]
    }

    fn tokens(&self, index: u32) -> &[u32] {
        &self.tokens[index as usize * self.page_tokens..][..self.page_tokens]
    }

    fn page_index(&self, id: NodeId, group: usize) -> usize {
        assert!(group < self.groups, "group {group} of {}", self.groups);
        id.place() * self.groups + group
    }

    /// Makes one more place. There is no vacant one.
    fn grow(&mut self) -> u32 {
        let index = self.nodes.len() as u32;
        assert!(index < END, "2^32 nodes are more than fit into memory");
        self.nodes.push(Node::vacant(0));
        self.tokens.resize(self.nodes.len() * self.page_tokens, 0);
        self.pages.resize(self.nodes.len() * self.groups, None);
        // All nodes may go.
        self.vacant.reserve(self.nodes.len());
        if self.nodes.len() > self.buckets.len() {
            self.spread();
        }
        index
    }

    /// Doubles the buckets.
    fn spread(&mut self) {
        let count = 2 * self.buckets.len();
        self.buckets.clear();
        self.buckets.resize(count, END);
        for index in 0..self.nodes.len() as u32 {
            if self.nodes[index as usize].alive {
                self.link(index);
            }
        }
    }

    fn bucket(&self, key: u64) -> usize {
        key as usize & (self.buckets.len() - 1)
    }

    fn link(&mut self, index: u32) {
        let bucket = self.bucket(self.nodes[index as usize].key);
        self.nodes[index as usize].next = self.buckets[bucket];
        self.buckets[bucket] = index;
    }

    fn unlink(&mut self, index: u32) {
        let Node { key, next, .. } = self.nodes[index as usize];
        let bucket = self.bucket(key);
        if self.buckets[bucket] == index {
            self.buckets[bucket] = next;
            return;
        }
        let mut before = self.buckets[bucket];
        while self.nodes[before as usize].next != index {
            before = self.nodes[before as usize].next;
        }
        self.nodes[before as usize].next = next;
    }
}

impl NodeId {
    fn place(self) -> usize {
        self.index as usize
    }
}

impl Node {
    fn vacant(generation: u32) -> Self {
        let (key, place, children, filled, next) = (0, Place::Start(Start(0)), 0, 0, END);
        Self { generation, alive: false, key, place, children, filled, next }
    }

    /// Whether it has no page and nothing hangs on it.
    pub fn is_bare(&self) -> bool {
        self.filled == 0 && self.children == 0
    }
}
