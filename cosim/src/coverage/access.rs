// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Answers to accesses: good ones by leaf, context and size, faults by kind, level and place.

use vmsa::{DsbDomain, DsbTypes, FaultKind, Fsc, VaRange};

use super::axis::{self, meeting, place};
use super::collector::Collector;
use super::group::GroupId;
use super::state::Flight;
use crate::dut::ports::{CoreRequest, CoreResponse, HitPlace, Op, TlbStructure};

impl Collector {
    pub(super) fn answered(&mut self, number: u8, request: &CoreRequest, response: &CoreResponse) {
        if response.undef {
            return;
        }
        let core = self.core(number);
        let flight = *core.flight(request.id);
        match request.op {
            Op::Msr(register) => core.performed.write(register, request.data),
            Op::Dsb(kind) => {
                let broadcast = kind.types == DsbTypes::All && kind.domain != DsbDomain::Nsh;
                if broadcast && core.syncs == flight.syncs {
                    self.hit(GroupId::Dvm, &[meeting::SYNC_SKIPPED]);
                }
            }
            _ => {
                if let Some(access) = axis::access(request) {
                    self.accessed(number, access, request, response, &flight);
                }
            }
        }
    }

    fn accessed(
        &mut self,
        number: u8,
        access: usize,
        request: &CoreRequest,
        response: &CoreResponse,
        flight: &Flight,
    ) {
        let privilege = axis::privilege(request);
        let faulted = response.fault.is_some();
        if !flight.regs.sctlr.m() {
            let privilege = privilege.min(1);
            self.hit(
                GroupId::Untranslated,
                &[access, privilege, usize::from(faulted)],
            );
        }
        let granule = flight.regs.granule(VaRange::of(request.va));
        let bytes = match request.op {
            Op::At(_) => 1,
            _ => 1u64 << request.size,
        };
        let last = request.va.wrapping_add(bytes - 1);
        let differs = request.va ^ last;
        let (crosses_word, crosses_page) = (differs >> 3 != 0, differs >> granule.shift() != 0);
        let translated = flight.regs.sctlr.m();
        if crosses_word && translated && access <= 1 {
            // FAR is the address as issued (VMSA-52); the walk that faulted tells the half.
            let first_page = |va: u64| (va ^ request.va) >> granule.shift() == 0;
            let outcome = match (faulted, flight.again) {
                (false, _) => 0,
                (true, Some((va, _))) if !first_page(va) => 2,
                (true, _) => 1,
            };
            let reach = usize::from(crosses_page);
            self.hit(
                GroupId::Crossing,
                &[access, usize::from(request.size), reach, outcome],
            );
        }
        if let Some(fsc) = response.fault {
            self.faulted(access, request, response, flight, fsc);
            return;
        }
        if !translated || crosses_page {
            return;
        }
        let Some(found) = place_of(response, flight) else {
            return;
        };
        let half = Self::half(request.va);
        self.hit(GroupId::Context, &[half, privilege, access, found]);
        if !crosses_word && access <= 1 {
            let aligned = request.va & (bytes - 1) == 0;
            self.hit(
                GroupId::Size,
                &[
                    access,
                    usize::from(request.size),
                    usize::from(!aligned),
                    found,
                ],
            );
        }
        if let Some(leaf) = flight.leaf.or_else(|| self.leaf(number, request, flight)) {
            self.hit(GroupId::Answer, &[leaf, access, found]);
        }
    }

    fn faulted(
        &mut self,
        access: usize,
        request: &CoreRequest,
        response: &CoreResponse,
        flight: &Flight,
        fsc: Fsc,
    ) {
        let Some((kind, level)) = fsc.decode() else {
            return;
        };
        let fault = axis::fault(kind);
        match level {
            Some(level) => {
                let granule = flight.regs.granule(VaRange::of(request.va));
                self.hit(
                    GroupId::Fault,
                    &[fault, usize::from(level), axis::granule(granule), access],
                );
            }
            None => self.hit(GroupId::PlainFault, &[fault, access]),
        }
        if kind == FaultKind::Alignment {
            self.hit(
                GroupId::AlignmentFault,
                &[access, usize::from(request.size)],
            );
        }
        let found = place_of(response, flight).unwrap_or(place::NONE);
        self.hit(GroupId::FaultPlace, &[fault, found]);
    }

    /// The leaf that an access used which neither walked nor filled: an entry that is there, or one
    /// that left since.
    fn leaf(&self, number: u8, request: &CoreRequest, flight: &Flight) -> Option<usize> {
        let tlb = match request.op {
            Op::Fetch => TlbStructure::Itlb,
            _ => TlbStructure::Dtlb,
        };
        let asid = flight.regs.asid(self.straps.asid8);
        let entries = self.cores.get(usize::from(number))?.entries(tlb);
        let entry = entries
            .iter()
            .filter(|entry| entry.translates(request.va, asid))
            .max_by_key(|entry| entry.live)?;
        let granule = flight.regs.granule(VaRange::of(request.va));
        axis::shape(granule, entry.level, entry.run)
    }
}

/// Place on the axis of places; `None` without translation.
fn place_of(response: &CoreResponse, flight: &Flight) -> Option<usize> {
    Some(match (response.place, response.walked) {
        (HitPlace::None, _) => return None,
        (HitPlace::L1, _) => place::L1,
        (HitPlace::L2, _) => place::L2,
        (HitPlace::Walk, false) => place::JOINED,
        (HitPlace::Walk, true) if flight.cached_start => place::WALK_CACHE,
        (HitPlace::Walk, true) => place::WALK,
    })
}
