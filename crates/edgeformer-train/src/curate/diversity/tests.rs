use proptest::prelude::*;

use super::facility::gain;
use super::picking::Selecting;
use super::*;

fn never() -> impl Fn(usize, usize) -> crate::Result<()> {
    |_, _| Ok(())
}

fn unit(values: &[i32]) -> Vec<f32> {
    let length = values.iter().map(|value| (value * value) as f32).sum::<f32>().sqrt();
    values.iter().map(|&value| if length > 0.0 { value as f32 / length } else { 0.0 }).collect()
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// Vectors, groups, room in each group, records to keep, largest similarity.
type Case = (Vec<Vec<f32>>, Vec<usize>, Vec<usize>, usize, Option<f32>);

/// Records, groups and limits of all kinds. Three dimensions: sums of products in any order are
/// the same up to rounding, and eight sums of one product each are in this one.
fn picking() -> impl Strategy<Value = Case> {
    let record = (prop::collection::vec(-5i32..6, 3), 0usize..3);
    let room = prop::collection::vec(0usize..12, 3);
    let most = prop::option::of(0.0f32..1.0);
    (prop::collection::vec(record, 1..25), room, 0usize..20, most).prop_map(
        |(records, room, keep, most)| {
            let (vectors, groups): (Vec<_>, Vec<_>) =
                records.into_iter().map(|(values, group)| (unit(&values), group)).unzip();
            (vectors, groups, room, keep, most)
        },
    )
}

/// Looks at every distance anew for every pick: O(n² k).
fn plain_k_center(asked: &Picking<'_>) -> Vec<usize> {
    let (mut room, mut picked) = (asked.room.clone(), Vec::new());
    while picked.len() < asked.keep {
        let mut best: Option<(f32, usize)> = None;
        for index in 0..asked.groups.len() {
            let similarities = picked
                .iter()
                .map(|&other: &usize| dot(&asked.vectors[index], &asked.vectors[other]));
            let nearest = similarities.fold(f32::NEG_INFINITY, f32::max);
            let refused = asked.max_similarity.is_some_and(|most| nearest > most);
            if picked.contains(&index) || room[asked.groups[index]] == 0 || refused {
                continue;
            }
            if best.is_none_or(|(least, _)| nearest < least) {
                best = Some((nearest, index));
            }
        }
        let Some((_, index)) = best else { break };
        room[asked.groups[index]] -= 1;
        picked.push(index);
    }
    picked
}

/// Looks at every gain anew for every pick.
fn plain_facility(asked: Picking<'_>) -> Vec<usize> {
    let mut selecting = Selecting::new(asked);
    while !selecting.is_done() {
        let mut best: Option<(f64, usize)> = None;
        for index in (0..selecting.count()).filter(|&index| selecting.is_open(index)) {
            let gain = gain(&selecting, index);
            if best.is_none_or(|(most, _)| gain > most) {
                best = Some((gain, index));
            }
        }
        let Some((_, index)) = best else { break };
        selecting.pick(index);
    }
    selecting.finish().picked
}

proptest! {
    #[test]
    fn k_center_is_that_of_plain_search((vectors, groups, room, keep, max_similarity) in picking()) {
        let asked = Picking { vectors: &vectors, groups: &groups, room, keep, max_similarity };
        let expected = plain_k_center(&asked);
        prop_assert_eq!(k_center(asked, &never()).unwrap().picked, expected);
    }

    #[test]
    fn lazy_greedy_is_plain_greedy((vectors, groups, room, keep, max_similarity) in picking()) {
        let asked = Picking { vectors: &vectors, groups: &groups, room, keep, max_similarity };
        let expected = plain_facility(asked.clone());
        prop_assert_eq!(facility_location(asked, &never()).unwrap().picked, expected);
    }

    #[test]
    fn limits_hold_and_all_others_are_told_why(
        (vectors, groups, room, keep, max_similarity) in picking(), method in 0usize..3,
    ) {
        let asked =
            Picking { vectors: &vectors, groups: &groups, room: room.clone(), keep, max_similarity };
        let found = [best, k_center, facility_location][method](asked, &never()).unwrap();
        prop_assert!(found.picked.len() <= keep);
        for (group, room) in room.iter().enumerate() {
            let count = found.picked.iter().filter(|&&index| groups[index] == group).count();
            prop_assert!(count <= *room);
        }
        for (at, &one) in found.picked.iter().enumerate() {
            for &other in &found.picked[..at] {
                let cosine = dot(&vectors[one], &vectors[other]);
                prop_assert!(max_similarity.is_none_or(|most| cosine <= most + 1e-6));
            }
        }
        for index in 0..groups.len() {
            prop_assert_eq!(found.refusals[index].is_none(), found.picked.contains(&index));
        }
        // Nothing is left out without need.
        let left = found.refusals.contains(&Some(Refusal::NotChosen));
        prop_assert!(!left || found.picked.len() == keep);
    }
}

#[test]
fn the_farthest_comes_next() {
    let vectors: Vec<Vec<f32>> = [[9, 1], [9, 2], [0, 1], [-1, 0]].map(|v| unit(&v)).to_vec();
    let asked = Picking {
        vectors: &vectors,
        groups: &[0; 4],
        room: vec![9],
        keep: 3,
        max_similarity: Some(0.9),
    };
    let found = k_center(asked.clone(), &never()).unwrap();
    assert_eq!(found.picked, [0, 3, 2]);
    assert!(
        matches!(found.refusals[1], Some(Refusal::TooSimilar { to: 0, cosine }) if cosine > 0.9)
    );
    let found = best(asked, &never()).unwrap();
    assert_eq!(found.picked, [0, 2, 3]);
}

#[test]
fn records_without_vectors_are_picked_in_their_order() {
    let asked = Picking { groups: &[0, 0, 1, 1], room: vec![1, 2], keep: 2, ..Picking::default() };
    let found = best(asked, &never()).unwrap();
    assert_eq!(found.picked, [0, 2]);
    assert_eq!(found.refusals[1], Some(Refusal::Quota));
    assert_eq!(found.refusals[3], Some(Refusal::NotChosen));
}
