// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! When a store of the functional machine is seen: at once by loads of every core, late by walkers.

use crate::booted::{Booted, boot_on};
use proptest::prelude::*;
use std::collections::BTreeMap;
use sw_mm::boot::BootConfig;
use sw_mm::functional::MachineConfig;
use sw_mm::{AccessSize, Attributes, Cpu, Permissions, Privilege, block_on};
use vmsa::{Descriptor, DsbKind, Tlbi, TlbiScope};

const RW: Attributes = Attributes::normal(Permissions::USER_RW);
const VA: u64 = 0x40_0000_0000;
const PA: u64 = 0x4000_0000;
const WORD: AccessSize = AccessSize::Double;
const USER: Privilege = Privilege::Unprivileged;
const KERNEL: Privilege = Privilege::Privileged;
const IS: TlbiScope = TlbiScope::InnerShareable;

/// Two pages at `VA`, and the linear map, on `cores` cores without ETS2.
fn machine(cores: usize) -> Booted {
    let config = MachineConfig {
        cores,
        ets2: false,
        ..MachineConfig::default()
    };
    let os = boot_on(&BootConfig::default(), config);
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    for page in [0, 0x1000] {
        block_on(table.map(&os.cpu, frames, VA + page, PA + page, 3, &RW)).expect("maps");
    }
    os
}

impl Booted {
    fn put(&self, core: usize, va: u64, who: Privilege, value: u64) {
        let core = self.machine.core(core);
        block_on(core.store(va, WORD, who, value)).expect("mapped");
    }

    fn get(&self, core: usize, va: u64, who: Privilege) -> u64 {
        block_on(self.machine.core(core).load(va, WORD, who)).expect("mapped")
    }

    /// Address in the linear map of the descriptor of the first page.
    fn linear_slot(&self) -> u64 {
        let table = *self.boot.user.table_pages().last().expect("a leaf table");
        self.boot.linear.virt(table).expect("in the window")
    }
}

#[test]
fn a_store_is_seen_by_loads_of_other_cores_at_once() {
    let os = machine(2);
    os.put(0, VA, USER, 1);
    assert_eq!((os.machine.peek(PA), os.machine.newest(PA)), (0, 1));
    assert_eq!(os.get(1, VA, USER), 1);
    assert_eq!(os.machine.peek(PA), 1, "what one other core sees all see");
    // A later store of another core stays the later one.
    os.put(0, VA, USER, 2);
    os.put(1, VA, USER, 3);
    block_on(os.machine.core(1).dsb(DsbKind::ISH));
    block_on(os.machine.core(0).dsb(DsbKind::ISH));
    assert_eq!(os.machine.peek(PA), 3);
    os.put(0, VA, USER, 4);
    let other = os.machine.core(1);
    let swap = other.compare_and_swap(VA, WORD, USER, 4, 5);
    assert_eq!(block_on(swap), Ok(4));
    assert_eq!(os.machine.newest(PA), 5);
}

#[test]
fn stores_of_a_core_are_performed_in_order() {
    let os = machine(2);
    for word in 0..3 {
        os.put(0, VA + word * 8, USER, 7);
    }
    assert_eq!(os.get(1, VA + 8, USER), 7);
    let performed = [0, 8, 16].map(|offset| os.machine.peek(PA + offset));
    assert_eq!(performed, [7, 7, 0]);
}

#[test]
fn a_walker_of_another_core_does_not_see_a_buffered_store() {
    // WALK-29: neither a walker of its own core nor one of another, until it is performed.
    for seen_by_load in [false, true] {
        let os = machine(2);
        os.put(0, os.linear_slot(), KERNEL, Descriptor::INVALID.0);
        if seen_by_load {
            assert_eq!(os.get(1, os.linear_slot(), KERNEL), 0);
        }
        let other = os.machine.core(1);
        let load = other.load(VA, WORD, USER);
        assert_eq!(block_on(load).is_err(), seen_by_load);
    }
}

#[test]
fn more_stores_than_the_buffer_holds_push_the_oldest_out() {
    let os = machine(1);
    for word in 0..64 {
        os.put(0, VA + word * 8, USER, 1);
    }
    assert_eq!(os.machine.peek(PA), 0);
    os.put(0, VA + 64 * 8, USER, 1);
    assert_eq!((os.machine.peek(PA), os.machine.peek(PA + 8)), (1, 0));
}

