// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What served an access: live entries of the current context only, and nothing that an operation
//! removed once the core has answered for that operation.

use std::rc::Rc;

use vmsa::{Descriptor, FaultKind, Granule, VaRange};

use super::mirror::Entry;
use super::named::Held;
use super::{Core, Effect, NAME, PAGE_MIN, TlbMonitor, fill, name};
use crate::check::operations::Operation;
use crate::check::registers::Registers;
use crate::check::walks::{WalkRecord, Walks};
use crate::check::{Violation, Violations};
use crate::dut::ports::{CoreRequest, CoreResponse, HitPlace, Op, Straps, TlbStructure};
use crate::sim::event::{Event, EventKind};

/// An answered access before the bench.
struct Bench<'a> {
    cycle: u64,
    number: u8,
    core: &'a Core,
    walks: &'a Walks,
    straps: &'a Straps,
    request: &'a CoreRequest,
    response: &'a CoreResponse,
    registers: &'a Registers,
    /// The first cycle in which it may have looked up.
    since: u64,
    out: &'a mut Violations,
}

impl TlbMonitor {
    /// Judges where the translation of an answered access came from.
    pub(super) fn served(&mut self, event: &Event, out: &mut Violations) {
        let EventKind::Response {
            core: number,
            request,
            issued_at,
            response,
        } = &event.kind
        else {
            return;
        };
        let core = self.cores.entry(*number).or_default();
        let access = core.in_flight.remove(&request.id);
        if !request.op.translates() {
            return;
        }
        // Later register writes may have been answered first, and do not concern this access.
        let (registers, since) = match access {
            Some(access) => (access.registers, access.since),
            None => {
                let registers = self.walks.registers(*number).cloned();
                (registers.unwrap_or_default(), *issued_at)
            }
        };
        let bench = Bench {
            cycle: event.cycle,
            number: *number,
            core,
            walks: &self.walks,
            straps: &self.straps,
            request,
            response,
            registers: &registers,
            since,
            out,
        };
        bench.judge();
    }
}

