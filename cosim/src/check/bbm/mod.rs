// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Break-before-make: software shall not make a valid descriptor while a core may hold an older one
//! from which section 12.1 permits no direct change.
//!
//! A word counts as a descriptor once a walker has read it as one. A core may hold what its walks read
//! until an invalidation that names it is complete; it has to be ordered behind the store that made
//! the descriptor, or a table entry that leads to it, invalid. What the testbench writes through the
//! back door is the scene, not software, unless it says otherwise: it is not judged, and what it
//! contradicts is forgotten.

mod forbid;
mod holds;
mod links;
mod log;
mod report;
pub(super) mod rule;
#[cfg(test)]
mod tests;
mod trees;

use vmsa::geometry::FINAL_LEVEL;
use vmsa::{Descriptor, El, Tcr, TlbiScope};

use self::forbid::{forbids, forbids_elsewhere, forbids_in_run};
use self::holds::{Hold, Holds, Read};
use self::log::Log;
use self::report::Change;
use self::rule::Rule;
use self::trees::Trees;
use super::Violations;
use super::walk_context::{Class, WalkContexts};
use crate::dut::ports::{CommitKind, CoreRequest, Op, Straps, WalkEvent, WalkKind};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "break-before-make";

/// What the monitor has judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Stores of software that made a descriptor, one that a walker knew, valid or another valid one.
    pub made: u64,
    /// Those among them that were made while a core may have held something that forbids it.
    pub broken: u64,
    /// Writes through the back door that software would have had to break before.
    pub staged: u64,
}

/// Watches what software does to descriptors that cores may hold.
#[derive(Debug)]
pub struct BbmMonitor {
    rule: Rule,
    asid8: bool,
    contexts: WalkContexts,
    holds: Holds,
    trees: Trees,
    log: Log,
    figures: Figures,
    /// Whether the back door counts as software.
    judges_back_door: bool,
    /// What is known of the word being written; empty in between.
    own: Vec<Hold>,
}

/// A hold that forbids a change, and why.
struct Conflict {
    hold: Hold,
    reason: &'static str,
    /// Whether what forbids it is the entry of a whole run.
    as_run: bool,
    /// Level of the descriptor that changed.
    level: u8,
}

impl BbmMonitor {
    /// A monitor of hardware strapped so, whose cores have done nothing.
    #[must_use]
    pub fn new(straps: &Straps) -> Self {
        Self {
            rule: Rule {
                bbml: straps.bbml,
                contiguous: straps.contiguous,
            },
            asid8: straps.asid8,
            contexts: WalkContexts::new(straps.asid8),
            holds: Holds::default(),
            trees: Trees::default(),
            log: Log::default(),
            figures: Figures::default(),
            judges_back_door: false,
            own: Vec::new(),
        }
    }

    /// From now on, judges what is written through the back door as software, or no longer.
    pub fn judge_back_door(&mut self, judged: bool) {
        self.judges_back_door = judged;
    }

    /// What was judged so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// Values that cores may hold, as far as the monitor remembers.
    #[must_use]
    pub fn held(&self) -> usize {
        self.holds.remembered()
    }

    fn walked(&mut self, core: u8, step: &WalkEvent, memory: &Memory) {
        let Some(context) = self.contexts.of(core, step.slot) else {
            return;
        };
        if step.error || step.discarded {
            return;
        }
        let mut value = Descriptor(step.value);
        let class = Class::of(context.granule, step.level, value);
        // BBM-05: nT keeps a block out of every TLB. TLB-20: so does AF = 0, until it is set.
        let block = class == Class::Leaf && !value.is_table_bit();
        match (class, step.kind) {
            (Class::Invalid, _) | (_, WalkKind::Begin | WalkKind::End) => return,
            (Class::Leaf, _) if block && value.nt() && self.rule.bbml > 0 => return,
            (Class::Leaf, WalkKind::Step) if !value.af() => return,
            (Class::Leaf, WalkKind::Swap) => value = value.with_af(true),
            _ => {}
        }
        let now = context.decoded(memory.coherent(step.address));
        let current = Class::of(context.granule, step.level, now) == class;
        let read = Read {
            since: self.contexts.since(core, step.slot),
            parent: self.contexts.parent(core, step.slot),
            core,
            context,
            level: step.level,
            address: step.address,
            value,
            current,
        };
        self.holds.read(read, memory);
    }

    fn issued(&mut self, cycle: u64, core: u8, request: &CoreRequest) {
        match request.op {
            Op::Dsb(kind) => self.log.fence(cycle, core, kind),
            // TLBI-14: with EL0 attributes it does nothing.
            Op::Tlbi(tlbi) if request.el == El::El1 => {
                let registers = self.contexts.registers(core);
                let tcr = registers.and_then(|registers| registers.tcr().last());
                let wide = !self.asid8 && tcr.is_some_and(Tcr::asid16);
                let mask = if wide { 0xffff } else { 0xff };
                self.log.issue(cycle, core, tlbi, tlbi.asid() & mask);
            }
            _ => {}
        }
    }

