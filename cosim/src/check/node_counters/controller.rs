// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The memory controller: commands against requests and time, queues, and what the configuration of
//! the node rules out.

use super::commands::Commands;
use super::{NodeCounterMonitor, Report};
use crate::dut::NodeCounts;
use crate::dut::memory::{LinkLimit, NodeTiming};
use crate::dut::ports::{NODE_EVENTS, NodeCounter, NodeEvent, Traffic};

/// Requests that a home agent may have under way.
const SLOTS: u64 = 64;
/// Places of a channel's read queue, and of its write queue.
const QUEUE: u64 = 32;
/// Ranks of a channel.
const RANKS: u64 = 2;
/// Refresh intervals that a rank may be behind (MEM-08), and the one in which it catches up.
const REFRESH_DEBT: u64 = 9;

/// Checks what each node counted of its controller and of the links to it.
pub fn check(monitor: &NodeCounterMonitor, report: &mut Report<'_>) {
    let config = &monitor.place.config;
    for (node, values) in monitor.node_values.iter().enumerate() {
        for source in 0..monitor.place.cpu_nodes {
            let from = usize::from(source);
            for (counter, limit) in [
                (NodeCounter::RequestStall(source), config.links[from][node]),
                (NodeCounter::AnswerStall(source), config.links[node][from]),
            ] {
                let most = match limit {
                    LinkLimit { rate: 0, .. } => 0,
                    _ => report.cycle,
                };
                let what = || format!("node {node} {counter}");
                report.within("NOC-04", what, values.get(counter), (0, most));
            }
        }
        match &config.nodes[node] {
            None => untimed(node, values, report),
            Some(timing) => timed(monitor, node, timing, report),
        }
    }
}

/// A node without a controller has nothing to count of one.
fn untimed(node: usize, values: &NodeCounts, report: &mut Report<'_>) {
    for event in NODE_EVENTS {
        let what = || format!("node {node} {}", event.name());
        report.within("MEM-01", what, values.event(event), (0, 0));
    }
}

fn timed(monitor: &NodeCounterMonitor, node: usize, timing: &NodeTiming, report: &mut Report<'_>) {
    use NodeEvent as E;
    let values = &monitor.node_values[node];
    let seen = &monitor.nodes[node];
    let channels = u64::from(monitor.place.channels);
    let cycle = report.cycle;
    let get = |event| values.event(event);
    let mut check = |requirement, event: NodeEvent, low: u64, high: u64| {
        let what = || format!("node {node} {}", event.name());
        report.within(requirement, what, values.event(event), (low, high));
    };

    // Each request, and the write of each compare-and-swap that found what it expected, is served
    // once: by the cache, by the write queue, or by a READ or WRITE. The rest is under way.
    let accepted: u64 = (0..monitor.cores.len() as u8)
        .map(|core| values.accepted(core))
        .sum();
    let swapped: u64 = seen.swaps.iter().sum();
    let wanted = accepted + swapped;
    let columns = get(E::RowHit) + get(E::RowClosed) + get(E::RowConflict);
    let elsewhere = get(E::ReadForwarded) + get(E::WriteMerged) + get(E::SliceHit);
    let under_way = SLOTS + QUEUE * channels;
    let least = wanted.saturating_sub(elsewhere + under_way);
    let openings = get(E::RowClosed) + get(E::RowConflict);
    check(
        "PMU-05",
        E::RowHit,
        least.saturating_sub(openings),
        (wanted + seen.refused).saturating_sub(elsewhere + openings),
    );
    // A row is opened before its first READ or WRITE, and may be closed without any.
    check("MEM-02", E::Activate, openings, u64::MAX);
    let mut commands = Commands::default();
    seen.channels
        .iter()
        .for_each(|channel| commands += channel.commands);
    for (event, value) in [
        (E::RowHit, commands.hits),
        (
            E::RowClosed,
            commands.firsts.saturating_sub(get(E::RowConflict)),
        ),
        (
            E::RowConflict,
            commands.firsts.saturating_sub(get(E::RowClosed)),
        ),
        (E::Activate, commands.activates),
        (E::Refresh, commands.refreshes),
        (E::Turnaround, commands.turnarounds),
    ] {
        check("MEM-01", event, value, value);
    }
    check("PMU-05", E::ReadForwarded, 0, accepted);
    check("MEM-06", E::AgeOverride, 0, columns);

    let most = QUEUE.min(get(E::ReadQueue));
    check("MEM-12", E::ReadQueueMost, 0, most);
    let most = QUEUE.min(get(E::WriteQueue));
    check("MEM-12", E::WriteQueueMost, 0, most);
    let most = |event| channels.saturating_mul(cycle).saturating_mul(get(event));
    let (reads, writes) = (most(E::ReadQueueMost), most(E::WriteQueueMost));
    check("MEM-12", E::ReadQueue, 0, reads);
    check("MEM-12", E::WriteQueue, 0, writes);

    let (least, due) = refreshes(timing, monitor.place.config.clock_ps, cycle);
    check("MEM-08", E::Refresh, channels * least, channels * due);
    check("MEM-08", E::RefreshWait, 0, channels * cycle);

    let reading: u64 = (0..monitor.cores.len() as u8)
        .flat_map(|core| {
            [Traffic::Read, Traffic::WalkRead, Traffic::Swap]
                .map(|traffic| values.of(core, traffic))
        })
        .sum();
    let (least, most) = match timing.slice_hit_ps {
        Some(_) => (reading.saturating_sub(SLOTS), reading),
        None => (0, 0),
    };
    check(
        "PMU-05",
        E::SliceMiss,
        least.saturating_sub(get(E::SliceHit)),
        most.saturating_sub(get(E::SliceHit)),
    );
    check("PMU-05", E::SliceHit, 0, most);

    let port = timing.port;
    let tail = port.is_some_and(|port| port.tail.chance != 0);
    check(
        "MEM-13",
        E::Tail,
        0,
        if tail { wanted + seen.refused } else { 0 },
    );
    let limited = port.is_some_and(|port| port.read_rate != 0 || port.write_rate != 0);
    check("MEM-13", E::TokenStall, 0, if limited { cycle } else { 0 });
    check(
        "MEM-13",
        E::CreditStall,
        0,
        if port.is_some() { cycle } else { 0 },
    );
}

/// The least and the most refreshes of a channel up to `cycle`: ranks take their turns evenly in an
/// interval, from the end of the first one on.
fn refreshes(timing: &NodeTiming, clock_ps: u64, cycle: u64) -> (u64, u64) {
    let interval = timing.dram.t_refi.div_ceil(clock_ps.max(1)).max(1);
    let due = |rank: u64| {
        let first = interval + interval * rank / RANKS;
        (cycle + 2)
            .checked_sub(first)
            .map_or(0, |rest| rest / interval + 1)
    };
    let each = (0..RANKS).map(due);
    let least = each
        .clone()
        .map(|due| due.saturating_sub(REFRESH_DEBT))
        .sum();
    (least, each.sum())
}
