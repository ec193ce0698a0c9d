// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Latency of isolated reads: the matrix from node to node (NOC-01), and what the state of the row
//! makes of it (MEM-03).

use cosim::dut::memory::PagePolicy;
use cosim::dut::ports::CoreRequest;
use cosim::experiment::{Check, Context, ExperimentError, Table};
use cosim::sim::{Seed, SimHandle};
use rand::Rng;
use serde_json::{Value, json};
use vmsa::El;

use super::probe::measure;
use super::system::{LINE, RowState, System};

/// Clocks around a refresh that a read stays away from, besides what DRAM asks for.
const MARGIN: u64 = 64;
/// Clocks after reset in which nothing is measured.
const SETTLE: u64 = 64;

/// Latency in clocks, sample by sample, `[from][to]`.
pub struct Matrix {
    samples: Vec<Vec<Vec<u64>>>,
}

/// Waits until every row of `node` is closed, and then for the first moment from which on no refresh
/// is due for `clocks`. Ranks take their refreshes in turn, two in a refresh interval, and an idle one
/// at the moment it is due.
async fn quiet(handle: &SimHandle, system: &SystemTiming, clocks: u64) {
    handle.sleep(system.closed_after).await;
    let phase = handle.now() % system.half_interval;
    let last = system.half_interval.saturating_sub(clocks + MARGIN);
    if phase < system.refresh {
        handle.sleep(system.refresh - phase).await;
    } else if phase > last {
        handle
            .sleep(system.half_interval - phase + system.refresh)
            .await;
    }
}

/// What [`quiet`] has to know of a node.
#[derive(Clone, Copy)]
struct SystemTiming {
    closed_after: u64,
    half_interval: u64,
    refresh: u64,
}

impl SystemTiming {
    fn of(system: &System, node: u8) -> Self {
        let timing = system.timing(node);
        let dram = timing.dram;
        let open = match timing.page {
            PagePolicy::Open(ps) => system.clocks(ps),
            PagePolicy::Closed => 0,
        };
        let recovery = system.clocks(dram.t_rc) + system.clocks(dram.t_rp);
        Self {
            closed_after: open + recovery + MARGIN,
            half_interval: (system.clocks(dram.t_refi) / 2).max(1),
            refresh: recovery + system.clocks(dram.t_rfc) + MARGIN,
        }
    }
}

fn load(address: u64) -> CoreRequest {
    CoreRequest::load(address, 3, El::El1)
}

/// Measures the matrix.
///
/// # Errors
/// As [`measure`].
pub fn matrix(context: &mut Context<'_>, system: &System) -> Result<Matrix, ExperimentError> {
    let count = if context.parameters.quick { 2 } else { 16 };
    let pairs = usize::from(system.info.cpu_nodes) * usize::from(system.info.nodes);
    let seed = Seed::new(context.parameters.seed).child("memory-latency");
    let mut samples =
        vec![vec![Vec::new(); usize::from(system.info.nodes)]; usize::from(system.info.cpu_nodes)];
    for from in system.source_nodes() {
        for to in system.target_nodes() {
            let done = usize::from(from) * usize::from(system.info.nodes) + usize::from(to);
            (context.progress)("idle latency", done, pairs);
            let mut rng = seed.child(&format!("{from} to {to}")).rng();
            let base = system.base(to);
            // All over the node: other channels, ranks, banks and rows each time.
            let draw = |_| base + rng.random_range(0..1u64 << 32) * LINE;
            let lines: Vec<u64> = (0..count).map(draw).collect();
            let core = system.cores_of(from).start;
            let timing = SystemTiming::of(system, to);
            let length = system.clocks(system.latency_ps(from, to));
            let answers = measure(context, |handle| async move {
                handle.sleep(SETTLE).await;
                let Some(core) = handle.core(core) else {
                    return;
                };
                for line in lines {
                    quiet(&handle, &timing, length).await;
                    core.access(load(line)).await;
                }
            })?;
            samples[usize::from(from)][usize::from(to)] =
                answers.iter().map(super::probe::Answer::latency).collect();
        }
    }
    Ok(Matrix { samples })
}

impl Matrix {
    /// The sample that is farthest from what is expected.
    pub fn latency_ns(&self, system: &System, from: u8, to: u8) -> f64 {
        let expected = system.latency_ps(from, to) as f64 / 1000.0;
        let off = |ns: f64| (ns - expected).abs();
        let samples = self.samples[usize::from(from)][usize::from(to)].iter();
        let ns = samples.map(|&clocks| system.nanoseconds(clocks));
        ns.max_by(|&a, &b| off(a).total_cmp(&off(b)))
            .unwrap_or(f64::NAN)
    }

    fn per_pair(system: &System, of: impl Fn(u8, u8) -> f64) -> Vec<Vec<f64>> {
        let row = |from| system.target_nodes().map(|to| of(from, to)).collect();
        system.source_nodes().map(row).collect()
    }

    pub fn nanoseconds(&self, system: &System) -> Vec<Vec<f64>> {
        Self::per_pair(system, |from, to| self.latency_ns(system, from, to))
    }

    pub fn expected_nanoseconds(&self, system: &System) -> Vec<Vec<f64>> {
        Self::per_pair(system, |from, to| {
            system.latency_ps(from, to) as f64 / 1000.0
        })
    }

