// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What one step does: when it ends, what it drives, how errors of its caller are answered.

mod driver;

use cosim_bridge::{
    BridgeError, CommandObs, CoreObs, CoreReq, CoreRsp, DramReq, DramRsp, NodeObs, Socket, Stop,
    configs, mutants, plants,
};
use driver::{DSB, LOAD, MEMORY, Machine, Ports, STORE, request, straps};

#[test]
fn every_configuration_opens_and_shows_its_parameters() {
    for config in configs() {
        let socket =
            Socket::open(config.name, straps(config.name), &MEMORY, None, 1).expect(config.name);
        let [low, high, _] = socket.info();
        assert_eq!(low >> 32 & 0xff, socket.cores() as u64);
        assert_eq!(low >> 40 & 0xff, socket.nodes() as u64);
        assert_eq!(
            high & 0xffff,
            straps(config.name) & 0xffff,
            "{}",
            config.name
        );
        assert_eq!(socket.cycle(), 0);
    }
}

#[test]
fn an_unknown_configuration_is_refused_with_the_known_names() {
    let Err(error) = Socket::open("1x2", 0, &MEMORY, None, 1) else {
        panic!("opened");
    };
    let known: Vec<&str> = configs().iter().map(|config| config.name).collect();
    assert_eq!(
        error.to_string(),
        format!(
            "no configuration is named \"1x2\" (known: {})",
            known.join(", ")
        )
    );
}

#[test]
fn a_plant_is_refused_where_there_is_none() {
    assert!(matches!(
        Socket::open("tiny", 0, &MEMORY, Some(1), 1),
        Err(BridgeError::UnknownPlant { count: 0, .. })
    ));
    let none = plants().len() as u32 + 1;
    assert!(matches!(
        Socket::open("planted", 0, &MEMORY, Some(none), 1),
        Err(BridgeError::UnknownPlant { .. })
    ));
    assert!(matches!(
        Socket::open("planted", 0, &MEMORY, Some(0), 1),
        Err(BridgeError::UnknownPlant { .. })
    ));
    let none = mutants().len() as u32 + 1;
    assert!(matches!(
        Socket::open("mutated", 0, &MEMORY, Some(none), 1),
        Err(BridgeError::UnknownPlant { .. })
    ));
}

#[test]
fn every_plant_can_be_selected() {
    for plant in plants() {
        let socket = Socket::open("planted", straps("planted"), &MEMORY, Some(plant.number), 1);
        assert!(socket.is_ok(), "{}", plant.id);
    }
}

#[test]
fn a_step_runs_at_least_one_and_at_most_max_cycles() {
    let mut machine = Machine::open("tiny", 1);
    let mut ports = Ports::default();
    let idle = |ports: &mut Ports, socket: &mut Socket, max| {
        ports.step(
            socket,
            CoreReq::default(),
            DramRsp::default(),
            Stop::NONE,
            max,
        )
    };
    assert_eq!(idle(&mut ports, &mut machine.socket, 0), 1);
    assert_eq!(idle(&mut ports, &mut machine.socket, 1), 1);
    assert_eq!(idle(&mut ports, &mut machine.socket, 100), 100);
    assert_eq!(machine.socket.cycle(), 102);
}

#[test]
fn a_step_stops_when_a_core_is_ready_only_if_asked() {
    let mut machine = Machine::open("tiny", 1);
    let mut ports = Ports::default();
    let cycles = ports.step(
        &mut machine.socket,
        CoreReq::default(),
        DramRsp::default(),
        Stop::READY,
        100,
    );
    assert!(cycles < 100 && ports.ready());
    let cycles = ports.step(
        &mut machine.socket,
        CoreReq::default(),
        DramRsp::default(),
        Stop::NONE,
        100,
    );
    assert_eq!(cycles, 100);
}

