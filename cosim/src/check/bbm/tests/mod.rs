// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The monitor on hand-made event sequences: each step of the sequence left out, and what is free.

mod structure;
mod trees;

use vmsa::{Descriptor, DsbKind, Granule, SysReg, Tcr, Tlbi, TlbiScope, Ttbr};

use super::{BbmMonitor, Figures};
use crate::check::Violations;
use crate::check::feed::{
    assert_fires, assert_quiet, at_core, change_walk, commit, issue, response, walk,
};
use crate::dut::ports::{CommitKind, CoreRequest, Straps, WalkKind};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

const VA: u64 = 0x40_3000;
const TABLE: u64 = 0x8000_1000;
const SLOT: u64 = TABLE + 3 * 8;
const UPPER: u64 = 0x8000_0010;
const LOCAL: TlbiScope = TlbiScope::Local;
const IS: TlbiScope = TlbiScope::InnerShareable;

fn page() -> Descriptor {
    Descriptor::leaf(Granule::K4, 3, 0x9000_0000)
        .with_af(true)
        .with_ng(true)
        .with_sh(3)
}

fn moved() -> Descriptor {
    Descriptor(page().0 + 0x1000)
}

/// Hardware and software, event by event.
struct Scene {
    monitor: BbmMonitor,
    memory: Memory,
    out: Violations,
    cycle: u64,
}

impl Scene {
    /// Two cores with ASID 1 that have read `page()` at `SLOT`.
    fn new(bbml: u8) -> Self {
        let straps = Straps {
            bbml,
            ..Straps::default()
        };
        let mut scene = Self {
            monitor: BbmMonitor::new(&straps),
            memory: Memory::default(),
            out: Violations::new(),
            cycle: 0,
        };
        for core in 0..2 {
            let tcr = Tcr(0).with_asid16(true).with_tsz(vmsa::VaRange::Lower, 16);
            for (register, value) in [
                (SysReg::Ttbr0, Ttbr::new(1, 0x8000_0000).0),
                (SysReg::Tcr, tcr.0),
                (SysReg::Mair, 0xff_44ff),
            ] {
                scene.ask(core, CoreRequest::msr(register, value));
            }
            scene.ask(core, CoreRequest::isb());
        }
        scene.memory.write_u64(SLOT, page().0);
        scene.read(0, 3, SLOT, VA);
        scene.read(1, 3, SLOT, VA);
        scene
    }

    fn see(&mut self, event: Event) {
        self.monitor.event(&event, &self.memory, &mut self.out);
    }

    fn next(&mut self) -> u64 {
        self.cycle += 10;
        self.cycle
    }

    /// `core` makes a request and is answered.
    fn ask(&mut self, core: u8, request: CoreRequest) {
        let issued = self.next();
        self.see(at_core(issue(issued, request), core));
        let cycle = self.next();
        let mut answer = at_core(response(cycle, request, |_| ()), core);
        if let EventKind::Response { issued_at, .. } = &mut answer.kind {
            *issued_at = issued;
        }
        self.see(answer);
    }

    /// A walk of `core`, begun below a cached table, reads the descriptor at `address`.
    fn read(&mut self, core: u8, level: u8, address: u64, va: u64) {
        self.walk(core, level, address, va, true);
    }

    fn walk(&mut self, core: u8, level: u8, address: u64, va: u64, cached: bool) {
        let value = self.memory.coherent(address);
        for kind in [WalkKind::Begin, WalkKind::Step, WalkKind::End] {
            let cycle = self.next();
            let mut event = change_walk(walk(cycle, 1, va, kind, level, address, value), |step| {
                step.cached_start = cached;
            });
            if let EventKind::Walk { core: own, .. } = &mut event.kind {
                *own = core;
            }
            self.see(event);
        }
    }

    fn write(&mut self, kind: CommitKind, address: u64, value: Descriptor) {
        let before = self.memory.coherent(address);
        self.memory.write_u64(address, value.0);
        let cycle = self.next();
        self.see(commit(cycle, kind, address, before, value.0));
    }

