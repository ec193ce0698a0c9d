// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The scoreboard: every answer of every core that translates is held against the set that the architectural model
//! permits from the request to the answer (ORD-01).

use std::ops::Range;

use vmsa::El;

use super::{Violation, Violations};
use crate::arch::permitted::Permitted;
use crate::arch::program::Operation;
use crate::arch::{Access, AccessKind, Outcome, Profile, ReadDescriptor};
use crate::dut::ports::{CommitKind, CoreRequest, CoreResponse, Invalidation, Op};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "scoreboard";

/// Memory as every observer sees it.
struct Coherent<'a>(&'a Memory);

impl ReadDescriptor for Coherent<'_> {
    fn read(&self, address: u64) -> Option<u64> {
        // Error responses reach the judge as events: a mark may be gone by the time of the answer.
        Some(self.0.coherent(address))
    }
}

/// Judges the answers of every core.
#[derive(Debug)]
pub struct Scoreboard {
    judge: Permitted,
    judged: u64,
}

impl Scoreboard {
    /// A scoreboard for hardware of `profile` that leaves reset now.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self {
            judge: Permitted::new(profile),
            judged: 0,
        }
    }

    /// As it is, for memory that refuses `addresses` to some core (NOC-03).
    #[must_use]
    pub fn refusing(mut self, addresses: Vec<Range<u64>>) -> Self {
        self.judge.refuse(addresses);
        self
    }

    /// Number of answers judged.
    #[must_use]
    pub fn judged(&self) -> u64 {
        self.judged
    }

    fn response(
        &mut self,
        cycle: u64,
        core: u8,
        request: &CoreRequest,
        response: &CoreResponse,
        memory: &Memory,
        out: &mut Violations,
    ) {
        if !request.op.translates() {
            self.judge.complete(core, cycle, request.id);
            return;
        }
        let observed = match response.fault {
            Some(fsc) => Outcome::Fault {
                fsc,
                wnr: response.wnr,
            },
            None => Outcome::Translated {
                pa: response.pa,
                attr: response.attr,
                sh: response.sh,
            },
        };
        let memory = Coherent(memory);
        let verdict = self.judge.judge(core, &memory, cycle, request.id, observed);
        self.judged += 1;
        if let Some(Err(rejection)) = verdict {
            let came = format!("{request} => {response}");
            let mut requirements = vec![rejection.requirement, "ORD-01"];
            requirements.extend(rejection.related);
            let mut violation = Violation::new(cycle, NAME, &requirements, came)
                .on_core(core)
                .at_va(request.va)
                .with_walk(rejection.walk.lines().map(str::to_owned).collect());
            violation.permitted = rejection.permitted;
            out.push(violation);
        }
    }
}

/// What `request` is to the model.
fn operation(request: &CoreRequest) -> Option<Operation> {
    let access = |kind, at| {
        let CoreRequest {
            va, el, pan, size, ..
        } = *request;
        Operation::Access(Access {
            va,
            el,
            pan,
            kind,
            size,
            at,
            beyond_page: false,
        })
    };
    Some(match request.op {
        Op::Load => access(AccessKind::Read, false),
        Op::Store => access(AccessKind::Write, false),
        Op::Cas => access(AccessKind::Cas, false),
        Op::Fetch => access(AccessKind::Execute, false),
        Op::At(false) => access(AccessKind::Read, true),
        Op::At(true) => access(AccessKind::Write, true),
        Op::Msr(register) => Operation::Msr(register, request.data),
        Op::Isb => Operation::Isb,
        Op::Dsb(kind) => Operation::Dsb(kind),
        // TLBI-14: the MMU ignores operations that arrive with EL0 attributes.
        Op::Tlbi(tlbi) => return (request.el == El::El1).then_some(Operation::Tlbi(tlbi)),
    })
}

