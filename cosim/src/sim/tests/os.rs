// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a kernel tells of itself: who hears it, and that nothing else changes by it.

use std::cell::RefCell;
use std::rc::Rc;

use sw_mm::{Activity, OsEvent, Phase, Witness};
use vmsa::El;

use super::{Keeper, Shelf, quiet, simulation};
use crate::dut::ports::CoreRequest;
use crate::sim::fake::Faults;
use crate::sim::*;
use crate::stimulus::{Recorder, Slot};

fn event(phase: Phase, activity: Activity) -> OsEvent {
    OsEvent {
        core: 0,
        phase,
        activity,
        space: 2,
        va: 0x4000,
        pa: 0,
        bytes: 0x1000,
    }
}

/// A task that unmaps something with the handle as its witness, or without one. Returns the event log
/// and what the stimulus recorder kept.
fn unmapped(told: bool) -> (String, crate::stimulus::Stimulus) {
    let config = SimConfig::default();
    let slot = Slot::default();
    let recorder = Recorder::new(&config, slot.clone());
    let (mut simulation, _) = simulation(Faults::default(), config);
    simulation.add_monitor(recorder);
    let shelf = Shelf::default();
    simulation.set_event_log(shelf.clone());
    let handle = simulation.handle();
    simulation.spawn(async move {
        let core = handle.core(0).expect("core 0");
        let tell = |phase, activity| {
            if told {
                handle.os(&event(phase, activity));
            }
        };
        tell(Phase::Begin, Activity::Munmap);
        core.access(CoreRequest::store(0x80, 3, El::El1, 1)).await;
        tell(Phase::Instant, Activity::FrameFreed);
        handle.poke(0x100, 7);
        tell(Phase::End, Activity::Munmap);
    });
    assert_eq!(simulation.run(1_000).expect("runs"), RunEnd::TasksDone);
    assert!(simulation.finish().expect("finishes").is_empty());
    let log = String::from_utf8(shelf.0.take()).expect("text");
    (log, slot.take().expect("recorded").stimulus)
}

#[test]
fn the_kernel_is_heard_in_the_order_of_what_happens_and_changes_nothing_else() {
    let (plain, stimulus) = unmapped(false);
    let (told, same) = unmapped(true);
    assert_eq!(stimulus, same, "the kernel's words are no stimulus");
    let (os, rest): (Vec<&str>, Vec<&str>) =
        told.lines().partition(|line| line.contains("core0 os "));
    assert_eq!(rest, plain.lines().collect::<Vec<_>>());
    let words: Vec<&str> = os.iter().map(|line| &line[11..]).collect();
    assert_eq!(
        words,
        [
            "core0 os       begin munmap mm2 va 0x4000 +0x1000",
            "core0 os       frame-freed mm2 va 0x4000 +0x1000",
            "core0 os       end munmap mm2 va 0x4000 +0x1000",
        ]
    );
    let place = |text: &str| told.lines().position(|line| line.contains(text));
    assert!(place("begin munmap") < place("issue"));
    assert!(place("response") < place("frame-freed"));
    assert!(place("frame-freed") < place("Backdoor") && place("Backdoor") < place("end munmap"));
}

#[test]
fn nothing_is_kept_while_nobody_listens() {
    let (mut simulation, _) = simulation(Faults::default(), quiet());
    let handle = simulation.handle();
    simulation.spawn(async move {
        handle.os_event(event(Phase::Begin, Activity::Fault));
        assert!(handle.shared.pending.borrow().is_empty());
        handle.sleep(1).await;
    });
    assert_eq!(simulation.run(100).expect("runs"), RunEnd::TasksDone);
    assert_eq!(simulation.activities().all().count(), 0);
}

#[test]
fn a_report_says_what_the_kernel_was_in_when_the_rule_broke() {
    let faults = Faults {
        assertion: Some(40),
        ..Faults::default()
    };
    let (mut simulation, _) = simulation(faults, SimConfig::default());
    let keeper = Rc::new(RefCell::new(Keeper::default()));
    simulation.add_monitor(Rc::clone(&keeper));
    let handle = simulation.handle();
    simulation.spawn(async move {
        handle.os_event(event(Phase::Begin, Activity::Munmap));
        handle.sleep_until(30).await;
        handle.os_event(event(Phase::Begin, Activity::Flush));
        // In the cycle in which the assertion fires, the kernel goes on.
        handle.sleep_until(40).await;
        handle.os_event(event(Phase::End, Activity::Flush));
        handle.sleep(1).await;
    });
    assert_eq!(simulation.run(1_000).expect("runs"), RunEnd::Violation);
    assert_eq!(
        simulation.activities().lines(),
        [
            "core 0 was in: munmap mm2 va 0x4000 +0x1000 (since 0) > flush mm2 va 0x4000 +0x1000 \
             (since 30)"
        ]
    );
    let ended = Event {
        cycle: 40,
        kind: EventKind::Os(event(Phase::End, Activity::Flush)),
    };
    assert_eq!(keeper.borrow().0.last(), Some(&ended));
}