    fn store(&mut self, address: u64, value: Descriptor) {
        self.write(CommitKind::Store, address, value);
    }

    fn dsb(&mut self, kind: DsbKind) {
        self.ask(0, CoreRequest::dsb(kind));
    }

    fn tlbi(&mut self, operation: Tlbi) {
        self.ask(0, CoreRequest::tlbi(operation));
    }

    /// The whole sequence at `SLOT` with `operation`.
    fn sequence(&mut self, operation: Tlbi, new: Descriptor) {
        self.store(SLOT, Descriptor(0));
        self.dsb(DsbKind::ISHST);
        self.tlbi(operation);
        self.dsb(DsbKind::ISH);
        self.store(SLOT, new);
    }

    fn came(&self) -> &str {
        self.out.first().map_or("", |violation| &violation.came)
    }
}

fn by_va() -> Tlbi {
    Tlbi::vale1(IS, VA, 1, Some((Granule::K4, 3)))
}

#[test]
fn the_whole_sequence_is_quiet() {
    let mut scene = Scene::new(0);
    scene.sequence(by_va(), moved());
    assert_quiet(&scene.out);
    assert_eq!(
        scene.monitor.figures(),
        Figures {
            made: 1,
            ..Figures::default()
        }
    );
}

#[test]
fn a_change_in_place_has_no_invalid_descriptor() {
    let mut scene = Scene::new(2);
    scene.store(SLOT, moved());
    assert_fires(&scene.out, "BBM-03");
    assert!(
        scene.came().contains("cores 0, 1 may hold"),
        "{}",
        scene.came()
    );
    assert!(
        scene.came().contains("not made invalid first"),
        "{}",
        scene.came()
    );
    let violation = scene.out.first().unwrap();
    assert_eq!((violation.va, violation.descriptor), (Some(VA), Some(SLOT)));
    // Reported once.
    scene.store(SLOT, moved().with_ap_el0(true));
    assert_eq!(scene.out.total(), 1);
}

#[test]
fn each_step_left_out_is_named() {
    type Steps = fn(&mut Scene);
    let cases: [(&str, Steps); 8] = [
        ("no TLBI followed", |scene| scene.dsb(DsbKind::ISH)),
        ("no DSB stands between", |scene| {
            scene.tlbi(by_va());
            scene.dsb(DsbKind::ISH);
        }),
        ("no DSB stands between", |scene| {
            scene.dsb(DsbKind::ISHLD);
            scene.tlbi(by_va());
            scene.dsb(DsbKind::ISH);
        }),
        ("no DSB completed it", |scene| {
            scene.dsb(DsbKind::ISHST);
            scene.tlbi(by_va());
        }),
        ("DSB ISHST does not complete it", |scene| {
            scene.dsb(DsbKind::ISHST);
            scene.tlbi(by_va());
            scene.dsb(DsbKind::ISHST);
        }),
        ("does not reach core 1", |scene| {
            scene.dsb(DsbKind::ISHST);
            scene.tlbi(Tlbi::vale1(LOCAL, VA, 1, None));
            scene.dsb(DsbKind::ISH);
        }),
        ("names ASID 0x0002, not 0x0001", |scene| {
            scene.dsb(DsbKind::ISHST);
            scene.tlbi(Tlbi::vale1(IS, VA, 2, None));
            scene.dsb(DsbKind::ISH);
        }),
        ("covers it", |scene| {
            scene.dsb(DsbKind::ISHST);
            scene.tlbi(Tlbi::vale1(IS, VA + 0x1000, 1, None));
            scene.dsb(DsbKind::ISH);
        }),
    ];
    for (missing, steps) in cases {
        let mut scene = Scene::new(0);
        scene.store(SLOT, Descriptor(0));
        steps(&mut scene);
        assert_quiet(&scene.out);
        scene.store(SLOT, moved());
        assert_fires(&scene.out, "BBM-03");
        assert!(
            scene.came().contains(missing),
            "{missing}: {}",
            scene.came()
        );
    }
}

