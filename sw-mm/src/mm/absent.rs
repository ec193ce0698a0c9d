// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Entries that name no page in memory, and what the system calls do with them (sections 7 and 8).

use super::error::Error;
use super::space::AddressSpace;
use crate::contpte;
use crate::cpu::Cpu;
use crate::pte::{Kind, Migration, Pte, PtePtr};
use crate::thread::Thread;
use std::rc::Rc;

impl<C: Cpu> Thread<C> {
    /// fork: `pte` at `parent` gets a twin at `child`. Unless the area is shared on purpose, neither has
    /// the page for itself any more. The locks of both tables are held.
    ///
    /// # Errors
    /// The fault of an access, or [`Error::Corrupt`].
    pub(crate) async fn copy_absent(
        &self,
        (parent, from): (&Rc<AddressSpace>, PtePtr),
        (child, to): (&Rc<AddressSpace>, PtePtr),
        pte: Pte,
        shared: bool,
    ) -> Result<(), Error> {
        let twin = match pte.kind() {
            Kind::Swap { entry, .. } => {
                self.kernel.swap.duplicate(entry);
                child.swapped.set(child.swapped.get() + 1);
                Pte::swap(entry, false)
            }
            Kind::Migration(moving) => {
                child.add_resident(1);
                if shared {
                    pte
                } else {
                    Pte::migration(read_entry(moving))
                }
            }
            _ => {
                return Err(Error::Corrupt {
                    entry: pte.0,
                    va: from.va,
                });
            }
        };
        if twin != pte {
            contpte::set_ptes(self, parent, from, twin, 1).await?;
        }
        contpte::set_ptes(self, child, to, twin, 1).await
    }

    /// mprotect: a page that is on its way at `ptr` arrives without write permission if its area has
    /// none by now. The lock of the table is held.
    ///
    /// # Errors
    /// The fault of an access.
    pub(crate) async fn protect_moving(
        &self,
        (space, ptr): (&Rc<AddressSpace>, PtePtr),
        moving: Migration,
        write: bool,
    ) -> Result<(), Error> {
        if write || !moving.writable {
            return Ok(());
        }
        let pte = Pte::migration(Migration {
            writable: false,
            ..moving
        });
        contpte::set_ptes(self, space, ptr, pte, 1).await
    }

    /// zap: `pte` is gone.
    pub(crate) fn zap_absent(&self, space: &AddressSpace, pte: Pte) {
        match pte.kind() {
            Kind::Swap { entry, .. } => {
                space.swapped.set(space.swapped.get().saturating_sub(1));
                self.kernel.free_swap(self.core, entry);
            }
            Kind::Migration(_) => space.remove_resident(1),
            _ => {}
        }
    }
}

/// The entry of a page on its way that several address spaces wait for.
const fn read_entry(moving: Migration) -> Migration {
    Migration {
        writable: false,
        exclusive: false,
        ..moving
    }
}
