// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! How long a read may wait for its column command (MEM-06): what AGE_CAP, the queues and refresh imply.

use crate::dut::memory::NodeTiming;

/// Requests that may be between the DRAM port and the queues of the channels.
pub(super) const IN_PORT: u64 = 34;
/// Entries of the read queue and of the write queue of a channel (section 4.2).
const QUEUE: u64 = 32;
/// Ranks of a channel, each with refreshes of its own.
const RANKS: u64 = 2;
/// Bytes of a line.
const LINE: u64 = 64;

/// Most clocks of `clock_ps` picoseconds from a read at the DRAM port to its READ.
///
/// Before a read go at most those that came before it (in the port, in both queues), younger ones until
/// it is over age, and the writes of a drain for each queue of reads; each takes no more than all
/// timings of a bank together. On top come the way through the port, and refreshes: those owing at the
/// begin and one an interval, for each rank.
pub(super) fn read_bound(node: &NodeTiming, clock_ps: u64) -> u64 {
    let clocks = |ps: u64| ps.div_ceil(clock_ps.max(1));
    let dram = &node.dram;
    let request: u64 = [
        dram.t_rc,
        dram.t_rcd,
        dram.t_rp,
        dram.t_faw,
        dram.cl,
        dram.cwl,
        dram.t_wr,
        dram.t_wtr_l,
        dram.t_ccd_l,
        2 * dram.burst,
    ]
    .into_iter()
    .map(clocks)
    .sum();
    let port = node.port.map_or(0, |port| {
        let transfer = match port.write_rate {
            0 => 0,
            rate => LINE * 256 / u64::from(rate) + 1,
        };
        clocks(port.delay_ps) + clocks(port.tail.extra_ps) + IN_PORT * transfer
    });
    // Older ones in the port and in both queues, and two drains.
    let work = port + clocks(node.age_cap_ps) + (IN_PORT + 2 * QUEUE + 2 * QUEUE) * request;
    let refresh = clocks(dram.t_rfc) + request;
    let interval = clocks(dram.t_refi).max(1);
    work + RANKS * (2 + work / interval) * 2 * refresh
}
