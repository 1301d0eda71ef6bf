//! Picking some of many, all with the same chance.

/// Picks a given number out of a sequence of known length, in its order, every set of so many elements
/// with the same probability (Knuth, *The Art of Computer Programming*, 3.4.2, algorithm S).
#[derive(Clone, Copy, Debug)]
pub struct Selection {
    wanted: usize,
    left: usize,
}

impl Selection {
    /// Picks `wanted` of `len` elements, or all if there are no more.
    pub fn new(wanted: usize, len: usize) -> Self {
        Self { wanted: wanted.min(len), left: len }
    }

    /// Whether the next element is picked. `random` gives uniformly distributed numbers.
    pub fn picks(&mut self, random: &mut dyn FnMut() -> u64) -> bool {
        let picked = self.wanted > 0 && below(random, self.left) < self.wanted;
        self.left = self.left.saturating_sub(1);
        self.wanted -= usize::from(picked);
        picked
    }
}

/// A number below `limit`, which is not zero; all are as good as equally probable.
pub fn below(random: &mut dyn FnMut() -> u64, limit: usize) -> usize {
    (random() % limit.max(1) as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subset_is_as_probable() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 33
        };
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..10_000 {
            let mut selection = Selection::new(2, 5);
            let subset: Vec<usize> = (0..5).filter(|_| selection.picks(&mut random)).collect();
            *counts.entry(subset).or_insert(0) += 1;
        }
        // 1000 of each, with a standard deviation of 30.
        assert_eq!(counts.len(), 10);
        assert!(counts.values().all(|count| (820..1180).contains(count)), "{counts:?}");
        let mut all = Selection::new(9, 3);
        assert!((0..3).all(|_| all.picks(&mut random)) && !all.picks(&mut random));
    }
}