    /// Software, or the testbench behind its back, wrote a word that may be a descriptor.
    fn written(&mut self, change: &Change, staged: bool, memory: &Memory, out: &mut Violations) {
        let mut own = std::mem::take(&mut self.own);
        let (cycle, address) = (change.cycle, change.address);
        let (mut table, log) = (false, &self.log);
        self.holds.around(address, |hold| {
            if hold.address != address {
                return;
            }
            table |= hold.class() == Class::Table;
            let after = hold.context.decoded(change.after);
            let gone = Class::of(hold.context.granule, hold.level, after) == Class::Invalid;
            if gone && hold.broken_at == u64::MAX {
                hold.live = hold.live && !hold.removed(log, false);
                hold.broken_at = cycle;
            }
            let new = |other: &Hold| (other.level, other.context) != (hold.level, hold.context);
            if !gone && own.iter().all(new) && hold.linked(memory) {
                own.push(*hold);
            }
        });
        let conflict = self.conflict(change, &own, memory);
        self.figures.made += u64::from(!staged && !own.is_empty());
        match conflict {
            None => self.made(change),
            Some(conflict) => {
                let cores = self.drop_all(change, &own, &conflict, memory);
                if staged {
                    self.figures.staged += 1;
                } else {
                    self.figures.broken += 1;
                    out.push(report::violation(change, &conflict, cores, &self.log));
                }
            }
        }
        if table {
            self.holds.relink(cycle, &self.log, memory);
        }
        own.clear();
        self.own = own;
    }

    /// A change that nothing forbids: what was held of the word is what memory holds again, as far as
    /// software cares, but for a block that a table replaced.
    fn made(&mut self, change: &Change) {
        let mut replaced = 0;
        let log = &self.log;
        self.holds.around(change.address, |hold| {
            if hold.address != change.address || !hold.is_met() {
                return;
            }
            let after = hold.context.decoded(change.after);
            let class = Class::of(hold.context.granule, hold.level, after);
            if class == Class::Invalid {
                return;
            }
            if hold.gone_at() != u64::MAX && hold.removed(log, false) {
                hold.live = false;
            } else if class == hold.class() {
                hold.broken_at = u64::MAX;
            } else {
                hold.broken_at = hold.broken_at.min(change.cycle);
                replaced += usize::from(hold.class() == Class::Leaf);
            }
        });
        for _ in 0..replaced {
            self.holds.replaced();
        }
    }

    /// The first hold that forbids `change` of a word of which `own` is known.
    fn conflict(&mut self, change: &Change, own: &[Hold], memory: &Memory) -> Option<Conflict> {
        let (rule, log) = (self.rule, &self.log);
        let mut found = None;
        let conflict = |hold: &Hold, reason, as_run, level| Conflict {
            hold: *hold,
            reason,
            as_run,
            level,
        };
        self.holds.around(change.address, |hold| {
            if found.is_some() || !hold.is_met() {
                return;
            }
            let as_run = hold.address != change.address;
            let reason = match as_run {
                false => forbids(&rule, hold, change, memory),
                true => forbids_in_run(&rule, hold, change, memory),
            };
            if let Some(reason) = reason.filter(|_| !hold.removed(log, as_run)) {
                found = Some(conflict(hold, reason, as_run, hold.level));
            }
        });
        let tables = own.iter().any(|own| own.level < FINAL_LEVEL);
        if found.is_some() || own.is_empty() || !tables && !self.holds.any_replaced() {
            return found;
        }
        let level = own[0].level;
        self.holds.all().find_map(|hold| {
            let reason = forbids_elsewhere(&rule, hold, own, change, memory);
            let reason = reason.filter(|_| !hold.removed(log, false))?;
            Some(conflict(hold, reason, false, level))
        })
    }

    /// Drops every hold that forbids `change`, so that it is reported once. Returns the cores that may
    /// hold one, one bit each.
    fn drop_all(
        &mut self,
        change: &Change,
        own: &[Hold],
        first: &Conflict,
        memory: &Memory,
    ) -> u64 {
        let (rule, log) = (self.rule, &self.log);
        let mut cores = 0;
        for hold in self.holds.all().filter(|hold| hold.is_met()) {
            let same = hold.address == change.address;
            let reported = hold.address == first.hold.address && hold.context == first.hold.context;
            let forbids = reported
                || same && forbids(&rule, hold, change, memory).is_some()
                || forbids_in_run(&rule, hold, change, memory).is_some()
                || forbids_elsewhere(&rule, hold, own, change, memory).is_some();
            if forbids {
                if !hold.removed(log, !same) {
                    cores |= 1u64.checked_shl(u32::from(hold.core)).unwrap_or(0);
                }
                hold.live = false;
            }
        }
        cores
    }
}

impl Monitor for BbmMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, memory: &Memory, out: &mut Violations) {
        self.contexts.event(event);
        match &event.kind {
            EventKind::Walk { core, step } => self.walked(*core, step, memory),
            EventKind::Issue { core, request } => self.issued(event.cycle, *core, request),
            EventKind::Response {
                core,
                request,
                issued_at,
                ..
            } => {
                if request.op == Op::Isb {
                    let switched = self.trees.synchronised(*core, &self.contexts, self.asid8);
                    for used in switched.left.into_iter().flatten() {
                        self.holds.leave(used);
                    }
                    if let Some(used) = switched.returned {
                        self.holds.come_back(*core, used);
                    }
                }
                if let Op::Dsb(kind) = request.op {
                    self.log.fenced(event.cycle, *core, kind, *issued_at);
                    if self.log.is_due() {
                        self.holds.forget(&self.log);
                        self.log.forget();
                    }
                }
            }
            EventKind::Commit {
                source,
                kind: kind @ (CommitKind::Store | CommitKind::Cas | CommitKind::Backdoor),
                address,
                before,
                after,
                ..
            } if before != after && self.holds.knows(*address) => {
                let change = Change {
                    cycle: event.cycle,
                    source: *source,
                    address: *address,
                    before: *before,
                    after: *after,
                };
                let staged = *kind == CommitKind::Backdoor && !self.judges_back_door;
                self.written(&change, staged, memory, out);
            }
            _ => {}
        }
    }
}

/// How far an operation reaches, in words.
const fn reach(scope: TlbiScope) -> &'static str {
    match scope {
        TlbiScope::Local => "local",
        TlbiScope::InnerShareable | TlbiScope::OuterShareable => "broadcast",
    }
}
