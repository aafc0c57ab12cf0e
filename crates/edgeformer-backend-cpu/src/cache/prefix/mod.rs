//! Which pages hold which beginnings.
//!
//! Sequences that begin with the same tokens (a system prompt, an earlier turn of the same talk)
//! have the same keys and values there. Whoever computes a full page tells this index; whoever
//! begins a sequence asks it, and shares the pages that are still there instead of computing them
//! again.
//!
//! The index is a tree. An edge is the tokens of one full page, a node is everything from the
//! start to there, and at a node stand the pages, one a group, that hold its last tokens:
//!
//! ```text
//!                                          group 0   group 1
//! start --[ You are a ]----> node 0        page 7    page 3
//!      +----[ helpful bot ]----> node 1    page 8    none: out of the window
//!      `----[ grumpy bot ]-----> node 2    page 2    page 5
//! ```
//!
//! - **There are several trees.** Under other scales of adapters the same tokens have other keys and
//!   values: sequences begin at a [`Start`] that says which.
//! - **A hash chain finds nodes.** The key of a node is a hash of its parent's key and its tokens,
//!   the first of a number for model, cache configuration and start, as in vLLM's automatic prefix
//!   caching. Keys only lead to candidates: place and tokens are compared, so that two beginnings
//!   are never taken for one another.
//! - **Nodes go with their pages.** When the last page of a node is cleared and no node hangs on
//!   it, it goes, and its parents with it as far as they have neither.
//! - **Ids do not lie.** A [`NodeId`] has the generation of its place. An id that a sequence kept
//!   while its node went names nothing, whatever moved into the place: looking behind it finds
//!   nothing, and adding behind it is refused. What is lost is sharing, not truth.
//! - **Nothing is allocated once warm.** Nodes, tokens and pages lie in pools whose places are used
//!   again. The hash table is a list of nodes a bucket, linked through the nodes themselves: it
//!   grows with the number of nodes and at no other time. (That of the standard library marks
//!   removed entries and may grow to get rid of the marks.)
//!
//! | module | |
//! |---|---|
//! | [`nodes`] | the nodes, and where to look for one |

mod nodes;
#[cfg(test)]
mod tests;

use nodes::Nodes;

pub(super) use nodes::NodeId;

/// Where sequences begin: those to which the same tokens mean the same keys and values. Numbers
/// tell choices among adapters apart; the first is for sequences that chose nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Start(pub u64);

/// Where tokens stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At the start of a sequence.
    Start(Start),
    /// Behind a node.
    Behind(NodeId),
}

/// The tree of known beginnings: see the [module](self).
pub(super) struct PrefixIndex {
    seed: u64,
    page_tokens: usize,
    nodes: Nodes,
    /// [`chain`]; tests take worse ones.
    hash: fn(u64, &[u32]) -> u64,
}

impl PrefixIndex {
    /// Knows no beginning. `seed` tells model and cache configuration from others; a cache has
    /// pages of `page_tokens` tokens in `groups` groups.
    pub fn new(seed: u64, page_tokens: usize, groups: usize) -> Self {
        Self { seed, page_tokens, nodes: Nodes::new(page_tokens, groups), hash: chain }
    }

    /// The node for `tokens` at a place, if it is known. `None` too if the place is gone or `tokens`
    /// are not exactly one page.
    pub fn find(&self, place: Place, tokens: &[u32]) -> Option<NodeId> {
        self.nodes.find(self.key(place, tokens)?, place, tokens)
    }

    /// The node for `tokens` at a place, added if it is new. `None` if the place is gone or
    /// `tokens` are not exactly one page. A node that is added has no pages; it stays until one is
    /// set and cleared again, or cleared without having been set.
    pub fn insert(&mut self, place: Place, tokens: &[u32]) -> Option<NodeId> {
        let key = self.key(place, tokens)?;
        let known = self.nodes.find(key, place, tokens);
        Some(known.unwrap_or_else(|| self.nodes.add(key, place, tokens)))
    }

    /// Where a node is, if it is not gone.
    #[cfg(test)]
    pub fn place(&self, node: NodeId) -> Option<Place> {
        Some(self.nodes.get(node)?.place)
    }

    /// Says which page of a group holds the last tokens of a node. Without effect if it is gone.
    pub fn set_page(&mut self, node: NodeId, group: usize, page: u32) {
        self.nodes.change_page(node, group, Some(page));
    }

    /// The page of a group at a node. `None` too if the node is gone.
    pub fn page(&self, node: NodeId, group: usize) -> Option<u32> {
        self.nodes.page(node, group)
    }

    /// Forgets the page of a group at a node, because it will hold something else. A node without
    /// pages that no other hangs on goes, and so may its parents.
    pub fn clear_page(&mut self, node: NodeId, group: usize) {
        self.nodes.change_page(node, group, None);
        let mut next = Some(node);
        while let Some(id) = next
            && self.nodes.get(id).is_some_and(|node| node.is_bare())
        {
            next = self.nodes.remove(id);
        }
    }

    /// Nodes that are known.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    fn key(&self, place: Place, tokens: &[u32]) -> Option<u64> {
        let before = match place {
            Place::Behind(node) => self.nodes.get(node)?.key,
            Place::Start(Start(number)) => self.seed.wrapping_add(number),
        };
        (tokens.len() == self.page_tokens).then(|| (self.hash)(before, tokens))
    }
}

/// The key of a page's node: of the key before it and its tokens. A multiplication a token, and
/// the finalizer of MurmurHash3 (fmix64) so that the low bits depend on all.
fn chain(before: u64, tokens: &[u32]) -> u64 {
    let mut hash = before;
    for &token in tokens {
        // One more, so that tokens 0 behind a seed of 0 are not all alike.
        hash = (hash.rotate_left(5) ^ (u64::from(token) + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}
