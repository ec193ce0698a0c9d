// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Tables that come and go: cleared before they are linked, freed after everything cached of them, kept
//! while a neighbour needs them.

use std::collections::BTreeSet;
use std::rc::Rc;

use cosim::regress::{Bench, Failure, Testbench};
use cosim::sim::event::EventKind;
use sw_mm::mm::{Map, Protection};
use sw_mm::{Activity, OsEvent};
use vmsa::{Granule, geometry};

use super::access::{access, load, store};
use super::os::{Os, OsConfig, join};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "mm-table-reuse",
        purpose: "tables made from frames that held data, and data in frames that were tables, while another core walks there",
        requirements: &["MM-02", "MM-04", "MM-05", "MM-06", "MM-30"],
        run: reuse,
    },
    Testbench {
        name: "mm-table-neighbours",
        purpose: "munmap unlinks the tables that no other area needs, and no others",
        requirements: &["MM-05", "MM-32"],
        run: neighbours,
    },
];

const VA: u64 = 0x40_0000_0000;
/// A word that says nothing as a descriptor but that it is valid.
const DIRT: u64 = 0xdead_0000_0000_0007;

/// What the kernel told of `activity`, in order.
pub fn told(record: &Record, activity: Activity) -> Vec<(u64, OsEvent)> {
    record.collect(|kind| match kind {
        EventKind::Os(event) if event.activity == activity => Some(*event),
        _ => None,
    })
}

fn reuse(bench: &mut Bench) -> Result<(), Failure> {
    for granule in Granule::ALL {
        bench.restart()?;
        let os = Os::boot(bench, &OsConfig::with_granule(granule))?;
        let record = Record::on(bench)?;
        let (rounds, page) = (if granule == Granule::K4 { 4 } else { 1 }, granule.bytes());
        let reused = os.run(bench, async move |os| {
            let (thread, other) = os.pair();
            let space = os.space().await?;
            join(&other, &space).await;
            let mut reused = 0;
            for round in 0..rounds {
                // Frames full of what looks like valid descriptors.
                let map = Map::anonymous(VA, 4 * page, Protection::READ_WRITE);
                thread.mmap(&map).await?;
                let mut data = BTreeSet::new();
                for va in (0..4).map(|index| VA + index * page) {
                    let first = access(&thread, store(va, DIRT)).await?;
                    data.insert(first.response.pa);
                    for word in (8..page).step_by(page as usize / 16) {
                        access(&thread, store(va + word, DIRT)).await?;
                    }
                }
                thread.munmap(VA, 4 * page).await?;
                // Far apart, so that each page needs tables of its own.
                record.clear();
                let apart = geometry::level_bytes(granule, 2);
                let places = [0, 1, 2].map(|index| VA + (8 + index + round) * apart);
                for va in places {
                    let map = Map::anonymous(va, page, Protection::READ_WRITE);
                    thread.mmap(&map).await?;
                    access(&thread, store(va, va)).await?;
                }
                for va in places {
                    let next = va + page;
                    access(&other, load(va)).await?;
                    // Nothing is there, but the tables are walked.
                    let missing = other.cpu.access(load(next)).await;
                    expect("MM-04", missing.fault.is_some(), || {
                        format!("{next:#x} reached {:#x}", missing.pa)
                    })?;
                }
                let linked = told(&record, Activity::TableLinked);
                reused += linked
                    .iter()
                    .filter(|(_, table)| data.contains(&table.pa))
                    .count();
                for va in places {
                    thread.munmap(va, page).await?;
                }
            }
            other.exit().await?;
            thread.exit().await?;
            os.all_freed()?;
            Ok(reused as u64)
        })?;
        expect("MM-04", reused > 0, || {
            "no table was made from a frame that held data".into()
        })?;
        bench.count("tables in frames that held data", reused);
    }
    Ok(())
}

fn neighbours(bench: &mut Bench) -> Result<(), Failure> {
    for granule in Granule::ALL {
        bench.restart()?;
        let os = Os::boot(bench, &OsConfig::with_granule(granule))?;
        let record = Rc::new(Record::on(bench)?);
        let page = granule.bytes();
        os.run(bench, async move |os| {
            let (thread, other) = os.pair();
            let space = os.space().await?;
            join(&other, &space).await;
            let below = geometry::level_bytes(granule, 2);
            // Two areas in one last-level table, one in the next, one below another upper table.
            let upper = geometry::level_bytes(granule, 1).min(1 << 44);
            let areas = [VA, VA + 9 * page, VA + below, VA + upper];
            for va in areas {
                let map = Map::anonymous(va, 2 * page, Protection::READ_WRITE);
                thread.mmap(&map).await?;
                access(&thread, store(va + page, va)).await?;
                access(&other, load(va + page)).await?;
            }
            let linked = told(&record, Activity::TableLinked).len();
            // One last-level table goes with an area that is alone in it, an upper one with its last.
            let level = geometry::start_level(granule, 48);
            let levels = u64::from(3 - level);
            let all = [
                (areas[0], vec![]),
                (areas[2], vec![3]),
                (areas[3], vec![2, 3]),
                (areas[1], (level + 1..=3).collect::<Vec<_>>()),
            ];
            let mut gone = 0;
            for (at, (va, levels)) in all.iter().enumerate() {
                record.clear();
                // More than the area: what lies around it is nobody's.
                thread.munmap(*va, 3 * page).await?;
                let unlinked = told(&record, Activity::TableUnlinked);
                let expected = levels.len();
                expect("MM-32", unlinked.len() == expected, || {
                    format!(
                        "munmap of {va:#x} unlinked {} tables, not {expected}",
                        unlinked.len()
                    )
                })?;
                gone += unlinked.len();
                for (left, _) in &all[at + 1..] {
                    let answer = other.cpu.access(load(left + page)).await;
                    let met = answer.fault.is_none() && answer.data == *left;
                    expect("MM-32", met, || {
                        format!("after munmap of {va:#x} the neighbour answers {answer}")
                    })?;
                }
            }
            expect("MM-32", gone == linked && linked as u64 > levels, || {
                format!("{linked} tables were linked and {gone} unlinked")
            })?;
            other.exit().await?;
            thread.exit().await?;
            os.all_freed()
        })?;
    }
    Ok(())
}
