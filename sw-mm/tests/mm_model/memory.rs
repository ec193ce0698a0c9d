// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the kernel does to pages behind the back of programs. None of it changes what they see.

use crate::world::{Failure, World};
use std::rc::Rc;
use sw_mm::audit::Held;
use sw_mm::folio::{Folio, PIN};
use sw_mm::migrate::MigrateMode;
use sw_mm::mm::{Error, Found};
use sw_mm::page::{NodeId, Pfn};
use sw_mm::pte::raw;
use sw_mm::{Cpu, block_on, contpte};
use vmsa::geometry;

/// A folio whose frames have to stay where they are.
pub struct Pin {
    pub folio: Rc<Folio>,
    pfn: Pfn,
}

impl<C: Cpu> World<C> {
    /// The folio behind `va` in the address space that `core` runs.
    fn folio_at(&self, core: usize, va: u64) -> Result<Option<Rc<Folio>>, Error> {
        let Some(space) = self.running[core].map(|number| &self.spaces[&number]) else {
            return Ok(None);
        };
        let thread = &self.threads[core];
        block_on(async {
            let pte = match space.walk(thread, va).await? {
                Found::Nothing(_) => return Ok(None),
                Found::Block(_, _, pte) => pte,
                Found::Table(table) => {
                    let ptr = table.entry(&self.kernel, space.page(va))?;
                    let _ptl = table.lock.lock(&thread.held).await;
                    contpte::get(thread, ptr).await?
                }
            };
            let page = pte.present() && !pte.special();
            let folio = self.kernel.frames.folio(pte.pfn(self.kernel.granule()));
            Ok(folio.filter(|_| page))
        })
    }

    /// MM-24: what was stored comes back.
    pub fn swap_out(&mut self, core: usize, va: u64) -> Result<(), Failure> {
        let folio = self.folio_at(core, va)?;
        let Some(folio) = folio else {
            return Ok(());
        };
        let pinned = folio.maybe_pinned();
        let suitable = folio.is_anon() && folio.order() == 0;
        match block_on(self.threads[core].swap_out(&folio)) {
            Ok(()) if pinned => Err("a pinned page was swapped (MM-27)".into()),
            Ok(()) if folio.references() > 0 => Err("it is still in memory".into()),
            Ok(()) | Err(Error::OutOfMemory) => Ok(()),
            Err(Error::Busy) if pinned => Ok(()),
            Err(Error::Invalid(_)) if !suitable => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// MM-24: what is old goes, unless somebody needs it to stay.
    pub fn reclaim(&mut self, core: usize, node: u8, pages: u8) -> Result<(), Failure> {
        block_on(self.threads[core].reclaim(NodeId(node), pages.into()))?;
        Ok(())
    }

    /// MM-26, MM-27.
    pub fn migrate(&mut self, core: usize, va: u64) -> Result<(), Failure> {
        let Some(folio) = self.folio_at(core, va)? else {
            return Ok(());
        };
        let target = NodeId(1 - folio.node().0);
        let pinned = folio.maybe_pinned();
        let moving = self.threads[core].migrate(&folio, target, MigrateMode::Sync);
        match block_on(moving) {
            Ok(_) if pinned => Err("a pinned page was moved (MM-27)".into()),
            Ok(moved) if self.kernel.memory.node_of(moved.pfn()) == Some(target) => Ok(()),
            Ok(moved) => Err(format!("{} is not on {target:?} (MM-26)", moved.pfn()).into()),
            Err(Error::Busy) if pinned => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// MM-11.
    pub fn age(&mut self, core: usize, va: u64, flush: bool) -> Result<(), Failure> {
        let folio = self.folio_at(core, va)?;
        let Some(folio) = folio else {
            return Ok(());
        };
        let thread = &self.threads[core];
        block_on(async {
            let _folio = folio.lock.lock(&thread.held).await;
            for place in thread.rmap_walk(&folio).await? {
                let _ptl = place.table.lock.lock(&thread.held).await;
                if place.table.level < geometry::FINAL_LEVEL {
                    let young = raw::test_and_clear_young(thread, place.ptr).await?;
                    folio.referenced.set(folio.referenced.get() || young);
                    thread.flush_mm(&place.space).await;
                    continue;
                }
                let young = match flush {
                    true => contpte::clear_flush_young(thread, &place.space, place.ptr).await?,
                    false => contpte::test_and_clear_young(thread, &place.space, place.ptr).await?,
                };
                if young {
                    folio.referenced.set(true);
                }
            }
            Ok(())
        })
    }

    /// Private memory is pinned only where it belongs to one address space, as get_user_pages does it.
    pub fn pin(&mut self, core: usize, va: u64) -> Result<(), Failure> {
        let folio = self.folio_at(core, va)?;
        let own = |folio: &Rc<Folio>| (0..folio.pages()).all(|page| folio.anon_exclusive(page));
        if let Some(folio) = folio.filter(|folio| !folio.is_anon() || own(folio)) {
            folio.pin();
            let pfn = folio.pfn();
            self.pins.push(Pin { folio, pfn });
        }
        Ok(())
    }

    pub fn unpin(&mut self, core: usize, number: u8) -> Result<(), Failure> {
        let Some(chosen) = usize::from(number).checked_rem(self.pins.len()) else {
            return Ok(());
        };
        let Pin { folio, pfn } = self.pins.swap_remove(chosen);
        let moved = folio.pfn() != pfn || folio.references() < PIN;
        self.kernel.unpin_folio(core as u8, &folio);
        match moved {
            true => Err(format!("pinned {pfn} is now {} (MM-27)", folio.pfn()).into()),
            false => Ok(()),
        }
    }

    /// What the pins hold.
    pub fn held(&self) -> Held {
        let mut held = Held::new();
        for pin in &self.pins {
            *held.entry(pin.pfn).or_default() += PIN;
        }
        held
    }
}