#[test]
fn counters_are_read_without_time_passing_or_anything_changing() {
    // PMU-08.
    let expected = Machine::open("tiny", 1).traffic(40, 1);
    let mut machine = Machine::open("tiny", 1);
    let mut read = Vec::new();
    for i in 0..40 {
        let outcome = machine.operation(i, 1);
        assert_eq!(outcome, expected[i as usize]);
        let cycle = machine.socket.cycle();
        for index in (0..=u8::MAX).rev() {
            machine.socket.counter(0, index);
        }
        read.push(machine.socket.counter(0, 0));
        assert_eq!(machine.socket.cycle(), cycle);
    }
    assert!(read.is_sorted() && read[0] < read[39], "cycles: {read:?}");
}

#[test]
fn every_core_can_be_asked_for_its_counters() {
    for config in configs() {
        let mut socket =
            Socket::open(config.name, straps(config.name), &MEMORY, None, 1).expect("opens");
        let cores = socket.cores();
        let run = |socket: &mut Socket| {
            let (mut rsp, mut obs) = (
                vec![CoreRsp::default(); cores],
                vec![CoreObs::default(); cores],
            );
            let nodes = socket.nodes();
            let (mut dram, mut node) = (
                vec![DramReq::default(); nodes],
                vec![NodeObs::default(); nodes],
            );
            let mut command = vec![CommandObs::default(); socket.channels()];
            let (req, answers) = (
                vec![CoreReq::default(); cores],
                vec![DramRsp::default(); nodes],
            );
            let stop = Stop::NONE;
            socket.step(
                &req,
                &answers,
                &mut rsp,
                &mut obs,
                &mut dram,
                &mut node,
                &mut command,
                stop,
                100,
            )
        };
        assert_eq!(run(&mut socket), 100);
        let before: Vec<u64> = (0..cores).map(|core| socket.counter(core, 0)).collect();
        assert_eq!(run(&mut socket), 100);
        for (core, before) in before.into_iter().enumerate() {
            assert_eq!(
                socket.counter(core, 0),
                before + 100,
                "{} {core}",
                config.name
            );
        }
    }
}

#[test]
fn a_load_stops_at_its_memory_request_and_at_its_response() {
    let mut machine = Machine::open("tiny", 1);
    machine.memory.insert(0x1_0000, 0x1122_3344_5566_7788);
    let rsp = machine.run(request(LOAD, 7, 0x1_0000, 0), Stop::NONE);
    assert_eq!(rsp.w[0] >> 32 & 0xffff, 7);
    assert_eq!(rsp.w[2], 0x1122_3344_5566_7788);
    assert_eq!(rsp.w[3], 0x1_0000);
}

#[test]
fn a_commit_stops_a_step_that_asks_for_observations() {
    let mut machine = Machine::open("tiny", 1);
    machine.run(request(STORE, 1, 0x2_0000, 0xabcd), Stop::OBS);
    machine.run(request(DSB, 2, 0, 0), Stop::OBS);
    assert_eq!(machine.commits, 1);
    assert_eq!(machine.memory[&0x2_0000], 0xabcd);
}

#[test]
#[should_panic(expected = "lanes of core_req")]
fn a_step_with_a_missing_lane_is_refused() {
    let mut machine = Machine::open("tiny", 1);
    let ports = &mut machine.ports;
    machine.socket.step(
        &[],
        &[DramRsp::default()],
        &mut ports.core_rsp,
        &mut ports.core_obs,
        &mut ports.dram_req,
        &mut ports.node_obs,
        &mut ports.command,
        Stop::NONE,
        1,
    );
}

#[test]
fn requests_beyond_the_handshake_fire_an_assertion_unless_switched_off() {
    let flood = |on| {
        let mut machine = Machine::open("tiny", 1);
        machine.socket.set_assertions(on);
        machine.flood();
        assert_eq!(machine.socket.has_fired(), on);
        let fired = machine.socket.fired_assertions();
        assert!(!machine.socket.has_fired());
        fired
    };
    let fired = flood(true);
    assert!(
        !fired[0].id.is_empty() && fired[0].cycle > 0,
        "{:?}",
        fired[0]
    );
    assert!(flood(false).is_empty());
}
