// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Hand-made event sequences for the unit tests of the monitors.

use vmsa::Fsc;

use super::Violations;
use crate::dut::ports::{
    CommitKind, CoreRequest, CoreResponse, DvmEvent, HitPlace, Invalidation, TlbFill, TlbStructure,
    WalkEvent, WalkKind,
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
        lookup: true,
        walked: false,
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

/// A walk event of core 0, slot 0, for the data access `id` to `va`.
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
        slot: 0,
        id,
        va,
        instruction: false,
        level,
        address,
        value,
        fault: None,
        prefetch: false,
        cached_start: false,
        error: false,
        discarded: false,
        merged: false,
    };
    Event {
        cycle,
        kind: EventKind::Walk { core: 0, step },
    }
}

/// The end of a walk of core 0.
pub fn walk_end(cycle: u64, id: u16, va: u64, fault: Option<Fsc>) -> Event {
    change_walk(walk(cycle, id, va, WalkKind::End, 3, 0, 0), |step| {
        step.fault = fault;
    })
}

/// A walk event after `change` was made to it.
pub fn change_walk(mut event: Event, change: impl FnOnce(&mut WalkEvent)) -> Event {
    if let EventKind::Walk { step, .. } = &mut event.kind {
        change(step);
    }
    event
}

/// A fill of entry `index` of core 0's DTLB for request 5: a level 3 entry for ASID 1.
pub fn fill(cycle: u64, index: u16, va: u64, pa: u64, bytes: u64) -> Event {
    let change = TlbFill {
        structure: TlbStructure::Dtlb,
        id: 5,
        instruction: false,
        from_l2: false,
        prefetch: false,
        level: 3,
        global: false,
        contiguous: false,
        count: 0,
        index,
        asid: 1,
        va,
        pa,
        mask: !(bytes - 1),
    };
    Event {
        cycle,
        kind: EventKind::Fill { core: 0, change },
    }
}

/// A fill after `change` was made to it.
pub fn change_fill(mut event: Event, change: impl FnOnce(&mut TlbFill)) -> Event {
    if let EventKind::Fill { change: fill, .. } = &mut event.kind {
        change(fill);
    }
    event
}

/// The effect on `core` of operation `tag` of core 0, or with `None` of its oldest local one, that
/// removes `removed` first-level entries and cancels every walk.
pub fn effect(cycle: u64, core: u8, tag: Option<u8>, removed: u16) -> Event {
    let change = Invalidation {
        source: 0,
        tag: tag.unwrap_or(0),
        local: tag.is_none(),
        cancelled: 0xf,
        l1_count: removed,
        wc_count: 0,
    };
    Event {
        cycle,
        kind: EventKind::Invalidate { core, change },
    }
}

/// A message event of `core`.
pub fn dvm(cycle: u64, core: u8, change: impl FnOnce(&mut DvmEvent)) -> Event {
    let mut event = DvmEvent::default();
    change(&mut event);
    Event {
        cycle,
        kind: EventKind::Dvm { core, event },
    }
}

/// `event`, an issue or a response, at `core` instead of core 0.
pub fn at_core(mut event: Event, number: u8) -> Event {
    if let EventKind::Issue { core, .. } | EventKind::Response { core, .. } = &mut event.kind {
        *core = number;
    }
    event
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
