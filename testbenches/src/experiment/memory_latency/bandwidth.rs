// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The most that cores get out of each memory, beside what bounds it.

use cosim::experiment::{Check, Context, ExperimentError, Table};
use serde_json::{Value, json};

use super::load::{Kind, Load, Pattern, Point, run, targets};
use super::system::{LINE, RowState, System};

/// Loads that one core can have in memory: the slots of its data port.
pub const OUTSTANDING: u64 = 8;
/// As fast as any core can.
const FULL_RATE: u64 = 4;

/// The best that was achieved at a node.
#[derive(Debug, Clone)]
pub struct Peak {
    pub point: Point,
    pub kind: Kind,
    to: u8,
    cores: usize,
    /// GB/s that requests in flight allow at the idle latency of row hits.
    in_flight: f64,
}

/// Streams at full rate, by the cores of node 0 and by all cores.
///
/// # Errors
/// As [`run`].
pub fn peaks(context: &mut Context<'_>, system: &System) -> Result<Vec<Peak>, ExperimentError> {
    let mut peaks = Vec::new();
    let targets = targets(system);
    let all = targets.len() * 4;
    for (target, to) in &targets {
        for kind in [Kind::Read, Kind::Write] {
            for nodes in [1, system.info.cpu_nodes] {
                (context.progress)("bandwidth", peaks.len(), all);
                let load = Load {
                    cores: (0..nodes).flat_map(|node| system.cores_of(node)).collect(),
                    to: *to,
                    pattern: Pattern::Stream,
                    kind,
                    interval: FULL_RATE,
                };
                let in_flight = (0..nodes).map(|node| {
                    let cores = system.cores_of(node).len() as u64;
                    // A row hit: that is what streams are.
                    let opening =
                        system.service(*to, RowState::Closed) - system.service(*to, RowState::Hit);
                    let clocks = system.clocks(system.latency_ps(node, *to)) - opening;
                    system.bandwidth(cores * OUTSTANDING * LINE, clocks)
                });
                peaks.push(Peak {
                    in_flight: in_flight.sum(),
                    kind,
                    to: *to,
                    cores: load.cores.len(),
                    point: run(context, system, target, &load)?,
                });
            }
        }
    }
    Ok(peaks)
}

impl Peak {
    fn port_limit(&self, system: &System) -> f64 {
        let port = system.port_limit(self.to);
        port.map_or(f64::INFINITY, |(read, write)| match self.kind {
            Kind::Read => read,
            Kind::Write => write,
        })
    }

    /// GB/s that channels and port can give at most.
    pub fn limit(&self, system: &System) -> f64 {
        system.channels_peak(self.to).min(self.port_limit(system))
    }

    /// For machines.
    pub fn json(&self, system: &System) -> Value {
        let port = self.port_limit(system);
        json!({
            "memory": self.point.target, "kind": self.word(), "cores": self.cores,
            "achieved_gbs": self.point.achieved, "channels_gbs": system.channels_peak(self.to),
            "port_gbs": port.is_finite().then_some(port), "in_flight_gbs": self.in_flight,
            "mean_ns": self.point.mean,
        })
    }

    fn word(&self) -> &'static str {
        match self.kind {
            Kind::Read => "read",
            Kind::Write => "write",
        }
    }
}

/// The best bandwidths beside what bounds them.
pub fn table(peaks: &[Peak], system: &System) -> Table {
    let mut table = Table::new(
        "Bandwidth of streams at full rate, and what bounds it (GB/s)",
        3,
        &[
            "memory",
            "stream of",
            "cores",
            "achieved",
            "channels",
            "port",
            "loads in flight",
            "of the least bound (%)",
        ],
    );
    for peak in peaks {
        let port = peak.port_limit(system);
        // Writes are answered once they are queued: idle latency says nothing of them.
        let in_flight = match peak.kind {
            Kind::Read => peak.in_flight,
            Kind::Write => f64::INFINITY,
        };
        let bound = peak.limit(system).min(in_flight);
        let finite = |bound: f64| match bound.is_finite() {
            true => format!("{bound:.1}"),
            false => "-".to_owned(),
        };
        table.rows.push(vec![
            peak.point.target.clone(),
            peak.word().to_owned(),
            peak.cores.to_string(),
            format!("{:.1}", peak.point.achieved),
            format!("{:.1}", system.channels_peak(peak.to)),
            finite(port),
            finite(in_flight),
            format!("{:.0}", 100.0 * peak.point.achieved / bound),
        ]);
    }
    table
}

/// Says in words whether the cores could load the memory fully.
pub fn bottleneck(peaks: &[Peak], system: &System) -> String {
    let reads = peaks.iter().filter(|peak| peak.kind == Kind::Read);
    let starved: Vec<String> = reads
        .filter(|peak| peak.in_flight < 0.9 * peak.limit(system))
        .map(|peak| format!("{} from {} cores", peak.point.target, peak.cores))
        .collect();
    if starved.is_empty() {
        return "The cores have enough loads in flight to saturate every memory read.".to_owned();
    }
    format!(
        "The cores cannot saturate these with reads, as {OUTSTANDING} loads in flight a core bound the \
         bandwidth at idle latency: {}. Their curves end where the cores do, not where the memory does.",
        starved.join(", ")
    )
}

/// No achieved bandwidth is above what the channels and ports can give.
pub fn check(peaks: &[Peak], system: &System) -> Check {
    let over: Vec<String> = peaks
        .iter()
        .filter(|peak| peak.point.achieved > 1.01 * peak.limit(system))
        .map(|peak| format!("{} {}", peak.point.target, peak.word()))
        .collect();
    Check {
        requirement: "MEM-13",
        pass: over.is_empty(),
        text: if over.is_empty() {
            "no bandwidth achieved is above the limit of channels and ports".to_owned()
        } else {
            format!("above the limit of channels and ports: {}", over.join(", "))
        },
    }
}
