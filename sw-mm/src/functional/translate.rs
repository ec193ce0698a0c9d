// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Translation of one access on the functional machine: TLB, checks, hardware updates.
//!
//! Written for tests of the OS; it is no reference for the hardware.

use super::State;
use super::context::{ADDRESS_BITS, Context};
use super::permission::permitted;
use super::tlb::{Entry, Owed};
use vmsa::{Descriptor, El, FaultKind, Fsc, Mair, VaRange};

/// What an access wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    /// Compare-and-swap: needs both, counts as a write.
    ReadWrite,
    Execute,
}

/// One access to translate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub va: u64,
    pub kind: Kind,
    pub el: El,
    pub pan: bool,
    /// log2 of the bytes.
    pub size: u32,
    /// An AT instruction: never marks a page dirty (HAF-14).
    pub at: bool,
}

impl Access {
    const fn writes(&self) -> bool {
        matches!(self.kind, Kind::Write | Kind::ReadWrite)
    }

    const fn fetches(&self) -> bool {
        matches!(self.kind, Kind::Execute)
    }

    const fn misaligned(&self) -> bool {
        self.va & ((1 << self.size) - 1) != 0
    }
}

/// Where an access goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Translation {
    pub pa: u64,
    pub attr: u8,
    pub sh: u8,
    /// First VA and bytes that the entry used matches; no bytes if the MMU is off.
    pub used: (u64, u64),
    /// Invalidations under way that remove the entry.
    pub doomed: Owed,
}

/// A fault, and whether WnR is reported for it.
pub(super) type Fault = (Fsc, bool);

/// What a leaf says to an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Pass,
    /// It passes once hardware has updated the descriptor.
    Update,
    Fault(FaultKind),
}

impl State {
    /// Output address of an access whose translation is cached and asks for nothing else, as most do;
    /// `None`: [`State::translate`] knows.
    #[inline]
    pub(super) fn hit(&mut self, core: usize, access: &Access) -> Option<u64> {
        let state = &mut self.cores[core];
        let context = &state.context;
        let va = address(context, access).ok()?;
        let entry = state.tlb.leaf(VaRange::of(va), va, context.asid)?;
        if check(context, access, entry) != Verdict::Pass {
            return None;
        }
        if access.writes() {
            if !entry.doomed.none() {
                return None;
            }
            state.used = (entry.base, entry.bytes);
        }
        Some(output(entry, va))
    }

    /// Translates, filling the TLB and updating descriptors as hardware would.
    pub(super) fn translate(&mut self, core: usize, access: &Access) -> Result<Translation, Fault> {
        let context = &self.cores[core].context;
        let va = match address(context, access) {
            Ok(va) => va,
            Err(None) => return self.untranslated(core, access),
            Err(Some(kind)) => return Err(self.fault(core, kind, 0, access)),
        };
        let range = VaRange::of(va);
        loop {
            let state = &mut self.cores[core];
            let asid = state.context.asid;
            let cached = state.tlb.leaf(range, va, asid).copied();
            let hit = cached.is_some();
            let entry = match cached {
                Some(entry) => Ok(entry),
                None if state.context.halves[range as usize].epd => {
                    Err((FaultKind::Translation, 0))
                }
                None => self.walk(core, range, va),
            };
            match entry.and_then(|entry| self.use_entry(core, access, va, entry, hit)) {
                Ok(Some(translation)) => return Ok(translation),
                Ok(None) => {}
                Err((kind, level)) => {
                    // ETS2: an earlier store of this core counts as done before a fault is taken.
                    let retry = kind != FaultKind::Permission && self.config.ets2;
                    if retry && !self.cores[core].stores.is_empty() {
                        self.drain(core);
                        continue;
                    }
                    return Err(self.fault(core, kind, level, access));
                }
            }
        }
    }

    fn untranslated(&mut self, core: usize, access: &Access) -> Result<Translation, Fault> {
        let context = &self.cores[core].context;
        let half = &context.halves[VaRange::of(access.va) as usize];
        let va = if half.tagged[usize::from(access.fetches())] {
            access.va & !(0xff << 56)
        } else {
            access.va
        };
        if va >> ADDRESS_BITS != 0 {
            return Err(self.fault(core, FaultKind::AddressSize, 0, access));
        }
        // VMSA-03: data is Device then, so that it has to be aligned (VMSA-62).
        let attr = match access.kind {
            Kind::Execute => self.cores[core].context.off_fetch,
            _ if access.misaligned() => {
                return Err(self.fault(core, FaultKind::Alignment, 0, access));
            }
            _ => Mair::DEVICE_NGNRNE,
        };
        Ok(Translation {
            pa: va,
            attr,
            sh: 2,
            used: (0, 0),
            doomed: Owed::default(),
        })
    }

