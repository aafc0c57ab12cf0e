use std::collections::HashMap;

use super::Candidate;
use super::options::{Penalties, recent};

/// Lowers the logits of tokens that occurred recently. `candidates` are in token order.
pub(super) fn apply(penalties: &Penalties, history: &[u32], candidates: &mut [Candidate]) {
    let &Penalties { last_n, repeat, frequency, presence } = penalties;
    if repeat == 1.0 && frequency == 0.0 && presence == 0.0 {
        return;
    }
    let mut counts: HashMap<u32, u32> = HashMap::new();
    recent(history, last_n).iter().for_each(|&token| *counts.entry(token).or_default() += 1);
    for (token, count) in counts {
        let Some(candidate) = candidates.get_mut(token as usize) else { continue };
        // Dividing a negative logit would raise it.
        let repeated = if candidate.logit <= 0.0 {
            candidate.logit * repeat
        } else {
            candidate.logit / repeat
        };
        candidate.logit = repeated - count as f32 * frequency - presence;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(penalties: Penalties, history: &[u32]) -> Vec<f32> {
        let mut candidates: Vec<_> = [2.0, -2.0, 1.0]
            .into_iter()
            .zip(0..)
            .map(|(logit, token)| Candidate { token, logit })
            .collect();
        apply(&penalties, history, &mut candidates);
        candidates.iter().map(|candidate| candidate.logit).collect()
    }

    #[test]
    fn each_penalty_does_its_part() {
        let off = Penalties { last_n: 64, repeat: 1.0, frequency: 0.0, presence: 0.0 };
        let history = [0, 1, 0];
        assert_eq!(logits(off, &history), [2.0, -2.0, 1.0]);
        assert_eq!(logits(Penalties { repeat: 2.0, ..off }, &history), [1.0, -4.0, 1.0]);
        assert_eq!(logits(Penalties { frequency: 0.5, ..off }, &history), [1.0, -2.5, 1.0]);
        assert_eq!(logits(Penalties { presence: 0.5, ..off }, &history), [1.5, -2.5, 1.0]);
    }

    #[test]
    fn only_recent_tokens_count() {
        let one = Penalties { last_n: 1, repeat: 1.0, frequency: 1.0, presence: 0.0 };
        assert_eq!(logits(one, &[1, 0]), [1.0, -2.0, 1.0]);
        assert_eq!(logits(Penalties { last_n: 0, ..one }, &[1, 0]), [2.0, -2.0, 1.0]);
        assert_eq!(logits(Penalties { last_n: -1, ..one }, &[1, 0, 999]), [1.0, -3.0, 1.0]);
    }
}
