// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Timing parameters in clocks.

use crate::dut::memory::DramTiming;

/// The parameters of [`DramTiming`] in clocks, each rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clocks {
    pub cl: u64,
    pub cwl: u64,
    pub burst: u64,
    pub rcd: u64,
    pub rp: u64,
    pub ras: u64,
    pub rc: u64,
    pub rrd_s: u64,
    pub rrd_l: u64,
    pub faw: u64,
    pub ccd_s: u64,
    pub ccd_l: u64,
    pub wr: u64,
    pub wtr_s: u64,
    pub wtr_l: u64,
    pub rtp: u64,
    pub rfc: u64,
    pub refi: u64,
}

impl Clocks {
    /// `timing` in clocks of `clock_ps` picoseconds.
    pub(super) fn new(timing: &DramTiming, clock_ps: u64) -> Self {
        let clocks = |ps: u64| ps.div_ceil(clock_ps.max(1));
        Self {
            cl: clocks(timing.cl),
            cwl: clocks(timing.cwl),
            burst: clocks(timing.burst),
            rcd: clocks(timing.t_rcd),
            rp: clocks(timing.t_rp),
            ras: clocks(timing.t_ras),
            rc: clocks(timing.t_rc),
            rrd_s: clocks(timing.t_rrd_s),
            rrd_l: clocks(timing.t_rrd_l),
            faw: clocks(timing.t_faw),
            ccd_s: clocks(timing.t_ccd_s),
            ccd_l: clocks(timing.t_ccd_l),
            wr: clocks(timing.t_wr),
            wtr_s: clocks(timing.t_wtr_s),
            wtr_l: clocks(timing.t_wtr_l),
            rtp: clocks(timing.t_rtp),
            rfc: clocks(timing.t_rfc),
            refi: clocks(timing.t_refi),
        }
    }
}
