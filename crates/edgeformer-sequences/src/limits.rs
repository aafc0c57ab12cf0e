use edgeformer_core::{CacheFormat, Error, Graph, Result, SessionOptions, Visibility, Window};

/// Which options of a session a backend has, where that is not all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The backend's name.
    pub backend: &'static str,
    /// Formats that the cache can have.
    pub cache_types: &'static [CacheFormat],
    /// Windows that may be narrower than the model's.
    pub windows: OwnWindows,
    /// Whether pages may be moved out of the device's memory.
    pub budget: bool,
}

/// Which windows a backend has besides the model's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnWindows {
    /// None.
    OfModel,
    /// One for all heads.
    Same,
    /// Others by layer and head.
    ByHead,
}

impl Limits {
    /// Refuses what the backend does not have.
    ///
    /// # Errors
    /// With everything that is not there, and what is.
    pub fn check(&self, graph: &Graph, options: &SessionOptions) -> Result<()> {
        let mut missing = Vec::new();
        if graph.is_causal() {
            self.check_formats(options, &mut missing);
        }
        self.check_visibility(&options.visibility, &mut missing);
        let tiers = &options.tiers;
        if tiers.budget.is_some() && !self.budget {
            missing.push("no cache budget".to_string());
        }
        if tiers.cold.is_some() {
            missing.push("no cold pages in another format".into());
        }
        if tiers.spill.is_some() {
            missing.push("no spilling to a file".into());
        }
        if options.observe_attention {
            missing.push("no record of where attention goes".into());
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::Config(format!(
            "backend {:?} has {}; leave that out, or use the backend \"cpu\"",
            self.backend,
            missing.join(", ")
        )))
    }

    fn check_formats(&self, options: &SessionOptions, missing: &mut Vec<String>) {
        let known = self.cache_types.iter().map(|format| format.name()).collect::<Vec<_>>();
        for (format, side) in [(options.cache_type_k, "keys"), (options.cache_type_v, "values")] {
            if !self.cache_types.contains(&format) {
                let known = known.join(" or ");
                missing.push(format!("no cached {side} in {} (but in {known})", format.name()));
            }
        }
    }

    fn check_visibility(&self, visibility: &Visibility, missing: &mut Vec<String>) {
        let Visibility { window, sinks, attend_pages, eviction } = visibility;
        match (window, self.windows) {
            (Window::Model, _)
            | (Window::Tokens(_), OwnWindows::Same)
            | (Window::Tokens(_) | Window::Heads(_), OwnWindows::ByHead) => {}
            (Window::Adaptive { .. }, _) => missing.push("no adaptive windows".to_string()),
            (Window::Heads(_), OwnWindows::Same) => missing.push("no windows by head".into()),
            (_, OwnWindows::OfModel) => missing.push("no windows but the model's".into()),
        }
        if *sinks > 0 {
            missing.push("no attention sinks".into());
        }
        if attend_pages.is_some() {
            missing.push("no choice of attended pages".into());
        }
        if eviction.is_some() {
            missing.push("no eviction".into());
        }
    }
}
