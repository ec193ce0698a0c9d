// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Memory configurations for hardware of any shape: distances and limits of section 3 of the memory
//! system contract, and draws of everything that may not change a result (MEM-14).

use rand::Rng;

use super::map::MAP_ENTRIES;
use super::{
    AddressMap, DramTiming, LOCAL_DISTANCE, LinkLimit, MAX_NODES, MapEntry, MemoryConfig,
    NodeTiming, PagePolicy, Port, Tail, UNREACHABLE,
};
use crate::dut::ports::Info;
use crate::sim::Seed;

/// Period of the socket's clock in picoseconds.
const CLOCK_PS: u64 = 500;
/// LAT_UNIT: picoseconds of a unit of distance.
const LATENCY_UNIT_PS: u64 = 9_000;
/// Each node also owns this many bytes that are not dealt out in turn.
pub const NODE_SPAN: u64 = 1 << 40;

/// First address of the span that `node` alone is home to.
#[must_use]
pub const fn node_base(node: u8) -> u64 {
    (node as u64 + 1) * NODE_SPAN
}

/// `rate` GB/s in bytes of 256 clocks.
const fn gigabytes_a_second(rate: u64) -> u16 {
    (rate * 256 * CLOCK_PS / 1000) as u16
}

/// A slow tier: DDR4 behind a port (section 4.1).
#[must_use]
pub const fn slow_tier() -> NodeTiming {
    let mut timing = NodeTiming::new(DramTiming::DDR4_2666);
    timing.port = Some(Port {
        delay_ps: 25_000,
        credits: 32,
        read_rate: gigabytes_a_second(20),
        write_rate: gigabytes_a_second(16),
        tail: Tail {
            chance: 0,
            extra_ps: 0,
        },
    });
    timing
}

/// The distances of section 3: node n without cores is attached to node n - cpu_nodes.
fn distances(cpu_nodes: usize) -> [[u8; MAX_NODES]; MAX_NODES] {
    let mut distance = [[LOCAL_DISTANCE; MAX_NODES]; MAX_NODES];
    for (from, row) in distance.iter_mut().enumerate() {
        for (to, entry) in row.iter_mut().enumerate().filter(|(to, _)| *to != from) {
            let attached = from % cpu_nodes == to % cpu_nodes;
            *entry = match (from < cpu_nodes, to < cpu_nodes) {
                (true, true) => 17,
                (false, false) => 41,
                _ if attached => 24,
                _ => 34,
            };
        }
    }
    distance
}

/// Pages dealt out to all nodes in turn, but for one span of [`NODE_SPAN`] bytes a node from
/// [`node_base`] on.
fn map(nodes: usize) -> AddressMap {
    let mut map = AddressMap::interleaved(nodes);
    if nodes > 1 && nodes < MAP_ENTRIES {
        map.entries[nodes] = map.entries[0];
        for (node, entry) in map.entries[..nodes].iter_mut().enumerate() {
            let base = node_base(node as u8);
            *entry = MapEntry {
                base,
                end: base + NODE_SPAN,
                nodes: 1 << node,
            };
        }
    }
    map
}

/// `dram` at the nodes with cores, a slow tier at the others.
pub(super) fn timed(info: &Info, dram: DramTiming) -> MemoryConfig {
    let (cpu_nodes, nodes) = (usize::from(info.cpu_nodes), usize::from(info.nodes));
    let mut config = MemoryConfig::flat(nodes);
    config.clock_ps = CLOCK_PS;
    config.latency_unit_ps = LATENCY_UNIT_PS;
    config.distance = distances(cpu_nodes);
    config.map = map(nodes);
    for node in 0..nodes {
        config.nodes[node] = Some(match node < cpu_nodes {
            true => NodeTiming::new(dram),
            false => slow_tier(),
        });
        for other in (0..nodes).filter(|other| *other != node) {
            config.links[node][other] = LinkLimit {
                rate: gigabytes_a_second(32),
                burst: 256,
            };
        }
    }
    config
}

/// Everything drawn from `seed`.
pub(super) fn random(info: &Info, seed: u64) -> MemoryConfig {
    let mut rng = Seed::new(seed).child("memory system").rng();
    let dram = match rng.random_bool(0.5) {
        true => DramTiming::DDR4_2666,
        false => DramTiming::DDR5_4800,
    };
    let mut config = timed(info, dram);
    config.latency_unit_ps = [0, 1_000, 9_000, 20_000][rng.random_range(0..4)];
    for link in config.links.iter_mut().flatten() {
        *link = match rng.random_bool(0.5) {
            true => LinkLimit::default(),
            false => LinkLimit {
                rate: rng.random_range(256..8192),
                burst: rng.random_range(64..1024),
            },
        };
    }
    for node in config.nodes.iter_mut().flatten() {
        *node = random_node(&mut rng);
    }
    for from in 0..MAX_NODES {
        for to in 0..MAX_NODES {
            let least = config.least_distance(to).max(LOCAL_DISTANCE);
            config.distance[from][to] = least
                .saturating_add(rng.random_range(0..40))
                .min(UNREACHABLE - 1);
        }
    }
    config
}

fn random_node(rng: &mut impl Rng) -> NodeTiming {
    let mut time = |from: u64, to: u64| rng.random_range(from..=to);
    let (t_ras, t_rp) = (time(10_000, 40_000), time(4_000, 20_000));
    let (t_rrd_s, t_ccd_s) = (time(1_000, 6_000), time(2_000, 5_000));
    let t_wtr_s = time(1_000, 6_000);
    let mut timing = NodeTiming::new(DramTiming {
        cl: time(5_000, 25_000),
        t_rcd: time(4_000, 20_000),
        t_rp,
        t_ras,
        t_rc: t_ras + t_rp,
        t_rrd_s,
        t_rrd_l: t_rrd_s + time(0, 3_000),
        t_faw: 4 * t_rrd_s + time(0, 10_000),
        t_ccd_s,
        t_ccd_l: t_ccd_s + time(0, 4_000),
        cwl: time(4_000, 18_000),
        t_wr: time(8_000, 30_000),
        t_wtr_s,
        t_wtr_l: t_wtr_s + time(0, 8_000),
        t_rtp: time(4_000, 10_000),
        t_rfc: time(50_000, 350_000),
        t_refi: time(1_500_000, 7_800_000),
        burst: t_ccd_s,
    });
    timing.page = match rng.random_bool(0.3) {
        true => PagePolicy::Closed,
        false => PagePolicy::Open(rng.random_range(0..1_000_000)),
    };
    timing.age_cap_ps = rng.random_range(20_000..1_000_000);
    timing.write_age_ps = rng.random_range(0..2_000_000);
    let low = rng.random_range(0..16);
    timing.drain = (low + rng.random_range(1..=16), low);
    timing.walks_first = rng.random();
    timing.slice_hit_ps = rng.random_bool(0.3).then(|| rng.random_range(500..20_000));
    timing.port = rng.random_bool(0.4).then(|| Port {
        delay_ps: rng.random_range(0..60_000),
        credits: rng.random_range(1..=32),
        read_rate: rng.random_range(0..2) * rng.random_range(512..8192),
        write_rate: rng.random_range(0..2) * rng.random_range(512..8192),
        tail: Tail {
            chance: rng.random_range(0..8192),
            extra_ps: rng.random_range(0..400_000),
        },
    });
    timing
}
