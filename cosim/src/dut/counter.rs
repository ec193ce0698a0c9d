// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The event counters of a core: the list of `rtl/pkg/pmu_pkg.sv` with names, codes and meanings
//! (section 7 of the memory system contract).

use std::fmt;

/// Makes [`Counter`] and [`COUNTERS`] from one list in the order of the package.
macro_rules! counters {
    ($($variant:ident, $name:literal, $code:literal, $description:literal;)*) => {
        /// An event counter of a core. The discriminant is its index at the socket.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Counter {
            $(
                #[doc = concat!($name, ": ", $description, ".")]
                $variant,
            )*
        }

        /// Every counter, by its index at the socket.
        pub const COUNTERS: [Counter; [$($code),*].len()] = [$(Counter::$variant),*];

        impl Counter {
            /// Name of the event, as Arm and `perf` write it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Event code; from 0xc0 on it is one of this project.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// What is counted, in one line.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $description,)*
                }
            }
        }
    };
}

counters! {
    CpuCycles, "CPU_CYCLES", 0x11, "cycles";
    L1iTlbRefill, "L1I_TLB_REFILL", 0x02, "fetches that filled the first-level instruction TLB";
    L1dTlbRefill, "L1D_TLB_REFILL", 0x05, "data accesses that filled the first-level data TLB";
    L1dTlb, "L1D_TLB", 0x25, "data accesses that looked up the first-level data TLB";
    L1iTlb, "L1I_TLB", 0x26, "fetches that looked up the first-level instruction TLB";
    L2dTlbRefill, "L2D_TLB_REFILL", 0x2d, "fills of the second-level TLB by demand walks";
    L2dTlb, "L2D_TLB", 0x2f, "lookups of the second-level TLB by misses of either side";
    DtlbWalk, "DTLB_WALK", 0x34, "data accesses for which a walk was begun";
    ItlbWalk, "ITLB_WALK", 0x35, "fetches for which a walk was begun";
    L1dTlbRefillRd, "L1D_TLB_REFILL_RD", 0x4c, "L1D_TLB_REFILL, reads";
    L1dTlbRefillWr, "L1D_TLB_REFILL_WR", 0x4d, "L1D_TLB_REFILL, writes";
    L1dTlbRd, "L1D_TLB_RD", 0x4e, "L1D_TLB, reads";
    L1dTlbWr, "L1D_TLB_WR", 0x4f, "L1D_TLB, writes";
    L2dTlbRefillRd, "L2D_TLB_REFILL_RD", 0x5c, "L2D_TLB_REFILL, reads and fetches";
    L2dTlbRefillWr, "L2D_TLB_REFILL_WR", 0x5d, "L2D_TLB_REFILL, writes";
    L2dTlbRd, "L2D_TLB_RD", 0x5e, "L2D_TLB, reads and fetches";
    L2dTlbWr, "L2D_TLB_WR", 0x5f, "L2D_TLB, writes";
    DtlbWalkPercyc, "DTLB_WALK_PERCYC", 0x8128, "data walks under way, summed over the cycles";
    ItlbWalkPercyc, "ITLB_WALK_PERCYC", 0x8129, "instruction walks under way, summed over the cycles";
    DtlbHwupd, "DTLB_HWUPD", 0x8134, "hardware updates made by data walks";
    ItlbHwupd, "ITLB_HWUPD", 0x8135, "hardware updates made by instruction walks";
    DtlbStep, "DTLB_STEP", 0x8136, "descriptors read by data walks";
    ItlbStep, "ITLB_STEP", 0x8137, "descriptors read by instruction walks";
    DtlbWalkLarge, "DTLB_WALK_LARGE", 0x8138, "data walks that ended in a block or run";
    ItlbWalkLarge, "ITLB_WALK_LARGE", 0x8139, "instruction walks that ended in a block or run";
    DtlbWalkSmall, "DTLB_WALK_SMALL", 0x813a, "data walks that ended in a page";
    ItlbWalkSmall, "ITLB_WALK_SMALL", 0x813b, "instruction walks that ended in a page";
    DtlbWalkPrfm, "DTLB_WALK_PRFM", 0x813e, "data walks begun to prefetch";
    ItlbWalkPrfm, "ITLB_WALK_PRFM", 0x813f, "instruction walks begun to prefetch";
    RemoteAccess, "REMOTE_ACCESS", 0x31, "memory accesses whose home is another node";
    RemoteAccessRd, "REMOTE_ACCESS_RD", 0x38, "REMOTE_ACCESS, reads";
    MemAccess, "MEM_ACCESS", 0x13, "data and fetch accesses sent to memory";
    MemAccessRd, "MEM_ACCESS_RD", 0x66, "MEM_ACCESS, reads";
    MemAccessWr, "MEM_ACCESS_WR", 0x67, "MEM_ACCESS, writes";
    BusAccess, "BUS_ACCESS", 0x19, "requests sent to home agents, walks included";
    BusAccessRd, "BUS_ACCESS_RD", 0x60, "BUS_ACCESS, reads";
    BusAccessWr, "BUS_ACCESS_WR", 0x61, "BUS_ACCESS, writes";
    BusCycles, "BUS_CYCLES", 0x1d, "cycles of the interconnect";
    MemoryError, "MEMORY_ERROR", 0x1a, "error responses of memory";
    TtbrWriteRetired, "TTBR_WRITE_RETIRED", 0x1c, "writes to TTBR0_EL1 and TTBR1_EL1";
    StallBackendMem, "STALL_BACKEND_MEM", 0x4005, "cycles in which the oldest data access waited for memory";
    StallBackendTlb, "STALL_BACKEND_TLB", 0x8167, "cycles in which the oldest data access waited for its translation";
    StallFrontendTlb, "STALL_FRONTEND_TLB", 0x815c, "cycles in which the oldest fetch waited for its translation";
    ExcTaken, "EXC_TAKEN", 0x09, "responses with a fault that is taken";
    ExcPabort, "EXC_PABORT", 0x83, "EXC_TAKEN, fetches";
    ExcDabort, "EXC_DABORT", 0x84, "EXC_TAKEN, data accesses";
    DtlbWalkBegun, "DTLB_WALK_BEGUN", 0xc0, "data walks begun, repeated and prefetch ones included";
    ItlbWalkBegun, "ITLB_WALK_BEGUN", 0xc1, "instruction walks begun, repeated and prefetch ones included";
    DtlbWalkFault, "DTLB_WALK_FAULT", 0xc2, "data walks that ended with a fault or error";
    ItlbWalkFault, "ITLB_WALK_FAULT", 0xc3, "instruction walks that ended with a fault or error";
    DtlbWalkCancelled, "DTLB_WALK_CANCELLED", 0xc4, "data walks cancelled by an invalidation";
    ItlbWalkCancelled, "ITLB_WALK_CANCELLED", 0xc5, "instruction walks cancelled by an invalidation";
    WalkMerged, "WALK_MERGED", 0xc6, "accesses that joined a walk under way";
    WalkCacheHitL0, "WALK_CACHE_HIT_L0", 0xc7, "walks that began below a cached level 0 descriptor";
    WalkCacheHitL1, "WALK_CACHE_HIT_L1", 0xc8, "walks that began below a cached level 1 descriptor";
    WalkCacheHitL2, "WALK_CACHE_HIT_L2", 0xc9, "walks that began below a cached level 2 descriptor";
    WalkReadLocal, "WALK_READ_LOCAL", 0xca, "descriptor reads from the node of the core";
    WalkReadRemote, "WALK_READ_REMOTE", 0xcb, "descriptor reads from another node";
    WalkCycles16, "WALK_CYCLES_16", 0xcc, "walks that took fewer than 16 cycles";
    WalkCycles32, "WALK_CYCLES_32", 0xcd, "walks that took 16 to 31 cycles";
    WalkCycles64, "WALK_CYCLES_64", 0xce, "walks that took 32 to 63 cycles";
    WalkCycles128, "WALK_CYCLES_128", 0xcf, "walks that took 64 to 127 cycles";
    WalkCycles256, "WALK_CYCLES_256", 0xd0, "walks that took 128 to 255 cycles";
    WalkCycles512, "WALK_CYCLES_512", 0xd1, "walks that took 256 to 511 cycles";
    WalkCycles1024, "WALK_CYCLES_1024", 0xd2, "walks that took 512 to 1023 cycles";
    WalkCyclesMore, "WALK_CYCLES_MORE", 0xd3, "walks that took 1024 cycles or more";
    ContiguousFill, "CONTIGUOUS_FILL", 0xd4, "first-level fills with a contiguous run";
    ContiguousHit, "CONTIGUOUS_HIT", 0xd5, "first-level hits on a contiguous run";
    AfUpdate, "AF_UPDATE", 0xd6, "access flags set by walks";
    DirtyUpdate, "DIRTY_UPDATE", 0xd7, "dirty states set by walks";
    UpdateMismatch, "UPDATE_MISMATCH", 0xd8, "hardware updates that found another descriptor";
    EtsRewalk, "ETS_REWALK", 0xd9, "faults looked at again because older accesses were under way";
    TlbConflict, "TLB_CONFLICT", 0xda, "lookups that matched two entries";
    PrefetchFill, "PREFETCH_FILL", 0xdb, "fills by prefetch walks";
    PrefetchUsed, "PREFETCH_USED", 0xdc, "prefetched entries that an access hit later";
    DvmInvSent, "DVM_INV_SENT", 0xdd, "invalidations sent to all cores";
    DvmSyncSent, "DVM_SYNC_SENT", 0xde, "SYNCs sent to all cores";
    DvmInvReceived, "DVM_INV_RECEIVED", 0xdf, "invalidations received";
    DvmSyncAnswered, "DVM_SYNC_ANSWERED", 0xe0, "SYNCs answered";
    DvmSyncWait, "DVM_SYNC_WAIT", 0xe1, "cycles in which a received SYNC waited for older accesses";
    TlbRemoved, "TLB_REMOVED", 0xe2, "entries removed by invalidations, all structures";
    DsbWait, "DSB_WAIT", 0xe3, "cycles in which a DSB waited";
}

