// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Naturally aligned spans of addresses, found by an address in them.

use super::chains::Chains;

/// Members that each cover 2^`shift` aligned bytes. There are few sizes at a time, and each of them
/// is one look.
#[derive(Debug)]
pub(in crate::functional) struct Spans {
    chains: Chains,
    /// Members of each size.
    counts: [u32; 64],
    /// Bit n: there is a member of 2^n bytes.
    sizes: u64,
}

impl Default for Spans {
    fn default() -> Self {
        Self {
            chains: Chains::default(),
            counts: [0; 64],
            sizes: 0,
        }
    }
}

impl Spans {
    /// Adds `member`, which is not in: it covers the `bytes` (a power of two, 64 at least) at `base`.
    pub fn insert(&mut self, member: u32, base: u64, bytes: u64) {
        let shift = bytes.trailing_zeros();
        self.chains.insert(member, key(base, shift));
        self.counts[shift as usize] += 1;
        self.sizes |= 1 << shift;
    }

    /// Removes `member`, which is in and covers `bytes`.
    pub fn remove(&mut self, member: u32, bytes: u64) {
        let shift = bytes.trailing_zeros() as usize;
        self.chains.remove(member);
        self.counts[shift] -= 1;
        if self.counts[shift] == 0 {
            self.sizes &= !(1 << shift);
        }
    }

    /// Members that cover `address`, by size and in no order within one.
    pub fn at(&self, address: u64) -> impl Iterator<Item = u32> {
        bits(self.sizes).flat_map(move |shift| self.chains.of(key(address, shift)))
    }

    /// How many looks [`Spans::overlapping`] takes.
    pub fn looks(&self, start: u64, bytes: u64) -> u64 {
        let spans = |shift| last(start, bytes, shift) - (start >> shift) + 1;
        bits(self.sizes).map(spans).fold(0, u64::saturating_add)
    }

    /// Members that have a byte in common with the `bytes` bytes, at least one, at `start`, which do
    /// not wrap.
    pub fn overlapping(&self, start: u64, bytes: u64) -> impl Iterator<Item = u32> {
        bits(self.sizes).flat_map(move |shift| {
            (start >> shift..=last(start, bytes, shift))
                .flat_map(move |span| self.chains.of(span << 6 | u64::from(shift)))
        })
    }
}

/// The size takes the place of offset bits, which no span has.
const fn key(address: u64, shift: u32) -> u64 {
    address >> shift << 6 | shift as u64
}

const fn last(start: u64, bytes: u64, shift: u32) -> u64 {
    start.saturating_add(bytes - 1) >> shift
}

fn bits(mut set: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let lowest = (set != 0).then(|| set.trailing_zeros())?;
        set &= set - 1;
        Some(lowest)
    })
}
