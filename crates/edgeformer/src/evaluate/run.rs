//! One record after the other: told, kept, stopped, gone on with.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::state::{self, Bound};
use super::{Cut, Windows};
use crate::hash::Fnv;
use crate::{Error, Result};

/// Time between two writes of the state: little enough to lose, seldom enough to cost nothing.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// How an evaluation is watched, stopped and continued.
pub struct Control<'a> {
    /// The file that keeps what was measured, and from which a run goes on if it is there.
    pub resume: Option<&'a Path>,
    /// What else a state is bound to: settings that change results and are not the session's, such
    /// as an instruction set.
    pub settings: &'a str,
    /// Told how many of how many records are there.
    pub progress: &'a dyn Fn(usize, usize),
    /// Asked before each record whether to stop.
    pub stopped: &'a dyn Fn() -> bool,
}

impl Default for Control<'_> {
    fn default() -> Self {
        Self { resume: None, settings: "", progress: &|_, _| (), stopped: &|| false }
    }
}

/// Something that a run is bound to.
pub fn bound(name: &str, value: &str) -> Bound {
    (name.to_owned(), value.to_owned())
}

/// What tells a cut text from others.
pub fn identity_of(windows: &Windows) -> String {
    let stride = match windows.cut() {
        Cut::Halves => 0,
        Cut::Sliding { stride } => stride,
    };
    let mut hash = Fnv::default();
    windows.tokens().iter().for_each(|token| hash.add(&token.to_le_bytes()));
    format!("{} {stride} {} {:016x}", windows.context(), windows.tokens().len(), hash.value())
}

/// What tells texts from others.
pub fn identity_of_texts<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Fnv::default();
    texts.for_each(|text| {
        hash.add(&(text.len() as u64).to_le_bytes());
        hash.add(text.as_bytes());
    });
    format!("{:016x}", hash.value())
}

/// Makes `count` records, those that a file of an earlier run holds left out.
///
/// # Errors
/// What `make` says; if the file cannot be read or written, or is of another run; if the run was
/// stopped.
pub fn each<T: Serialize + DeserializeOwned>(
    control: &Control<'_>,
    bound: &[Bound],
    count: usize,
    mut make: impl FnMut(usize) -> Result<T>,
) -> Result<Vec<T>> {
    let settings =
        ("setting or release".to_owned(), format!("{} {}", crate_version(), control.settings));
    let bound = &[bound, &[settings]].concat();
    let restored = control.resume.map(|path| state::restore(path, bound, count)).transpose()?;
    let mut records = restored.unwrap_or_default();
    let save =
        |records: &[T]| control.resume.map_or(Ok(()), |path| state::save(path, bound, records));
    // A file that cannot be written is told before the work rather than behind it.
    save(&records)?;
    let mut saved = Instant::now();
    (control.progress)(records.len(), count);
    for index in records.len()..count {
        if (control.stopped)() {
            save(&records)?;
            let state = control.resume.map(Path::to_owned);
            return Err(Error::Interrupted { done: records.len(), all: count, state });
        }
        records.push(make(index)?);
        (control.progress)(records.len(), count);
        if saved.elapsed() >= SAVE_EVERY {
            save(&records)?;
            saved = Instant::now();
        }
    }
    save(&records)?;
    Ok(records)
}

/// Another release may compute other bits.
fn crate_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Runs until `stop` records were made here; what was made, and how it ended.
    fn go(path: &Path, text: &str, stop: usize) -> (usize, Result<Vec<u64>>) {
        let made = Cell::new(0);
        let stopped = || made.get() >= stop;
        let control = Control { resume: Some(path), stopped: &stopped, ..Control::default() };
        let bound = [bound("command", "test"), bound("--text", text)];
        let result = each(&control, &bound, 10, |index| {
            made.set(made.get() + 1);
            Ok(index as u64 * 3)
        });
        (made.get(), result)
    }

    #[test]
    fn a_run_goes_on_where_it_was_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let (_, stopped) = go(&path, "a", 4);
        let told = stopped.unwrap_err().to_string();
        assert!(told.contains("4 of 10") && told.contains("state.json"), "{told}");
        let (made, done) = go(&path, "a", 99);
        assert_eq!((made, done.unwrap()), (6, (0..10).map(|index| index * 3).collect()));
        let (made, again) = go(&path, "a", 0);
        assert_eq!((made, again.unwrap().len()), (0, 10));
    }

    #[test]
    fn states_of_other_runs_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        go(&path, "a", 4).1.unwrap_err();
        let refused = |path, text| go(path, text, 99).1.unwrap_err().to_string();
        assert!(refused(&path, "b").contains("another --text"));
        std::fs::write(&path, "[]").unwrap();
        assert!(refused(&path, "a").contains("no state of edgeformer eval"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[]", "what is foreign stays");
    }

    #[test]
    fn an_error_is_told_at_once() {
        let result = each(&Control::default(), &[], 3, |index| match index {
            1 => Err(Error::Request("no".into())),
            index => Ok(index as u64),
        });
        assert_eq!(result.unwrap_err().to_string(), "no");
    }
}
