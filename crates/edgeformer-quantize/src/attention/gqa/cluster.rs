//! Which heads share keys and values.

use crate::attention::linear::Matrix;

/// Groups of `size` heads, near ones together: the nearest pair that is left begins a group, and
/// the head that is nearest to it on average joins until it is full. Groups are in the order of
/// their first heads.
pub(super) fn cluster(distances: &Matrix, size: usize) -> Vec<Vec<usize>> {
    let mut left: Vec<usize> = (0..distances.nrows()).collect();
    let mut groups = Vec::new();
    while let Some(first) = first(distances, &left, size) {
        let mut group = vec![first];
        left.retain(|&head| head != first);
        while group.len() < size {
            let far =
                |head: usize| group.iter().map(|&other| distances[(head, other)]).sum::<f64>();
            let Some(nearest) = left.iter().copied().min_by(|&a, &b| far(a).total_cmp(&far(b)))
            else {
                break;
            };
            group.push(nearest);
            left.retain(|&head| head != nearest);
        }
        group.sort_unstable();
        groups.push(group);
    }
    groups.sort_unstable();
    groups
}

/// A head of the nearest pair.
fn first(distances: &Matrix, left: &[usize], size: usize) -> Option<usize> {
    if size == 1 {
        return left.first().copied();
    }
    let nearest = |head: usize| {
        let others = left.iter().filter(|&&other| other != head);
        others.map(|&other| distances[(head, other)]).fold(f64::INFINITY, f64::min)
    };
    left.iter().copied().min_by(|&a, &b| nearest(a).total_cmp(&nearest(b)))
}

/// Neighbours.
pub(super) fn neighbours(heads: usize, size: usize) -> Vec<Vec<usize>> {
    (0..heads / size).map(|group| (group * size..(group + 1) * size).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_heads_come_together() {
        let at = [0.0f64, 5.0, 0.1, 5.2];
        let distances = Matrix::from_fn(4, 4, |a, b| (at[a] - at[b]).abs());
        assert_eq!(cluster(&distances, 2), [vec![0, 2], vec![1, 3]]);
        assert_eq!(cluster(&distances, 1), [vec![0], vec![1], vec![2], vec![3]]);
        assert_eq!(cluster(&distances, 4), [vec![0, 1, 2, 3]]);
    }
}
