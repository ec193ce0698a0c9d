// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The exploration of section 13.4: every walk that may have been, through past and present values
//! of each descriptor, with the earliest instant (`tau`) at which its last read may have happened.

use vmsa::geometry::{index, leaf_allowed, level_lsb};
use vmsa::{Descriptor, FaultKind};

use super::access::{Access, Fault, Reason};
use super::attributes::Attributes;
use super::candidate::Candidate;
use super::context::{Context, Registers};
use super::history::Span;
use super::path::Path;
use super::permission::Rights;
use super::permitted::Permitted;
use super::program::{Pending, Program};
use super::regime::Regime;
use super::walk::{
    Entry, Leaf, ReadDescriptor, Translation, alignment_fault, classify, decode_word, finish_leaf,
    untranslated, updated,
};
use super::window::held;

/// What the exploration of one access knows.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// History, errors and profile.
    pub judge: &'a Permitted,
    /// Program order of its PE.
    pub program: &'a Program,
    /// The access in program order.
    pub pending: &'a Pending,
    /// Cycle of its answer: t_done, unless the access was performed before it.
    pub done: u64,
    /// Last cycle at which it may have read a descriptor: t_use.
    pub used: u64,
    /// Leave out the lower bounds of time: to tell a stale answer from a wrong one.
    pub unbound: bool,
    /// Leave out the operations of other PEs: to tell who should have removed a stale entry.
    pub local: bool,
    /// A hardware update that the access still owes does not stand in its way: the lower part of an
    /// access whose upper part faults updates nothing (HAF-08, HAF-09).
    pub owing: bool,
    /// Visit the leaves that a TLB may hold instead of outcomes.
    pub held: bool,
}

/// A walk on its way: what all its levels share.
pub(super) struct Way<'a> {
    pub(super) context: Context,
    pub(super) access: &'a Access,
    pub(super) regime: Regime,
    /// Completion of the ISB that replaced the context; entries of it are used from TLBs only.
    pub(super) until: Option<u64>,
}

pub(super) type Visit<'a> = &'a mut dyn FnMut(&Candidate) -> bool;