impl Monitor for Scoreboard {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, memory: &Memory, out: &mut Violations) {
        match &event.kind {
            EventKind::Issue { core, request } => {
                if let Some(operation) = operation(request) {
                    self.judge.issue(*core, event.cycle, request.id, operation);
                }
            }
            EventKind::Response {
                core,
                request,
                response,
                ..
            } => {
                self.response(event.cycle, *core, request, response, memory, out);
            }
            EventKind::Commit {
                source,
                kind,
                address,
                before,
                after,
                ..
            } => {
                if matches!(kind, CommitKind::Store | CommitKind::Cas) {
                    self.judge
                        .became_visible(Some(*source), event.cycle, *address);
                }
                self.judge.commit(event.cycle, *address, *before, *after);
            }
            EventKind::Invalidate { core, change } => {
                let Invalidation {
                    source, tag, local, ..
                } = *change;
                self.judge
                    .took_effect(*core, event.cycle, source, tag, local);
            }
            EventKind::DramRead {
                address,
                error: true,
                ..
            }
            | EventKind::DramWrite {
                address,
                error: true,
                ..
            } => {
                self.judge.error_response(event.cycle, *address);
                self.judge.became_visible(None, event.cycle, *address);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::feed::{assert_fires, assert_quiet, commit, issue, judge, response};
    use vmsa::{
        Descriptor, Fsc, Granule, Mair, Sctlr, SysReg, Tcr, Tlbi, TlbiScope, Ttbr, VaRange,
    };

    const VA: u64 = 0x40_3000;
    const ROOT: u64 = 0x8000_0000;
    const TABLE: u64 = 0x8000_1000;
    const PA: u64 = 0x9000_0000;
    const SLOT: u64 = TABLE + 3 * 8;

    fn page() -> Descriptor {
        Descriptor::leaf(Granule::K4, 3, PA)
            .with_af(true)
            .with_ap(1)
            .with_sh(3)
    }

    /// TxSZ 34 starts at level 2; the page holds `leaf`.
    fn judged(leaf: u64, events: &[Event]) -> Violations {
        let mut memory = Memory::default();
        memory.write_u64(ROOT + 2 * 8, Descriptor::table(TABLE).0);
        memory.write_u64(SLOT, leaf);
        let tcr = Tcr(0).with_tsz(VaRange::Lower, 34).with_ips(5);
        let writes = [
            (SysReg::Ttbr0, Ttbr::new(1, ROOT).0),
            (SysReg::Tcr, tcr.0),
            (SysReg::Mair, Mair(0).with_attr(0, Mair::NORMAL_WB).0),
            (
                SysReg::Sctlr,
                Sctlr(0).with_m(true).with_c(true).with_i(true).0,
            ),
        ];
        let mut all = Vec::new();
        for (cycle, (register, value)) in (1..).zip(writes) {
            let request = CoreRequest::msr(register, value);
            all.extend([issue(cycle, request), response(cycle, request, |_| ())]);
        }
        all.extend([
            issue(6, CoreRequest::isb()),
            response(8, CoreRequest::isb(), |_| ()),
        ]);
        all.extend_from_slice(events);
        judge(&mut Scoreboard::new(Profile::default()), &memory, &all)
    }

    fn store() -> CoreRequest {
        CoreRequest {
            id: 4,
            ..CoreRequest::store(VA, 3, El::El0, 1)
        }
    }

    fn good(cycle: u64) -> Event {
        response(cycle, store(), |r| r.pa = PA)
    }

    fn fault(cycle: u64, fsc: u8) -> Event {
        response(cycle, store(), |r| {
            (r.fault, r.wnr, r.pa) = (Some(Fsc(fsc)), true, 0)
        })
    }

    #[test]
    fn the_result_of_the_tables_is_quiet() {
        assert_quiet(&judged(page().0, &[issue(10, store()), good(30)]));
        assert_quiet(&judged(0, &[issue(10, store()), fault(30, 0x07)]));
    }

    #[test]
    fn a_wrong_address_attribute_or_permission_fires() {
        let ask = issue(10, store());
        let elsewhere = response(30, store(), |r| r.pa = PA + 0x1000);
        assert_fires(&judged(page().0, &[ask.clone(), elsewhere]), "ORD-01");
        let uncached = response(30, store(), |r| (r.pa, r.attr, r.sh) = (PA, 0x44, 2));
        assert_fires(&judged(page().0, &[ask.clone(), uncached]), "VMSA-61");
        let allowed = judged(page().with_ap(3).0, &[ask.clone(), good(30)]);
        assert_fires(&allowed, "VMSA-20");
        assert_fires(
            &judged(page().0, &[ask.clone(), fault(30, 0x0f)]),
            "VMSA-20",
        );
        assert_fires(&judged(0, &[ask, fault(30, 0x06)]), "VMSA-50");
    }

    #[test]
    fn the_report_draws_the_walk_and_names_what_was_permitted() {
        let out = judged(page().0, &[issue(10, store()), fault(30, 0x0f)]);
        let violation = out.first().unwrap();
        assert!(violation.walk.iter().any(|line| line.contains("level 3")));
        assert!(
            violation
                .permitted
                .iter()
                .any(|line| line.contains("0x90000000"))
        );
    }

    #[test]
    fn an_old_translation_serves_until_tlbi_and_dsb_and_not_after() {
        // The page moved at cycle 12; memory holds the new descriptor.
        let moved = commit(12, CommitKind::Store, SLOT, page().0, page().0 + 0x1000);
        let new = page().0 + 0x1000;
        assert_quiet(&judged(new, &[moved.clone(), issue(20, store()), good(30)]));
        let tlbi = CoreRequest {
            id: 7,
            ..CoreRequest::tlbi(Tlbi::vmalle1(TlbiScope::Local))
        };
        let dsb = CoreRequest {
            id: 8,
            ..CoreRequest::dsb(vmsa::DsbKind::ISH)
        };
        let removed = [
            moved,
            issue(13, tlbi),
            response(15, tlbi, |_| ()),
            issue(16, dsb),
            response(18, dsb, |_| ()),
            issue(20, store()),
            good(30),
        ];
        assert_fires(&judged(new, &removed), "TLBI-01");
    }
}
