// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Delta debugging (Zeller and Hildebrandt, 2002): the list with chunks left out, ever smaller ones,
//! as long as what is left still does it.

/// A part of `items`, in their order, for which `holds` is true as it is for `items`, and which ceases
/// to be so when any single item is left out, unless `holds` runs out of patience and answers false.
pub fn ddmin<T: Clone>(items: Vec<T>, mut holds: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut items = items;
    // Nothing at all is the first guess, and rarely right.
    if items.is_empty() || holds(&[]) {
        return Vec::new();
    }
    let mut chunk = items.len().div_ceil(2);
    loop {
        let before = items.len();
        let mut from = 0;
        while from < items.len() {
            let to = (from + chunk).min(items.len());
            if items.len() == to - from {
                break;
            }
            let mut rest = items.clone();
            rest.drain(from..to);
            if holds(&rest) {
                items = rest;
            } else {
                from = to;
            }
        }
        if chunk > 1 {
            chunk = chunk.div_ceil(2);
        } else if items.len() == before {
            return items;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn single_items_and_pairs_are_found() {
        let all: Vec<u32> = (0..100).collect();
        assert_eq!(ddmin(all.clone(), |rest| rest.contains(&37)), [37]);
        let pair = |rest: &[u32]| rest.contains(&3) && rest.contains(&97);
        assert_eq!(ddmin(all.clone(), pair), [3, 97]);
        assert_eq!(ddmin(all, |_| true), Vec::<u32>::new());
    }

    proptest! {
        #[test]
        fn what_is_left_is_what_was_needed(
            needed in proptest::collection::btree_set(0..60usize, 1..8),
        ) {
            let needed: Vec<usize> = needed.into_iter().collect();
            let mut asked = 0;
            let left = ddmin((0..60).collect(), |rest| {
                asked += 1;
                needed.iter().all(|item| rest.contains(item))
            });
            prop_assert_eq!(left, needed);
            prop_assert!(asked < 600, "{} questions", asked);
        }

        #[test]
        fn no_single_item_of_what_is_left_can_go(bits in 1u64..1 << 20) {
            // Holds if the sum of what is left reaches a bound: many answers, all minimal.
            let items: Vec<u64> = (0..20).map(|i| bits >> i & 1).collect();
            let holds = |rest: &[u64]| rest.iter().sum::<u64>() > 0;
            let left = ddmin(items, holds);
            prop_assert_eq!(left, [1]);
        }
    }
}
