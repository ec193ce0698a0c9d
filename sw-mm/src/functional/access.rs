// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Loads, stores and swaps of the functional machine, from the translation to the bytes.

use super::State;
use super::store_buffer::BufferedStore;
use super::tlb::Owed;
use super::translate::{Access, Kind, Translation};
use crate::cpu::{AccessSize, Par, Privilege};
use vmsa::{AccessFault, AtOp, El};

/// Where the bytes of one access lie: in the word that holds that of `first` and, if they cross its
/// end, in that of `second`.
#[derive(Clone, Copy)]
struct Bytes {
    first: Translation,
    second: Translation,
    /// Bytes in the first word.
    reach: u64,
    count: u64,
}

impl State {
    #[inline]
    pub(super) fn access(
        &self,
        core: usize,
        va: u64,
        size: AccessSize,
        privilege: Privilege,
        kind: Kind,
    ) -> Access {
        let el = match privilege {
            Privilege::Privileged => El::El1,
            Privilege::Unprivileged => El::El0,
        };
        Access {
            va,
            kind,
            el,
            pan: el == El::El1 && self.cores[core].pan,
            size: size.log2(),
            at: false,
        }
    }

    /// Address of an access that lies in one word and has a translation that is cached and asks for
    /// nothing else: the short way, which most accesses go.
    #[inline]
    fn at_once(&mut self, core: usize, access: &Access) -> Option<u64> {
        let pa = self.hit(core, access)?;
        (pa % 8 + (1 << access.size) <= 8).then_some(pa)
    }

    /// Both translations of an access that crosses a page come before any effect.
    fn place(&mut self, core: usize, access: &Access) -> Result<Bytes, AccessFault> {
        let Access {
            va, el, kind, size, ..
        } = *access;
        let fault = |(fsc, write)| AccessFault {
            fsc,
            va,
            write,
            el,
            instruction: kind == Kind::Execute,
        };
        let first = self.translate(core, access).map_err(fault)?;
        let (count, reach) = (1 << size, 8 - first.pa % 8);
        let to_page_end = 0x1000 - (va & 0xfff);
        let second = if count > to_page_end {
            let next = Access {
                va: va.wrapping_add(to_page_end),
                ..*access
            };
            self.translate(core, &next).map_err(fault)?
        } else {
            Translation {
                pa: first.pa + reach,
                ..first
            }
        };
        Ok(Bytes {
            first,
            second,
            reach,
            count,
        })
    }

    fn read(&mut self, core: usize, bytes: Bytes) -> u64 {
        let Bytes { reach, count, .. } = bytes;
        let (first, second) = (bytes.first.pa, bytes.second.pa);
        let mut value = self.view(core, first) >> (first % 8 * 8);
        if count > reach {
            value |= self.view(core, second) << (reach * 8);
        }
        value & (u64::MAX >> (64 - 8 * count))
    }

    fn write(&mut self, core: usize, bytes: Bytes, value: u64) {
        let Bytes { reach, count, .. } = bytes;
        let mask = u64::MAX >> (64 - 8 * count);
        let shift = bytes.first.pa % 8 * 8;
        let parts = [
            (bytes.first, mask << shift, (value & mask) << shift),
            (
                bytes.second,
                mask >> (reach * 8 % 64),
                (value & mask) >> (reach * 8 % 64),
            ),
        ];
        let asid = self.cores[core].context.asid;
        for (part, mask, bits) in &parts[..if count > reach { 2 } else { 1 }] {
            let store = BufferedStore {
                pa: part.pa & !7,
                mask: *mask,
                bits: *bits,
                base: part.used.0,
                bytes: part.used.1,
                asid,
            };
            self.buffer(core, store, part.doomed);
        }
    }

    #[inline]
    fn load_at_once(&mut self, core: usize, access: &Access) -> Option<u64> {
        let pa = self.at_once(core, access)?;
        let value = self.view(core, pa) >> (pa % 8 * 8);
        Some(value & (u64::MAX >> (64 - (8 << access.size))))
    }

    #[inline]
    pub(super) fn load(&mut self, core: usize, access: &Access) -> Result<u64, AccessFault> {
        self.cores[core].traffic.loads += 1;
        match self.load_at_once(core, access) {
            Some(value) => Ok(value),
            None => self.load_slowly(core, access),
        }
    }

