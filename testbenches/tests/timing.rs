// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The figures of `docs/timing-model.md`, measured on the RTL.

use std::cell::RefCell;
use std::rc::Rc;

use cosim::check::Violations;
use cosim::dut::ports::{CoreRequest, HitPlace, Straps};
use cosim::sim::{Event, EventKind, Memory, MemoryTiming, Monitor, RunEnd, SimConfig, Simulation};
use testbenches::stage1::regime::{Regime, user_rw};
use testbenches::stage1::tree::Tree;
use vmsa::{DsbKind, El, Granule, Tlbi, TlbiScope, VaRange};

/// Cycles from a DRAM request to its answer.
const LATENCY: u64 = 20;
const VA: u64 = 0x1234_5000;
/// In the table of `VA`, not in its page.
const NEXT: u64 = VA + 0x1000;
/// A block of 2 MB in the level 2 table of `VA`.
const BLOCK: u64 = 0x1240_0000;
const PA: u64 = 0x8000_0000;

/// Cycles of what a core asks for, and of what it does outside.
#[derive(Default)]
struct Recorder {
    issues: Vec<u64>,
    /// Reads and writes at the DRAM port.
    dram: Vec<(u64, u64)>,
    responses: Vec<(u64, HitPlace)>,
    invalidations: Vec<u64>,
}

impl Monitor for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn event(&mut self, event: &Event, _: &Memory, _: &mut Violations) {
        let cycle = event.cycle;
        match &event.kind {
            EventKind::Issue { .. } => self.issues.push(cycle),
            EventKind::DramRead { address, .. } | EventKind::DramWrite { address, .. } => {
                self.dram.push((cycle, *address));
            }
            EventKind::Response { response, .. } => self.responses.push((cycle, response.place)),
            EventKind::Invalidate { .. } => self.invalidations.push(cycle),
            _ => {}
        }
    }
}

/// What one request of a program did.
struct Measured {
    /// The cycle in which it was asked for.
    asked: u64,
    /// The cycle of its issue event.
    issued: u64,
    /// The cycles of its DRAM requests, walks included, and their addresses.
    dram: Vec<(u64, u64)>,
    /// The cycle of its response.
    answered: u64,
    place: HitPlace,
    /// The cycle in which an invalidation shows, if any did before the next request.
    invalidated: Option<u64>,
}

impl Measured {
    /// The cycles of its DRAM requests, counted from the one in which it was asked for.
    fn dram_after(&self) -> Vec<u64> {
        self.dram
            .iter()
            .map(|&(cycle, _)| cycle - self.asked)
            .collect()
    }

    fn answered_after(&self) -> u64 {
        self.answered - self.asked
    }
}

/// Runs requests one after another on fresh hardware with one DTLB entry; `translation` or not.
/// VA is mapped to PA by a page, NEXT by one that is clean under hardware dirty state, BLOCK by a block.
fn run(translation: bool, requests: &[CoreRequest]) -> Vec<Measured> {
    let setup = SimConfig {
        config: "tiny".to_owned(),
        straps: Straps {
            dtlb_entries: Some(1),
            ..Straps::default()
        },
        memory: MemoryTiming {
            latency: LATENCY,
            jitter: 0,
        },
        ..SimConfig::default()
    };
    let mut simulation = Simulation::new(setup).expect("configuration tiny is built");
    let recorder = Rc::new(RefCell::new(Recorder::default()));
    simulation.add_monitor(Rc::clone(&recorder));

    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 39, 0x5000_0000);
    let clean = user_rw(Granule::K4, 3, PA + 0x1000)
        .with_dbm(true)
        .with_ap_read_only(true);
    tree.map(VA, 3, user_rw(Granule::K4, 3, PA));
    tree.map(NEXT, 3, clean);
    tree.map(BLOCK, 2, user_rw(Granule::K4, 2, PA));
    let handle = simulation.handle();
    for va in [VA, NEXT, BLOCK] {
        for level in 1..=3 {
            let slot = tree.slot(va, level);
            handle.poke(slot, tree.word(slot));
        }
    }
    let core = simulation.core(0).expect("there is a core 0");
    let program = requests.to_vec();
    let asked = simulation.spawn(async move {
        if translation {
            let mut regime = Regime::default().with(&tree, 1);
            regime.tcr = regime.tcr.with_ha(true).with_hd(true);
            regime.enter(&core).await;
        }
        // No core is ready in the first cycle out of reset, and the second-level TLB clears itself.
        handle.sleep(16).await;
        let mut asked = Vec::new();
        for request in program {
            asked.push(handle.now());
            core.access(request).await;
            // What it leaves under way does not meet the next one.
            handle.sleep(40).await;
        }
        asked
    });
    assert!(matches!(simulation.run(10_000), Ok(RunEnd::TasksDone)));
    let asked = asked.take().expect("the program is done");
    let recorder = recorder.borrow();
    // Register writes come first.
    let skip = recorder.responses.len() - asked.len();
    let mut ends: Vec<u64> = asked[1..].to_vec();
    ends.push(u64::MAX);
    asked
        .iter()
        .zip(ends)
        .enumerate()
        .map(|(i, (&from, to))| Measured {
            asked: from,
            issued: recorder.issues[skip + i],
            dram: recorder
                .dram
                .iter()
                .copied()
                .filter(|&(cycle, _)| (from..to).contains(&cycle))
                .collect(),
            answered: recorder.responses[skip + i].0,
            place: recorder.responses[skip + i].1,
            invalidated: recorder
                .invalidations
                .iter()
                .copied()
                .find(|cycle| (from..to).contains(cycle)),
        })
        .collect()
}

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El1)
}

