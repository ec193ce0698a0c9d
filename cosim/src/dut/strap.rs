// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The configuration straps that the hardware samples in reset.

use super::DutError;
use super::info::Info;

/// Channels on which pseudo-random delays are injected, to exercise back-pressure and reordering.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delays(u8);

impl Delays {
    /// No channel.
    pub const NONE: Self = Self(0);
    /// Requests of software.
    pub const CORE_REQ: Self = Self(1);
    /// Responses of operations that need no memory.
    pub const CORE_RSP: Self = Self(1 << 1);
    /// Requests to a home agent.
    pub const MEM_REQ: Self = Self(1 << 2);
    /// Its answers.
    pub const MEM_RSP: Self = Self(1 << 3);
    /// First-level misses on their way to the second level.
    pub const MISS: Self = Self(1 << 4);
    /// Invalidation messages between cores.
    pub const DVM: Self = Self(1 << 5);
    /// Every channel.
    pub const ALL: Self = Self(0x3f);

    /// Every channel with its name, by bit.
    pub const CHANNELS: [(&'static str, Self); 6] = [
        ("core-req", Self::CORE_REQ),
        ("core-rsp", Self::CORE_RSP),
        ("mem-req", Self::MEM_REQ),
        ("mem-rsp", Self::MEM_RSP),
        ("miss", Self::MISS),
        ("dvm", Self::DVM),
    ];

    /// The channels of either.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// One bit a channel.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The channels of these bits; further bits are dropped.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }
}

/// Configuration inputs, sampled while the socket is in reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Straps {
    /// ITLB entries in use; `None` is all that are built.
    pub itlb_entries: Option<u8>,
    /// DTLB entries in use; `None` is all that are built.
    pub dtlb_entries: Option<u8>,
    /// Whether a contiguous run is one entry; if not, the hint is ignored.
    pub contiguous: bool,
    /// Hardware updates: 0 none, 1 access flag, 2 access flag and dirty state.
    pub hafdbs: u8,
    /// Whether ASIDs are 8 bits wide instead of 16.
    pub asid8: bool,
    /// Ways of the second-level TLB in use, 0 for no second-level TLB; `None` is all that are built.
    pub l2_ways: Option<u8>,
    /// Sets of the second-level TLB in use, as log2; `None` is all that are built.
    pub l2_sets_log2: Option<u8>,
    /// Whether walk caches are in use.
    pub walk_caches: bool,
    /// Concurrent walks of a core; `None` is all that are built.
    pub walkers: Option<u8>,
    /// Whether a walk for the next page follows each demand walk.
    pub prefetch: bool,
    /// FEAT_ETS: 0 or 2.
    pub ets: u8,
    /// FEAT_BBM level, 0 to 2.
    pub bbml: u8,
    /// Whether a lookup that matches several entries is a conflict abort (not BBM_NOABORT).
    pub conflict_abort: bool,
    /// Channels with injected delays.
    pub delay: Delays,
    /// Seed of the injected delays.
    pub delay_seed: u16,
}

impl Default for Straps {
    /// The profile of the specification: everything built is in use, contiguous hint on, AF and dirty
    /// updates, 16-bit ASIDs, ETS2, BBM level 2 without conflict aborts; no prefetch, no delays.
    fn default() -> Self {
        Self {
            itlb_entries: None,
            dtlb_entries: None,
            contiguous: true,
            hafdbs: 2,
            asid8: false,
            l2_ways: None,
            l2_sets_log2: None,
            walk_caches: true,
            walkers: None,
            prefetch: false,
            ets: 2,
            bbml: 2,
            conflict_abort: false,
            delay: Delays::NONE,
            delay_seed: 1,
        }
    }
}

fn within(field: &'static str, value: u8, low: u8, high: u8) -> Result<u64, DutError> {
    if (low..=high).contains(&value) {
        return Ok(u64::from(value));
    }
    Err(DutError::Strap {
        field,
        value: u64::from(value),
        low: u64::from(low),
        high: u64::from(high),
    })
}