/// Core 1 stores to the first page before or after core 0 issues `op`, and `barrier` follows on core
/// 0. Whether the store was performed by then, and whether a store to another page after it was.
fn performed(op: Tlbi, barrier: DsbKind, store_first: bool) -> (bool, bool) {
    let os = machine(2);
    for page in [0, 0x1000] {
        os.machine.speculate(1, VA + page);
    }
    os.put(0, os.linear_slot(), KERNEL, Descriptor::INVALID.0);
    block_on(os.cpu.dsb(DsbKind::ISHST));
    if store_first {
        os.put(1, VA, USER, 9);
    }
    block_on(os.cpu.tlbi(op));
    if !store_first {
        // The entry serves until the barrier.
        os.put(1, VA, USER, 9);
    }
    os.put(1, VA + 0x1000, USER, 9);
    assert_eq!(os.machine.peek(PA), 0);
    block_on(os.cpu.dsb(barrier));
    let seen = |pa| os.machine.peek(pa) == 9;
    (seen(PA), seen(PA + 0x1000))
}

#[test]
fn a_completed_invalidation_has_waited_for_the_stores_through_what_it_removed() {
    // TLBI-22, MM-06, MM-26: or a store to a page that is gone would come after its frame is reused.
    for store_first in [true, false] {
        let one = |op| performed(op, DsbKind::ISH, store_first);
        assert_eq!(one(Tlbi::vale1(IS, VA, 1, None)), (true, false));
        assert_eq!(one(Tlbi::vaae1(IS, VA, None)), (true, false));
        let range = Tlbi::rvale1(IS, vmsa::Granule::K4, VA, 0, 0, None, 1);
        assert_eq!(one(range), (true, true));
        assert_eq!(one(Tlbi::aside1(IS, 1)), (true, true));
        assert_eq!(one(Tlbi::vmalle1(IS)), (true, true));
        // What removes nothing of it, or has not completed, waits for nothing.
        assert_eq!(
            one(Tlbi::vale1(IS, VA + (1 << 30), 1, None)),
            (false, false)
        );
        assert_eq!(one(Tlbi::aside1(IS, 2)), (false, false));
        assert_eq!(one(Tlbi::vmalle1(TlbiScope::Local)), (false, false));
        let stores_only = performed(Tlbi::vmalle1(IS), DsbKind::ISHST, store_first);
        assert_eq!(stores_only, (false, false));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Load(u64, AccessSize),
    Store(u64, AccessSize, u64),
    Swap(u64, bool, u64),
    Barrier(DsbKind),
    Flush,
}

fn step() -> impl Strategy<Value = (usize, bool, Step)> {
    let size = || prop::sample::select(AccessSize::ALL.to_vec());
    // Few words, across the end of the first page.
    let at = || 0xfd0..0x1030u64;
    let step = prop_oneof![
        6 => (at(), size()).prop_map(|(at, size)| Step::Load(at, size)),
        6 => (at(), size(), any::<u64>()).prop_map(|(at, size, v)| Step::Store(at, size, v)),
        2 => (at(), any::<bool>(), any::<u64>()).prop_map(|(at, hit, v)| Step::Swap(at & !7, hit, v)),
        1 => prop::sample::select(DsbKind::ALL.to_vec()).prop_map(Step::Barrier),
        1 => Just(Step::Flush),
    ];
    (0..3usize, any::<bool>(), step)
}

/// What memory should hold.
#[derive(Default)]
struct Bytes(BTreeMap<u64, u8>);

impl Bytes {
    fn get(&self, at: u64, size: AccessSize) -> u64 {
        let byte = |i| u64::from(*self.0.get(&(at + i)).unwrap_or(&0));
        (0..size.bytes())
            .rev()
            .fold(0, |value, i| value << 8 | byte(i))
    }

    fn put(&mut self, at: u64, size: AccessSize, value: u64) {
        let bytes = (0..size.bytes()).map(|i| (at + i, (value >> (8 * i)) as u8));
        self.0.extend(bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x5707e),
        ..ProptestConfig::default()
    })]

    /// Accesses of all cores, by whatever address, see each other in the order in which they execute,
    /// and nothing is lost.
    #[test]
    fn every_load_returns_the_newest_bytes(steps in prop::collection::vec(step(), 1..250)) {
        let os = machine(3);
        let mut bytes = Bytes::default();
        for (index, linear, step) in steps {
            let core = os.machine.core(index);
            let (base, who) = match linear {
                true => (os.boot.linear.base(), KERNEL),
                false => (VA, USER),
            };
            match step {
                Step::Load(at, size) => {
                    let value = block_on(core.load(base + at, size, who));
                    prop_assert_eq!(value, Ok(bytes.get(at, size)));
                }
                Step::Store(at, size, value) => {
                    block_on(core.store(base + at, size, who, value)).expect("mapped");
                    bytes.put(at, size, value);
                }
                Step::Swap(at, hit, value) => {
                    let old = bytes.get(at, WORD);
                    let expected = if hit { old } else { !old };
                    let swap = core.compare_and_swap(base + at, WORD, who, expected, value);
                    prop_assert_eq!(block_on(swap), Ok(old));
                    if hit {
                        bytes.put(at, WORD, value);
                    }
                }
                Step::Barrier(kind) => block_on(core.dsb(kind)),
                Step::Flush => block_on(sw_mm::flush::flush_page(&core, Some(1), VA)),
            }
        }
        for word in (0xfd0..0x1038).step_by(8) {
            prop_assert_eq!(os.machine.newest(PA + word), bytes.get(word, WORD));
        }
    }
}

