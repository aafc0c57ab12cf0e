//! Who won: said of every size, so that a table need not be searched for the ones that lost.

use super::report::{LatentPoint, ModelCurve};

/// Whether calibrated latents are better than the plain decomposition below the full rank.
pub(super) fn latents(curve: &ModelCurve) -> String {
    let below = curve.latents.iter().filter(|point| point.rank < point.full_rank);
    let below: Vec<&LatentPoint> = below.collect();
    let lost = below.iter().filter(|point| point.calibrated >= point.plain);
    let lost: Vec<String> =
        lost.map(|point| format!("{} + {}", point.rank, point.rope_dims)).collect();
    let who = "Calibrated latents are better than the plain SVD";
    told(who, "ranks below full", below.len(), &lost)
}

/// Whether heads that were made alike are better than averaged ones.
pub(super) fn groups(curve: &ModelCurve) -> String {
    let all = curve.groups.len();
    let lost = |of: fn(&super::GroupPoint) -> f64| -> Vec<String> {
        let lost = curve.groups.iter().filter(|point| of(point) >= point.plain);
        lost.map(|point| point.groups.to_string()).collect()
    };
    let procrustes = lost(|point| point.procrustes);
    let principal = lost(|point| point.principal);
    told("Procrustes is better than averaging", "numbers of heads", all, &procrustes)
        + &told("Principal is better than averaging", "numbers of heads", all, &principal)
}

fn told(who: &str, of_what: &str, all: usize, lost: &[String]) -> String {
    match lost {
        _ if all == 0 => String::new(),
        [] => format!("{who} at all {all} {of_what}.\n"),
        lost => format!(
            "{who} at {} of {all} {of_what}, not at {}.\n",
            all - lost.len(),
            lost.join(", ")
        ),
    }
}
