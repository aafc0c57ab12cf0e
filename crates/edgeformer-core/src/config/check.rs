use super::Config;
use crate::{Error, Result};

impl Config {
    /// Whether every value is one it can have.
    pub(super) fn check(&self) -> Result<()> {
        self.check_counts()?;
        self.check_ranges()?;
        self.check_conflicts()
    }

    fn check_counts(&self) -> Result<()> {
        let counts = [
            ("ctx_size", self.ctx_size.unwrap_or(1)),
            ("ubatch_size", self.ubatch_size.unwrap_or(1)),
            ("parallel", self.parallel),
            ("page_size", self.page_size),
            ("threads", self.threads.unwrap_or(1)),
            ("threads_batch", self.threads_batch.unwrap_or(1)),
            ("attend_pages", self.attend_pages.unwrap_or(1)),
            ("keep", self.keep.unwrap_or(1)),
        ];
        for (name, count) in counts {
            if count == 0 || count > 1 << 24 {
                return Err(Error::Config(format!(
                    "{name} is {count}, it must be 1 to {}",
                    1 << 24
                )));
            }
        }
        Ok(())
    }

    fn check_ranges(&self) -> Result<()> {
        let unlimited = f32::MAX;
        let ranges = [
            ("temperature", self.temperature, 0.0, unlimited),
            ("top_p", self.top_p, 0.0, 1.0),
            ("min_p", self.min_p, 0.0, 1.0),
            ("typical_p", self.typical_p, 0.0, 1.0),
            ("repeat_penalty", self.repeat_penalty, f32::MIN_POSITIVE, unlimited),
            ("presence_penalty", self.presence_penalty, -unlimited, unlimited),
            ("frequency_penalty", self.frequency_penalty, -unlimited, unlimited),
            ("dry_multiplier", self.dry_multiplier, 0.0, unlimited),
            ("dry_base", self.dry_base, 1.0, unlimited),
        ];
        for (name, value, low, high) in ranges {
            // Also refuses NaN.
            if !(low..=high).contains(&value) {
                return Err(Error::Config(format!(
                    "{name} is {value}, it must be from {low} to {high}"
                )));
            }
        }
        Ok(())
    }
}
