// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Latency and bandwidth under load: cores load at a rate, from one line in many clocks to as fast as
//! they can.

use cosim::dut::ports::CoreRequest;
use cosim::experiment::{Chart, Context, ExperimentError, Series, Table};
use cosim::sim::Seed;
use rand::Rng;
use serde_json::{Value, json};
use vmsa::El;

use super::probe::{Answer, measure};
use super::system::{LINE, System};

/// Clocks before the first load, out of reset.
const SETTLE: u64 = 64;
/// Clocks between two loads of a core that are far below and far above what it can have in flight.
const INTERVALS: [u64; 14] = [512, 256, 128, 96, 72, 56, 48, 40, 32, 28, 24, 20, 16, 8];
const QUICK_INTERVALS: [u64; 4] = [256, 64, 24, 8];
/// Which lines a load takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// One line after the other, dealt out to the cores: row hits.
    Stream,
    /// Anywhere.
    Random,
    /// Another row of one bank each time: conflicts.
    OneBank,
}

impl Pattern {
    const ALL: [Self; 3] = [Self::Stream, Self::Random, Self::OneBank];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Random => "random",
            Self::OneBank => "one bank",
        }
    }
}

/// Reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
}

/// What cores do at once.
#[derive(Clone)]
pub struct Load {
    pub cores: Vec<usize>,
    pub to: u8,
    pub pattern: Pattern,
    pub kind: Kind,
    /// Clocks from one request of a core to its next.
    pub interval: u64,
}

/// What a load came to. Latencies in ns, bandwidths in GB/s.
#[derive(Debug, Clone)]
pub struct Point {
    /// Which memory, as seen from the cores.
    pub target: String,
    pub pattern: Pattern,
    pub interval: u64,
    pub offered: f64,
    pub achieved: f64,
    pub mean: f64,
    pub percentile_95: f64,
}

fn window(context: &Context<'_>) -> u64 {
    if context.parameters.quick {
        4_000
    } else {
        16_000
    }
}

/// Runs `load` for a window of time and looks at the last three quarters of it.
///
/// # Errors
/// As [`measure`], or [`ExperimentError::Broken`] if nothing was answered.
pub fn run(
    context: &Context<'_>,
    system: &System,
    target: &str,
    load: &Load,
) -> Result<Point, ExperimentError> {
    let window = window(context);
    let asked = load.clone();
    let [base, next_row] = [system.base(load.to), system.next_row()];
    let seed = Seed::new(context.parameters.seed).child("memory-latency load");
    let answers = measure(context, |handle| async move {
        handle.sleep(SETTLE).await;
        let start = handle.now();
        let cores = asked.cores.len() as u64;
        let mut tasks = Vec::new();
        for (place, &core) in (0u64..).zip(&asked.cores) {
            let Some(core) = handle.core(core) else {
                continue;
            };
            let mut rng = seed.child(&format!("core {place}")).rng();
            let (clock, load) = (handle.clone(), asked.clone());
            let task = async move {
                // Cores take turns rather than ask all at once.
                let first = start + place * load.interval / cores;
                let mut under_way = Vec::new();
                for number in 0..window / load.interval {
                    clock.sleep_until(first + number * load.interval).await;
                    let turn = number * cores + place;
                    let address = base
                        + match load.pattern {
                            Pattern::Stream => turn * LINE,
                            Pattern::Random => rng.random_range(0..1u64 << 32) * LINE,
                            Pattern::OneBank => turn * next_row,
                        };
                    let request = match load.kind {
                        Kind::Read => CoreRequest::load(address, 3, El::El1),
                        Kind::Write => CoreRequest::store(address, 3, El::El1, number),
                    };
                    under_way.push(core.issue(request));
                }
                // What is not answered by now is dropped with `under_way`.
                clock.sleep_until(start + window).await;
            };
            tasks.push(handle.spawn(task));
        }
        for task in tasks {
            task.await;
        }
    })?;
    let end = SETTLE + window;
    let begin = SETTLE + window / 4;
    let seen: Vec<Answer> = answers
        .into_iter()
        .filter(|answer| (begin..end).contains(&answer.answered))
        .collect();
    let mut latencies: Vec<u64> = seen.iter().map(Answer::latency).collect();
    latencies.sort_unstable();
    let count = latencies.len();
    if count == 0 {
        let text = format!("no answer from {target} in {window} clocks");
        return Err(ExperimentError::Broken(text));
    }
    let cores = load.cores.len() as u64;
    // The least latency that 95 of 100 do not exceed.
    let place = (count * 95).div_ceil(100) - 1;
    Ok(Point {
        target: target.to_owned(),
        pattern: load.pattern,
        interval: load.interval,
        offered: system.bandwidth(cores * LINE, load.interval),
        achieved: system.bandwidth(count as u64 * LINE, end - begin),
        mean: system.nanoseconds(latencies.iter().sum()) / count as f64,
        percentile_95: system.nanoseconds(latencies[place]),
    })
}