#[test]
fn clearing_and_copying_are_loops_of_loads_and_stores() {
    for interleaved in [false, true] {
        let os = machine(1);
        let core = match interleaved {
            true => os.cpu.interleaved(),
            false => os.cpu.clone(),
        };
        let linear = os.boot.linear.base();
        for word in 0..1024 {
            os.put(0, linear + word * 8, KERNEL, word + 1);
        }
        block_on(os.cpu.dsb(DsbKind::ISHST));
        let before = os.cpu.traffic();
        // From and to odd places of a line, over the end of a page.
        block_on(core.clear(linear + 0x18, 0x48)).expect("mapped");
        block_on(core.copy(linear + 0xfc8, linear + 0x410, 0x1008)).expect("mapped");
        let after = os.cpu.traffic();
        assert_eq!(after.stores - before.stores, 9 + 0x201);
        assert_eq!(after.loads - before.loads, 0x201);
        let expected = |word: u64| match word {
            3..12 => 0,
            // The copy reads what it wrote itself, from 0xfc8 on.
            0x1f9..0x3fa if word - 0x177 >= 0x1f9 => word - 2 * 0x177 + 1,
            0x1f9..0x3fa => word - 0x177 + 1,
            _ => word + 1,
        };
        for word in 0..1024 {
            assert_eq!(
                os.machine.newest(PA + word * 8),
                expected(word),
                "{word:#x}"
            );
        }
        block_on(core.clear(linear, 0)).expect("nothing");
        let beyond = core.clear(linear + os.boot.linear.bytes() - 8, 16);
        assert!(block_on(beyond).is_err());
        assert_eq!(os.get(0, linear + os.boot.linear.bytes() - 8, KERNEL), 0);
    }
}

#[test]
fn other_tasks_come_in_between_the_lines_of_a_clear() {
    use sw_mm::functional::{RunEnd, Scheduler};
    let os = machine(2);
    let linear = os.boot.linear.base();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        for word in 0..512 {
            os.put(0, linear + word * 8, KERNEL, 1);
        }
        let mut scheduler = Scheduler::new(seed);
        let clearing = os.machine.core(0).interleaved();
        scheduler.spawn(async move { clearing.clear(linear, 0x1000).await });
        let looking = os.machine.core(1).interleaved();
        let count = scheduler.spawn(async move {
            // An observer goes the other way, so that what it counts was cleared at one time or other.
            let mut zeros = 0;
            for word in (0..512u64).rev() {
                zeros += u64::from(looking.load(linear + word * 8, WORD, KERNEL).await == Ok(0));
            }
            zeros
        });
        assert_eq!(scheduler.run(10_000), RunEnd::Done);
        seen.insert(count.take());
    }
    assert!(seen.len() > 10, "{seen:?}");
}
