use std::fmt;

use serde::{Deserialize, Serialize};

use edgeformer_core::{SessionOptions, Visibility, Window};

/// What a session does when a text outgrows the trained context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The first tokens stay visible besides a window, with positions inside the cache (Xiao et
    /// al., arXiv 2309.17453, section 3.2).
    Sinks {
        /// First tokens that stay.
        sinks: usize,
        /// Newest tokens that are visible.
        window: usize,
    },
    /// A window alone, with the positions of the text.
    Window(usize),
    /// The text ends with the trained context.
    Refuse,
    /// Everything stays visible, at positions that the model has never seen.
    Everything,
}

impl Policy {
    /// All of them, so that a query sees as many tokens with sinks as without.
    pub fn all(window: usize, sinks: usize) -> [Self; 4] {
        let with_sinks = Self::Sinks { sinks, window };
        [with_sinks, Self::Window(window + sinks), Self::Refuse, Self::Everything]
    }

    /// The session of a model that was trained on `trained` tokens, for a text of `tokens`, fed
    /// in chunks of `chunk` tokens, every row wanted.
    pub(super) fn session(self, trained: usize, tokens: usize, chunk: usize) -> SessionOptions {
        let (context, window, sinks) = match self {
            // Endless: what the session may hold is not what the sequence may be long.
            Self::Sinks { sinks, window } => (trained, Window::Tokens(window), sinks),
            Self::Window(window) => (tokens, Window::Tokens(window), 0),
            Self::Refuse => (trained, Window::Model, 0),
            Self::Everything => (tokens, Window::Model, 0),
        };
        SessionOptions {
            context,
            chunk,
            output_rows: chunk,
            visibility: Visibility { window, sinks, ..Visibility::default() },
            ..SessionOptions::default()
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sinks { sinks, window } => write!(f, "{sinks} sinks + window {window}"),
            Self::Window(window) => write!(f, "window {window}"),
            Self::Refuse => f.write_str("refusing"),
            Self::Everything => f.write_str("no window"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_differ_in_what_is_visible() {
        let [sinks, window, refuse, everything] = Policy::all(252, 4);
        let options = sinks.session(512, 20_000, 64);
        assert!(options.visibility.is_endless() && options.context == 512);
        let options = window.session(512, 20_000, 64);
        assert!(!options.visibility.is_endless() && options.context == 20_000);
        assert_eq!(options.visibility.window, Window::Tokens(256));
        let options = refuse.session(512, 20_000, 64);
        assert_eq!((options.context, options.visibility), (512, Visibility::default()));
        let options = everything.session(512, 20_000, 64);
        assert_eq!((options.context, options.visibility), (20_000, Visibility::default()));
        assert_eq!(sinks.to_string(), "4 sinks + window 252");
    }
}
