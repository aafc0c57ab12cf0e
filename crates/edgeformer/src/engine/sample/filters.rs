//! Filters keep the candidates that may be drawn. Each keeps at least one, and leaves them sorted
//! from likeliest to least likely.

use super::Candidate;

/// Probabilities of the candidates, in their order.
pub(super) fn softmax(candidates: &[Candidate]) -> Vec<f64> {
    let max = candidates.iter().map(|candidate| candidate.logit).fold(f32::NEG_INFINITY, f32::max);
    let weight = |candidate: &Candidate| match candidate.logit {
        // `inf - inf` is no number.
        logit if logit == max => 1.0,
        logit => f64::from(logit - max).exp(),
    };
    let mut shares: Vec<f64> = candidates.iter().map(weight).collect();
    let sum: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum);
    shares
}

/// Likeliest first; of equals the lower id first, so that the order is one.
fn by_logit(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token))
}

/// Keeps the `k` likeliest; 0 keeps all.
pub(super) fn top_k(candidates: &mut Vec<Candidate>, k: usize) {
    if k > 0 && k < candidates.len() {
        candidates.select_nth_unstable_by(k - 1, by_logit);
        candidates.truncate(k);
    }
    candidates.sort_unstable_by(by_logit);
}

/// Keeps the likeliest until their probability reaches `p`.
pub(super) fn top_p(candidates: &mut Vec<Candidate>, p: f32) {
    if p >= 1.0 {
        return;
    }
    let kept = count_to_reach(&softmax(candidates), p);
    candidates.truncate(kept);
}

/// Keeps those at least `p` times as likely as the likeliest.
pub(super) fn min_p(candidates: &mut Vec<Candidate>, p: f32) {
    let Some(best) = candidates.first().map(|best| best.logit) else { return };
    if p <= 0.0 {
        return;
    }
    let least = best + p.ln();
    let kept = candidates.iter().take_while(|candidate| candidate.logit >= least).count();
    candidates.truncate(kept.max(1));
}

/// Keeps those whose surprise is nearest to the expected one, until their probability reaches `p`.
pub(super) fn typical_p(candidates: &mut Vec<Candidate>, p: f32) {
    if p >= 1.0 {
        return;
    }
    let shares = softmax(candidates);
    let surprise = |share: f64| if share > 0.0 { -share.ln() } else { f64::INFINITY };
    let entropy: f64 =
        shares.iter().filter(|share| **share > 0.0).map(|&share| share * surprise(share)).sum();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    let distance = |index: usize| (surprise(shares[index]) - entropy).abs();
    order.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));

    let sorted: Vec<f64> = order.iter().map(|&index| shares[index]).collect();
    order.truncate(count_to_reach(&sorted, p));
    *candidates = order.into_iter().map(|index| candidates[index]).collect();
    candidates.sort_unstable_by(by_logit);
}

/// How many of `shares`, from the first on, add up to `p`; at least one.
fn count_to_reach(shares: &[f64], p: f32) -> usize {
    let mut sum = 0.0;
    let reached = shares.iter().position(|share| {
        sum += share;
        sum >= f64::from(p)
    });
    reached.map_or(shares.len(), |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Candidates with these probabilities, sorted.
    fn candidates(shares: &[f32]) -> Vec<Candidate> {
        let mut all: Vec<_> = shares
            .iter()
            .zip(0..)
            .map(|(share, token)| Candidate { token, logit: share.ln() })
            .collect();
        top_k(&mut all, 0);
        all
    }

    fn kept(shares: &[f32], filter: impl Fn(&mut Vec<Candidate>)) -> Vec<u32> {
        let mut all = candidates(shares);
        filter(&mut all);
        all.iter().map(|candidate| candidate.token).collect()
    }

    const SHARES: [f32; 4] = [0.1, 0.4, 0.3, 0.2];

    #[test]
    fn top_k_keeps_the_likeliest_in_order() {
        assert_eq!(kept(&SHARES, |all| top_k(all, 2)), [1, 2]);
        assert_eq!(kept(&SHARES, |all| top_k(all, 0)), [1, 2, 3, 0]);
        assert_eq!(kept(&SHARES, |all| top_k(all, 99)), [1, 2, 3, 0]);
        assert_eq!(kept(&[0.25; 4], |all| top_k(all, 2)), [0, 1]);
    }

    #[test]
    fn top_p_keeps_the_nucleus() {
        assert_eq!(kept(&SHARES, |all| top_p(all, 0.65)), [1, 2]);
        assert_eq!(kept(&SHARES, |all| top_p(all, 0.0)), [1]);
        assert_eq!(kept(&SHARES, |all| top_p(all, 1.0)).len(), 4);
    }

    #[test]
    fn min_p_is_relative_to_the_likeliest() {
        assert_eq!(kept(&SHARES, |all| min_p(all, 0.6)), [1, 2]);
        assert_eq!(kept(&SHARES, |all| min_p(all, 1.0)), [1]);
        assert_eq!(kept(&SHARES, |all| min_p(all, 0.0)).len(), 4);
    }

    #[test]
    fn typical_drops_what_is_too_predictable_as_well() {
        // Entropy is about 1.28 nats: 0.3 (1.20) is nearest, then 0.2 (1.61), then 0.4 (0.92).
        assert_eq!(kept(&SHARES, |all| typical_p(all, 0.29)), [2]);
        assert_eq!(kept(&SHARES, |all| typical_p(all, 0.45)), [2, 3]);
        assert_eq!(kept(&SHARES, |all| typical_p(all, 1.0)).len(), 4);
    }
}