impl Straps {
    /// The strap word for hardware built as `built` says.
    ///
    /// # Errors
    /// [`DutError::Strap`] if more is asked than is built, none of what there must be, or a level that
    /// does not exist.
    pub fn encode(&self, built: &Info) -> Result<u64, DutError> {
        let part = |field, asked: Option<u8>, low, built: u8| {
            within(field, asked.unwrap_or(built), low, built)
        };
        if self.ets != 0 {
            within("ets", self.ets, 2, 2)?;
        }
        Ok(part("itlb", self.itlb_entries, 1, built.itlb_entries)?
            | part("dtlb", self.dtlb_entries, 1, built.dtlb_entries)? << 8
            | u64::from(self.contiguous) << 16
            | within("hafdbs", self.hafdbs, 0, 2)? << 17
            | u64::from(self.asid8) << 19
            | part("l2-ways", self.l2_ways, 0, built.l2_ways)? << 20
            | part("l2-sets", self.l2_sets_log2, 0, built.l2_sets_log2)? << 23
            | u64::from(self.walk_caches) << 27
            | part("walkers", self.walkers, 1, built.walkers)? << 28
            | u64::from(self.prefetch) << 31
            | u64::from(self.ets == 0) << 32
            | within("bbml", self.bbml, 0, 2)? << 33
            | u64::from(self.conflict_abort) << 35
            | u64::from(self.delay.bits()) << 36
            | u64::from(self.delay_seed) << 42)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dut::configs;

    fn built(name: &str) -> Info {
        let config = configs().iter().find(|config| config.name == name);
        Info::of_config(config.expect("a configuration of this build"))
    }

    #[test]
    fn every_strap_has_its_own_bits() {
        let none = Straps {
            itlb_entries: Some(1),
            dtlb_entries: Some(1),
            contiguous: false,
            hafdbs: 0,
            l2_ways: Some(0),
            l2_sets_log2: Some(0),
            walk_caches: false,
            walkers: Some(1),
            ets: 2,
            bbml: 0,
            delay_seed: 0,
            ..Straps::default()
        };
        let info = built("1x1");
        let base = none.encode(&info).unwrap();
        assert_eq!(base, 1 | 1 << 8 | 1 << 28);
        let changed = |change: fn(&mut Straps)| {
            let mut straps = none;
            change(&mut straps);
            straps.encode(&info).unwrap() ^ base
        };
        assert_eq!(changed(|s| s.itlb_entries = None), 1 ^ 32);
        assert_eq!(changed(|s| s.dtlb_entries = Some(48)), (1 ^ 48) << 8);
        assert_eq!(changed(|s| s.contiguous = true), 1 << 16);
        assert_eq!(changed(|s| s.hafdbs = 2), 2 << 17);
        assert_eq!(changed(|s| s.asid8 = true), 1 << 19);
        assert_eq!(changed(|s| s.l2_ways = None), 5 << 20);
        assert_eq!(changed(|s| s.l2_sets_log2 = None), 8 << 23);
        assert_eq!(changed(|s| s.walk_caches = true), 1 << 27);
        assert_eq!(changed(|s| s.walkers = Some(4)), (1 ^ 4) << 28);
        assert_eq!(changed(|s| s.prefetch = true), 1 << 31);
        assert_eq!(changed(|s| s.ets = 0), 1 << 32);
        assert_eq!(changed(|s| s.bbml = 2), 2 << 33);
        assert_eq!(changed(|s| s.conflict_abort = true), 1 << 35);
        assert_eq!(changed(|s| s.delay = Delays::ALL), 0x3f << 36);
        assert_eq!(changed(|s| s.delay_seed = 0xffff), 0xffff << 42);
    }

    #[test]
    fn what_is_not_built_is_refused() {
        let info = built("tiny");
        let refused = |change: fn(&mut Straps)| {
            let mut straps = Straps::default();
            change(&mut straps);
            straps.encode(&info).unwrap_err().to_string()
        };
        for (text, message) in [
            (
                refused(|s| s.dtlb_entries = Some(5)),
                "strap dtlb = 5 is outside 1..=4",
            ),
            (
                refused(|s| s.itlb_entries = Some(0)),
                "strap itlb = 0 is outside 1..=2",
            ),
            (
                refused(|s| s.l2_ways = Some(3)),
                "strap l2-ways = 3 is outside 0..=2",
            ),
            (
                refused(|s| s.l2_sets_log2 = Some(4)),
                "strap l2-sets = 4 is outside 0..=3",
            ),
            (
                refused(|s| s.walkers = Some(3)),
                "strap walkers = 3 is outside 1..=2",
            ),
            (refused(|s| s.ets = 1), "strap ets = 1 is outside 2..=2"),
            (refused(|s| s.bbml = 3), "strap bbml = 3 is outside 0..=2"),
        ] {
            assert_eq!(text, message);
        }
    }
}