#[test]
fn an_access_without_translation_takes_the_documented_cycles() {
    for access in run(false, &[load(PA), load(PA)]) {
        assert_eq!(
            access.issued,
            access.asked + 1,
            "asked in cycle n, sampled by edge n + 1"
        );
        assert_eq!(access.dram, [(access.asked + 6, PA)], "DRAM request");
        assert_eq!(access.answered_after(), 6 + LATENCY + 1, "response");
        assert_eq!(access.place, HitPlace::None);
    }
}

#[test]
fn a_tlb_hit_costs_no_more_than_no_translation() {
    let hit = &run(true, &[load(VA), load(VA)])[1];
    assert_eq!(hit.dram, [(hit.asked + 6, PA)]);
    assert_eq!(hit.answered_after(), 6 + LATENCY + 1);
    assert_eq!(hit.place, HitPlace::L1);
}

#[test]
fn a_walk_takes_the_documented_cycles_a_level() {
    let walk = &run(true, &[load(VA)])[0];
    // Levels 1, 2, 3, then the data. Stage B is n + 4; the empty second level is looked up once.
    let first = 4 + 7;
    let last = first + 2 * (LATENCY + 4);
    assert_eq!(
        walk.dram_after(),
        [first, first + LATENCY + 4, last, last + LATENCY + 6]
    );
    assert_eq!(walk.answered_after(), last + 2 * LATENCY + 6 + 1);
    assert_eq!(walk.place, HitPlace::Walk);
}

#[test]
fn each_size_in_the_second_level_costs_a_walk_one_cycle_and_a_cached_table_saves_its_levels() {
    let accesses = run(
        true,
        &[load(VA), load(NEXT), load(BLOCK), load(VA + 0x2000)],
    );
    // Pages are in the second level: one size to look at. Levels 1 and 2 are cached.
    let first = 4 + 7 + 1;
    assert_eq!(accesses[1].dram_after(), [first, first + LATENCY + 6]);
    assert_eq!(accesses[1].place, HitPlace::Walk);
    assert_eq!(accesses[2].dram_after(), [first, first + LATENCY + 6]);
    // Now pages and blocks are: two sizes. Nothing is mapped here, so it ends in a fault.
    let first = first + 1;
    assert_eq!(accesses[3].dram_after(), [first]);
    assert_eq!(accesses[3].answered_after(), first + LATENCY + 5);
}

#[test]
fn a_second_level_hit_takes_the_documented_cycles() {
    let accesses = run(
        true,
        &[load(VA), load(BLOCK), load(VA), load(BLOCK), load(VA)],
    );
    let page = 4 + 7;
    for access in [&accesses[2], &accesses[4]] {
        assert_eq!(access.dram_after(), [page]);
        assert_eq!(access.place, HitPlace::L2);
    }
    // The sizes are looked at in turn, pages first.
    assert_eq!(accesses[3].dram_after(), [page + 1]);
    assert_eq!(accesses[3].place, HitPlace::L2);
}

#[test]
fn a_hardware_update_takes_the_documented_cycles() {
    let store = CoreRequest::store(NEXT, 3, El::El1, 5);
    let accesses = run(true, &[load(NEXT), store]);
    // The page is in the TLB, but clean: the walk passes the second level by.
    let read = 4 + 6;
    let swap_read = read + LATENCY + 5;
    let swap_write = swap_read + LATENCY + 2;
    let data = swap_write + LATENCY + 5;
    assert_eq!(
        accesses[1].dram_after(),
        [read, swap_read, swap_write, data]
    );
    assert_eq!(accesses[1].answered_after(), data + LATENCY + 1);
}

#[test]
fn invalidations_and_barriers_take_the_documented_cycles() {
    let local = CoreRequest::tlbi(Tlbi::vmalle1(TlbiScope::Local));
    let shared = CoreRequest::tlbi(Tlbi::vmalle1(TlbiScope::InnerShareable));
    let dsb = CoreRequest::dsb(DsbKind::ISH);
    let [local, idle, shared, sync, ..] = &run(true, &[local, dsb, shared, dsb])[..] else {
        panic!("four requests, four answers");
    };
    assert_eq!(local.answered_after(), 5);
    assert_eq!(local.invalidated, Some(local.asked + 5));
    assert_eq!(idle.answered_after(), 5, "no INV since the last SYNC");
    assert_eq!(shared.answered_after(), 5);
    assert_eq!(shared.invalidated, Some(shared.asked + 8));
    assert_eq!(sync.answered_after(), 9);
}
