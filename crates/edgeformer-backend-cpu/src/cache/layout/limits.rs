//! How many pages there may be, and what a budget leaves of them in memory.

use edgeformer_core::{Error, EvictionPolicy, Result, SessionOptions};

use super::{Form, Group, Layout};

/// What may be in memory when the rest goes to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cache) struct Budget {
    /// Bytes of pages.
    pub resident: u64,
    /// Bytes of each of the two buffers that parts of pages are read into.
    pub buffer: usize,
}

impl Layout {
    /// Gives every form of every group its limit and its pool, within the budget.
    pub(super) fn set_limits(&mut self, options: &SessionOptions) -> Result<()> {
        self.fit_cold(options)?;
        self.apply(options, self.hot);
        let mut pools = 0;
        for group in &mut self.groups {
            for form in group.forms.iter_mut().flatten() {
                form.pool = pools;
                pools += 1;
            }
        }
        self.pools = pools;
        self.check_countable()?;
        match options.tiers.budget {
            Some(budget) if options.tiers.spill.is_some() => self.fit_resident(budget, options),
            Some(budget) if self.bytes_limit() > budget => {
                Err(too_small(budget, self.bytes_limit(), "; or set tiers.cold or tiers.spill"))
            }
            _ => Ok(()),
        }
    }

    /// Finds how many tokens may be hot; all, and no cold form, where the budget allows it.
    fn fit_cold(&mut self, options: &SessionOptions) -> Result<()> {
        let (Some(budget), Some(_)) = (options.tiers.budget, options.tiers.cold) else {
            return Ok(());
        };
        for group in &self.groups {
            let (main, cold) = (group.of_form(Form::Main).bytes, group.of_form(Form::Cold).bytes);
            if cold >= main {
                return Err(Error::Config(
                    "tiers.cold takes no less than the cache types do: set a smaller format".into(),
                ));
            }
        }
        let page = self.page_tokens;
        self.apply(options, None);
        let everything = self.bytes_limit();
        if everything <= budget || self.groups.is_empty() {
            self.groups.iter_mut().for_each(|group| group.forms[Form::Cold as usize] = None);
            return Ok(());
        }
        let pages = self.groups.iter().map(|group| self.held_pages(group, options)).max();
        let mut fits = |pages: u64| {
            self.apply(options, Some(pages as usize * page));
            self.bytes_limit() <= budget
        };
        // A cold page is made of a closed one: some query must see it closed before it is cold.
        let least = if page == 1 { 2 } else { 1 };
        if !fits(least) {
            return Err(too_small(budget, self.bytes_limit().min(everything), ""));
        }
        // The most hot pages that fit, between one that do and one more than there are.
        let (mut most, mut too_many) = (least, pages.unwrap_or(least).max(least) + 1);
        while too_many - most > 1 {
            let middle = most + (too_many - most) / 2;
            if fits(middle) { most = middle } else { too_many = middle }
        }
        self.hot = Some(most as usize * page);
        Ok(())
    }

    /// Sets the limits for so many hot tokens.
    fn apply(&mut self, options: &SessionOptions, hot: Option<usize>) {
        let (page, sequences) = (self.page_tokens as u64, options.sequences as u64);
        let of_step = options.chunk as u64 / page;
        for index in 0..self.groups.len() {
            let held = self.held_pages(&self.groups[index], options);
            let all = held.saturating_mul(sequences);
            // Every sequence begins and ends a page somewhere.
            let begun =
                |pages: u64| pages.saturating_mul(sequences).saturating_add(of_step).min(all);
            let hot = hot.map(|hot| hot as u64 / page);
            let limits = [
                begun(2),
                hot.map_or(all, |hot| begun(hot.saturating_add(2))),
                hot.map_or(0, |hot| (held + 1).saturating_sub(hot).min(held) * sequences),
            ];
            for (form, limit) in self.groups[index].forms.iter_mut().zip(limits) {
                form.iter_mut().for_each(|form| form.limit = limit);
            }
        }
    }

