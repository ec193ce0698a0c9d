// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Finding the entries that map a folio.

use super::{AddressSpace, Vma};
use crate::cpu::Cpu;
use crate::folio::{Folio, Mapping};
use crate::mm::{Error, Found, Table};
use crate::pte::{Kind, PtePtr, raw};
use crate::thread::Thread;
use std::rc::Rc;

/// Where a page of a folio is, or would be, mapped.
#[derive(Debug, Clone)]
pub struct Place {
    /// The address space.
    pub space: Rc<AddressSpace>,
    /// The area.
    pub vma: Rc<Vma>,
    /// The table.
    pub table: Rc<Table>,
    /// The entry, as it was when looked at without the lock: look again under it.
    pub ptr: PtePtr,
    /// Page of the folio.
    pub page: u64,
}

impl<C: Cpu> Thread<C> {
    /// Every entry that maps a page of `folio`, or holds a migration entry for it (MM-23). The folio
    /// lock, or the lock of its anon_vma, is held.
    ///
    /// # Errors
    /// The fault of a table access.
    pub async fn rmap_walk(&self, folio: &Folio) -> Result<Vec<Place>, Error> {
        let areas = match folio.mapping() {
            Mapping::None => Vec::new(),
            Mapping::Anon(anon_vma) => anon_vma.areas(),
            Mapping::File(file) => file.areas(),
        };
        let mut places = Vec::new();
        for (space, vma) in areas {
            for page in 0..folio.pages() {
                let Some(va) = vma.address(folio.index() + page) else {
                    continue;
                };
                let Found::Table(table) = space.walk(self, va).await? else {
                    continue;
                };
                let ptr = table.entry(&self.kernel, va)?;
                let pte = raw::get(self, ptr).await?;
                let granule = self.kernel.granule();
                let wanted = folio.pfn().0 + page;
                let maps = match pte.kind() {
                    Kind::Present | Kind::ProtNone => {
                        !pte.special() && pte.pfn(granule).0 == wanted
                    }
                    Kind::Migration(m) => m.pfn.0 == wanted,
                    _ => false,
                };
                if maps {
                    let (space, vma) = (Rc::clone(&space), Rc::clone(&vma));
                    places.push(Place {
                        space,
                        vma,
                        table,
                        ptr,
                        page,
                    });
                }
            }
        }
        Ok(places)
    }
}