    /// Checks an access against a leaf and performs the updates it needs. `None`: memory has changed
    /// under the entry, walk again.
    fn use_entry(
        &mut self,
        core: usize,
        access: &Access,
        va: u64,
        mut entry: Entry,
        hit: bool,
    ) -> Result<Option<Translation>, (FaultKind, u8)> {
        let context = &self.cores[core].context;
        let verdict = check(context, access, &entry);
        if verdict == Verdict::Update {
            let updated = updated(context, access, entry.descriptor);
            let current = self.read_descriptor(core, entry.slot) == entry.descriptor;
            if current {
                self.write_descriptor(core, entry.slot, updated);
            }
            let tlb = &mut self.cores[core].tlb;
            tlb.drop_slot(entry.slot);
            if !current {
                return Ok(None);
            }
            entry.descriptor = updated;
            tlb.fill(entry);
        } else if !hit && entry.descriptor.af() && verdict.keeps() {
            self.cores[core].tlb.fill(entry);
        }
        if let Verdict::Fault(kind) = verdict {
            return Err((kind, entry.level));
        }
        let (attr, sh) = memory_type(&self.cores[core].context, access, &entry);
        Ok(Some(Translation {
            pa: output(&entry, va),
            attr,
            sh,
            used: (entry.base, entry.bytes),
            doomed: entry.doomed,
        }))
    }

    /// VMSA-30, VMSA-51: a read-modify-write reports a write only if it may read but not write, which
    /// is every Permission fault it takes unless PAN or the page's EL shut it out altogether.
    fn fault(&mut self, core: usize, kind: FaultKind, level: u8, access: &Access) -> Fault {
        let read = Access {
            kind: Kind::Read,
            ..*access
        };
        let write = match access.kind {
            Kind::Write => true,
            Kind::ReadWrite => kind == FaultKind::Permission && self.translate(core, &read).is_ok(),
            Kind::Read | Kind::Execute => false,
        };
        (Fsc::encode(kind, level), write)
    }
}

impl Verdict {
    /// VMSA-47: a translation whose permissions refuse the access may be cached, others may not.
    fn keeps(self) -> bool {
        matches!(self, Verdict::Pass | Verdict::Fault(FaultKind::Permission))
    }
}

/// The canonical address to look up. `Err(None)`: the MMU is off.
#[inline]
fn address(context: &Context, access: &Access) -> Result<u64, Option<FaultKind>> {
    let strict = match access.kind {
        Kind::ReadWrite => true,
        Kind::Execute => false,
        Kind::Read | Kind::Write => context.aligned,
    };
    if strict && access.misaligned() {
        return Err(Some(FaultKind::Alignment));
    }
    if !context.on {
        return Err(None);
    }
    let half = &context.halves[VaRange::of(access.va) as usize];
    let va = if half.tagged[usize::from(access.fetches())] {
        ((access.va << 8) as i64 >> 8) as u64
    } else {
        access.va
    };
    if !half.legal || !half.holds(va) || (access.el == El::El0 && half.e0pd) {
        return Err(Some(FaultKind::Translation));
    }
    Ok(va)
}

/// The checks at the leaf, in the order of section 7.
#[inline]
fn check(context: &Context, access: &Access, entry: &Entry) -> Verdict {
    let leaf = entry.descriptor;
    if !leaf.af() && !context.ha {
        return Verdict::Fault(FaultKind::AccessFlag);
    }
    let device = memory_type(context, access, entry).0 >> 4 == 0;
    if device && !access.fetches() && access.misaligned() {
        return Verdict::Fault(FaultKind::Alignment);
    }
    // VMSA-29.
    if !permitted(context, access, entry) || (device && access.fetches()) {
        return Verdict::Fault(FaultKind::Permission);
    }
    if updated(context, access, leaf) == leaf {
        Verdict::Pass
    } else {
        Verdict::Update
    }
}

/// What hardware makes of `leaf` for an access that it permits.
#[inline]
fn updated(context: &Context, access: &Access, leaf: Descriptor) -> Descriptor {
    let updated = leaf.with_af(true);
    if context.hd && leaf.dbm() && access.writes() && !access.at {
        updated.with_ap_read_only(false)
    } else {
        updated
    }
}

#[inline]
fn memory_type(context: &Context, access: &Access, entry: &Entry) -> (u8, u8) {
    let leaf = entry.descriptor;
    context.memory_type(leaf.attr_index(), leaf.sh(), access.fetches())
}

/// TLB-02: the run comes from the entry's descriptor, the place in it from the VA.
#[inline]
fn output(entry: &Entry, va: u64) -> u64 {
    entry.output() | (va & (entry.bytes - 1))
}
