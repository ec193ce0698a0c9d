// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Translation of one access on the functional machine: TLB, walk, permissions, hardware updates.
//!
//! Written for tests of the OS, plain and unhurried; it is no reference for the hardware.

use super::State;
use super::monitor::Change;
use super::tlb::{Entry, Limits, Owed};
use vmsa::{Descriptor, El, FaultKind, Fsc, Granule, Mair, Tcr, Ttbr, VaRange, geometry};

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
}

/// Where an access goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Translation {
    pub pa: u64,
    pub attr: u8,
    pub sh: u8,
}

/// A fault, and whether WnR is reported for it.
pub(super) type Fault = (Fsc, bool);

const ADDRESS_BITS: u32 = 48;

impl State {
    /// Translates, filling the TLB and updating descriptors as hardware would.
    pub(super) fn translate(&mut self, core: usize, access: Access) -> Result<Translation, Fault> {
        let sctlr = self.cores[core].sctlr;
        let strict = access.kind == Kind::ReadWrite || access.kind != Kind::Execute && sctlr.a();
        if strict && misaligned(access) {
            return Err(self.fault(core, FaultKind::Alignment, 0, access));
        }
        let range = VaRange::of(access.va);
        let tcr = self.cores[core].tcr;
        let tagged = tcr.tbi(range) && !(access.kind == Kind::Execute && tcr.tbid(range));
        if !sctlr.m() {
            let va = if tagged {
                access.va & !(0xff << 56)
            } else {
                access.va
            };
            if va >> ADDRESS_BITS != 0 {
                return Err(self.fault(core, FaultKind::AddressSize, 0, access));
            }
            // VMSA-03: data is Device then, so that it has to be aligned (VMSA-62).
            let attr = match access.kind {
                Kind::Execute if sctlr.i() => 0xaa,
                Kind::Execute => Mair::NORMAL_NC,
                _ if misaligned(access) => {
                    return Err(self.fault(core, FaultKind::Alignment, 0, access));
                }
                _ => Mair::DEVICE_NGNRNE,
            };
            let (pa, sh) = (va, 2);
            return Ok(Translation { pa, attr, sh });
        }
        let granule = tcr.granule(range).unwrap_or(Granule::K4);
        let tsz = tcr.tsz(range);
        let largest = if granule == Granule::K64 { 47 } else { 48 };
        let va = if tagged {
            sign_extend(access.va, 56)
        } else {
            access.va
        };
        let legal = (16..=largest).contains(&tsz);
        if !legal || !in_half(va, tsz, range) || (access.el == El::El0 && tcr.e0pd(range)) {
            return Err(self.fault(core, FaultKind::Translation, 0, access));
        }
        loop {
            let asid = self.cores[core].asid();
            let cached = self.cores[core].tlb.leaf(range, va, asid).copied();
            let hit = cached.is_some();
            let entry = match cached {
                Some(entry) => Ok(entry),
                None if tcr.epd(range) => Err((FaultKind::Translation, 0)),
                None => self.walk(core, range, granule, va),
            };
            match entry.and_then(|entry| self.use_entry(core, &access, va, entry, hit)) {
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

    /// A speculative walk: caches what it finds, faults and updates nothing.
    pub(super) fn speculate(&mut self, core: usize, va: u64) {
        let range = VaRange::of(va);
        let (tcr, asid) = (self.cores[core].tcr, self.cores[core].asid());
        let granule = tcr.granule(range).unwrap_or(Granule::K4);
        if !self.cores[core].sctlr.m() || tcr.epd(range) || !in_half(va, tcr.tsz(range), range) {
            return;
        }
        let held = self.cores[core].tlb.leaf(range, va, asid);
        if held.is_some_and(|e| e.doomed.none()) {
            return;
        }
        if let Ok(entry) = self.walk(core, range, granule, va)
            && entry.descriptor.af()
        {
            self.cores[core].tlb.fill(entry);
        }
    }

    /// Walks from the deepest cached table to the leaf. Table entries are cached on the way.
    fn walk(
        &mut self,
        core: usize,
        range: VaRange,
        granule: Granule,
        va: u64,
    ) -> Result<Entry, (FaultKind, u8)> {
        let (tcr, asid) = (self.cores[core].tcr, self.cores[core].asid());
        let iasize = 64 - u32::from(tcr.tsz(range));
        let pa_bits = tcr.ips_bits().unwrap_or(ADDRESS_BITS).min(ADDRESS_BITS);
        let cached = self.cores[core].tlb.table(range, va, asid);
        let (mut level, mut table, mut limits) = match cached {
            Some(entry) => (
                entry.level + 1,
                entry.descriptor.next_table(granule),
                entry.limits,
            ),
            None => {
                let ttbr: Ttbr = self.cores[core].ttbr[range.number() as usize];
                let base = ttbr.base() >> geometry::base_table_shift(granule, iasize)
                    << geometry::base_table_shift(granule, iasize);
                if base >> pa_bits != 0 {
                    return Err((FaultKind::AddressSize, 0));
                }
                (
                    geometry::start_level(granule, iasize),
                    base,
                    Limits::default(),
                )
            }
        };
        loop {
            let slot = table | geometry::index(granule, iasize, level, va) << 3;
            let descriptor = self.read_descriptor(core, slot);
            let bytes = geometry::level_bytes(granule, level);
            let mut entry = Entry {
                range,
                granule,
                base: va & !(bytes - 1),
                bytes,
                level,
                leaf: true,
                asid,
                descriptor,
                slot,
                limits,
                filled_for: va,
                doomed: Owed::default(),
            };
            let known = descriptor.is_table_bit() || geometry::block_allowed(granule, level);
            if !descriptor.valid() || !known {
                return Err((FaultKind::Translation, level));
            }
            if level < geometry::FINAL_LEVEL && descriptor.is_table_bit() {
                table = descriptor.next_table(granule);
                if table >> pa_bits != 0 {
                    return Err((FaultKind::AddressSize, level));
                }
                if !tcr.hpd(range) {
                    limits.no_el0 |= descriptor.ap_table() & 1 != 0;
                    limits.no_write |= descriptor.ap_table() & 2 != 0;
                    limits.uxn |= descriptor.uxn_table();
                    limits.pxn |= descriptor.pxn_table();
                }
                entry.leaf = false;
                entry.limits = limits;
                self.monitor.seen(&entry);
                self.cores[core].tlb.fill(entry);
                level += 1;
                continue;
            }
            if descriptor.output_address(granule, level) >> pa_bits != 0 {
                return Err((FaultKind::AddressSize, level));
            }
            self.monitor.seen(&entry);
            if let Some(run) = geometry::contiguous_run(granule, level)
                && descriptor.contiguous()
                && self.config.contiguous
                && bytes * u64::from(run) <= 1 << iasize
            {
                entry.bytes = bytes * u64::from(run);
                entry.base = va & !(entry.bytes - 1);
            }
            return Ok(entry);
        }
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
        let (tcr, sctlr) = (self.cores[core].tcr, self.cores[core].sctlr);
        let (leaf, level) = (entry.descriptor, entry.level);
        let (ha, hd) = (tcr.ha(), tcr.ha() && tcr.hd());
        if !leaf.af() && !ha {
            return Err((FaultKind::AccessFlag, level));
        }
        let (attr, sh) = self.memory_type(core, leaf, access);
        let device = attr >> 4 == 0;
        let data = access.kind != Kind::Execute;
        if device && data && misaligned(*access) {
            return Err((FaultKind::Alignment, level));
        }
        let allowed = permitted(access, leaf, entry.limits, hd, sctlr) && (data || !device);
        if allowed {
            let mut updated = leaf.with_af(true);
            if hd && leaf.dbm() && access.writes() && !access.at {
                updated = updated.with_ap_read_only(false);
            }
            if updated != leaf {
                if self.read_descriptor(core, entry.slot) != leaf {
                    self.cores[core].tlb.drop_slot(entry.slot);
                    return Ok(None);
                }
                self.write_descriptor(core, entry.slot, updated);
                self.cores[core].tlb.drop_slot(entry.slot);
                entry.descriptor = updated;
                self.cores[core].tlb.fill(entry);
            }
        }
        if !hit && entry.descriptor.af() {
            self.cores[core].tlb.fill(entry);
        }
        if !allowed {
            return Err((FaultKind::Permission, level));
        }
        // TLB-02: the run comes from the entry's descriptor, the place in it from the VA.
        let first = leaf.output_address(entry.granule, level) & !(entry.bytes - 1);
        let pa = first | (va & (entry.bytes - 1));
        Ok(Some(Translation { pa, attr, sh }))
    }

    fn memory_type(&self, core: usize, leaf: Descriptor, access: &Access) -> (u8, u8) {
        let (mair, sctlr) = (self.cores[core].mair, self.cores[core].sctlr);
        let cached = if access.kind == Kind::Execute {
            sctlr.i()
        } else {
            sctlr.c()
        };
        let attr = match mair.attr(leaf.attr_index()) {
            byte if byte >> 4 == 0 && byte & 0xf3 == 0 => byte,
            byte if byte >> 4 == 0 || byte & 0xf == 0 => Mair::DEVICE_NGNRNE,
            _ if !cached => Mair::NORMAL_NC,
            byte => byte,
        };
        let uncached = attr >> 4 == 0 || attr == Mair::NORMAL_NC;
        let sh = if uncached || leaf.sh() == 1 {
            2
        } else {
            leaf.sh()
        };
        (attr, sh)
    }

    fn read_descriptor(&self, core: usize, slot: u64) -> Descriptor {
        let word = self.memory.word(slot);
        let big_endian = self.cores[core].sctlr.ee();
        Descriptor(if big_endian { word.swap_bytes() } else { word })
    }

    fn write_descriptor(&mut self, core: usize, slot: u64, value: Descriptor) {
        let big_endian = self.cores[core].sctlr.ee();
        let word = if big_endian {
            value.0.swap_bytes()
        } else {
            value.0
        };
        self.memory.set_word(slot, word);
        self.monitor.commit(
            Change {
                core,
                slot,
                new: word,
            },
            big_endian,
        );
    }

    /// VMSA-30, VMSA-51: a read-modify-write reports a write only if it may read but not write, which
    /// is every Permission fault it takes unless PAN or the page's EL shut it out altogether.
    fn fault(&mut self, core: usize, kind: FaultKind, level: u8, access: Access) -> Fault {
        let read = Access {
            kind: Kind::Read,
            ..access
        };
        let write = match access.kind {
            Kind::Write => true,
            Kind::ReadWrite => kind == FaultKind::Permission && self.translate(core, read).is_ok(),
            Kind::Read | Kind::Execute => false,
        };
        (Fsc::encode(kind, level), write)
    }
}

/// Section 5, steps 1 to 5.
fn permitted(
    access: &Access,
    leaf: Descriptor,
    limits: Limits,
    hd: bool,
    sctlr: vmsa::Sctlr,
) -> bool {
    let writable = (!leaf.ap_read_only() || (hd && leaf.dbm())) && !limits.no_write;
    let el0_data = leaf.ap_el0() && !limits.no_el0;
    let el0_execute = !(leaf.uxn() || limits.uxn);
    let (read, write, execute) = match access.el {
        El::El0 => (el0_data, el0_data && writable, el0_execute),
        El::El1 => {
            let execute = !(leaf.pxn() || limits.pxn || (el0_data && writable));
            let shut = access.pan && (el0_data || (sctlr.epan() && el0_execute));
            (!shut, !shut && writable, execute)
        }
    };
    let writable_here = match access.el {
        El::El0 => el0_data && writable,
        El::El1 => writable,
    };
    match access.kind {
        Kind::Read => read,
        Kind::Write => write,
        Kind::ReadWrite => read && write,
        Kind::Execute => execute && !(sctlr.wxn() && writable_here),
    }
}

const fn misaligned(access: Access) -> bool {
    access.va & ((1 << access.size) - 1) != 0
}

/// `va` with bit `bits` - 1 copied into all bits above.
const fn sign_extend(va: u64, bits: u32) -> u64 {
    ((va << (64 - bits)) as i64 >> (64 - bits)) as u64
}

/// Whether the bits above the range are all copies of VA\[55\] (VMSA-05).
const fn in_half(va: u64, tsz: u8, range: VaRange) -> bool {
    let top = if tsz == 0 { 0 } else { va >> (64 - tsz as u32) };
    match range {
        VaRange::Lower => top == 0,
        VaRange::Upper => top == (1 << tsz) - 1,
    }
}

/// TCR_EL1 fields that decide the ASID in force.
pub(super) const fn current_asid(tcr: Tcr, ttbr: &[Ttbr; 2]) -> u16 {
    let ttbr = if tcr.a1() { ttbr[1] } else { ttbr[0] };
    if tcr.asid16() {
        ttbr.asid()
    } else {
        ttbr.asid() & 0xff
    }
}
