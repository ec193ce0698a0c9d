// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Entries of a last-level table: each belongs to an area, permits no more than it, and names a page
//! that agrees.

use super::disagreement::Wrong;
use super::{Auditor, Disagreement, Mapped, Pages};
use crate::folio::Mapping;
use crate::mm::{AddressSpace, Table, Vma};
use crate::pte::{Kind, Pte};
use std::rc::Rc;

/// One entry at its place.
#[derive(Clone, Copy)]
struct At {
    space: u32,
    va: u64,
    pte: Pte,
}

impl At {
    const fn wrong(self, why: Wrong) -> Disagreement {
        Disagreement::Entry {
            space: self.space,
            va: self.va,
            pte: self.pte,
            why,
        }
    }
}

impl<R: Fn(u64) -> u64> Auditor<'_, R> {
    pub(super) fn entries(
        &mut self,
        space: &Rc<AddressSpace>,
        table: &Table,
        pages: &mut Pages,
    ) -> Result<(), Disagreement> {
        let bytes = self.bytes(table.level);
        let mut area: Option<Rc<Vma>> = None;
        let count = self.granule().entries();
        let entries: Vec<Pte> = (0..count)
            .map(|index| Pte(self.descriptor(table.pa, index).0))
            .collect();
        for (&pte, va) in entries.iter().zip((table.base..).step_by(bytes as usize)) {
            if pte.is_none() {
                continue;
            }
            if !area.as_ref().is_some_and(|area| area.contains(va)) {
                area = space.find(va);
            }
            let number = space.number();
            let Some(area) = &area else {
                return Err(Disagreement::NoArea {
                    space: number,
                    va,
                    pte,
                });
            };
            let at = At {
                space: number,
                va,
                pte,
            };
            self.census.entries += 1;
            match pte.kind() {
                Kind::Present | Kind::ProtNone => self.page(at, area, pages)?,
                Kind::Swap { entry, .. } => {
                    pages.swapped += 1;
                    self.swapped.push(entry);
                }
                Kind::Migration(_) => return Err(at.wrong(Wrong::Moving)),
                Kind::None | Kind::Unknown => return Err(at.wrong(Wrong::Unknown)),
            }
        }
        self.runs(space.number(), table, &entries)
    }

    /// A block is judged as the pages that it stands for.
    pub(super) fn block(
        &mut self,
        space: &Rc<AddressSpace>,
        va: u64,
        block: Pte,
        pages: &mut Pages,
    ) -> Result<(), Disagreement> {
        let granule = self.granule();
        self.census.entries += 1;
        for page in 0..granule.entries() {
            let at = At {
                space: space.number(),
                va: va + (page << granule.shift()),
                pte: block.as_page().advance(granule, page as i64),
            };
            let Some(area) = space.find(at.va) else {
                return Err(Disagreement::NoArea {
                    space: at.space,
                    va: at.va,
                    pte: block,
                });
            };
            if !block.present() || block.special() || block.cont() {
                return Err(at.wrong(Wrong::Unknown));
            }
            self.page(at, &area, pages)?;
        }
        Ok(())
    }

    fn page(&mut self, at: At, area: &Vma, pages: &mut Pages) -> Result<(), Disagreement> {
        let (pte, protection) = (at.pte, area.protection());
        let granule = self.granule();
        // All that stays when access flag, dirty state, permission to write and presence are set aside.
        let plain = |pte: Pte| {
            let pte = pte.make_accessible().write_protect();
            pte.make_clean().with_young(false).with_cont(false)
        };
        let like = Pte::page(granule, pte.pfn(granule)).with_execute(protection.execute);
        let like = if pte.special() {
            like.make_special()
        } else {
            like
        };
        if plain(pte) != like {
            return Err(at.wrong(Wrong::Attributes));
        }
        if pte.valid() && !protection.any() {
            return Err(at.wrong(Wrong::Valid));
        }
        if !pte.descriptor().ap_read_only() && !pte.writable() {
            return Err(at.wrong(Wrong::Stores));
        }
        if pte.writable() && !protection.write {
            return Err(at.wrong(Wrong::Writable));
        }
        if pte.special() {
            let zero = pte.pfn(granule) == self.kernel.zero_page();
            let private = area.is_anonymous() && !area.flags().shared;
            let untouched = !pte.writable() && !pte.dirty() && !pte.cont();
            return match zero && private && untouched {
                true => Ok(()),
                false => Err(at.wrong(Wrong::Special)),
            };
        }
        self.folio_page(at, area)?;
        pages.resident += 1;
        Ok(())
    }

    fn folio_page(&mut self, at: At, area: &Vma) -> Result<(), Disagreement> {
        let pfn = at.pte.pfn(self.granule());
        let Some(folio) = self.kernel.frames.folio(pfn) else {
            return Err(at.wrong(Wrong::NoFolio));
        };
        let page = folio.page_of(pfn);
        let same = match folio.mapping() {
            Mapping::None => false,
            Mapping::Anon(anon_vma) => {
                let own = area.anon_vma();
                !area.flags().shared && own.is_some_and(|own| Rc::ptr_eq(&own, &anon_vma))
            }
            Mapping::File(file) => area.file().is_some_and(|own| Rc::ptr_eq(&own, &file)),
        };
        if !same || folio.index() + page != area.index(at.va) {
            return Err(at.wrong(Wrong::Elsewhere));
        }
        let own = area.flags().shared || folio.is_anon() && folio.anon_exclusive(page);
        if at.pte.writable() && !own {
            return Err(at.wrong(Wrong::NotOwn));
        }
        let mapped = Mapped {
            space: at.space,
            va: at.va,
            page,
            pte: at.pte,
        };
        let places = self.census.mappings.entry(folio.pfn()).or_default();
        places.push(mapped);
        Ok(())
    }
}
