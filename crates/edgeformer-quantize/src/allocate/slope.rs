use super::Offer;

/// Takes the smallest offer of each tensor, then exchanges for larger ones, those first that save
/// most a byte, as long as they fit. Returns the choice, and what the relaxed problem (parts of
/// exchanges allowed) costs: no choice is cheaper (Sinha and Zoltners 1979).
pub(super) fn solve(tensors: &[Vec<Offer>], budget: u64) -> Option<(Vec<usize>, f64)> {
    let hulls: Vec<Vec<usize>> = tensors.iter().map(|offers| hull(offers)).collect();
    let mut picks: Vec<usize> =
        hulls.iter().map(|hull| hull.first().copied()).collect::<Option<_>>()?;
    let picked = |picks: &[usize]| {
        picks.iter().zip(tensors).map(|(&pick, offers)| offers[pick]).collect::<Vec<_>>()
    };
    let start = picked(&picks);
    let mut left = budget.checked_sub(start.iter().map(|offer| offer.bytes).sum())?;
    let mut bound: f64 = start.iter().map(|offer| offer.cost).sum();

    let mut exchanges: Vec<Exchange> = hulls
        .iter()
        .enumerate()
        .flat_map(|(tensor, hull)| {
            hull.windows(2).map(move |pair| {
                Exchange::new(tensor, pair[1], &tensors[tensor][pair[0]], &tensors[tensor][pair[1]])
            })
        })
        .collect();
    // Along a hull slopes fall, so a stable sort keeps each tensor's exchanges in order.
    exchanges.sort_by(|a, b| b.slope().total_cmp(&a.slope()));
    let mut relaxed = left;
    let mut stopped = vec![false; tensors.len()];
    for exchange in &exchanges {
        let share = (relaxed as f64 / exchange.bytes as f64).min(1.0);
        bound -= share * exchange.saves;
        relaxed = relaxed.saturating_sub(exchange.bytes);
        if stopped[exchange.tensor] || exchange.bytes > left {
            stopped[exchange.tensor] = true;
            continue;
        }
        left -= exchange.bytes;
        picks[exchange.tensor] = exchange.to;
    }
    Some((picks, bound))
}

/// One offer of a tensor for the next larger.
struct Exchange {
    tensor: usize,
    to: usize,
    bytes: u64,
    saves: f64,
}

impl Exchange {
    fn new(tensor: usize, to: usize, from: &Offer, offer: &Offer) -> Self {
        Self { tensor, to, bytes: offer.bytes - from.bytes, saves: from.cost - offer.cost }
    }

    fn slope(&self) -> f64 {
        self.saves / self.bytes as f64
    }
}

/// The offers on the lower convex hull of cost over bytes, from the smallest on.
fn hull(offers: &[Offer]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..offers.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&offers[a], &offers[b]);
        a.bytes.cmp(&b.bytes).then(a.cost.total_cmp(&b.cost))
    });
    let mut hull: Vec<usize> = Vec::new();
    for index in order {
        let offer = &offers[index];
        if hull.last().is_some_and(|&last| offer.cost >= offers[last].cost) {
            continue;
        }
        while let [.., before, last] = hull[..] {
            let slope = |a: usize, b: &Offer| {
                (offers[a].cost - b.cost) / (b.bytes - offers[a].bytes) as f64
            };
            if slope(before, &offers[last]) > slope(last, offer) {
                break;
            }
            hull.pop();
        }
        hull.push(index);
    }
    hull
}
