//! `--prompt-cache`: a conversation's cache in a file, from run to run.

use std::path::Path;

use edgeformer::{Config, Conversation};

use crate::failure::Outcome;

/// Restores what the file holds, if there is one. A file that does not belong here is an error.
pub fn restore(conversation: &Conversation<'_>, config: &Config) -> Outcome {
    let Some(path) = config.prompt_cache.as_deref().filter(|path| is_there(path)) else {
        return Ok(());
    };
    let tokens = conversation.load(path)?;
    if !config.quiet {
        eprintln!("restored {tokens} tokens from {}", path.display());
    }
    Ok(())
}

/// Saves what is cached.
pub fn keep(conversation: &Conversation<'_>, config: &Config) -> Outcome {
    let Some(path) = &config.prompt_cache else { return Ok(()) };
    let tokens = conversation.save(path)?;
    if !config.quiet {
        eprintln!("saved {tokens} tokens to {}", path.display());
    }
    Ok(())
}

/// What cannot be looked at is there: reading it says what is wrong.
fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}
