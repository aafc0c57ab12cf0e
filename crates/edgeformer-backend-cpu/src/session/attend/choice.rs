//! The pages that a query attends, where they are limited: those whose keys could score highest
//! by the least and the largest of each of their elements (Quest, arXiv 2406.10774, section 3.3).

use std::ops::Range;

/// Room for the choices of a job's query rows.
pub(crate) struct PageChoice {
    /// By query row and page.
    pub chosen: Vec<bool>,
    /// Pages with their bounds, while a row chooses.
    pub ranked: Vec<(f32, u32)>,
    /// Pages that a sequence may have.
    pub pages: usize,
}

/// The choices of a job.
#[derive(Clone, Copy)]
pub(crate) struct Pages<'a> {
    chosen: &'a [bool],
    /// Pages that a sequence may have.
    pages: usize,
    page_tokens: usize,
    /// Queries of a row: they choose together.
    heads: usize,
}

impl PageChoice {
    /// Lets query row `row` choose `keep` of `pages`, those between the beginning of its window
    /// and its own page. All others are seen: what a window hides was not chosen from, whether the
    /// cache still holds it or not.
    ///
    /// `queries` are the row's queries, of `width` each; they choose together, for they share the
    /// keys. `bounds` gives the least and the largest keys of a page; a page without is seen.
    pub fn choose<'b>(
        &mut self,
        row: usize,
        pages: Range<usize>,
        keep: usize,
        queries: &[f32],
        width: usize,
        bounds: impl Fn(usize) -> Option<(&'b [f32], &'b [f32])>,
    ) {
        let chosen = &mut self.chosen[row * self.pages..][..self.pages];
        chosen.fill(true);
        if pages.len() <= keep {
            return;
        }
        self.ranked.clear();
        for page in pages {
            if let Some((least, largest)) = bounds(page) {
                let bound = queries
                    .chunks_exact(width)
                    .map(|query| bound(query, least, largest))
                    .fold(f32::NEG_INFINITY, f32::max);
                self.ranked.push((bound, page as u32));
            }
        }
        if self.ranked.len() > keep {
            // The best first; of equal ones the newest.
            let better = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1));
            self.ranked.select_nth_unstable_by(keep, better);
            self.ranked[keep..].iter().for_each(|&(_, page)| chosen[page as usize] = false);
        }
    }

    /// What was chosen by rows of `heads` queries.
    pub fn view(&self, page_tokens: usize, heads: usize) -> Pages<'_> {
        Pages { chosen: &self.chosen, pages: self.pages, page_tokens, heads }
    }
}

impl Pages<'_> {
    /// Whether a query sees the page that a position lies in.
    pub fn sees(&self, query: usize, position: usize) -> bool {
        self.chosen[query / self.heads * self.pages + position / self.page_tokens]
    }
}

/// The highest score that a key within the bounds could have.
fn bound(query: &[f32], least: &[f32], largest: &[f32]) -> f32 {
    let pairs = query.iter().zip(least.iter().zip(largest));
    pairs.map(|(q, (least, largest))| (q * least).max(q * largest)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_the_pages_that_could_score_highest() {
        let mut choice = PageChoice { chosen: vec![false; 10], ranked: Vec::new(), pages: 5 };
        let least = [[0.0, -1.0], [0.0, -9.0], [2.0, 0.0], [0.0, 0.0]];
        let largest = [[1.0, 0.0], [1.0, 0.0], [3.0, 0.0], [0.0, 0.0]];
        let bounds = |page: usize| Some((&least[page][..], &largest[page][..]));
        choice.choose(1, 0..4, 2, &[1.0, -1.0], 2, bounds);
        let pages = choice.view(8, 3);
        let seen: Vec<_> = (0..5).map(|page| pages.sees(3, page * 8 + 7)).collect();
        assert_eq!(seen, [false, true, true, false, true]);
        choice.choose(0, 0..4, 4, &[1.0, -1.0], 2, bounds);
        assert!((0..5).all(|page| choice.view(8, 3).sees(2, page * 8)), "as many as there are");
    }

    #[test]
    fn what_a_window_hides_takes_no_place() {
        let mut choice = PageChoice { chosen: vec![false; 4], ranked: Vec::new(), pages: 4 };
        let largest = [[9.0], [1.0], [2.0]];
        let bounds = |page: usize| Some((&[0.0][..], &largest[page][..]));
        choice.choose(0, 1..3, 1, &[1.0], 1, bounds);
        let pages = choice.view(8, 1);
        let seen: Vec<_> = (0..4).map(|page| pages.sees(0, page * 8)).collect();
        assert_eq!(seen, [true, false, true, true]);
    }
}
