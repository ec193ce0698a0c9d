// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Timing and policies of one memory node (memory system contract, section 4).

use serde::{Deserialize, Serialize};

use super::words::Words;
use super::{DramTiming, LONGEST_DELAY, MemoryConfigError, WRITE_QUEUE};

/// `Fixed` of `rtl/mem/memory_system.sv`: clocks of a load from request to response besides links,
/// controller and DRAM.
pub(super) const FIXED_CLOCKS: u64 = 6;

/// When an open row is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PagePolicy {
    /// After this many picoseconds without use.
    Open(u64),
    /// As soon as no queued request wants it.
    Closed,
}

/// Some requests of a slow tier take longer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// Chance of 65536.
    pub chance: u16,
    /// Picoseconds more.
    pub extra_ps: u64,
}

/// The port in front of a slow tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Picoseconds each way.
    pub delay_ps: u64,
    /// Requests that may be under way.
    pub credits: u8,
    /// Bytes of reads in 256 clocks; 0 is no limit.
    pub read_rate: u16,
    /// Bytes of writes in 256 clocks; 0 is no limit.
    pub write_rate: u16,
    /// Tail generator.
    pub tail: Tail,
}

/// Timing and policies of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTiming {
    /// DRAM behind the controller.
    pub dram: DramTiming,
    /// Row policy.
    pub page: PagePolicy,
    /// Picoseconds after which a request goes first: AGE_CAP.
    pub age_cap_ps: u64,
    /// Picoseconds after which a queued write is drained when no read waits.
    pub write_age_ps: u64,
    /// Queued writes at which a drain begins, and at which it ends.
    pub drain: (u8, u8),
    /// Descriptor reads and compare-and-swaps go before data reads.
    pub walks_first: bool,
    /// Picoseconds of a hit of the memory-side cache; `None` switches it off.
    pub slice_hit_ps: Option<u64>,
    /// The port of a slow tier.
    pub port: Option<Port>,
}

impl NodeTiming {
    /// The defaults of the contract around `dram`: open rows for 500 ns, an age cap of 400 ns, drains
    /// from 24 writes to 8 or of writes older than 1000 ns, walks first, no memory-side cache.
    #[must_use]
    pub const fn new(dram: DramTiming) -> Self {
        Self {
            dram,
            page: PagePolicy::Open(500_000),
            age_cap_ps: 400_000,
            write_age_ps: 1_000_000,
            drain: (24, 8),
            walks_first: true,
            slice_hit_ps: None,
            port: None,
        }
    }

    /// Clocks of an idle load of a closed row without any delay of links: what the RTL takes off LAT to
    /// get the delay of a link.
    pub(super) fn least_latency(&self, clock_ps: u64) -> u64 {
        let clocks = |ps: u64| ps.div_ceil(clock_ps);
        let port = self.port.map_or(0, |port| clocks(port.delay_ps));
        // Into the controller takes a clock at least.
        FIXED_CLOCKS
            + clocks(self.dram.t_rcd)
            + clocks(self.dram.cl)
            + clocks(self.dram.burst)
            + port.max(1)
            + port
    }

    pub(super) fn encode(&self, words: &mut Words) -> Result<(), MemoryConfigError> {
        let dram = &self.dram;
        let (high, low) = self.drain;
        if !(1..=WRITE_QUEUE).contains(&high) || low >= high {
            return Err(MemoryConfigError::Drain { high, low });
        }
        words.skip(16);
        for (what, ps) in [
            ("CL", dram.cl),
            ("tRCD", dram.t_rcd),
            ("tRP", dram.t_rp),
            ("tRAS", dram.t_ras),
            ("tRC", dram.t_rc),
            ("tRRD_S", dram.t_rrd_s),
            ("tRRD_L", dram.t_rrd_l),
            ("tFAW", dram.t_faw),
            ("tCCD_S", dram.t_ccd_s),
            ("tCCD_L", dram.t_ccd_l),
            ("CWL", dram.cwl),
            ("tWR", dram.t_wr),
            ("tWTR_S", dram.t_wtr_s),
            ("tWTR_L", dram.t_wtr_l),
            ("tRTP", dram.t_rtp),
            ("burst", dram.burst),
            ("tREFI", dram.t_refi),
            ("tRFC", dram.t_rfc),
            ("cache hit", self.slice_hit_ps.unwrap_or(0)),
            ("age cap", self.age_cap_ps),
            ("write age", self.write_age_ps),
        ] {
            words.time(what, ps)?;
        }
        let (timeout, closed) = match self.page {
            PagePolicy::Open(ps) => (ps, false),
            PagePolicy::Closed => (0, true),
        };
        words.time("page timeout", timeout)?;
        words.put(1, 1);
        words.put(1, u64::from(closed));
        words.put(1, u64::from(self.walks_first));
        words.put(1, u64::from(self.slice_hit_ps.is_some()));
        words.skip(12);
        words.put(8, u64::from(self.drain.0));
        words.put(8, u64::from(self.drain.1));
        let port = self.port.unwrap_or(Port {
            delay_ps: 0,
            credits: 0,
            read_rate: 0,
            write_rate: 0,
            tail: Tail::default(),
        });
        let longest = (port.delay_ps + port.tail.extra_ps).div_ceil(words.clock_ps());
        if longest > LONGEST_DELAY {
            return Err(MemoryConfigError::TooLong {
                what: "port delay with its tail",
                clocks: longest,
                most: LONGEST_DELAY,
            });
        }
        words.time("port delay", port.delay_ps)?;
        words.put(8, u64::from(port.credits));
        words.skip(24);
        words.put(16, u64::from(port.read_rate));
        words.put(16, u64::from(port.write_rate));
        words.put(16, u64::from(port.tail.chance));
        words.time("tail", port.tail.extra_ps)
    }
}