/// Memory as node 0 sees it: its own, the nearest of another socket, the nearest slow tier.
pub fn targets(system: &System) -> Vec<(String, u8)> {
    let nearest = |slow: bool| {
        let others = system.target_nodes().filter(|&node| node != 0);
        others
            .filter(|&node| system.slow(node) == slow)
            .min_by_key(|&node| system.distance(0, node))
    };
    let mut targets = vec![("local DRAM".to_owned(), 0)];
    targets.extend(nearest(false).map(|node| ("remote DRAM".to_owned(), node)));
    targets.extend(nearest(true).map(|node| ("slow tier".to_owned(), node)));
    targets
}

/// All cores of node 0 load from one memory, at rising rates.
///
/// # Errors
/// As [`measure`].
pub fn sweep(context: &mut Context<'_>, system: &System) -> Result<Vec<Point>, ExperimentError> {
    let intervals = match context.parameters.quick {
        true => &QUICK_INTERVALS[..],
        false => &INTERVALS[..],
    };
    let targets = targets(system);
    let all = targets.len() * Pattern::ALL.len() * intervals.len();
    let mut points = Vec::with_capacity(all);
    for (target, to) in &targets {
        for pattern in Pattern::ALL {
            for &interval in intervals {
                (context.progress)("loaded latency", points.len(), all);
                let load = Load {
                    cores: system.cores_of(0).collect(),
                    to: *to,
                    pattern,
                    kind: Kind::Read,
                    interval,
                };
                points.push(run(context, system, target, &load)?);
            }
        }
    }
    Ok(points)
}

/// The loaded latencies.
pub fn table(points: &[Point]) -> Table {
    let mut table = Table::new(
        "Loaded latency: the cores of node 0 load lines from one memory",
        3,
        &[
            "memory",
            "pattern",
            "clocks from load to load",
            "offered (GB/s)",
            "achieved (GB/s)",
            "mean (ns)",
            "95th percentile (ns)",
        ],
    );
    for point in points {
        let mut row = vec![
            point.target.clone(),
            point.pattern.word().to_owned(),
            point.interval.to_string(),
        ];
        let figures = [
            point.offered,
            point.achieved,
            point.mean,
            point.percentile_95,
        ];
        row.extend(figures.map(|figure| format!("{figure:.1}")));
        table.rows.push(row);
    }
    table
}

/// Mean latency over achieved bandwidth, a chart for each memory.
pub fn charts(points: &[Point]) -> Vec<Chart> {
    points
        .chunk_by(|a, b| a.target == b.target)
        .map(|of_target| Chart {
            title: format!("Loaded latency, {}", of_target[0].target),
            x: "achieved (GB/s)".to_owned(),
            y: "mean load to use (ns)".to_owned(),
            series: of_target
                .chunk_by(|a, b| a.pattern == b.pattern)
                .map(|line| Series {
                    name: line[0].pattern.word().to_owned(),
                    points: line
                        .iter()
                        .map(|point| (point.achieved, point.mean))
                        .collect(),
                })
                .collect(),
        })
        .collect()
}

impl Point {
    /// For machines.
    pub fn json(&self) -> Value {
        json!({
            "memory": self.target, "pattern": self.pattern.word(), "interval_clocks": self.interval,
            "offered_gbs": self.offered, "achieved_gbs": self.achieved, "mean_ns": self.mean,
            "p95_ns": self.percentile_95,
        })
    }
}