#[test]
fn a_core_whose_walk_reads_after_the_invalidation_holds_again() {
    let mut scene = Scene::new(0);
    scene.tlbi(Tlbi::vmalle1(IS));
    scene.dsb(DsbKind::ISH);
    scene.read(1, 3, SLOT, VA);
    scene.store(SLOT, moved());
    assert!(scene.came().contains("core 1 may hold"), "{}", scene.came());
}

#[test]
fn what_no_core_may_hold_is_free() {
    let mut scene = Scene::new(0);
    scene.tlbi(Tlbi::vmalle1(IS));
    scene.dsb(DsbKind::ISH);
    scene.store(SLOT, moved());
    scene.store(SLOT + 8, page());
    scene.store(SLOT + 8, moved());
    assert_quiet(&scene.out);
}

#[test]
fn what_was_invalidated_before_the_break_stays_gone() {
    let mut scene = Scene::new(0);
    scene.tlbi(Tlbi::vmalle1(IS));
    scene.dsb(DsbKind::ISH);
    scene.store(SLOT, Descriptor(0));
    scene.store(SLOT, moved());
    assert_quiet(&scene.out);
}

#[test]
fn changes_of_12_2_are_free() {
    let clean = page().with_dbm(true).with_ap_read_only(true);
    for (old, new) in [
        (page(), page().with_af(false)),
        (page(), page().with_ap_read_only(true)),
        (page().with_ap_read_only(true), page()),
        (clean, clean.with_ap_read_only(false)),
        (page(), page().with_uxn(true).with_pxn(true)),
        (page(), page().with_gp(true).with_software(5)),
        (page().with_ng(false), page()),
        (page(), Descriptor(0)),
    ] {
        let mut scene = Scene::new(0);
        scene.sequence(by_va(), old);
        scene.read(1, 3, SLOT, VA);
        scene.store(SLOT, new);
        assert_quiet(&scene.out);
    }
}

#[test]
fn changes_of_12_1_are_not() {
    for new in [
        page().with_attr_index(1),
        page().with_sh(2),
        moved(),
        page().with_ng(false),
        page().with_contiguous(true),
    ] {
        let mut scene = Scene::new(1);
        scene.store(SLOT, new);
        assert_fires(&scene.out, "BBM-03");
    }
    // Another index for the same memory type is no change of it; read-only copies may be swapped.
    let mut scene = Scene::new(1);
    scene.store(SLOT, page().with_attr_index(2));
    assert_quiet(&scene.out);
    let mut scene = Scene::new(1);
    let read_only = page().with_ap_read_only(true);
    scene.sequence(by_va(), read_only);
    scene.read(1, 3, SLOT, VA);
    scene.store(SLOT, moved().with_ap_read_only(true));
    assert_quiet(&scene.out);
    scene.memory.write_u64(0x9000_0008, 1);
    scene.read(1, 3, SLOT, VA);
    scene.store(SLOT, read_only);
    assert_fires(&scene.out, "BBM-03");
}

#[test]
fn the_back_door_is_not_software_unless_it_says_so() {
    let mut scene = Scene::new(0);
    scene.write(CommitKind::Backdoor, SLOT, moved());
    scene.store(SLOT, page());
    assert_quiet(&scene.out);
    assert_eq!(scene.monitor.figures().staged, 1);
    let mut scene = Scene::new(0);
    scene.monitor.judge_back_door(true);
    scene.write(CommitKind::Backdoor, SLOT, moved());
    assert_fires(&scene.out, "BBM-03");
}

#[test]
fn what_is_gone_is_forgotten() {
    let mut scene = Scene::new(0);
    assert_eq!(scene.monitor.held(), 2);
    for _ in 0..256 {
        scene.tlbi(Tlbi::vmalle1(IS));
    }
    scene.dsb(DsbKind::ISH);
    assert_eq!(scene.monitor.held(), 0);
    scene.read(0, 3, SLOT, VA);
    scene.store(SLOT, moved());
    assert_fires(&scene.out, "BBM-03");
}
