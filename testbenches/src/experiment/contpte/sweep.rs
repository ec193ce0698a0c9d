// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Loads over working sets of several sizes.

use cosim::dut::ports::Counter;
use cosim::experiment::{Chart, Check, Context, ExperimentError, Series, Table};
use cosim::sim::Seed;
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use sw_mm::AccessSize;
use sw_mm::mm::{Map, Protection};
use vmsa::Granule;

use super::machine::{Machine, Setting, measure};

/// First address of the working set: aligned to every run.
const VA: u64 = 1 << 32;
/// Smallest working set, in bytes.
const SMALLEST: u64 = 64 << 10;

/// What loads over one working set came to, each figure per load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub bytes: u64,
    pub cycles: f64,
    pub refills: f64,
    pub walks: f64,
    pub walk_cycles: f64,
}

/// The points of one kernel.
#[derive(Debug, Clone)]
pub struct Curve {
    pub setting: Setting,
    pub points: Vec<Point>,
    /// Cycles that making the largest working set took, a page.
    pub fault_cycles: f64,
}

/// Loads over a working set ten times the reach of single pages in the first level, of one granule.
#[derive(Debug, Clone)]
pub struct Reach {
    pub setting: Setting,
    pub point: Point,
}

/// Measures `setting` at every power of two up to `largest` bytes.
///
/// # Errors
/// As [`measure`].
pub fn curve(
    context: &Context<'_>,
    setting: &Setting,
    largest: u64,
) -> Result<Curve, ExperimentError> {
    let sizes: Vec<u64> = (0..)
        .map(|step| SMALLEST << step)
        .take_while(|&bytes| bytes <= largest)
        .collect();
    let page = setting.granule.bytes();
    let seed = Seed::new(context.parameters.seed).child("contpte working set");
    let (points, fault_cycles) = measure(context, setting, move |machine| async move {
        let thread = &machine.thread;
        thread
            .mmap(&Map::anonymous(VA, largest, Protection::READ_WRITE))
            .await?;
        let mut points = Vec::new();
        let (mut made, mut fault_cycles) = (0, 0);
        for bytes in sizes {
            let pages = bytes / page;
            let start = machine.handle.now();
            for index in made..pages {
                thread
                    .user_store(VA + index * page, AccessSize::Double, index)
                    .await?;
            }
            fault_cycles += machine.handle.now() - start;
            made = pages;
            let order = order(seed, pages);
            points.push(point(&machine, &order, page).await?);
        }
        thread.exit().await?;
        Ok((points, fault_cycles))
    })?;
    Ok(Curve {
        setting: setting.clone(),
        points,
        fault_cycles: fault_cycles as f64 / (largest / page) as f64,
    })
}

/// Measures `setting` at ten times what single pages reach in the first-level TLB, at least two runs.
///
/// # Errors
/// As [`measure`].
pub fn reach(context: &Context<'_>, setting: &Setting) -> Result<Reach, ExperimentError> {
    let page = setting.granule.bytes();
    let run = page << setting.order;
    let bytes = (480 * page).next_multiple_of(run).max(2 * run);
    let seed = Seed::new(context.parameters.seed).child("contpte granule");
    let point = measure(context, setting, move |machine| async move {
        let thread = &machine.thread;
        thread
            .mmap(&Map::anonymous(VA, bytes, Protection::READ_WRITE))
            .await?;
        for start in (0..bytes).step_by(page as usize) {
            thread
                .user_store(VA + start, AccessSize::Double, start)
                .await?;
        }
        let order = order(seed, bytes / page);
        let point = point(&machine, &order, page).await?;
        thread.exit().await?;
        Ok(point)
    })?;
    Ok(Reach {
        setting: setting.clone(),
        point,
    })
}

fn order(seed: Seed, pages: u64) -> Vec<u64> {
    let mut order: Vec<u64> = (0..pages).collect();
    order.shuffle(&mut seed.child(&format!("{pages} pages")).rng());
    order
}

/// One round that is not counted, and then rounds of at least 1024 loads together.
async fn point(machine: &Machine, order: &[u64], page: u64) -> Result<Point, sw_mm::mm::Error> {
    let rounds = 1024usize.div_ceil(order.len());
    let (thread, handle) = (&machine.thread, &machine.handle);
    let counters = [
        Counter::L1dTlbRefill,
        Counter::DtlbWalk,
        Counter::DtlbWalkPercyc,
    ];
    let read = || counters.map(|counter| handle.counter(0, counter));
    let mut before = (0, [0; 3]);
    for round in 0..=rounds {
        if round == 1 {
            before = (handle.now(), read());
        }
        for &index in order {
            // Words at different places of the page, so that loads spread over lines and banks.
            let va = VA + index * page + index % 64 * 8;
            thread.user_load(va, AccessSize::Double).await?;
        }
    }
    let loads = (rounds * order.len()) as f64;
    let after = read();
    let per_load = |index: usize| (after[index] - before.1[index]) as f64 / loads;
    Ok(Point {
        bytes: order.len() as u64 * page,
        cycles: (handle.now() - before.0) as f64 / loads,
        refills: per_load(0),
        walks: per_load(1),
        walk_cycles: per_load(2),
    })
}

