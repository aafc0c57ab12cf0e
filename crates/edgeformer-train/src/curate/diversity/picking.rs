//! Records that can be picked.

/// Records from which some are picked: the first is the best where nothing else decides.
#[derive(Debug, Clone, Default)]
pub struct Picking<'a> {
    /// A vector a record, of unit length or zero; none where nothing is compared.
    pub vectors: &'a [Vec<f32>],
    /// The group of each record.
    pub groups: &'a [usize],
    /// How many of each group may be picked.
    pub room: Vec<usize>,
    /// Records to pick in all.
    pub keep: usize,
    /// Cosine similarity above which a record is refused; `None` refuses none.
    pub max_similarity: Option<f32>,
}

/// Records that were picked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Picked {
    /// Their indices, in the order in which they were picked.
    pub picked: Vec<usize>,
    /// Why each of the others was not, by index; `None` for what was picked.
    pub refusals: Vec<Option<Refusal>>,
}

/// Why a record was not picked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Refusal {
    /// It is too similar to one that was picked.
    TooSimilar {
        /// That one.
        to: usize,
        /// Cosine similarity with it.
        cosine: f32,
    },
    /// Its group has no room left.
    Quota,
    /// Others were picked instead.
    NotChosen,
}

/// A selection under way.
pub(super) struct Selecting<'a> {
    asked: Picking<'a>,
    picked: Vec<usize>,
    is_picked: Vec<bool>,
    /// The picked record that is most similar, and how similar it is.
    nearest: Vec<(usize, f32)>,
}

impl<'a> Selecting<'a> {
    pub fn new(asked: Picking<'a>) -> Self {
        let count = asked.groups.len();
        let nearest = vec![(usize::MAX, f32::NEG_INFINITY); count];
        Self { asked, picked: Vec::new(), is_picked: vec![false; count], nearest }
    }

    pub fn count(&self) -> usize {
        self.is_picked.len()
    }

    pub fn keep(&self) -> usize {
        self.asked.keep.min(self.count())
    }

    pub fn picked(&self) -> usize {
        self.picked.len()
    }

    pub fn is_done(&self) -> bool {
        self.picked.len() >= self.asked.keep
    }

    /// Whether a record may be picked.
    pub fn is_open(&self, index: usize) -> bool {
        !self.is_picked[index]
            && self.asked.room[self.asked.groups[index]] > 0
            && self.asked.max_similarity.is_none_or(|most| self.nearest[index].1 <= most)
    }

    /// How similar the most similar picked record is.
    pub fn nearness(&self, index: usize) -> f32 {
        self.nearest[index].1
    }

    pub fn similarity(&self, one: usize, other: usize) -> f32 {
        dot(&self.asked.vectors[one], &self.asked.vectors[other])
    }

    pub fn pick(&mut self, index: usize) {
        self.picked.push(index);
        self.is_picked[index] = true;
        self.asked.room[self.asked.groups[index]] -= 1;
        if self.asked.vectors.is_empty() {
            return;
        }
        for other in 0..self.count() {
            let similarity = self.similarity(index, other);
            if similarity > self.nearest[other].1 {
                self.nearest[other] = (index, similarity);
            }
        }
    }

    pub fn finish(self) -> Picked {
        let refusals = (0..self.count()).map(|index| self.refusal(index)).collect();
        Picked { picked: self.picked, refusals }
    }

    fn refusal(&self, index: usize) -> Option<Refusal> {
        let (to, cosine) = self.nearest[index];
        if self.is_picked[index] {
            None
        } else if self.asked.max_similarity.is_some_and(|most| cosine > most) {
            Some(Refusal::TooSimilar { to, cosine })
        } else if self.asked.room[self.asked.groups[index]] == 0 {
            Some(Refusal::Quota)
        } else {
            Some(Refusal::NotChosen)
        }
    }
}

/// The product of two vectors, in eight sums so that it is computed in vectors, and the same
/// everywhere.
fn dot(one: &[f32], other: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (ones, others) = (one.chunks(8), other.chunks(8));
    for (one, other) in ones.zip(others) {
        sums.iter_mut().zip(one.iter().zip(other)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum()
}