impl Counter {
    /// Index at the socket (`pmu_e`).
    #[must_use]
    pub const fn index(self) -> u8 {
        self as u8
    }

    /// The counter called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        COUNTERS.into_iter().find(|counter| counter.name() == name)
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The values of every counter of one core at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts([u64; COUNTERS.len()]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; COUNTERS.len()])
    }
}

impl Counts {
    /// Value of `counter`.
    #[must_use]
    pub const fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// Sets the value of `counter`.
    pub const fn set(&mut self, counter: Counter, value: u64) {
        self.0[counter as usize] = value;
    }

    /// Each counter with its value, by index.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> {
        COUNTERS.into_iter().zip(self.0)
    }

    /// Adds the values of `other`.
    pub fn add(&mut self, other: &Self) {
        for (sum, value) in self.0.iter_mut().zip(other.0) {
            *sum = sum.wrapping_add(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: &str = include_str!("../../../rtl/pkg/pmu_pkg.sv");

    /// Names as the package lists them, with the code in the comment behind each, if any.
    fn listed() -> Vec<(&'static str, Option<u16>)> {
        let code = |comment: &str| {
            let digits = comment.trim().strip_prefix("// 0x")?.get(..)?;
            u16::from_str_radix(digits.split(' ').next()?, 16).ok()
        };
        PACKAGE
            .lines()
            .filter_map(|line| line.trim().strip_prefix("PMU_"))
            .map(|line| {
                // The last one has no comma behind it.
                let end = line.find([',', ' ']).unwrap_or(line.len());
                let (name, comment) = line.split_at(end);
                (name, comment.trim_start_matches(','))
            })
            .map(|(name, comment)| (name, code(comment)))
            .collect()
    }

    #[test]
    fn the_list_agrees_with_the_package_by_name_order_and_code() {
        let listed = listed();
        let ours: Vec<_> = COUNTERS.iter().map(|counter| counter.name()).collect();
        let theirs: Vec<_> = listed.iter().map(|&(name, _)| name).collect();
        assert_eq!(ours, theirs);
        let mut project = 0xc0;
        for (index, (counter, (_, code))) in COUNTERS.into_iter().zip(listed).enumerate() {
            // Behind the first event of this project the rest follow without a code of their own.
            let code = code.filter(|&code| code != 0xc0).unwrap_or_else(|| {
                project += 1;
                project - 1
            });
            assert_eq!(counter.code(), code, "{counter}");
            assert_eq!(usize::from(counter.index()), index);
            assert_eq!(Counter::from_name(counter.name()), Some(counter));
        }
    }

    #[test]
    fn counts_add_up_by_counter() {
        let mut counts = Counts::default();
        counts.set(Counter::DtlbStep, 3);
        let mut sum = counts;
        sum.add(&counts);
        assert_eq!(sum.get(Counter::DtlbStep), 6);
        assert_eq!(sum.iter().map(|(_, value)| value).sum::<u64>(), 6);
    }
}
