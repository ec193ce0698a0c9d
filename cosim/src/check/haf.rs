// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Hardware updates of descriptors: what a walker may change, from what value, and for whom.

use std::collections::BTreeMap;

use vmsa::geometry::FINAL_LEVEL;
use vmsa::{Descriptor, FaultKind, Tcr};

use super::registers::Registers;
use super::walks::{WalkRecord, Walks};
use super::{Violation, Violations};
use crate::arch::invalidation::untagged;
use crate::dut::ports::{CommitKind, CoreRequest, CoreResponse, Op};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "hardware update";
const AF: u64 = 1 << Descriptor::AF;
const AP2: u64 = 1 << Descriptor::AP2;
const PAGE_MIN: u64 = 4096;

/// One update, as decoded.
#[derive(Debug, Clone, Copy)]
struct Update {
    address: u64,
    before: u64,
    after: u64,
}

/// Whether no access depends on `walk`: a prefetch, or one that an invalidation cancelled.
fn serves_nobody(walk: &WalkRecord) -> bool {
    walk.prefetch || walk.cancelled.is_some()
}

/// An access in flight and the updates made for it.
#[derive(Debug)]
struct Access {
    request: CoreRequest,
    updates: Vec<Update>,
}

/// Watches the commits of walkers.
#[derive(Debug, Default)]
pub struct HafMonitor {
    cores: BTreeMap<u8, BTreeMap<u16, Access>>,
    walks: Walks,
}

impl HafMonitor {
    /// A monitor that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn commit(&mut self, cycle: u64, core: u8, commit: &EventKind, out: &mut Violations) {
        let EventKind::Commit {
            address,
            strobe,
            before,
            after,
            ..
        } = *commit
        else {
            return;
        };
        let accesses = self.cores.entry(core).or_default();
        let registers = self.walks.registers(core).cloned().unwrap_or_default();
        // Judge in the byte order that the walker decodes in; both while EE changes.
        let decoded: Vec<(u64, u64)> = registers
            .byte_orders(before)
            .zip(registers.byte_orders(after))
            .collect();
        let walk_of = |before: u64, after: u64| {
            let live = || {
                let walks = self.walks.live(core);
                walks.filter(|walk| walk.read_at(address) == Some(Descriptor(before)))
            };
            // A commit does not say which walk made it. Of several that read the same value, it is
            // one that could have made this change and no more; one that serves nobody, if there is.
            let dirty = before & !after & AP2 != 0;
            let writes = |walk: &&WalkRecord| {
                let access = accesses.get(&walk.id).filter(|_| !walk.prefetch);
                access.is_some_and(|access| matches!(access.request.op, Op::Store | Op::Cas))
            };
            live()
                .find(|walk| !dirty && serves_nobody(walk))
                .or_else(|| live().find(|walk| walk.open() && writes(walk) == dirty))
                .or_else(|| live().find(|walk| walk.open()))
                .or_else(|| live().next())
        };
        let matching = decoded
            .iter()
            .find(|&&(before, after)| walk_of(before, after).is_some());
        let Some(&(before, after)) = matching.or(decoded.last()) else {
            return;
        };
        let update = Update {
            address,
            before,
            after,
        };
        let walk = walk_of(before, after);
        let mut judge = Judge {
            cycle,
            core,
            update,
            va: walk.map(|walk| walk.va),
            walk,
            out,
        };

