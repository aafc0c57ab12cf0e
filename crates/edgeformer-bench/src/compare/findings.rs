//! What curves say beside each other, in sentences.

use super::{Comparison, Curve, Quantity};
use crate::output::{bytes, ratio, short};

/// A speed below this share of the best at a shorter length has fallen off.
const FALLEN: f64 = 0.8;

/// What a comparison reveals, a line each.
pub fn findings(comparison: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    if let [first, others @ ..] = comparison.curves.as_slice() {
        for quantity in Quantity::ALL {
            lines.extend(others.iter().filter_map(|other| beside(quantity, first, other)));
        }
    }
    for curve in &comparison.curves {
        lines.extend(
            [Quantity::Prefill, Quantity::Decode]
                .map(|kind| fall(kind, curve))
                .into_iter()
                .flatten(),
        );
        lines.extend(growth(curve));
    }
    lines
}

/// How a device stands to the first, over the lengths that both have.
fn beside(quantity: Quantity, first: &Curve, other: &Curve) -> Option<String> {
    let both = other.points(quantity).into_iter();
    let ratios: Vec<(usize, f64)> = both
        .filter_map(|(at, value)| Some((at, value / first.at(quantity, at)?)))
        .filter(|(_, ratio)| ratio.is_finite())
        .collect();
    let (&(shortest, begin), &(longest, end)) = (ratios.first()?, ratios.last()?);
    let what = match quantity {
        Quantity::Prefill => "prefill is",
        Quantity::Decode => "decode is",
        Quantity::Memory => "memory is",
    };
    let change = match ratios.len() {
        1 => format!("{} at {shortest} tokens", ratio(begin)),
        _ => format!("{} at {shortest} tokens, {} at {longest}", ratio(begin), ratio(end)),
    };
    let trend = match (quantity, end / begin) {
        _ if ratios.len() == 1 => "",
        (Quantity::Memory, _) => "",
        (_, trend) if trend > 1.1 => ": it gains with length",
        (_, trend) if trend < 0.9 => ": it loses with length",
        _ => "",
    };
    Some(format!("{}: {what} {change} of {}'s{trend}", other.device, first.device))
}

/// Where a speed has fallen below [`FALLEN`] of the best before.
fn fall(quantity: Quantity, curve: &Curve) -> Option<String> {
    let points = curve.points(quantity);
    let (last, end) = *points.last()?;
    if points.len() < 2 {
        return None;
    }
    let mut best = points[0];
    for &(at, value) in &points[1..] {
        if value < FALLEN * best.1 {
            let share = |value: f64| format!("{:.0} %", 100.0 * value / best.1);
            let further = match last == at {
                true => String::new(),
                false => format!(", {} at {last}", share(end)),
            };
            return Some(format!(
                "{}: {} falls off at {at} tokens, to {} of what it is at {} ({} tokens/s){further}",
                curve.device,
                quantity.name(),
                share(value),
                best.0,
                short(best.1)
            ));
        }
        if value > best.1 {
            best = (at, value);
        }
    }
    Some(format!(
        "{}: {} holds: {:.0} % of its best at {last} tokens",
        curve.device,
        quantity.name(),
        100.0 * end / best.1.max(end)
    ))
}

/// What a token more takes of memory.
fn growth(curve: &Curve) -> Option<String> {
    let points = curve.points(Quantity::Memory);
    let (&(shortest, least), &(longest, most)) = (points.first()?, points.last()?);
    if shortest == longest {
        return None;
    }
    let device = &curve.device;
    let (from, to) = (bytes(least as u64), bytes(most as u64));
    let line =
        format!("{device}: memory goes from {from} at {shortest} tokens to {to} at {longest}");
    match most > least {
        true => {
            let each = (most - least) / (longest - shortest) as f64;
            Some(format!("{line}, {} a token", bytes(each as u64)))
        }
        false => Some(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_say_who_is_faster_and_where_it_ends() {
        insta::assert_snapshot!(findings(&Comparison::made_up()).join("\n"));
    }

    #[test]
    fn a_single_point_says_little() {
        let mut comparison = Comparison::made_up();
        for curve in &mut comparison.curves {
            curve.prefill.retain(|&at, _| at == 512);
            curve.decode.clear();
            curve.memory.clear();
        }
        assert_eq!(
            findings(&comparison),
            ["Slide rule: prefill is 2.08x at 512 tokens of Abacus's"]
        );
        comparison.curves.clear();
        assert!(findings(&comparison).is_empty());
    }
}
