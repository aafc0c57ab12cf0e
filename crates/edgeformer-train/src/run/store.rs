use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use super::average::Average;
use super::state::{self, Progress};
use crate::trainer::Trainer;
use crate::{Error, Result};

/// The folder of a run. It is this process's alone as long as this value lives.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    _lock: File,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Steps that were taken.
    pub step: u64,
    /// Where it is.
    pub folder: PathBuf,
}

/// Checkpoints that are kept, besides the best.
const KEPT: usize = 2;

impl Store {
    /// Takes a folder, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made, or another process has it.
    pub fn open(folder: &Path) -> Result<Self> {
        let checkpoints = folder.join(CHECKPOINTS);
        fs::create_dir_all(&checkpoints).map_err(|source| Error::io(&checkpoints, source))?;
        let path = folder.join(".lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|source| Error::io(&path, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.into(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => {
                let problem = "is locked: another process trains into this folder; name another, or wait for it";
                Err(Error::file(path, problem))
            }
            Err(fs::TryLockError::Error(source)) => Err(Error::io(path, source)),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All checkpoints, the latest last.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<Saved>> {
        let folder = self.folder.join(CHECKPOINTS);
        let entries = fs::read_dir(&folder).map_err(|source| Error::io(&folder, source))?;
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| Error::io(&folder, source))?;
            let name = entry.file_name();
            let step = name.to_str().and_then(|name| name.strip_prefix(STEP)?.parse().ok());
            found.extend(step.map(|step| Saved { step, folder: entry.path() }));
        }
        found.sort_by_key(|saved| saved.step);
        Ok(found)
    }

    /// Writes a checkpoint, which appears whole or not at all, and drops those that are not needed
    /// any more.
    pub(crate) fn save(
        &self,
        progress: &Progress,
        trainer: &Trainer,
        average: Option<&Average>,
    ) -> Result<()> {
        let place = self.place(progress.step);
        let temporary = place.with_extension("tmp");
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::io(path, source)
        };
        if temporary.exists() {
            fs::remove_dir_all(&temporary).map_err(io(&temporary))?;
        }
        fs::create_dir(&temporary).map_err(io(&temporary))?;
        let written = state::write(&temporary, progress, trainer, average)
            .and_then(|()| sync(&temporary).map_err(io(&temporary)));
        if let Err(error) = written {
            // What could not be written whole takes no room.
            let _ = fs::remove_dir_all(&temporary);
            return Err(error);
        }
        if place.exists() {
            fs::remove_dir_all(&place).map_err(io(&place))?;
        }
        fs::rename(&temporary, &place).map_err(io(&place))?;
        self.drop_old(progress)
    }

    fn place(&self, step: u64) -> PathBuf {
        self.folder.join(CHECKPOINTS).join(format!("{STEP}{step:08}"))
    }

    /// The checkpoint of a step.
    pub(crate) fn at(&self, step: u64) -> Option<PathBuf> {
        Some(self.place(step)).filter(|place| place.is_dir())
    }

    fn drop_old(&self, progress: &Progress) -> Result<()> {
        let all = self.checkpoints()?;
        let old = &all[..all.len().saturating_sub(KEPT)];
        let best = progress.best.map(|(step, _)| step);
        for saved in old.iter().filter(|saved| Some(saved.step) != best) {
            let removed = fs::remove_dir_all(&saved.folder);
            removed.map_err(|source| Error::io(&saved.folder, source))?;
        }
        Ok(())
    }
}

const CHECKPOINTS: &str = "checkpoints";
const STEP: &str = "step-";

/// Waits until the files of a folder have reached the disk.
fn sync(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        File::open(entry?.path())?.sync_all()?;
    }
    Ok(())
}