    pub fn table(&self, system: &System) -> Table {
        let kind = |node| match system.slow(node) {
            true => "slow",
            false => "DRAM",
        };
        let heads = system
            .target_nodes()
            .map(|to| format!("node {to}, {} (ns)", kind(to)));
        let samples = self.samples[0][0].len();
        let title = format!(
            "Idle latency: isolated reads of closed rows, {samples} a pair, the one farthest from the expected"
        );
        let mut table = Table::new(&title, 1, &["from"]);
        table.columns.extend(heads);
        for from in system.source_nodes() {
            let mut row = vec![format!("node {from}")];
            row.extend(
                system
                    .target_nodes()
                    .map(|to| format!("{:.1}", self.latency_ns(system, from, to))),
            );
            table.rows.push(row);
        }
        for from in system.source_nodes() {
            let mut row = vec![format!("node {from}, expected")];
            let expected = |to| format!("{:.1}", system.latency_ps(from, to) as f64 / 1000.0);
            row.extend(system.target_nodes().map(expected));
            table.rows.push(row);
        }
        table
    }

    /// NOC-01: every sample of every pair within one clock of LAT.
    pub fn check(&self, system: &System) -> Check {
        let clock = system.nanoseconds(1);
        let mut worst = (0.0, 0, 0);
        for from in system.source_nodes() {
            for to in system.target_nodes() {
                let expected = system.latency_ps(from, to) as f64 / 1000.0;
                let off = self.latency_ns(system, from, to) - expected;
                if off.is_nan() || off.abs() > f64::abs(worst.0) {
                    worst = (off, from, to);
                }
            }
        }
        let (off, from, to) = worst;
        Check {
            requirement: "NOC-01",
            pass: off.abs() <= clock,
            text: if off == 0.0 {
                "every pair meets LAT = LAT_UNIT x SLIT exactly".to_owned()
            } else {
                format!(
                    "farthest from LAT: {off:+.1} ns from node {from} to node {to}; {clock} ns are granted"
                )
            },
        }
    }
}

/// A read of one row state.
pub struct Service {
    from: u8,
    to: u8,
    row: RowState,
    /// Load to use.
    latency: u64,
    /// What is left of it without links, controller and port.
    measured: Option<u64>,
    expected: u64,
}

/// Measures a read of a closed row, then one of the same row, then one of another row of that bank, at
/// each node, from the nearest node with cores.
///
/// # Errors
/// As [`measure`].
pub fn services(
    context: &mut Context<'_>,
    system: &System,
) -> Result<Vec<Service>, ExperimentError> {
    let mut services = Vec::new();
    for to in system.target_nodes() {
        (context.progress)(
            "service times",
            usize::from(to),
            usize::from(system.info.nodes),
        );
        let nearest = system
            .source_nodes()
            .min_by_key(|&from| system.distance(from, to));
        let from = nearest.unwrap_or(0);
        let core = system.cores_of(from).start;
        let first = system.base(to);
        let [column, row] = [system.next_column(), system.next_row()];
        let timing = SystemTiming::of(system, to);
        let length = 4 * system.clocks(system.latency_ps(from, to));
        let answers = measure(context, |handle| async move {
            handle.sleep(SETTLE).await;
            let Some(core) = handle.core(core) else {
                return;
            };
            quiet(&handle, &timing, length).await;
            for line in [first, first + column, first + row] {
                core.access(load(line)).await;
            }
        })?;
        let states = [RowState::Closed, RowState::Hit, RowState::Conflict];
        for (row, answer) in states.into_iter().zip(answers) {
            let latency = answer.latency();
            let beside = system.path(from, to) + system.port(to);
            services.push(Service {
                from,
                to,
                row,
                latency,
                measured: latency.checked_sub(beside),
                expected: system.service(to, row),
            });
        }
    }
    Ok(services)
}

const fn word(row: RowState) -> &'static str {
    match row {
        RowState::Hit => "row hit",
        RowState::Closed => "closed row",
        RowState::Conflict => "row conflict",
    }
}

const fn formula(row: RowState) -> &'static str {
    match row {
        RowState::Hit => "CL + burst",
        RowState::Closed => "tRCD + CL + burst",
        RowState::Conflict => "tRP + tRCD + CL + burst",
    }
}

/// The service times.
pub fn service_table(services: &[Service], system: &System) -> Table {
    let mut table = Table::new(
        "Service time of an isolated read: load to use less links, controller and port",
        3,
        &[
            "at",
            "from",
            "state",
            "load to use (ns)",
            "service (clocks)",
            "expected (clocks)",
            "which is",
        ],
    );
    for service in services {
        table.rows.push(vec![
            format!("node {}", service.to),
            format!("node {}", service.from),
            word(service.row).to_owned(),
            format!("{:.1}", system.nanoseconds(service.latency)),
            service
                .measured
                .map_or_else(|| "-".to_owned(), |clocks| clocks.to_string()),
            service.expected.to_string(),
            formula(service.row).to_owned(),
        ]);
    }
    table
}

/// MEM-03: exactly so many clocks.
pub fn service_check(services: &[Service]) -> Check {
    let wrong: Vec<String> = services
        .iter()
        .filter(|service| service.measured != Some(service.expected))
        .map(|service| format!("{} at node {}", word(service.row), service.to))
        .collect();
    Check {
        requirement: "MEM-03",
        pass: wrong.is_empty() && !services.is_empty(),
        text: if wrong.is_empty() {
            "hit, closed row and conflict take their clocks exactly, at every node".to_owned()
        } else {
            format!("not the clocks stated: {}", wrong.join(", "))
        },
    }
}

/// The service times for machines.
pub fn service_json(services: &[Service], system: &System) -> Value {
    let one = |service: &Service| {
        json!({
            "from": service.from, "to": service.to, "row": word(service.row),
            "latency_ns": system.nanoseconds(service.latency),
            "service_clocks": service.measured, "expected_clocks": service.expected,
        })
    };
    services.iter().map(one).collect()
}
