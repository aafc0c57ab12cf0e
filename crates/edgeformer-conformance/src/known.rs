//! What backends do not support, and why: their tests run the suite with these lists, and the
//! documentation prints them.

use crate::Known;

/// Of `edgeformer-backend-onnx`, on the execution provider `cpu`.
pub const ONNX: &[Known] = &[
    Known { cases: "visibility/sinks*", why: "the operators have no sinks behind a gap" },
    Known { cases: "visibility/heads*", why: "the operators have one window for all heads" },
    Known { cases: "visibility/all-pages*", why: "the cache has no pages to choose from" },
    Known { cases: "visibility/few-pages", why: "the cache has no pages to choose from" },
    Known { cases: "visibility/keep-all*", why: "the operators do not tell where attention goes" },
    Known { cases: "visibility/evicted", why: "the operators do not tell where attention goes" },
    Known { cases: "visibility/endless*", why: "the operators have no sinks behind a gap" },
    Known { cases: "visibility/adaptive*", why: "the operators do not tell where attention goes" },
    Known { cases: "visibility/saved*", why: "the operators do not tell where attention goes" },
    Known {
        cases: "same-bits/*",
        why: "the runtime's kernels add in another order for one row than for many",
    },
];