/// One row a working set.
pub fn table(curves: &[Curve]) -> Table {
    let mut table = Table::new(
        "Loads, one at a time, over a working set",
        2,
        &[
            "working set (KiB)",
            "kernel",
            "cycles a load",
            "first-level refills a load",
            "walks a load",
            "walk cycles a load",
        ],
    );
    let sizes = curves.first().map_or(0, |curve| curve.points.len());
    for place in 0..sizes {
        for curve in curves {
            let p = &curve.points[place];
            table.rows.push(vec![
                (p.bytes >> 10).to_string(),
                curve.setting.name(),
                format!("{:.1}", p.cycles),
                format!("{:.3}", p.refills),
                format!("{:.3}", p.walks),
                format!("{:.1}", p.walk_cycles),
            ]);
        }
    }
    table
}

/// Cycles and walks over the working set.
pub fn charts(curves: &[Curve]) -> Vec<Chart> {
    let chart = |title: &str, y: &str, value: fn(&Point) -> f64| Chart {
        title: title.to_owned(),
        x: "working set (log2 of KiB)".to_owned(),
        y: y.to_owned(),
        series: curves
            .iter()
            .map(|curve| Series {
                name: curve.setting.name(),
                points: curve
                    .points
                    .iter()
                    .map(|p| (((p.bytes >> 10) as f64).log2(), value(p)))
                    .collect(),
            })
            .collect(),
    };
    vec![
        chart("Cycles a load", "cycles", |p| p.cycles),
        chart("Walks a load", "walks", |p| p.walks),
    ]
}

/// No loss without large folios, a gain with them once the TLB is too small.
pub fn checks(curves: &[Curve]) -> Vec<Check> {
    let of = |order: u8, contpte: bool| {
        let wanted = |curve: &&Curve| {
            (curve.setting.order == 0) == (order == 0) && curve.setting.contpte == contpte
        };
        curves.iter().find(wanted)
    };
    let mut checks = Vec::new();
    if let (Some(off), Some(on)) = (of(0, false), of(0, true)) {
        let worst = pairs(off, on)
            .map(|(a, b)| b.cycles / a.cycles)
            .fold(0.0, f64::max);
        checks.push(Check {
            requirement: "CONTPTE-34",
            pass: worst <= 1.01,
            text: format!("order-0 pages: at most {worst:.3} times the cycles without contpte"),
        });
    }
    if let (Some(off), Some(on)) = (of(4, false), of(4, true)) {
        let last = pairs(off, on).last();
        if let Some((a, b)) = last {
            checks.push(Check {
                requirement: "CONTPTE-36",
                pass: b.refills < a.refills && b.cycles < a.cycles,
                text: format!(
                    "large folios, {} KiB: {:.3} refills a load without contpte, {:.3} with; {:.1} and {:.1} cycles",
                    a.bytes >> 10,
                    a.refills,
                    b.refills,
                    a.cycles,
                    b.cycles
                ),
            });
        }
    }
    checks
}

fn pairs<'a>(a: &'a Curve, b: &'a Curve) -> impl Iterator<Item = (&'a Point, &'a Point)> {
    a.points.iter().zip(&b.points)
}

/// One row a granule and kernel.
pub fn granule_table(reaches: &[Reach]) -> Table {
    let mut table = Table::new(
        "Large folios of each granule, ten times the reach of the first-level TLB",
        2,
        &[
            "granule",
            "kernel",
            "working set (KiB)",
            "cycles a load",
            "first-level refills a load",
            "walk cycles a load",
        ],
    );
    for Reach { setting, point } in reaches {
        table.rows.push(vec![
            setting.granule.to_string(),
            setting.name(),
            (point.bytes >> 10).to_string(),
            format!("{:.1}", point.cycles),
            format!("{:.3}", point.refills),
            format!("{:.1}", point.walk_cycles),
        ]);
    }
    table
}

/// In every granule a run takes fewer entries than its pages.
pub fn granule_checks(reaches: &[Reach]) -> Vec<Check> {
    let of = |granule: Granule, contpte: bool| {
        let wanted = |r: &&Reach| r.setting.granule == granule && r.setting.contpte == contpte;
        reaches.iter().find(wanted)
    };
    let check = |granule| {
        let (off, on) = (of(granule, false)?, of(granule, true)?);
        Some(Check {
            requirement: "CONTPTE-01",
            pass: on.point.refills < 0.1 * off.point.refills,
            text: format!(
                "{granule}: {:.3} refills a load without contpte, {:.3} with",
                off.point.refills, on.point.refills
            ),
        })
    };
    Granule::ALL.into_iter().filter_map(check).collect()
}

impl Curve {
    pub fn json(&self) -> Value {
        json!({
            "granule": self.setting.granule.to_string(), "order": self.setting.order,
            "contpte": self.setting.contpte, "fault_cycles_a_page": self.fault_cycles,
            "points": self.points.iter().map(Point::json).collect::<Vec<_>>(),
        })
    }
}

impl Reach {
    pub fn json(&self) -> Value {
        json!({
            "granule": self.setting.granule.to_string(), "order": self.setting.order,
            "contpte": self.setting.contpte, "point": self.point.json(),
        })
    }
}

impl Point {
    fn json(&self) -> Value {
        json!({
            "bytes": self.bytes, "cycles": self.cycles, "refills": self.refills,
            "walks": self.walks, "walk_cycles": self.walk_cycles,
        })
    }
}
