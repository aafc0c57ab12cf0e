//! What backends do not support, and why: their tests run the suite with these lists, and the
//! documentation prints them.

use crate::Known;

/// Of `edgeformer-backend-candle`, on any of its devices.
pub const CANDLE: &[Known] = &[];
