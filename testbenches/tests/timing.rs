// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The figures of `docs/timing-model.md`, measured on the RTL.

use std::cell::RefCell;
use std::rc::Rc;

use cosim::check::Violations;
use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::sim::{Event, EventKind, Memory, MemoryTiming, Monitor, RunEnd, SimConfig, Simulation};
use testbenches::stage1::regime::{Regime, user_rw};
use testbenches::stage1::tree::Tree;
use vmsa::{El, Granule, VaRange};

const LATENCY: u64 = 20;
const VA: u64 = 0x1234_5000;
const PA: u64 = 0x8000_0000;

/// Cycles of what an access does outside the core.
#[derive(Default)]
struct Recorder {
    issues: Vec<u64>,
    reads: Vec<(u64, u64)>,
    responses: Vec<(u64, HitPlace)>,
}

impl Monitor for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn event(&mut self, event: &Event, _: &Memory, _: &mut Violations) {
        match &event.kind {
            EventKind::Issue { .. } => self.issues.push(event.cycle),
            EventKind::DramRead { address, .. } => self.reads.push((event.cycle, *address)),
            EventKind::Response { response, .. } => {
                self.responses.push((event.cycle, response.place));
            }
            _ => {}
        }
    }
}

/// Runs two loads of one page on fresh hardware; returns the cycles in which each was asked for.
fn two_loads(translation: bool) -> (Rc<RefCell<Recorder>>, Vec<u64>) {
    let timing = MemoryTiming {
        latency: LATENCY,
        jitter: 0,
    };
    let setup = SimConfig {
        config: "tiny".to_owned(),
        memory: timing,
        ..SimConfig::default()
    };
    let mut simulation = Simulation::new(setup).expect("configuration tiny is built");
    let recorder = Rc::new(RefCell::new(Recorder::default()));
    simulation.add_monitor(Rc::clone(&recorder));

    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 39, 0x5000_0000);
    let slot = tree.map(VA, 3, user_rw(Granule::K4, 3, PA));
    let handle = simulation.handle();
    for level in 1..=3 {
        handle.poke(tree.slot(VA, level), tree.word(tree.slot(VA, level)));
    }
    assert_eq!(slot, tree.slot(VA, 3));
    let core = simulation.core(0).expect("there is a core 0");
    let address = if translation { VA } else { PA };
    let asked = simulation.spawn(async move {
        if translation {
            Regime::default().with(&tree, 1).enter(&core).await;
        }
        // No core is ready in the first cycle out of reset.
        handle.sleep(8).await;
        let mut asked = Vec::new();
        for _ in 0..2 {
            asked.push(handle.now());
            core.access(CoreRequest::load(address, 3, El::El1)).await;
        }
        asked
    });
    assert!(matches!(simulation.run(10_000), Ok(RunEnd::TasksDone)));
    (recorder, asked.take().expect("the program is done"))
}

#[test]
fn an_access_without_translation_takes_the_documented_cycles() {
    let (recorder, asked) = two_loads(false);
    let recorder = recorder.borrow();
    for (i, &n) in asked.iter().enumerate() {
        assert_eq!(
            recorder.issues[i],
            n + 1,
            "asked in cycle n, sampled by edge n + 1"
        );
        assert_eq!(recorder.reads[i], (n + 6, PA), "DRAM request");
        assert_eq!(
            recorder.responses[i],
            (n + 6 + LATENCY + 1, HitPlace::None),
            "response"
        );
    }
}

#[test]
fn a_tlb_hit_costs_no_more_than_no_translation() {
    let (recorder, asked) = two_loads(true);
    let recorder = recorder.borrow();
    let n = asked[1];
    assert_eq!(recorder.reads.last(), Some(&(n + 6, PA)));
    assert_eq!(
        recorder.responses.last(),
        Some(&(n + 6 + LATENCY + 1, HitPlace::L1))
    );
}

#[test]
fn a_walk_takes_the_documented_cycles_a_level() {
    let (recorder, asked) = two_loads(true);
    let recorder = recorder.borrow();
    let n = asked[0];
    let reads: Vec<u64> = recorder.reads.iter().map(|&(cycle, _)| cycle).collect();
    // Levels 1, 2, 3, then the data; then the second load.
    let first = n + 4 + 3;
    assert_eq!(
        reads[..3],
        [first, first + LATENCY + 3, first + 2 * (LATENCY + 3)]
    );
    assert_eq!(
        reads[3],
        reads[2] + LATENCY + 5,
        "data after the last descriptor"
    );
    let place = recorder.responses[recorder.responses.len() - 2];
    assert_eq!(place, (reads[3] + LATENCY + 1, HitPlace::Walk));
}
