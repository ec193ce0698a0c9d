// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! State: instances do not share any, a snapshot holds all of it, the seed decides none that shows.

mod driver;

use cosim_bridge::{BridgeError, Socket};
use driver::{MEMORY, Machine, straps};

#[test]
fn two_instances_do_not_disturb_each_other() {
    let alone = (
        Machine::open("tiny", 1).traffic(60, 1),
        Machine::open("1x1", 2).traffic(60, 2),
    );
    let (mut a, mut b) = (Machine::open("tiny", 1), Machine::open("1x1", 2));
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for i in 0..60 {
        of_a.push(a.operation(i, 1));
        of_b.push(b.operation(i, 2));
    }
    assert_eq!(alone, (of_a, of_b));
}

#[test]
fn instances_on_several_threads_are_as_deterministic_as_one() {
    let alone = Machine::open("tiny", 5).traffic(60, 1);
    let threads: Vec<_> = (0..8)
        .map(|i| {
            std::thread::spawn(move || {
                let other = Machine::open("tiny", 100 + i).traffic(60, 2);
                assert_eq!(other.len(), 60);
                Machine::open("tiny", 5).traffic(60, 1)
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().expect("a thread"), alone);
    }
}

#[test]
fn a_restored_snapshot_continues_bit_exact_in_the_same_and_in_another_instance() {
    let mut machine = Machine::open("tiny", 3);
    machine.traffic(40, 1);
    let (snapshot, memory) = (machine.socket.save(), machine.memory.clone());
    let cycle = machine.socket.cycle();
    let expected = machine.traffic(40, 2);

    machine.socket.restore(&snapshot).expect("restores");
    machine.memory = memory.clone();
    assert_eq!(machine.socket.cycle(), cycle);
    assert_eq!(machine.traffic(40, 2), expected);

    let mut other = Machine::open("tiny", 99);
    other.traffic(3, 7);
    other.socket.restore(&snapshot).expect("restores");
    other.memory = memory;
    assert_eq!(other.traffic(40, 2), expected);
}

#[test]
fn restoring_keeps_assertions_switched_off() {
    let mut machine = Machine::open("tiny", 3);
    let snapshot = machine.socket.save();
    machine.socket.set_assertions(false);
    machine.socket.restore(&snapshot).expect("restores");
    machine.flood();
    assert!(machine.socket.fired_assertions().is_empty());
}

#[test]
fn a_snapshot_of_another_configuration_or_a_cut_one_is_refused() {
    let mut tiny = Socket::open("tiny", straps("tiny"), &MEMORY, None, 1).expect("opens");
    let mut full = Socket::open("1x1", straps("1x1"), &MEMORY, None, 1).expect("opens");
    let snapshot = tiny.save();
    assert!(matches!(
        full.restore(&snapshot),
        Err(BridgeError::Snapshot { .. })
    ));
    let cut = &snapshot[..snapshot.len() - 1];
    assert!(matches!(
        tiny.restore(cut),
        Err(BridgeError::Snapshot { .. })
    ));
    assert!(matches!(
        tiny.restore(&[]),
        Err(BridgeError::Snapshot { .. })
    ));
}

#[test]
fn no_seed_shows_in_the_responses() {
    let expected = Machine::open("tiny", 7).traffic(60, 4);
    for seed in [0, 7, 8, u64::MAX] {
        assert_eq!(
            Machine::open("tiny", seed).traffic(60, 4),
            expected,
            "seed {seed}"
        );
    }
}

#[test]
fn the_bare_loop_ends_in_the_state_of_the_recorded_run() {
    let mut machine = Machine::open("tiny", 3);
    machine.socket.start_recording();
    machine.traffic(50, 1);
    let recording = machine.socket.take_recording().expect("was started");
    assert_eq!(recording.cycles(), machine.socket.cycle());

    let mut bare = Machine::open("tiny", 3);
    assert_eq!(bare.socket.bare_loop(&recording), recording.cycles());
    assert_eq!(bare.socket.cycle(), machine.socket.cycle());
    bare.memory = machine.memory.clone();
    bare.ports.core_rsp = machine.ports.core_rsp;
    assert_eq!(bare.traffic(50, 2), machine.traffic(50, 2));
}
