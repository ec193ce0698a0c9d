// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Requests and answers: by node against the DRAM port, by core and node against what the core was
//! answered, summed over the nodes against the counters of the core.

use super::{NodeCounterMonitor, Report};
use crate::dut::NodeCounts;
use crate::dut::ports::{Counter, Traffic};

/// Requests accepted and answered by each node.
pub fn of_nodes(monitor: &NodeCounterMonitor, report: &mut Report<'_>) {
    let cores = monitor.cores.len() as u8;
    for (node, (values, seen)) in monitor.node_values.iter().zip(&monitor.nodes).enumerate() {
        let sum = |traffic| (0..cores).map(|core| values.of(core, traffic)).sum::<u64>();
        // Every request reads or writes once; a compare-and-swap reads, and writes what is equal. One
        // that was accepted waits for what DRAM has not answered before it reads.
        let reading = sum(Traffic::Read) + sum(Traffic::WalkRead) + sum(Traffic::Swap);
        let what = || format!("node {node} READ + WALK_READ + SWAP of all cores");
        report.within("PMU-05", what, reading, (seen.reads, seen.reads + 1));
        let swapped: u64 = seen.swaps.iter().sum();
        let what = || format!("node {node} WRITE of all cores");
        let least = seen.writes.saturating_sub(swapped + seen.refused);
        let most = seen.writes.saturating_sub(swapped);
        report.within("PMU-05", what, sum(Traffic::Write), (least, most));
        let under_way: u64 = monitor.cores.iter().map(|core| core.under_way()).sum();
        let what = || format!("node {node} ERROR of all cores");
        let least = seen.errors.saturating_sub(under_way);
        report.within("PMU-05", what, sum(Traffic::Error), (least, seen.errors));
        for core in 0..cores {
            of_core_at_node(monitor, (core, node), values, report);
        }
        for source in 0..monitor.place.cpu_nodes {
            let of_source = |core: &u8| monitor.place.node(*core) == usize::from(source);
            let under_way: u64 = (0..cores)
                .filter(of_source)
                .map(|core| monitor.cores[usize::from(core)].under_way())
                .sum();
            let answers: u64 = (0..cores)
                .filter(of_source)
                .map(|core| values.of(core, Traffic::Answer))
                .sum();
            let what = || format!("node {node} answers to node {source} in the histogram");
            let total = values.latencies(source).iter().sum();
            let bounds = (answers.saturating_sub(under_way), answers);
            report.within("PMU-09", what, total, bounds);
        }
    }
}

fn of_core_at_node(
    monitor: &NodeCounterMonitor,
    (core, node): (u8, usize),
    values: &NodeCounts,
    report: &mut Report<'_>,
) {
    let seen = &monitor.cores[usize::from(core)];
    let at_port = &monitor.nodes[node];
    let served = &seen.served[node];
    let mut check = |requirement, traffic: Traffic, least: u64, more: u64| {
        let what = || format!("node {node} CORE{core}_{}", traffic.name());
        let bounds = (least, least + more);
        report.within(requirement, what, values.of(core, traffic), bounds);
    };
    let stores = at_port.stores[usize::from(core)];
    check("PMU-05", Traffic::Write, stores, at_port.refused);
    let more = seen.unknown_reads + seen.data_under_way();
    check("PMU-05", Traffic::Read, served.reads, more);
    // Descriptor reads are never counted among those of accesses, nor the other way round.
    check(
        "PMU-07",
        Traffic::WalkRead,
        served.steps,
        seen.walks_under_way(),
    );
    let more = seen.unknown_swaps + seen.swaps_under_way() + seen.walks_under_way();
    check("PMU-05", Traffic::Swap, served.swaps + served.updates, more);
    // What is accepted is answered once, sooner or later.
    let accepted = values.accepted(core);
    let under_way = seen.under_way();
    let least = accepted.saturating_sub(under_way);
    check("PMU-09", Traffic::Answer, least, accepted - least);
    let writes = values.of(core, Traffic::Write);
    let bytes = 64 * writes + 8 * (accepted - writes);
    check("PMU-05", Traffic::BytesTo, bytes, 0);
    // Accesses are answered with a line, walkers with a descriptor.
    let (line, word) = (64, 8);
    let answers = values.of(core, Traffic::Answer);
    let for_walks = (served.steps + served.updates).min(answers);
    let least_for_data = answers.saturating_sub(for_walks + seen.walks_under_way());
    let least = word * answers + (line - word) * least_for_data;
    let most = word * answers + (line - word) * (answers - for_walks);
    check("PMU-05", Traffic::BytesFrom, least, most - least);
}

/// What each core counted of requests and homes, against what the nodes counted of that core.
pub fn of_cores(monitor: &NodeCounterMonitor, report: &mut Report<'_>) {
    for (core, (seen, counts)) in (0..).zip(monitor.cores.iter().zip(&monitor.core_values)) {
        let own = monitor.place.node(core);
        let sum = |traffics: &[Traffic], remote: bool| -> u64 {
            let nodes = monitor.node_values.iter().enumerate();
            nodes
                .filter(|(node, _)| !remote || *node != own)
                .flat_map(|(_, values)| traffics.iter().map(|&traffic| values.of(core, traffic)))
                .sum()
        };
        let under_way = seen.under_way();
        // Requests to addresses that have no home, or one that cannot be reached, are answered with
        // an error before they come to any node.
        let errors = counts.get(Counter::MemoryError);
        let refused = errors.saturating_sub(sum(&[Traffic::Error], false).min(errors));
        let mut check = |requirement, counter: Counter, least: u64, more: u64| {
            let what = || format!("core {core} {}", counter.name());
            let bounds = (least, least + more);
            report.within(requirement, what, counts.get(counter), bounds);
        };
        let reads = sum(&[Traffic::Read, Traffic::WalkRead], false);
        let writes = sum(&[Traffic::Write, Traffic::Swap], false);
        let more = refused + under_way;
        check("PMU-05", Counter::BusAccessRd, reads, more);
        check("PMU-05", Counter::BusAccessWr, writes, more);
        let all = reads + writes;
        check(
            "PMU-05",
            Counter::BusAccess,
            all + refused.saturating_sub(under_way),
            under_way + refused.min(under_way),
        );
        let remote_reads = sum(&[Traffic::Read], true);
        check("PMU-06", Counter::RemoteAccessRd, remote_reads, more);
        // Updates of walkers are no accesses.
        let updates: u64 = (0..seen.served.len())
            .filter(|&node| node != own)
            .map(|node| seen.served[node].updates)
            .sum();
        let remote = sum(&[Traffic::Read, Traffic::Write, Traffic::Swap], true);
        let remote = remote.saturating_sub(updates);
        let least = remote.saturating_sub(seen.walks_under_way());
        check(
            "PMU-06",
            Counter::RemoteAccess,
            least,
            more + remote - least,
        );
        let remote = sum(&[Traffic::WalkRead], true);
        check(
            "PMU-06",
            Counter::WalkReadRemote,
            remote.saturating_sub(seen.walks_under_way()),
            more + seen.walks_under_way(),
        );
    }
}
