// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The simulation with the Verilated hardware behind it.

use rand::Rng;
use vmsa::El;

use super::Shelf;
use crate::dut::DutError;
use crate::dut::ports::{CoreRequest, Straps};
use crate::sim::*;

/// Three tasks that load and store with translation off; the log is empty unless `observed`.
fn run(seed: u64, observed: bool) -> (Vec<u8>, Figures, u64) {
    let config = SimConfig {
        config: "tiny".to_owned(),
        seed,
        memory: MemoryTiming {
            latency: 20,
            jitter: 10,
        },
        ..SimConfig::default()
    };
    let mut simulation = Simulation::new(config).expect("a configuration of this build");
    let shelf = Shelf::default();
    if observed {
        simulation.set_event_log(shelf.clone());
    }
    for task in 0..3u64 {
        let handle = simulation.handle();
        let mut rng = handle.seed().child("hardware").indexed(task).rng();
        simulation.spawn(async move {
            let core = handle.core(0).expect("core 0");
            for round in 0..60 {
                let address = 0x8000 + rng.random_range(0..32u64) * 8;
                let request = match rng.random_range(0..3) {
                    0 => CoreRequest::store(address, 3, El::El1, address + round),
                    1 => CoreRequest::cas(address, El::El1, 0, round),
                    _ => CoreRequest::load(address, 3, El::El1),
                };
                core.access(request).await;
                handle.sleep(rng.random_range(0..30)).await;
            }
        });
    }
    assert_eq!(simulation.run(1_000_000).expect("runs"), RunEnd::TasksDone);
    assert!(simulation.finish().expect("finishes").is_empty());
    let handle = simulation.handle();
    let sum = (0..32).fold(0u64, |sum, word| {
        sum.wrapping_mul(3)
            .wrapping_add(handle.peek(0x8000 + word * 8))
    });
    (shelf.0.take(), simulation.figures(), sum)
}

#[test]
fn one_seed_gives_one_event_log_on_the_hardware_too() {
    let (log, figures, sum) = run(11, true);
    assert!(log.split(|&byte| byte == b'\n').count() > 500);
    assert_eq!((log.clone(), figures, sum), run(11, true));
    assert_ne!(log, run(12, true).0);
    // Nobody listens: steps may be longer, cycles and memory are the same.
    let (silence, unwatched, same_sum) = run(11, false);
    assert!(silence.is_empty() && unwatched.crossings <= figures.crossings);
    let crossings = figures.crossings;
    assert_eq!(
        (
            Figures {
                crossings,
                ..unwatched
            },
            same_sum
        ),
        (figures, sum)
    );
}

#[test]
fn straps_outside_what_is_built_are_refused() {
    let open = |straps| {
        Simulation::new(SimConfig {
            config: "tiny".to_owned(),
            straps,
            ..SimConfig::default()
        })
    };
    let straps = Straps {
        dtlb_entries: Some(5),
        ..Straps::default()
    };
    let error = open(straps).err().expect("tiny has 4 entries");
    assert_eq!(error.to_string(), "strap dtlb = 5 is outside 1..=4");
    let straps = Straps {
        hafdbs: 3,
        ..Straps::default()
    };
    assert!(matches!(
        open(straps),
        Err(SimError::Dut(DutError::Strap {
            field: "hafdbs",
            ..
        }))
    ));
    let config = SimConfig {
        config: "huge".to_owned(),
        ..SimConfig::default()
    };
    let error = Simulation::new(config)
        .err()
        .expect("no such configuration");
    assert!(error.to_string().contains("huge"), "{error}");
}
