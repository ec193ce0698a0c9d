// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The tree of an address space: each table is linked once, at its place, and needed.

use super::{Auditor, Disagreement, Pages};
use crate::huge;
use crate::mm::{AddressSpace, Table};
use crate::page::Pfn;
use crate::pte::Pte;
use std::rc::Rc;
use vmsa::{Descriptor, geometry};

impl<R: Fn(u64) -> u64> Auditor<'_, R> {
    pub(super) fn tables(&mut self, space: &Rc<AddressSpace>) -> Result<Pages, Disagreement> {
        let root = Rc::clone(&space.root);
        let config = self.kernel.config();
        let level = geometry::start_level(config.granule, config.va_bits);
        let mut pages = Pages::default();
        self.place(space, root.pfn, (level, 0), root.pa)?;
        self.below(space, &root, &mut pages)?;
        Ok(pages)
    }

    /// The table in frame `pfn`, which `entry` leads to: its books have to say that it is of `level`
    /// and translates from `base` on.
    fn place(
        &mut self,
        space: &AddressSpace,
        pfn: Pfn,
        (level, base): (u8, u64),
        entry: u64,
    ) -> Result<Rc<Table>, Disagreement> {
        let number = space.number();
        let known = self.kernel.frames.table(pfn).filter(|table| {
            let place = (table.space, table.level, table.base);
            place == (number, level, base)
                && table.pfn == pfn
                && table.pa == self.kernel.pa(pfn)
                && !table.dead.get()
        });
        let Some(table) = known else {
            return Err(Disagreement::StrayTable {
                space: number,
                level: level.saturating_sub(1),
                va: base,
                entry,
            });
        };
        // It names one place, so no other entry can lead to it.
        self.linked.insert(pfn);
        if table.lock.is_locked() {
            return Err(Disagreement::Locked { space: number });
        }
        Ok(table)
    }

    fn below(
        &mut self,
        space: &Rc<AddressSpace>,
        table: &Table,
        pages: &mut Pages,
    ) -> Result<(), Disagreement> {
        pages.tables += 1;
        if table.level == geometry::FINAL_LEVEL {
            return self.entries(space, table, pages);
        }
        let (granule, bytes) = (self.granule(), self.bytes(table.level));
        // A root of fewer address bits than a table resolves has fewer entries.
        let count = granule.entries().min((space.end() - table.base) / bytes);
        for index in 0..count {
            let entry = self.descriptor(table.pa, index);
            if entry.0 == 0 {
                continue;
            }
            let va = table.base + index * bytes;
            if table.level == huge::LEVEL && self.kernel.config().huge && !entry.is_table_bit() {
                self.block(space, va, Pte(entry.0), pages)?;
                continue;
            }
            let (pa, level) = (entry.next_table(granule), table.level + 1);
            if entry != Descriptor::table(pa) {
                return Err(Disagreement::StrayTable {
                    space: space.number(),
                    level: table.level,
                    va,
                    entry: entry.0,
                });
            }
            let next = self.place(space, Pfn(pa >> granule.shift()), (level, va), entry.0)?;
            if space.areas_in(va, va + bytes).is_empty() {
                return Err(Disagreement::IdleTable {
                    space: space.number(),
                    level,
                    va,
                });
            }
            self.below(space, &next, pages)?;
        }
        Ok(())
    }
}