impl Search<'_> {
    /// Visits the permitted outcomes of one page of an access until `visit` returns true; returns
    /// whether it did. The same outcome may be visited more than once.
    pub fn any(
        &self,
        memory: &(impl ReadDescriptor + ?Sized),
        access: &Access,
        visit: Visit<'_>,
    ) -> bool {
        let program = self.program;
        let profile = self.judge.profile();
        let (mut translating, mut asids) = (false, [None; 8]);
        let found =
            program.for_each_context(self.pending.isb, self.pending.order, &mut |registers| {
                let context = Context {
                    registers: *registers,
                    profile,
                };
                translating |= registers.sctlr.m();
                let asid = Some(context.asid());
                if !asids.contains(&asid)
                    && let Some(free) = asids.iter_mut().find(|slot| slot.is_none())
                {
                    *free = asid;
                }
                self.in_context(memory, &context, access, None, visit)
            });
        if found || !translating {
            return found;
        }
        if profile.conflict_abort && !self.held && self.conflict(memory, access) {
            let fault = Fault::new(access, Reason::Conflict, 0);
            if visit(&Candidate::Fault(fault)) {
                return true;
            }
        }
        // Entries of replaced contexts live on where ASID or nG let them match (section 13.5).
        let mut in_retired = |registers: Registers, until: u64| {
            let context = Context { registers, profile };
            let mut filtered = |candidate: &Candidate, global: bool| {
                (global || asids.contains(&Some(context.asid()))) && visit(candidate)
            };
            self.in_retired(memory, &context, access, until, &mut filtered)
        };
        if program
            .retired()
            .iter()
            .any(|retired| in_retired(retired.registers, retired.until))
        {
            return true;
        }
        // And an entry cached under one value of a register serves an access that is checked by another.
        let (isb, order) = (self.pending.isb, self.pending.order);
        program.for_each_context(isb, order, &mut |checked| {
            let mut mixed = |walked: &Registers, until: u64| {
                let registers = walked.checked_by(checked);
                let translate = walked.sctlr.m() && checked.sctlr.m();
                translate && registers != *walked && in_retired(registers, until)
            };
            program.for_each_context(isb, order, &mut |walked| mixed(walked, u64::MAX))
                || program
                    .retired()
                    .iter()
                    .any(|retired| mixed(&retired.registers, retired.until))
        })
    }

    fn in_retired(
        &self,
        memory: &(impl ReadDescriptor + ?Sized),
        context: &Context,
        access: &Access,
        until: u64,
        visit: &mut dyn FnMut(&Candidate, bool) -> bool,
    ) -> bool {
        let until = if self.unbound { u64::MAX } else { until };
        self.in_context(memory, context, access, Some(until), &mut |candidate| {
            let global = match candidate {
                Candidate::Translation(Translation {
                    leaf: Some(leaf), ..
                }) => !leaf.descriptor.ng(),
                Candidate::Held(leaf) => !leaf.descriptor.ng(),
                // Faults of a held entry: the ASID of the context decides, its nG is not known here.
                _ => false,
            };
            visit(candidate, global)
        })
    }

    fn in_context(
        &self,
        memory: &(impl ReadDescriptor + ?Sized),
        context: &Context,
        access: &Access,
        until: Option<u64>,
        visit: Visit<'_>,
    ) -> bool {
        if let Some(fault) = alignment_fault(context, access) {
            // No entry tells alignment rules: those of a replaced context are gone.
            return until.is_none() && visit(&Candidate::Fault(fault));
        }
        if !context.registers.sctlr.m() {
            return match untranslated(context, access) {
                Ok(translation) => self.good(translation, access, visit),
                Err(fault) => visit(&Candidate::Fault(fault)),
            };
        }
        let regime = match Regime::of(context, access) {
            Ok(regime) => regime,
            Err(fault) => return until.is_none() && visit(&Candidate::Fault(fault)),
        };
        let way = Way {
            context: *context,
            access,
            regime,
            until,
        };
        self.level(
            memory,
            &way,
            regime.start,
            regime.base,
            Path::default(),
            visit,
        )
    }

    /// Step 2 of section 13.4 at one level.
    fn level(
        &self,
        memory: &(impl ReadDescriptor + ?Sized),
        way: &Way<'_>,
        level: u8,
        table: u64,
        path: Path,
        visit: Visit<'_>,
    ) -> bool {
        let index = index(way.regime.granule, way.regime.iasize, level, way.access.va);
        let address = table | index << 3;
        // Step 8: an error response to the read of this descriptor, or to its update (WALK-12).
        if way.until.is_none() && self.judge.errored(address, self.pending.issued, self.done) {
            let fault = Fault::new(way.access, Reason::ReadError, level);
            if visit(&Candidate::Fault(fault)) {
                return true;
            }
        }
        let current = memory.read(address).unwrap_or(0);
        // The newest value first: it is the one that most accesses meet, and the search ends there.
        let mut spans = self.judge.history().spans(address, current).rev();
        let own = spans.any(|span| {
            let descriptor = decode_word(&way.context, span.value);
            match classify(&way.regime, level, descriptor) {
                Entry::Bad(reason) => {
                    let fault = Fault::new(way.access, reason, level);
                    self.fresh(way, &path, level, span) && visit(&Candidate::Fault(fault))
                }
                Entry::Table(next) => {
                    let held = held(way, level, descriptor, true, 0);
                    let mut limits = path.limits;
                    if !way.context.registers.tcr.hpd(way.regime.range) {
                        limits = limits.and(descriptor);
                    }
                    let path = path.through(level, held, span, limits);
                    if !self.unbound && !path.in_order() {
                        return false;
                    }
                    self.level(memory, way, level + 1, next, path, visit)
                }
                Entry::Leaf(output) => {
                    let found = Found {
                        level,
                        address,
                        output,
                        descriptor,
                        span,
                        run_bits: 0,
                    };
                    self.leaf(way, &path, &found, visit)
                }
            }
        });
        own || self.run(memory, way, level, address, &path, visit)
    }

    /// Step 3: the descriptors of the contiguous run around `address`, each applied to the whole run
    /// (TLB-02). In a well-formed run that adds nothing for the VA's own descriptor.
    fn run(
        &self,
        memory: &(impl ReadDescriptor + ?Sized),
        way: &Way<'_>,
        level: u8,
        address: u64,
        path: &Path,
        visit: Visit<'_>,
    ) -> bool {
        let Some(entries) = way.regime.run_entries(level) else {
            return false;
        };
        if !way.context.profile.contiguous || !leaf_allowed(way.regime.granule, level) {
            return false;
        }
        let first = address & !(8 * u64::from(entries) - 1);
        let run_bits = entries.trailing_zeros();
        for address in (0..u64::from(entries)).map(|j| first + 8 * j) {
            let current = memory.read(address).unwrap_or(0);
            for span in self.judge.history().spans(address, current).rev() {
                let descriptor = decode_word(&way.context, span.value);
                // TLB-03.
                if !descriptor.contiguous() || !descriptor.af() {
                    continue;
                }
                if let Entry::Leaf(output) = classify(&way.regime, level, descriptor) {
                    let found = Found {
                        level,
                        address,
                        output,
                        descriptor,
                        span,
                        run_bits,
                    };
                    if self.leaf(way, path, &found, visit) {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// What a leaf value permits.
    fn leaf(&self, way: &Way<'_>, path: &Path, found: &Found, visit: Visit<'_>) -> bool {
        let &Found {
            level,
            descriptor,
            span,
            run_bits,
            ..
        } = found;
        let finished = finish_leaf(&way.context, way.access, level, descriptor, path.limits);
        if !descriptor.af() {
            // HAF-01: never held, so this value was read for this access, or it plays no part.
            let fault = match finished {
                _ if !way.context.ha() => Fault::new(way.access, Reason::AccessFlag, level),
                // HAF-10, HAF-11: such a fault leaves AF alone.
                Err(fault) => fault,
                Ok(good) if self.owing => {
                    return self.fresh(way, path, level, span)
                        && self.reach(way, found, good, visit);
                }
                // Success needs the updated value, which is a value of its own in the history.
                Ok(_) => return false,
            };
            return self.fresh(way, path, level, span) && visit(&Candidate::Fault(fault));
        }
        let held = held(way, level, descriptor, false, run_bits);
        let bound = self.bound(&held, u64::MAX);
        if !self.possible(way, path, span, bound) {
            return false;
        }
        if self.held {
            return found.tell_held(way, visit);
        }
        match finished {
            // HAF-12: a write through a clean value needs the updated one.
            Ok(_) if !self.owing && updated(&way.context, way.access, descriptor) != descriptor => {
                false
            }
            Ok(good) => self.reach(way, found, good, visit),
            // A held valid entry may give these (VMSA-47).
            Err(fault) => visit(&Candidate::Fault(fault)),
        }
    }

    /// The success that the leaf value `found` gives.
    fn reach(
        &self,
        way: &Way<'_>,
        found: &Found,
        (attributes, rights): (Attributes, Rights),
        visit: Visit<'_>,
    ) -> bool {
        let &Found {
            level,
            address,
            output,
            descriptor,
            run_bits,
            ..
        } = found;
        let bits = level_lsb(way.regime.granule, level) + run_bits;
        let inside = (1u64 << bits) - 1;
        // TLB-02: in-run bits come from the VA.
        let pa = output & !inside | way.access.va & inside;
        let leaf = Leaf {
            level,
            address,
            descriptor,
            span: bits,
            rights,
        };
        self.good(
            Translation {
                pa,
                attributes,
                leaf: Some(leaf),
            },
            way.access,
            visit,
        )
    }

    /// A success, and the external abort that the access behind it may have met.
    fn good(&self, translation: Translation, access: &Access, visit: Visit<'_>) -> bool {
        if visit(&Candidate::Translation(translation)) {
            return true;
        }
        // An unaligned access touches two words.
        let met = [translation.pa, translation.pa + access.bytes() - 1]
            .iter()
            .any(|pa| self.judge.errored(*pa, self.pending.issued, self.done));
        if access.at || !met {
            return false;
        }
        let fault = Fault {
            wnr: access.wnr(FaultKind::ExternalAbort, false),
            ..Fault::new(access, Reason::AccessError, 0)
        };
        visit(&Candidate::Fault(fault))
    }
}

/// A leaf value found; `run_bits` is the log2 of the run length, or 0 without the use of the hint.
pub(super) struct Found {
    pub(super) level: u8,
    address: u64,
    pub(super) output: u64,
    pub(super) descriptor: Descriptor,
    span: Span,
    pub(super) run_bits: u32,
}
