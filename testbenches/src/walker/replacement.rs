// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which entry makes room once all are in use: the next in turn, so that none stays for good
//! (`docs/units`). A wrong choice changes no answer, only how often entries are missed.

use cosim::dut::ports::{CoreRequest, TlbFill, TlbStructure};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{El, Granule};

use super::record::Record;
use crate::stage1::regime::{Regime, flush, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "replacement-turn",
    purpose: "in every TLB and in the walk cache, full ones take each entry in its turn to make room",
    requirements: &["TLB-29"],
    run: turn,
}];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x1_0000_0000;
const VA: u64 = 0x4000_0000;

/// One structure, how many entries compete in it, and how far apart addresses are that do.
struct Contest {
    structure: TlbStructure,
    entries: u64,
    stride: u64,
    fetches: bool,
}

fn turn(bench: &mut Bench) -> Result<(), Failure> {
    let info = *bench.simulation()?.info();
    let mut contests = Vec::new();
    for entries in 2..=u64::from(info.dtlb_entries).min(5) {
        contests.push((TlbStructure::Dtlb, entries, 0x1000, false));
    }
    for entries in 2..=u64::from(info.itlb_entries).min(5) {
        contests.push((TlbStructure::Itlb, entries, 0x1000, true));
    }
    for ways in 2..=u64::from(info.l2_ways) {
        let stride = 0x1000 << info.l2_sets_log2;
        contests.push((TlbStructure::L2, ways, stride, false));
    }
    // Below each of these lies a table of its own.
    let tables = u64::from(info.walk_cache_entries);
    contests.push((TlbStructure::WalkCache, tables, 0x20_0000, false));
    for (structure, entries, stride, fetches) in contests {
        contest(
            bench,
            &Contest {
                structure,
                entries,
                stride,
                fetches,
            },
        )?;
    }
    Ok(())
}

/// Three times as many addresses as there are entries, one after the other.
fn contest(bench: &mut Bench, contest: &Contest) -> Result<(), Failure> {
    let &Contest {
        structure,
        entries,
        stride,
        fetches,
    } = contest;
    bench.restart()?;
    let straps = &mut bench.setup().straps;
    let used = u8::try_from(entries).ok();
    straps.dtlb_entries = used.filter(|_| structure == TlbStructure::Dtlb);
    straps.itlb_entries = used.filter(|_| structure == TlbStructure::Itlb);
    straps.l2_ways = used.filter(|_| structure == TlbStructure::L2);
    let mut tree = Tree::new(Lower, Granule::K4, 39, TABLES);
    for i in 0..3 * entries {
        let leaf = user_rw(Granule::K4, 3, PA + (i << 12));
        tree.map(VA + i * stride, 3, leaf);
    }
    tree.load(bench)?;
    let record = Record::on(bench)?;
    bench.run(async move |core| {
        Regime::default().with(&tree, 1).enter(&core).await;
        flush(&core).await;
        record.clear();
        for i in 0..3 * entries {
            let va = VA + i * stride;
            let request = match fetches {
                true => CoreRequest::fetch(va, El::El0),
                false => CoreRequest::load(va, 3, El::El0),
            };
            let answer = core.access(request).await;
            on(request, answer.reaches("TLB-29", PA + (i << 12)))?;
        }
        let fills = record.fills(structure);
        let taken: Vec<u64> = fills
            .iter()
            .map(|(_, fill)| place(structure, fill))
            .collect();
        let (mut met, mut seen) = (taken.len() as u64 >= 3 * entries, Vec::new());
        for (at, &place) in taken.iter().enumerate() {
            if (seen.len() as u64) < entries {
                // There is room: each goes where nothing is.
                met &= !seen.contains(&place) && place < entries;
                seen.push(place);
            } else if at as u64 > entries {
                met &= place == (taken[at - 1] + 1) % entries;
            }
        }
        expect("TLB-29", met, || {
            format!("{structure:?} with {entries} entries was filled at {taken:?}")
        })
    })
}

/// The entry that a fill takes, among those that compete for it.
fn place(structure: TlbStructure, fill: &TlbFill) -> u64 {
    match structure {
        TlbStructure::L2 => u64::from(fill.l2_place().1),
        _ => u64::from(fill.index),
    }
}
