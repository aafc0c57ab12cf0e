use std::ffi::OsString;
use std::path::PathBuf;

use super::Config;

/// What the folder is called inside the user's cache folder.
const NAME: &str = "edgeformer";

impl Config {
    /// The folder of what is measured once: the one that is set, else `edgeformer` in the user's
    /// cache folder (XDG Base Directory Specification; `%LOCALAPPDATA%` on Windows). `None` where
    /// there is none.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        self.cache.clone().or_else(|| user_folder(&|name| std::env::var_os(name)))
    }
}

fn user_folder(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .or_else(|| absolute("LOCALAPPDATA"))?;
    Some(folder.join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_that_is_set_comes_first_then_the_users() {
        let config = Config { cache: Some("here".into()), ..Config::default() };
        assert_eq!(config.cache_folder(), Some("here".into()));
        let with = |set: &'static [(&str, &str)]| {
            user_folder(&|name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            })
        };
        let both = with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/home/me")]);
        assert_eq!(both, Some("/x/edgeformer".into()));
        assert_eq!(with(&[("HOME", "/home/me")]), Some("/home/me/.cache/edgeformer".into()));
        // The specification has relative ones ignored.
        assert_eq!(with(&[("XDG_CACHE_HOME", "x")]), None);
        assert_eq!(with(&[]), None);
    }
}
