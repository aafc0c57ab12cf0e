//! Progress on stderr: quiet when that is no terminal, or with `--quiet`.

use std::time::Duration;

use edgeformer::quantize::Told;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::Failure;
use crate::interrupt::{self, Answering};

/// Runs something of several stages, shows how far each is, and lets Ctrl-C end it.
pub fn watched<T>(
    quiet: bool,
    work: impl FnOnce(Told<'_>) -> edgeformer::Result<T>,
) -> Result<T, Failure> {
    interrupt::install()
        .map_err(|error| Failure::Failed(format!("Ctrl-C cannot be taken over: {error}")))?;
    let answering = Answering::start();
    let working = Working::steps("", 0, quiet);
    let progress = |what: &str, done: u64, all: u64| {
        working.tell(what.to_owned());
        working.reach(done, all);
    };
    Ok(work(Told { progress: &progress, stopped: &|| answering.stopped() })?)
}

/// A line that says what is going on until it is dropped or finished.
pub struct Working(ProgressBar);

impl Working {
    /// Something of unknown length.
    pub fn on(what: impl Into<String>, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, target(quiet));
        bar.set_style(
            ProgressStyle::with_template("{spinner} {msg} {elapsed}")
                .expect("the template is valid"),
        );
        bar.set_message(what.into());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// So many steps.
    pub fn steps(what: impl Into<String>, steps: usize, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps as u64), target(quiet));
        let style = ProgressStyle::with_template("{msg} [{wide_bar}] {pos}/{len} {eta}")
            .expect("the template is valid");
        bar.set_style(style);
        bar.set_message(what.into());
        Self(bar)
    }

    /// So many bytes, of a number that comes with them.
    pub fn bytes(what: impl Into<String>, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), target(quiet));
        let style = ProgressStyle::with_template("{msg} [{wide_bar}] {bytes}/{total_bytes} {eta}")
            .expect("the template is valid");
        bar.set_style(style);
        bar.set_message(what.into());
        Self(bar)
    }

    /// So many of all are done.
    pub fn reach(&self, done: u64, all: u64) {
        self.0.set_length(all);
        self.0.set_position(done);
    }

    /// Says what is going on now.
    pub fn tell(&self, what: String) {
        self.0.set_message(what);
    }

    /// One step is done.
    pub fn step(&self) {
        self.0.inc(1);
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// indicatif hides what would go to something else than a terminal.
fn target(quiet: bool) -> ProgressDrawTarget {
    if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() }
}