        if strobe != 0xff {
            judge.broken(
                &["HAF-02"],
                format!("strobe {strobe:#04x}"),
                "one swap of all 8 bytes",
            );
        }
        judge.bits();
        let Some(walk) = walk else {
            let read = self.walks.of(core).find_map(|walk| walk.read_at(address));
            match read {
                Some(read) => judge.broken(
                    &["HAF-02", "HAF-03"],
                    format!(
                        "memory held {before:#018x}, the walk had read {:#018x}",
                        read.0
                    ),
                    "no write on a compare mismatch",
                ),
                None => judge.broken(
                    &["HAF-07"],
                    "no walk in flight had read this descriptor".to_owned(),
                    "an update of a descriptor that the walk reached",
                ),
            }
            return;
        };
        judge.enabled(&walk.registers);
        judge.leaf();
        match accesses.get_mut(&walk.id) {
            _ if walk.prefetch => judge.speculative(),
            // The walk that replaces it may fault (HAF-07).
            _ if walk.cancelled.is_some() => {}
            Some(access) => {
                judge.allowed_for(access);
                access.updates.push(update);
            }
            None => judge.broken(
                &["HAF-08"],
                format!("request #{} is not in flight", walk.id),
                "an update for an access in flight",
            ),
        }
    }

    /// What a cancelled walk did was speculative (HAF-07): the walk that replaces it may fault, if the
    /// tables changed in between. Only AF may have been set so.
    fn cancelled(&mut self, core: u8, slots: u8) {
        let Some(accesses) = self.cores.get_mut(&core) else {
            return;
        };
        let cancelled = self.walks.of(core).take_while(|walk| !walk.ended);
        for walk in cancelled.filter(|walk| slots >> walk.slot & 1 == 1) {
            if let Some(access) = accesses.get_mut(&walk.id) {
                access
                    .updates
                    .retain(|update| update.before & !update.after & AP2 != 0);
            }
        }
    }

    fn response(
        &mut self,
        cycle: u64,
        core: u8,
        request: &CoreRequest,
        response: &CoreResponse,
        out: &mut Violations,
    ) {
        let accesses = self.cores.entry(core).or_default();
        let Some(access) = accesses.remove(&request.id) else {
            return;
        };
        let Some(fsc) = response.fault else { return };
        // The two halves of an access across pages are two translations: one may be updated and the
        // other fault.
        let last = request.va.wrapping_add((1 << request.size) - 1);
        if access.updates.is_empty() || request.va / PAGE_MIN != last / PAGE_MIN {
            return;
        }
        let requirement = match fsc.kind() {
            Some(FaultKind::Translation | FaultKind::AddressSize | FaultKind::AccessFlag) => {
                "HAF-09"
            }
            Some(FaultKind::Permission) => "HAF-10",
            Some(FaultKind::Alignment) => "HAF-11",
            _ => return,
        };
        for update in access.updates {
            Judge {
                cycle,
                core,
                update,
                va: Some(request.va),
                walk: None,
                out,
            }
            .broken(
                &[requirement],
                format!("{request} took {fsc}"),
                "no update for an access that faults",
            );
        }
    }
}

impl Monitor for HafMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, _memory: &Memory, out: &mut Violations) {
        self.walks.event(event);
        match &event.kind {
            EventKind::Issue { core, request } => {
                let access = Access {
                    request: *request,
                    updates: Vec::new(),
                };
                self.cores
                    .entry(*core)
                    .or_default()
                    .insert(request.id, access);
            }
            EventKind::Response {
                core,
                request,
                response,
                ..
            } => {
                self.response(event.cycle, *core, request, response, out);
            }
            EventKind::Invalidate { core, change } => self.cancelled(*core, change.cancelled),
            EventKind::Commit {
                source,
                kind: CommitKind::Update,
                ..
            } => {
                self.commit(event.cycle, *source, &event.kind, out);
            }
            _ => {}
        }
    }
}

/// One update before the bench.
struct Judge<'a> {
    cycle: u64,
    core: u8,
    update: Update,
    va: Option<u64>,
    walk: Option<&'a WalkRecord>,
    out: &'a mut Violations,
}

