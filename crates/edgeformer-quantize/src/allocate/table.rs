use super::Offer;

/// Steps of the budget.
const STEPS: u64 = 1 << 14;

/// The cheapest choice where every offer takes whole steps of the budget, rounded up.
pub(super) fn solve(tensors: &[Vec<Offer>], budget: u64) -> Option<Vec<usize>> {
    let step = budget.div_ceil(STEPS).max(1);
    let room = usize::try_from(budget / step).ok()?;
    let steps = |offer: &Offer| usize::try_from(offer.bytes.div_ceil(step)).unwrap_or(usize::MAX);

    // By steps that may be taken, what the tensors up to here cost at least.
    let mut costs = vec![0.0; room + 1];
    let mut picks = Vec::with_capacity(tensors.len());
    for offers in tensors {
        let mut next = vec![f64::INFINITY; room + 1];
        let mut picked = vec![0u8; room + 1];
        for (index, offer) in offers.iter().enumerate().take(usize::from(u8::MAX)) {
            let taken = steps(offer);
            for at in taken..=room {
                let cost = costs[at - taken] + offer.cost;
                if cost < next[at] {
                    next[at] = cost;
                    picked[at] = index as u8;
                }
            }
        }
        costs = next;
        picks.push(picked);
    }
    if costs[room].is_infinite() {
        return None;
    }
    // Back from the whole budget: what each tensor took of what was left.
    let mut left = room;
    let mut chosen = vec![0; tensors.len()];
    for (tensor, picked) in picks.iter().enumerate().rev() {
        chosen[tensor] = usize::from(picked[left]);
        left -= steps(&tensors[tensor][chosen[tensor]]);
    }
    Some(chosen)
}
