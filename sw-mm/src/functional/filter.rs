// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A set of numbers that says of most others at once that it does not hold them.

const PLACES: usize = 4096;

/// How many members there are, by a hash of the member.
#[derive(Debug)]
pub(super) struct Filter(Box<[u32; PLACES]>);

impl Default for Filter {
    fn default() -> Self {
        Self(Box::new([0; PLACES]))
    }
}

impl Filter {
    /// Whether `member` may be in.
    #[inline]
    pub fn may_hold(&self, member: u64) -> bool {
        self.0[place(member)] != 0
    }

    /// Adds `member` once more.
    #[inline]
    pub fn add(&mut self, member: u64) {
        self.0[place(member)] += 1;
    }

    /// Removes `member`, which is in, once.
    #[inline]
    pub fn remove(&mut self, member: u64) {
        self.0[place(member)] -= 1;
    }
}

#[inline]
const fn place(member: u64) -> usize {
    (member ^ (member >> 9)) as usize % PLACES
}