impl Judge<'_> {
    fn broken(&mut self, requirements: &[&str], why: String, permitted: &str) {
        let Update {
            address,
            before,
            after,
        } = self.update;
        let came =
            format!("update of [{address:#014x}] from {before:#018x} to {after:#018x}: {why}");
        let mut violation = Violation::new(self.cycle, NAME, requirements, came)
            .on_core(self.core)
            .permitting(permitted);
        violation.va = self.va;
        violation.walk = self.walk.map(WalkRecord::lines).unwrap_or_default();
        self.out.push(violation);
    }

    /// HAF-05, and HAF-07 as far as the descriptor alone tells.
    fn bits(&mut self) {
        let Update { before, after, .. } = self.update;
        let set = after & !before;
        let cleared = before & !after;
        if set & !AF != 0 || cleared & !AP2 != 0 {
            let why = format!("bits {set:#x} set, bits {cleared:#x} cleared");
            self.broken(&["HAF-05"], why, "bit 10 set, bit 7 cleared, nothing else");
        }
        if !Descriptor(before).valid() {
            self.broken(
                &["HAF-07"],
                "the descriptor is not valid".to_owned(),
                "a valid descriptor",
            );
        }
        if cleared & AP2 != 0 && !Descriptor(before).dbm() {
            self.broken(
                &["HAF-08"],
                "AP[2] cleared with DBM = 0".to_owned(),
                "AP[2] kept",
            );
        }
    }

    /// HAF-07: only a leaf that the walk read has an access flag to set.
    fn leaf(&mut self) {
        let address = self.update.address;
        let read = |walk: &&WalkRecord| {
            walk.reads
                .iter()
                .rev()
                .find(|r| r.address == address)
                .copied()
        };
        let Some(read) = self.walk.as_ref().and_then(read) else {
            return;
        };
        if read.value.is_table_bit() != (read.level == FINAL_LEVEL) {
            let why = format!("level {} holds no leaf there", read.level);
            self.broken(&["HAF-07"], why, "an update of a leaf");
        }
    }

    /// WALK-23, HAF-08: a prefetch may set AF and nothing else.
    fn speculative(&mut self) {
        let Update { before, after, .. } = self.update;
        if before & !after & AP2 != 0 {
            let why = "AP[2] cleared by a prefetch".to_owned();
            self.broken(&["WALK-23", "HAF-08"], why, "AP[2] kept");
        }
    }

    /// Section 6: AF needs TCR.HA, dirty state needs HA and HD.
    fn enabled(&mut self, registers: &Registers) {
        let cleared = self.update.before & !self.update.after & AP2 != 0;
        if !registers.tcr().any(Tcr::ha) {
            self.broken(
                &["HAF-09"],
                "TCR_EL1.HA = 0".to_owned(),
                "an Access flag fault",
            );
        } else if cleared && !registers.tcr().any(|tcr| tcr.ha() && tcr.hd()) {
            self.broken(
                &["HAF-10"],
                "TCR_EL1.HD = 0".to_owned(),
                "a Permission fault",
            );
        }
    }

    /// HAF-06, HAF-08, HAF-14: the access must be one that may make this change.
    fn allowed_for(&mut self, access: &Access) {
        let Update {
            address,
            before,
            after,
        } = self.update;
        if before & !after & AP2 == 0 {
            return;
        }
        let request = &access.request;
        let last = request.va.wrapping_add((1 << request.size) - 1);
        let page = |va: u64| untagged(va) / PAGE_MIN;
        let concerned = |va: u64| [request.va, last].map(page).contains(&page(va));
        match request.op {
            Op::Store | Op::Cas if self.va.is_none_or(concerned) => {}
            Op::Store | Op::Cas => self.broken(
                &["HAF-08"],
                format!("AP[2] cleared by {request}, which does not write there"),
                "AP[2] kept",
            ),
            Op::At(_) => self.broken(
                &["HAF-14"],
                format!("AP[2] cleared by {request}"),
                "AP[2] kept",
            ),
            _ => self.broken(
                &["HAF-08"],
                format!("AP[2] cleared by {request}"),
                "AP[2] kept",
            ),
        }
        let half = access.updates.iter().any(|earlier| {
            earlier.address == address
                && earlier.after == before
                && !earlier.before & earlier.after & AF != 0
        });
        if half {
            let why = "AF was set by an earlier swap of the same access".to_owned();
            self.broken(&["HAF-06"], why, "one swap for both bits");
        }
    }
}

#[cfg(test)]
mod tests;
