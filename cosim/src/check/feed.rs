// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Hand-made event sequences for the unit tests of the monitors.

use vmsa::Fsc;

use super::Violations;
use crate::dut::ports::{
    CommitKind, CoreRequest, CoreResponse, HitPlace, TlbEvent, TlbKind, WalkEvent, WalkKind,
};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// `request` sampled at `cycle` by core 0.
pub fn issue(cycle: u64, request: CoreRequest) -> Event {
    Event {
        cycle,
        kind: EventKind::Issue { core: 0, request },
    }
}

/// A good answer to `request` at `cycle`, after `change` was made to it.
pub fn response(cycle: u64, request: CoreRequest, change: impl FnOnce(&mut CoreResponse)) -> Event {
    let mut response = CoreResponse {
        id: request.id,
        op: Some(request.op.code()),
        va: request.va,
        fault: None,
        wnr: false,
        cm: false,
        s1ptw: false,
        pa: 0,
        attr: 0xff,
        sh: 3,
        data: 0,
        place: HitPlace::None,
        undef: false,
    };
    change(&mut response);
    Event {
        cycle,
        kind: EventKind::Response {
            core: 0,
            request,
            issued_at: 0,
            response,
        },
    }
}

/// A walk event of core 0 for the data access `id` to `va`.
pub fn walk(
    cycle: u64,
    id: u16,
    va: u64,
    kind: WalkKind,
    level: u8,
    address: u64,
    value: u64,
) -> Event {
    let step = WalkEvent {
        kind,
        id,
        va,
        instruction: false,
        level,
        address,
        value,
        fault: None,
    };
    Event {
        cycle,
        kind: EventKind::Walk { core: 0, step },
    }
}

/// The end of a walk of core 0.
pub fn walk_end(cycle: u64, id: u16, va: u64, fault: Option<Fsc>) -> Event {
    let step = WalkEvent {
        kind: WalkKind::End,
        id,
        va,
        instruction: false,
        level: 3,
        address: 0,
        value: 0,
        fault,
    };
    Event {
        cycle,
        kind: EventKind::Walk { core: 0, step },
    }
}

/// A fill of entry `index` of core 0's DTLB: a level 3 entry for ASID 1.
pub fn fill(cycle: u64, index: u8, va: u64, pa: u64, bytes: u64) -> Event {
    let change = TlbEvent {
        kind: TlbKind::Fill,
        instruction: false,
        index,
        va,
        pa,
        mask: !(bytes - 1),
        asid: 1,
        global: false,
        level: 3,
        count: 0,
    };
    Event {
        cycle,
        kind: EventKind::Tlb { core: 0, change },
    }
}

/// A whole-word commit.
pub fn commit(cycle: u64, kind: CommitKind, address: u64, before: u64, after: u64) -> Event {
    let kind = EventKind::Commit {
        node: 0,
        source: 0,
        kind,
        address,
        strobe: 0xff,
        data: after,
        before,
        after,
    };
    Event { cycle, kind }
}

/// What `monitor` says about `events` and the end of the run after them.
pub fn judge(monitor: &mut dyn Monitor, memory: &Memory, events: &[Event]) -> Violations {
    let mut out = Violations::new();
    for event in events {
        monitor.event(event, memory, &mut out);
    }
    monitor.finish(
        events.last().map_or(0, |event| event.cycle),
        memory,
        &mut out,
    );
    out
}

/// Panics unless the first violation names `requirement`.
pub fn assert_fires(out: &Violations, requirement: &str) {
    match out.first() {
        Some(violation) => assert!(
            violation.breaks(requirement),
            "not {requirement}: {violation}"
        ),
        None => panic!("{requirement} did not fire"),
    }
}

/// Panics if anything was violated.
pub fn assert_quiet(out: &Violations) {
    if let Some(violation) = out.first() {
        panic!("false alarm: {violation}");
    }
}
