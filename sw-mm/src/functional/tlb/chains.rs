// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A multimap from keys to places of a slab that allocates nothing per member.

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    key: u64,
    next: u32,
    previous: u32,
}

/// Members, each a small number with one key, found by key in no particular order.
///
/// Members of one bucket form a doubly linked list, so that adding and removing one costs the same
/// however many share its key.
#[derive(Debug, Default)]
pub(in crate::functional) struct Chains {
    /// First member of each bucket; a power of two of them.
    heads: Vec<u32>,
    /// By member.
    links: Vec<Link>,
}

impl Chains {
    /// Adds `member`, which is not in, under `key`.
    pub fn insert(&mut self, member: u32, key: u64) {
        let index = member as usize;
        if self.heads.len() <= index {
            self.grow(index + 1);
        }
        let bucket = self.bucket(key);
        let next = std::mem::replace(&mut self.heads[bucket], member);
        if let Some(link) = self.links.get_mut(next as usize) {
            link.previous = member;
        }
        self.links[index] = Link {
            key,
            next,
            previous: NONE,
        };
    }

    /// Removes `member`, which is in.
    pub fn remove(&mut self, member: u32) {
        let Link {
            key,
            next,
            previous,
        } = self.links[member as usize];
        if let Some(link) = self.links.get_mut(next as usize) {
            link.previous = previous;
        }
        match self.links.get_mut(previous as usize) {
            Some(link) => link.next = next,
            None => {
                let bucket = self.bucket(key);
                self.heads[bucket] = next;
            }
        }
    }

    /// The members of `key`.
    pub fn of(&self, key: u64) -> impl Iterator<Item = u32> {
        let mut member = match self.heads.is_empty() {
            true => NONE,
            false => self.heads[self.bucket(key)],
        };
        std::iter::from_fn(move || {
            while let Some(link) = self.links.get(member as usize) {
                let this = std::mem::replace(&mut member, link.next);
                if link.key == key {
                    return Some(this);
                }
            }
            None
        })
    }

    fn bucket(&self, key: u64) -> usize {
        // Fibonacci hashing: the top bits of the product depend on all bits of the key.
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 32) as usize & (self.heads.len() - 1)
    }

    /// Makes room for `members` and for as many buckets.
    fn grow(&mut self, members: usize) {
        let old: Vec<u32> = self
            .heads
            .iter()
            .flat_map(|&head| self.list(head))
            .collect();
        let size = members.next_power_of_two().max(16);
        let free = Link {
            key: 0,
            next: NONE,
            previous: NONE,
        };
        self.heads.clear();
        self.heads.resize(size, NONE);
        self.links.resize(size, free);
        for member in old {
            let key = self.links[member as usize].key;
            self.insert(member, key);
        }
    }

    fn list(&self, head: u32) -> impl Iterator<Item = u32> {
        let at = |member: u32| self.links.get(member as usize).map(|_| member);
        std::iter::successors(
            at(head),
            move |&member| at(self.links[member as usize].next),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn chains_hold_what_was_inserted_and_not_removed(
            steps in prop::collection::vec((0..80u32, 0..6u64), 1..300),
        ) {
            let mut chains = Chains::default();
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for (member, key) in steps {
                match model.remove(&member) {
                    Some(_) => chains.remove(member),
                    None => {
                        model.insert(member, key << 40);
                        chains.insert(member, key << 40);
                    }
                }
                for key in 0..6 {
                    let mut held: Vec<u32> = chains.of(key << 40).collect();
                    held.sort_unstable();
                    let of_key = model.iter().filter(|&(_, k)| *k == key << 40);
                    prop_assert_eq!(held, of_key.map(|(&m, _)| m).collect::<Vec<_>>());
                }
            }
        }
    }
}
