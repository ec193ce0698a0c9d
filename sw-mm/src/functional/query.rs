// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What checkers ask about the caches of the machine: who can still reach a frame, and what a core
//! holds.

use super::Machine;
use super::tlb::{Entry, Tlb};
use crate::attributes::Permissions;
use vmsa::{Descriptor, geometry};

/// What a cached descriptor leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// Memory: the entry is a leaf.
    Leaf,
    /// A table: the entry is of a walk cache.
    Table,
}

/// One entry of a TLB or a walk cache. It serves accesses until the invalidation that dooms it has
/// completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Core that holds it.
    pub core: usize,
    /// First virtual address that it matches.
    pub va: u64,
    /// Bytes that it matches: the leaf or, for a combined entry, its contiguous run; for a table
    /// descriptor all that lies under it.
    pub bytes: u64,
    /// Physical address of what it leads to: of the first byte at `va`, or of the next table.
    pub pa: u64,
    /// Leaf or table.
    pub target: Target,
    /// Level of the descriptor.
    pub level: u8,
    /// ASID in force when it was filled. A leaf that is `global` matches others too.
    pub asid: u16,
    /// It matches every ASID.
    pub global: bool,
    /// It stands for a whole contiguous run. The hint itself is in `descriptor`.
    pub run: bool,
    /// The descriptor as read.
    pub descriptor: Descriptor,
    /// What it grants, the limits of the tables above taken off. Meaningful for leaves.
    pub permissions: Permissions,
    /// An invalidation is under way that removes it.
    pub doomed: bool,
}

impl Cached {
    pub(super) fn new(core: usize, entry: &Entry) -> Self {
        let (descriptor, limits) = (entry.descriptor, entry.limits);
        let own = Permissions::of(descriptor);
        Self {
            core,
            va: entry.base,
            bytes: entry.bytes,
            pa: entry.output(),
            target: match entry.leaf {
                true => Target::Leaf,
                false => Target::Table,
            },
            level: entry.level,
            asid: entry.asid,
            global: entry.leaf && !descriptor.ng(),
            run: entry.leaf && entry.bytes > geometry::level_bytes(entry.granule, entry.level),
            descriptor,
            permissions: Permissions {
                el0: own.el0 && !limits.no_el0,
                write: own.write && !limits.no_write,
                el0_execute: own.el0_execute && !limits.uxn,
                el1_execute: own.el1_execute && !limits.pxn,
            },
            doomed: !entry.doomed.none(),
        }
    }
}

impl Machine {
    /// Cached entries through which a later access could still reach the `bytes` bytes of memory at
    /// `pa`: leaves of the lower range (the linear map of the kernel shows all memory always), and
    /// table descriptors of both ranges whose table lies there. Entries whose invalidation has not
    /// completed count (MM-02, MM-05, MM-06). By core, and oldest first.
    pub fn translations_to(&self, pa: u64, bytes: u64) -> Vec<Cached> {
        let state = self.state.borrow();
        let mut found = Vec::new();
        for (core, held) in state.cores.iter().enumerate() {
            let entries = held.tlb.leading_to(pa, bytes);
            found.extend(entries.iter().map(|e| Cached::new(core, e)));
        }
        found
    }

    /// The leaf entries of a core, both ranges, oldest first; none for a core that is not there.
    pub fn cached_leaves(&self, core: usize) -> Vec<Cached> {
        self.entries(core, |tlb| {
            let mut entries = tlb.entries();
            entries.retain(|e| e.leaf);
            entries
        })
    }

    /// Those that match one of the `bytes` bytes at virtual address `va`, whatever their ASID: as
    /// cheap as there are few of them.
    pub fn cached_leaves_over(&self, core: usize, va: u64, bytes: u64) -> Vec<Cached> {
        self.entries(core, |tlb| tlb.leaves_over(va, bytes))
    }

    /// The table descriptors that a core has cached, both ranges, oldest first.
    pub fn cached_tables(&self, core: usize) -> Vec<Cached> {
        self.entries(core, |tlb| {
            let mut entries = tlb.entries();
            entries.retain(|e| !e.leaf);
            entries
        })
    }

    fn entries(&self, core: usize, of: impl Fn(&Tlb) -> Vec<&Entry>) -> Vec<Cached> {
        let state = self.state.borrow();
        let held = state.cores.get(core).map(|held| of(&held.tlb));
        let entries = held.unwrap_or_default();
        entries.iter().map(|e| Cached::new(core, e)).collect()
    }

    /// The `bytes` bytes of memory at `pa` hold no tables any more: nothing that was walked there is
    /// watched for break-before-make from now on.
    ///
    /// The monitor lets a descriptor go when it was invalid at an invalidation; a table page may be
    /// given back with valid descriptors in it, once nothing leads to it or was read from it
    /// ([`Machine::translations_to`]). The caller vouches for that.
    pub fn release(&self, pa: u64, bytes: u64) {
        self.state.borrow_mut().monitor.release(pa, bytes);
    }
}
