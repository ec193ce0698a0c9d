// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The collector on hand-made sequences: of each group, the bins that come and no others.

mod access;
mod maintenance;
mod walks;

use vmsa::{Descriptor, El, Sctlr, SysReg, Tcr, Ttbr, VaRange};

use super::Collector;
use super::group::{Hits, combinations};
use crate::check::Violations;
use crate::check::feed::{change_walk, fill, issue, response, walk, walk_end};
use crate::dut::ports::WalkKind::{Begin, Step};
use crate::dut::ports::{CoreRequest, HitPlace, Straps};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

const VA: u64 = 0x4000_3000;
const PA: u64 = 0x9000_3000;
const SLOT: u64 = 0x8000_0018;
const PAGE: u64 = 4096;

fn page() -> Descriptor {
    Descriptor::leaf(vmsa::Granule::K4, 3, PA)
        .with_af(true)
        .with_ng(true)
}

fn table() -> Descriptor {
    Descriptor::table(0x8000_0000)
}

fn load(id: u16, va: u64) -> CoreRequest {
    CoreRequest {
        id,
        ..CoreRequest::load(va, 3, El::El0)
    }
}

fn store(id: u16, va: u64) -> CoreRequest {
    CoreRequest {
        id,
        ..CoreRequest::store(va, 3, El::El0, 1)
    }
}

/// A write of a register that takes effect.
fn msr(cycle: u64, register: SysReg, value: u64) -> [Event; 2] {
    let request = CoreRequest::msr(register, value);
    [issue(cycle, request), response(cycle, request, |_| ())]
}

/// Translation on in both halves with 4K granules, ASID 1, hardware updates.
fn context() -> Vec<Event> {
    use VaRange::{Lower, Upper};
    let tcr = Tcr(0)
        .with_tsz(Lower, 16)
        .with_tsz(Upper, 16)
        .with_granule(Upper, vmsa::Granule::K4)
        .with_asid16(true)
        .with_ha(true)
        .with_hd(true);
    [
        msr(1, SysReg::Ttbr0, Ttbr::new(1, 0x7000_0000).0),
        msr(2, SysReg::Tcr, tcr.0),
        msr(3, SysReg::Sctlr, Sctlr(0).with_m(true).0),
    ]
    .concat()
}

/// `events`, those with a core at core `number`.
fn on_core(number: u8, mut events: Vec<Event>) -> Vec<Event> {
    for event in &mut events {
        match &mut event.kind {
            EventKind::Issue { core, .. }
            | EventKind::Response { core, .. }
            | EventKind::Walk { core, .. }
            | EventKind::Fill { core, .. }
            | EventKind::Invalidate { core, .. }
            | EventKind::Dvm { core, .. } => *core = number,
            _ => {}
        }
    }
    events
}

/// A walk for access `id` to `va` that reads `leaf` at level 3 and has not ended.
fn reading(cycle: u64, id: u16, va: u64, leaf: Descriptor) -> Vec<Event> {
    vec![
        walk(cycle, id, va, Begin, 3, SLOT, 0),
        walk(cycle + 4, id, va, Step, 3, SLOT, leaf.0),
    ]
}

/// A load `id` that walks, and its fill of DTLB entry `index`.
fn loaded(cycle: u64, id: u16, va: u64, index: u16) -> Vec<Event> {
    let mut events = vec![issue(cycle, load(id, va))];
    events.extend(reading(cycle + 1, id, va, page()));
    events.push(walk_end(cycle + 6, id, va, None));
    let entry = fill(cycle + 6, index, va & !(PAGE - 1), PA, PAGE);
    events.push(crate::check::feed::change_fill(entry, |fill| fill.id = id));
    events.push(response(cycle + 9, load(id, va), |answer| {
        (answer.place, answer.walked) = (HitPlace::Walk, true);
    }));
    events
}

/// What a collector of `cores` cores counts.
fn collect_on(cores: u8, events: &[Event]) -> Hits {
    let mut collector = Collector::default();
    collector.begin(Straps::default(), cores);
    let (memory, mut out) = (Memory::default(), Violations::new());
    for event in events {
        collector.event(event, &memory, &mut out);
    }
    collector.finish(1000, &memory, &mut out);
    assert!(out.is_empty());
    collector.hits().clone()
}

/// The combinations of `group` that `events` reach on one core, without the name of the group.
fn reached(group: &str, events: &[Event]) -> Vec<String> {
    of(group, &collect_on(1, events))
}

fn of(group: &str, hits: &Hits) -> Vec<String> {
    let hit = combinations().filter(|bin| hits.of(bin) > 0);
    let prefix = format!("{group}.");
    hit.filter_map(|bin| bin.name.strip_prefix(&prefix).map(str::to_owned))
        .collect()
}

/// A walk event of a prefetch.
fn prefetch(event: Event) -> Event {
    change_walk(event, |step| step.prefetch = true)
}
