//! What backends do not support, and why: their tests run the suite with these lists, and the
//! documentation prints them.

use crate::Known;

/// Of `edgeformer-backend-candle`, on any of its devices.
pub const CANDLE: &[Known] = &[
    Known { cases: "visibility/sinks-*", why: SINKS },
    Known { cases: "visibility/heads-*", why: "the case has sinks besides windows by head" },
    Known { cases: "visibility/endless-*", why: SINKS },
    Known { cases: "visibility/adaptive-*", why: ADAPTIVE },
    Known { cases: "visibility/all-pages-*", why: PAGES },
    Known { cases: "visibility/few-pages", why: PAGES },
    Known { cases: "visibility/keep-all-*", why: EVICTION },
    Known { cases: "visibility/evicted", why: EVICTION },
    Known { cases: "visibility/saved-adaptive", why: ADAPTIVE },
    Known { cases: "visibility/saved-h2o", why: EVICTION },
    Known { cases: "visibility/saved-snapkv", why: EVICTION },
    Known { cases: SAME_BITS, why: "candle's products round otherwise for other numbers of rows" },
];

/// Cases of a promise that a backend may keep here and break on another machine: whoever makes no
/// such promise lists them, and does not run them.
pub const SAME_BITS: &str = "same-bits/*";

const SINKS: &str = "no attention sinks: their queries are turned back, which no mask does";
const ADAPTIVE: &str = "no adaptive windows: the mass of attention is not recorded";
const PAGES: &str = "no choice of attended pages: the cache has none";
const EVICTION: &str = "no eviction: the mass of attention is not recorded";