    /// Pages that one sequence holds at the most, in the middle of a step. With a window, a
    /// sequence holds the `window - 1` positions that the oldest query of the step sees besides
    /// its own, and those of the step: at most `(n - 1) / page + 2` pages for `n` neighbouring
    /// positions, wherever they start; and its sinks.
    fn held_pages(&self, group: &Group, options: &SessionOptions) -> u64 {
        let page = self.page_tokens;
        let whole = self.context.map_or(usize::MAX, |context| context.div_ceil(page));
        let window = group.window.map(|window| {
            let positions = window.saturating_add(options.chunk).saturating_sub(1).max(1);
            ((positions - 1).div_ceil(page) + 1).saturating_add(group.sink_pages)
        });
        let evicted = options.visibility.eviction.and_then(|eviction| match eviction.policy {
            EvictionPolicy::H2o => {
                Some(eviction.keep.saturating_add(options.chunk).div_ceil(page).saturating_add(2))
            }
            // A prompt stays whole until it ends.
            EvictionPolicy::SnapKv => None,
        });
        let bounds = [window, evicted].into_iter().flatten();
        bounds.fold(whole, usize::min) as u64
    }

    /// Whether all pages can be numbered and any of them be allocated.
    fn check_countable(&self) -> Result<()> {
        let mut forms = self.forms();
        if forms.all(|form| form.limit < u64::from(u32::MAX) && form.bytes <= isize::MAX as usize) {
            return Ok(());
        }
        Err(Error::Config(
            "a cache of more than 4294967294 pages: lower context or sequences, or raise page_tokens"
                .into(),
        ))
    }

    /// Splits a budget between pages and the buffers that pages of the file are read into. The
    /// more pages stay in memory, the less has to be read: starting with the fewest pages that a
    /// step can work with, the rest of the budget goes to pages until nothing is left.
    fn fit_resident(&mut self, budget: u64, options: &SessionOptions) -> Result<()> {
        let everything = self.bytes_limit();
        if everything <= budget {
            return Ok(());
        }
        let least = self.least_resident(options);
        let buffers = |resident: u64| 2 * self.buffer_bytes(everything - resident.min(everything));
        let needed = least.saturating_add(buffers(least));
        if needed > budget {
            return Err(too_small(budget, needed.min(everything), ""));
        }
        let mut resident = least;
        for _ in 0..32 {
            resident = resident.max(budget.saturating_sub(buffers(resident)));
        }
        // Half of what the first buffers leave: two of them are within `budget - resident`.
        let buffer = buffers(resident) / 2;
        self.budget = Some(Budget { resident, buffer: buffer as usize });
        Ok(())
    }

    /// Bytes of the pages that must be in memory for any step: those it writes, the unfinished
    /// page of every sequence, and one to move.
    fn least_resident(&self, options: &SessionOptions) -> u64 {
        let written = options.chunk / self.page_tokens + 2 * options.sequences + 1;
        let bytes = self.groups.iter().flat_map(|group| {
            Form::ALL.into_iter().filter_map(move |form| {
                let layout = group.forms[form as usize].as_ref()?;
                // Open pages never leave memory.
                let pages = match form {
                    Form::Open => layout.limit,
                    _ => layout.limit.min(written as u64),
                };
                Some(pages.saturating_mul(layout.bytes as u64))
            })
        });
        bytes.fold(0, u64::saturating_add)
    }

    /// Bytes that the widest op reads when pages of so many bytes are in the file, and one page
    /// more.
    fn buffer_bytes(&self, spilled: u64) -> u64 {
        let of_slot = |slot: usize| {
            let parts = self.groups.iter().flat_map(|group| {
                let form = group.of_form(Form::Main);
                let pages = form.limit.min(spilled / form.bytes.max(1) as u64 + 1);
                let parts = group.parts.iter().zip(&form.sections);
                let own = parts.filter(move |(part, _)| part.slot.0 as usize == slot);
                own.map(move |(_, section)| pages.saturating_mul(section.bytes as u64))
            });
            parts.fold(0, u64::saturating_add)
        };
        (0..self.slots.len()).map(of_slot).max().unwrap_or(0)
    }
}

fn too_small(budget: u64, least: u64, or: &str) -> Error {
    Error::Config(format!(
        "a cache budget of {budget} bytes is too small, {least} is the least for this context, number of sequences and chunk: raise it, or lower those{or}"
    ))
}