impl Bench<'_> {
    fn blame(&mut self, requirements: &[&str], came: String) {
        self.out.push(
            Violation::new(self.cycle, NAME, requirements, came)
                .on_core(self.number)
                .at_va(self.request.va)
                .permitting("a live entry that matches, or a walk"),
        );
    }

    fn judge(mut self) {
        let request = self.request;
        let first = match request.op {
            Op::Fetch => TlbStructure::Itlb,
            _ => TlbStructure::Dtlb,
        };
        let fault = self.response.fault.and_then(|fsc| fsc.kind());
        if fault == Some(FaultKind::TlbConflict) {
            self.conflict(first);
            return;
        }
        let last = request.va.wrapping_add((1 << request.size) - 1);
        if request.va / PAGE_MIN != last / PAGE_MIN {
            return;
        }
        match self.response.place {
            HitPlace::None => {}
            HitPlace::L1 => self.hit(first),
            HitPlace::L2 => self.hit(TlbStructure::L2),
            HitPlace::Walk => self.walked(),
        }
    }

    /// TLB-10, TLB-11: only two live entries that match give a conflict abort.
    fn conflict(&mut self, first: TlbStructure) {
        if !self.straps.conflict_abort {
            let came = format!("{} took a TLB conflict abort", self.request);
            self.blame(&["TLB-11"], came);
            return;
        }
        let page = self.request.va & !(PAGE_MIN - 1);
        let last = self.request.va.wrapping_add((1 << self.request.size) - 1);
        let matches = |va: u64| {
            let entries = self.core.structures[first as usize].serving(va, self.since);
            entries.filter(|entry| self.current(entry)).count()
        };
        let most = matches(self.request.va).max(matches(last.max(page)));
        if most < 2 {
            let came = format!(
                "{} took a TLB conflict abort with {most} match",
                self.request
            );
            self.blame(&["TLB-10"], came);
        }
    }

    fn current(&self, entry: &Entry) -> bool {
        entry.held.global
            || self
                .registers
                .may_be_asid(entry.held.asid, self.straps.asid8)
    }

    fn hit(&mut self, structure: TlbStructure) {
        let (request, response) = (self.request, self.response);
        let place = name(structure);
        if !self.registers.may_translate() {
            let came = format!("{request} was served by the {place} with SCTLR_EL1.M = 0");
            self.blame(&["VMSA-01"], came);
            return;
        }
        let core = self.core;
        let (mut foreign, mut elsewhere, mut removed, mut live) = (None, None, None, false);
        for entry in core.structures[structure as usize].serving(request.va, self.since) {
            if !self.current(entry) {
                foreign = Some(entry);
            } else if response.fault.is_none() && entry.translate(request.va) != response.pa {
                elsewhere = Some(entry);
            } else if entry.removed.is_some() {
                removed = removed.or(Some(entry));
            } else {
                live = true;
            }
        }
        if live {
            return;
        }
        if let Some(entry) = removed {
            if let Some((operation, at)) = &entry.removed {
                let what = format!("{place} entry {entry}");
                self.performed_late(operation, *at, &what);
            }
        } else if let Some(entry) = elsewhere {
            let (pa, expected) = (response.pa, entry.translate(request.va));
            let came = format!("{place} entry {entry} gave {pa:#014x} instead of {expected:#014x}");
            self.blame(&["TLB-02"], came);
        } else if let Some(entry) = foreign {
            let came = format!("{request} was served by {place} entry {entry} of another ASID");
            self.blame(&["TLB-21", "TLB-13"], came);
        } else {
            let gone = core.structures[structure as usize].serving(request.va, 0);
            let gone = gone.filter(|entry| entry.removed.is_some() && self.current(entry));
            let gone = gone.last().map(|entry| (entry.is_run(), entry.to_string()));
            match gone {
                Some((run, entry)) => {
                    let requirements: &[&str] = match run {
                        true => &["TLBI-01", "TLB-05"],
                        false => &["TLBI-01"],
                    };
                    let came = format!("{request} was served by {place} entry {entry}");
                    self.blame(requirements, came);
                }
                None => {
                    let came =
                        format!("{request} was served by the {place}, which holds no entry for it");
                    self.blame(&["TLB-20"], came);
                }
            }
        }
    }

    /// An access that joined or made a walk: the walk's result is bound when the walk ends.
    fn walked(&mut self) {
        if self.response.fault.is_some() {
            return;
        }
        let instruction = self.request.op == Op::Fetch;
        let page = |walk: &&WalkRecord| {
            let granules = walk.registers.granules(VaRange::of(walk.va));
            let page = granules.map(Granule::bytes).max().unwrap_or(PAGE_MIN);
            walk.ended
                && walk.fault.is_none()
                && (walk.merged || !walk.prefetch)
                && walk.instruction == instruction
                && (walk.va ^ self.request.va) & ((1 << 56) - 1) < page
        };
        let latest = self.walks.of(self.number).filter(page);
        let Some(walk) = latest.max_by_key(|walk| walk.ended_at) else {
            return;
        };
        let Some(leaf) = leaf_of(walk, self.straps) else {
            return;
        };
        let named = |(at, operation): &&Effect| {
            *at > walk.ended_at && leaf.named_by(operation, self.straps.asid8)
        };
        let core = self.core;
        if let Some((at, operation)) = core.effects.iter().find(named) {
            let what = format!("the walk that ended at cycle {}", walk.ended_at);
            self.performed_late(operation, *at, &what);
        }
    }

    /// DVM-03, TLBI-21, TLBI-22: an access bound before `operation` took effect at `at` is performed
    /// before its core answers the SYNC behind the operation.
    fn performed_late(&mut self, operation: &Rc<Operation>, at: u64, what: &str) {
        let Some(performed_at) = self.performed_at() else {
            return;
        };
        let answered = self.core.answers.iter().find(|answer| {
            answer.source == operation.source
                && operation.number < answer.before
                && answer.cycle >= at
        });
        let Some(answer) =
            answered.filter(|answer| !operation.local && answer.cycle < performed_at)
        else {
            return;
        };
        let requirements: &[&str] = match self.request.op {
            Op::Store | Op::Cas => &["TLBI-22", "DVM-03", "TLBI-21"],
            _ => &["TLBI-21", "DVM-03"],
        };
        let came = format!(
            "{} was translated by {what}, which {} removed at cycle {at}, and performed at cycle \
             {performed_at}, after the SYNC was answered at cycle {}",
            self.request, operation.tlbi, answer.cycle
        );
        self.blame(requirements, came);
    }

    /// Cycle in which the access had its effect; `None` if it had none or it is not known.
    fn performed_at(&self) -> Option<u64> {
        if self.response.fault.is_some() {
            return None;
        }
        let word = self.response.pa & !7;
        match self.request.op {
            Op::Store | Op::Cas => {
                let own = |&&(cycle, address): &&(u64, u64)| address == word && cycle >= self.since;
                self.core.commits.iter().rev().find(own).map(|own| own.0)
            }
            Op::Load | Op::Fetch => Some(self.cycle),
            _ => None,
        }
    }
}

/// The leaf that `walk` found, under the one ASID that it can have; `None` if that is not known.
fn leaf_of(walk: &WalkRecord, straps: &Straps) -> Option<Held> {
    let read = walk.last()?;
    let leaf: Descriptor = walk.value_at(read.address)?;
    let reach = fill::reach(Some(walk), read.level);
    let mut asids = walk.registers.asids(straps.asid8);
    let asid = asids.next()?;
    if asids.any(|other| other != asid) || walk.registers.granules(VaRange::of(walk.va)).count() > 1
    {
        return None;
    }
    Some(Held {
        va: walk.va,
        mask: !(reach - 1),
        reach,
        level: read.level,
        asid,
        global: !leaf.ng(),
        table: false,
    })
}