    fn load_slowly(&mut self, core: usize, access: &Access) -> Result<u64, AccessFault> {
        let bytes = self.place(core, access)?;
        Ok(self.read(core, bytes))
    }

    #[inline]
    fn store_at_once(&mut self, core: usize, access: &Access, value: u64) -> bool {
        let Some(pa) = self.at_once(core, access) else {
            return false;
        };
        let (mask, shift) = (u64::MAX >> (64 - (8 << access.size)), pa % 8 * 8);
        let state = &self.cores[core];
        let store = BufferedStore {
            pa: pa & !7,
            mask: mask << shift,
            bits: (value & mask) << shift,
            base: state.used.0,
            bytes: state.used.1,
            asid: state.context.asid,
        };
        self.buffer(core, store, Owed::default());
        true
    }

    #[inline]
    pub(super) fn store(
        &mut self,
        core: usize,
        access: &Access,
        value: u64,
    ) -> Result<(), AccessFault> {
        self.cores[core].traffic.stores += 1;
        if self.store_at_once(core, access, value) {
            return Ok(());
        }
        self.store_slowly(core, access, value)
    }

    fn store_slowly(
        &mut self,
        core: usize,
        access: &Access,
        value: u64,
    ) -> Result<(), AccessFault> {
        let bytes = self.place(core, access)?;
        self.write(core, bytes, value);
        Ok(())
    }

    pub(super) fn swap(
        &mut self,
        core: usize,
        access: &Access,
        expected: u64,
        new: u64,
    ) -> Result<u64, AccessFault> {
        self.cores[core].traffic.swaps += 1;
        let bytes = self.place(core, access)?;
        // An atomic works at the point of coherence, behind the earlier stores of its core.
        self.drain(core);
        let seen = self.read(core, bytes);
        if seen == expected {
            self.write(core, bytes, new);
            self.drain(core);
        }
        Ok(seen)
    }

    pub(super) fn address_translate(&mut self, core: usize, op: AtOp, va: u64) -> Par {
        let access = Access {
            va,
            kind: if op.write() { Kind::Write } else { Kind::Read },
            el: op.el(),
            pan: op.pan() && self.cores[core].pan,
            size: 0,
            at: true,
        };
        match self.translate(core, &access) {
            Ok(Translation { pa, attr, sh, .. }) => Par::Translated { pa, attr, sh },
            Err((fsc, _)) => Par::Faulted(fsc),
        }
    }

    /// Loads a word for EL1.
    pub(super) fn load_double(&mut self, core: usize, va: u64) -> Result<u64, AccessFault> {
        self.load(core, &self.double(core, va, Kind::Read))
    }

    /// Stores a word for EL1.
    pub(super) fn store_double(
        &mut self,
        core: usize,
        va: u64,
        value: u64,
    ) -> Result<(), AccessFault> {
        self.store(core, &self.double(core, va, Kind::Write), value)
    }

    fn double(&self, core: usize, va: u64, kind: Kind) -> Access {
        self.access(core, va, AccessSize::Double, Privilege::Privileged, kind)
    }

    /// Reads `words`, which lie in one page from `va` on, for EL1. `false`: the short way does not do.
    pub(super) fn load_words(&mut self, core: usize, va: u64, words: &mut [u64]) -> bool {
        let access = self.double(core, va, Kind::Read);
        let Some(pa) = self.at_once(core, &access) else {
            return false;
        };
        self.cores[core].traffic.loads += words.len() as u64;
        self.view_words(core, pa, words);
        true
    }

    /// Writes `words`, which lie in one page from `va` on, for EL1. `false`: the short way does not do.
    pub(super) fn store_words(&mut self, core: usize, va: u64, words: &[u64]) -> bool {
        let access = self.double(core, va, Kind::Write);
        let Some(pa) = self.at_once(core, &access) else {
            return false;
        };
        let state = &mut self.cores[core];
        state.traffic.stores += words.len() as u64;
        let first = BufferedStore {
            pa,
            mask: u64::MAX,
            bits: 0,
            base: state.used.0,
            bytes: state.used.1,
            asid: state.context.asid,
        };
        self.buffer_words(core, first, words);
        true
    }
}
