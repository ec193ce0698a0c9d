// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! DRAM timing parameters, by profile (memory system contract, section 4.1).

use serde::{Deserialize, Serialize};

/// Timing of a DRAM channel in picoseconds, under the JEDEC names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DramTiming {
    /// READ to first data.
    pub cl: u64,
    /// ACTIVATE to READ or WRITE.
    pub t_rcd: u64,
    /// PRECHARGE to ACTIVATE.
    pub t_rp: u64,
    /// ACTIVATE to PRECHARGE.
    pub t_ras: u64,
    /// ACTIVATE to ACTIVATE of one bank.
    pub t_rc: u64,
    /// ACTIVATE to ACTIVATE in another bank group.
    pub t_rrd_s: u64,
    /// ACTIVATE to ACTIVATE in the same bank group.
    pub t_rrd_l: u64,
    /// Window for four ACTIVATEs.
    pub t_faw: u64,
    /// Column command spacing, another bank group.
    pub t_ccd_s: u64,
    /// Column command spacing, same bank group.
    pub t_ccd_l: u64,
    /// WRITE to first data.
    pub cwl: u64,
    /// Last write data to PRECHARGE.
    pub t_wr: u64,
    /// Write data end to READ, another bank group.
    pub t_wtr_s: u64,
    /// Write data end to READ, same bank group.
    pub t_wtr_l: u64,
    /// READ to PRECHARGE.
    pub t_rtp: u64,
    /// Refresh busy time.
    pub t_rfc: u64,
    /// Average refresh interval.
    pub t_refi: u64,
    /// Transfer of 64 bytes.
    pub burst: u64,
}

impl DramTiming {
    /// DDR4-2666.
    pub const DDR4_2666: Self = Self {
        cl: 13_750,
        t_rcd: 13_750,
        t_rp: 13_750,
        t_ras: 32_000,
        t_rc: 45_750,
        t_rrd_s: 3_000,
        t_rrd_l: 4_900,
        t_faw: 21_000,
        t_ccd_s: 3_000,
        t_ccd_l: 5_000,
        cwl: 10_500,
        t_wr: 15_000,
        t_wtr_s: 2_500,
        t_wtr_l: 7_500,
        t_rtp: 7_500,
        t_rfc: 350_000,
        t_refi: 7_800_000,
        burst: 4 * 750,
    };

    /// DDR5-4800 (40-39-39), one 32-bit subchannel.
    pub const DDR5_4800: Self = Self {
        cl: 16_600,
        t_rcd: 16_200,
        t_rp: 16_200,
        t_ras: 32_000,
        t_rc: 48_000,
        t_rrd_s: 3_300,
        t_rrd_l: 5_000,
        t_faw: 13_300,
        t_ccd_s: 3_300,
        t_ccd_l: 5_000,
        cwl: 15_800,
        t_wr: 30_000,
        t_wtr_s: 2_500,
        t_wtr_l: 10_000,
        t_rtp: 7_500,
        t_rfc: 295_000,
        t_refi: 3_900_000,
        burst: 8 * 416,
    };
}
