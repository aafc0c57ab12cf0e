use super::Tell;
use super::picking::{Picked, Picking, Selecting};
use crate::Result;

/// Picks records in their order, as far as quotas and similarity allow.
///
/// # Errors
/// If it was stopped.
pub fn best(asked: Picking<'_>, tell: Tell<'_>) -> Result<Picked> {
    let mut selecting = Selecting::new(asked);
    for index in 0..selecting.count() {
        if selecting.is_done() {
            break;
        }
        if selecting.is_open(index) {
            tell(selecting.picked(), selecting.keep())?;
            selecting.pick(index);
        }
    }
    Ok(selecting.finish())
}
