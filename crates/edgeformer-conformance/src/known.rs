//! What backends do not support, and why: their tests run the suite with these lists, and
//! docs/backends.md prints them.

use crate::Known;

/// Of `edgeformer-backend-candle`, on any of its devices.
pub const CANDLE: &[Known] = &[
    Known { cases: "visibility/sinks-*", why: "no attention sinks: queries that are turned back" },
    Known { cases: "visibility/heads-*", why: "windows by head, but none with attention sinks" },
    Known {
        cases: "visibility/endless-*",
        why: "no attention sinks: queries that are turned back",
    },
    Known { cases: "visibility/adaptive-*", why: NOT_WATCHED },
    Known { cases: "visibility/all-pages-*", why: NO_PAGES },
    Known { cases: "visibility/few-pages", why: NO_PAGES },
    Known { cases: "visibility/keep-all-*", why: NOT_WATCHED },
    Known { cases: "visibility/evicted", why: NOT_WATCHED },
    Known { cases: "visibility/saved-*", why: NOT_WATCHED },
    Known {
        cases: "same-bits/*",
        why: "no such promise: products round otherwise for other numbers of rows",
    },
];

/// Of `edgeformer-backend-onnx`, on the execution provider `cpu`.
pub const ONNX: &[Known] = &[
    Known { cases: "visibility/sinks*", why: NO_SINKS },
    Known { cases: "visibility/heads*", why: "the operators have one window for all heads" },
    Known { cases: "visibility/endless*", why: NO_SINKS },
    Known { cases: "visibility/adaptive*", why: NOT_WATCHED },
    Known { cases: "visibility/all-pages*", why: NO_PAGES },
    Known { cases: "visibility/few-pages", why: NO_PAGES },
    Known { cases: "visibility/keep-all*", why: NOT_WATCHED },
    Known { cases: "visibility/evicted", why: NOT_WATCHED },
    Known { cases: "visibility/saved*", why: NOT_WATCHED },
    Known {
        cases: "same-bits/*",
        why: "no such promise: kernels add in another order for one row than for many",
    },
];

const NO_SINKS: &str = "the operators have no sinks behind a gap";
const NO_PAGES: &str = "the cache of a sequence has no pages to choose from";
const NOT_WATCHED: &str = "nothing records where attention goes";

/// The list of the backend of that name; empty where it has none.
pub fn of(backend: &str) -> &'static [Known] {
    match backend {
        "candle" => CANDLE,
        "onnx" => ONNX,
        _ => &[],
    }
}
