use edgeformer_bench::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// A line on stderr, only if that is a terminal.
pub struct Line(ProgressBar);

impl Line {
    pub fn new() -> Self {
        let style = ProgressStyle::with_template("{msg} [{wide_bar}] {percent} % {eta}")
            .expect("the template is valid");
        Self(ProgressBar::new(0).with_style(style))
    }

    pub fn show(&self, progress: Progress<'_>) {
        self.0.set_length(progress.total as u64);
        self.0.set_position(progress.done as u64);
        self.0.set_message(progress.what.to_owned());
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
