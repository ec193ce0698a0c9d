// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The walk of the functional machine, and what it reads and writes in tables.

use super::State;
use super::monitor::Change;
use super::tlb::{Entry, Limits, Owed};
use vmsa::{Descriptor, FaultKind, VaRange, geometry};

impl State {
    /// A speculative walk: caches what it finds, faults and updates nothing.
    pub(super) fn speculate(&mut self, core: usize, va: u64) {
        let range = VaRange::of(va);
        let state = &mut self.cores[core];
        let half = &state.context.halves[range as usize];
        if !state.context.on || half.epd || !half.legal || !half.holds(va) {
            return;
        }
        let held = state.tlb.leaf(range, va, state.context.asid);
        if held.is_some_and(|e| e.doomed.none()) {
            return;
        }
        if let Ok(entry) = self.walk(core, range, va)
            && entry.descriptor.af()
        {
            self.cores[core].tlb.fill(entry);
        }
    }

    /// Walks from the deepest cached table to the leaf. Table entries are cached on the way.
    pub(super) fn walk(
        &mut self,
        core: usize,
        range: VaRange,
        va: u64,
    ) -> Result<Entry, (FaultKind, u8)> {
        let state = &self.cores[core];
        let (asid, pa_bits) = (state.context.asid, state.context.pa_bits);
        let half = state.context.halves[range as usize];
        let (granule, iasize) = (half.granule, half.iasize);
        let (mut level, mut table, mut limits) = match state.tlb.table(range, va, asid) {
            Some(entry) => (
                entry.level + 1,
                entry.descriptor.next_table(granule),
                entry.limits,
            ),
            None if half.root >> pa_bits != 0 => return Err((FaultKind::AddressSize, 0)),
            None => (half.start_level, half.root, Limits::default()),
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
                if !half.hpd {
                    limits.no_el0 |= descriptor.ap_table() & 1 != 0;
                    limits.no_write |= descriptor.ap_table() & 2 != 0;
                    limits.uxn |= descriptor.uxn_table();
                    limits.pxn |= descriptor.pxn_table();
                }
                entry.leaf = false;
                entry.limits = limits;
                self.monitor.seen(&entry, half.root);
                self.cores[core].tlb.fill(entry);
                level += 1;
                continue;
            }
            if descriptor.output_address(granule, level) >> pa_bits != 0 {
                return Err((FaultKind::AddressSize, level));
            }
            self.monitor.seen(&entry, half.root);
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

    pub(super) fn read_descriptor(&self, core: usize, slot: u64) -> Descriptor {
        let word = self.memory.word(slot);
        let big_endian = self.cores[core].context.big_endian;
        Descriptor(if big_endian { word.swap_bytes() } else { word })
    }

    pub(super) fn write_descriptor(&mut self, core: usize, slot: u64, value: Descriptor) {
        let big_endian = self.cores[core].context.big_endian;
        let new = if big_endian {
            value.0.swap_bytes()
        } else {
            value.0
        };
        *self.memory.word_mut(slot) = new;
        self.monitor
            .commit(Change { core, slot, new }, big_endian, &self.memory);
    }
}
