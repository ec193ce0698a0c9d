// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the kernel does to pages behind the back of programs. None of it changes what they see.

use crate::model::Access;
use crate::step::Share;
use crate::world::{Failure, World, compare};
use std::rc::Rc;
use sw_mm::audit::Held;
use sw_mm::folio::{Folio, PIN};
use sw_mm::migrate::MigrateMode;
use sw_mm::mm::{Error, Found, PinnedPage};
use sw_mm::page::{NodeId, Pfn};
use sw_mm::pte::raw;
use sw_mm::{AccessSize, Cpu, Privilege, block_on, contpte};
use vmsa::geometry;

/// A page that a device works with.
pub struct Pin {
    number: u32,
    pinned: PinnedPage,
    pfn: Pfn,
    /// The page of a file that it is.
    file: Option<(u8, u64)>,
}

impl Pin {
    /// Whether it is of that page of a file.
    pub fn is_of(&self, file: u8, index: u64) -> bool {
        self.file == Some((file, index))
    }
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

    /// MM-28: marked pages are what they were.
    pub fn hint(&mut self, core: usize, (va, bytes): (u64, u64)) -> Result<(), Failure> {
        let thread = &self.threads[core];
        let Some(space) = thread.space() else {
            return Ok(());
        };
        block_on(thread.hint_scan(&space, va, va + bytes))?;
        Ok(())
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

    /// MM-26, MM-27.
    pub fn migrate(&mut self, core: usize, va: u64, node: u8) -> Result<(), Failure> {
        let Some(folio) = self.folio_at(core, va)? else {
            return Ok(());
        };
        let (pinned, target) = (folio.maybe_pinned(), NodeId(node));
        let there = folio.node() == target;
        // Many references look like a pin: here, and those that the migration itself takes.
        let full = folio.references() + 2 >= PIN;
        let moved = block_on(self.threads[core].migrate(&folio, target, MigrateMode::Sync));
        match moved {
            Ok(new) if new.node() != target => Err("it is elsewhere".into()),
            Ok(_) if pinned && !there => Err("a pinned page was moved (MM-27)".into()),
            Ok(_) => Ok(()),
            Err(Error::Busy) if pinned || full => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A device gets the page at `va`, to write to it.
    pub fn pin(&mut self, core: usize, va: u64) -> Result<(), Failure> {
        let pinned = block_on(self.threads[core].pin_user_page(va, true));
        let judged = self.judge(core, va, 1, Access::Store);
        compare(
            pinned.as_ref().map(|_| 0).map_err(Clone::clone),
            judged.map(|_| 0),
        )?;
        let (Ok(space), Ok(pinned)) = (judged, pinned) else {
            return Ok(());
        };
        let number = self.next_pin;
        self.next_pin += 1;
        let page = va >> self.setup.granule.shift();
        let space = self.model.spaces.get_mut(&space).ok_or("no space")?;
        let page = space.get_mut(&page).ok_or("no page")?;
        let file = match page.share {
            Share::SharedFile(file) => Some((file, page.index)),
            _ => None,
        };
        page.pins.push(number);
        let pfn = Pfn(pinned.folio.pfn().0 + pinned.page);
        self.pins.push(Pin {
            number,
            pinned,
            pfn,
            file,
        });
        Ok(())
    }

    /// A device stores to its page, which programs see as long as the page is theirs.
    pub fn device(&mut self, core: usize, number: u8, value: u8) -> Result<(), Failure> {
        let Some(chosen) = usize::from(number).checked_rem(self.pins.len()) else {
            return Ok(());
        };
        let pin = &self.pins[chosen];
        let offset = self.page_bytes() / 2 + 16;
        let pa = self.kernel.pa(pin.pfn) + offset;
        let (va, cpu) = (self.kernel.virt(pa)?, &self.threads[core].cpu);
        let store = cpu.store(va, AccessSize::Byte, Privilege::Privileged, value.into());
        block_on(store).map_err(Error::from)?;
        let contents = match pin.file {
            Some(page) => Some(self.model.files.entry(page).or_default()),
            None => {
                let pages = self.model.spaces.values_mut().flat_map(|s| s.values_mut());
                let mut pages = pages.filter(|page| page.pins.contains(&pin.number));
                pages.next().and_then(|page| page.own.as_mut())
            }
        };
        if let Some(contents) = contents {
            contents.insert(offset, value);
        }
        Ok(())
    }

    pub fn unpin(&mut self, core: usize, number: u8) -> Result<(), Failure> {
        let Some(chosen) = usize::from(number).checked_rem(self.pins.len()) else {
            return Ok(());
        };
        let Pin { pinned, .. } = self.pins.swap_remove(chosen);
        self.threads[core].unpin_user_page(pinned, true);
        Ok(())
    }

    /// What the pins hold.
    pub fn held(&self) -> Held {
        let mut held = Held::new();
        for pin in &self.pins {
            *held.entry(pin.pinned.folio.pfn()).or_default() += PIN;
        }
        held
    }
}
