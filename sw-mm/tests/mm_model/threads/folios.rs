// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the kernel and devices do to pages while threads use them.

use super::race::Shared;
use super::task::{Outcome, Task, certain, permitted};
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::audit::Held;
use sw_mm::folio::{Folio, Owner, PIN};
use sw_mm::migrate::MigrateMode;
use sw_mm::mm::{Error, PinnedPage};
use sw_mm::page::{NodeId, Pfn};
use sw_mm::{Cpu, Privilege, contpte};

/// Pages that the device of a thread works with at most.
const MOST_PINS: usize = 3;

/// A common page that a device works with.
pub struct Pin {
    page: usize,
    pinned: PinnedPage,
    pfn: Pfn,
}

impl Shared {
    /// One of all folios.
    pub fn folio(&self, number: u8) -> Option<Rc<Folio>> {
        let owners = self.kernel.frames.all().into_iter();
        let folios = owners.filter_map(|owner| match owner {
            Owner::Folio(folio) => Some(folio),
            _ => None,
        });
        let all: Vec<_> = folios.collect();
        let chosen = usize::from(number).checked_rem(all.len())?;
        Some(Rc::clone(&all[chosen]))
    }
}

impl<C: Cpu> Task<C> {
    pub async fn swap_out(&self, number: u8) -> Outcome {
        let Some(folio) = self.shared.folio(number) else {
            return Ok(());
        };
        match self.thread.swap_out(&folio).await {
            Ok(())
            | Err(
                Error::Busy
                | Error::Again
                | Error::Invalid(_)
                | Error::OutOfMemory
                | Error::NotMapped,
            ) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// MM-26.
    pub async fn migrate(&self, number: u8, node: u8, wait: bool) -> Outcome {
        let Some(folio) = self.shared.folio(number) else {
            return Ok(());
        };
        let mode = match wait {
            true => MigrateMode::Sync,
            false => MigrateMode::Async,
        };
        match self.thread.migrate(&folio, NodeId(node), mode).await {
            Ok(new) if new.node() != NodeId(node) => Err("it is elsewhere".into()),
            Ok(_) | Err(Error::Busy | Error::Again | Error::OutOfMemory | Error::NotMapped) => {
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    pub async fn reclaim(&self, node: u8, pages: u64) -> Outcome {
        certain(self.thread.reclaim(NodeId(node), pages).await.map(|_| ()))
    }

    /// MM-28.
    pub async fn hint(&self, page: usize, count: u64) -> Outcome {
        let Some(space) = self.thread.space() else {
            return Ok(());
        };
        let va = self.shared.common(page);
        let marked = self
            .thread
            .hint_scan(&space, va, va + count * self.shared.page);
        certain(marked.await.map(|_| ()))
    }

    pub async fn age(&self, number: u8, flush: bool) -> Outcome {
        let Some(folio) = self.shared.folio(number) else {
            return Ok(());
        };
        let thread = &self.thread;
        folio.get(1);
        let locked = thread.lock_folio(&folio).await;
        let aged = async {
            for place in thread.rmap_walk(&folio).await? {
                let _ptl = place.table.lock.lock(&thread.held).await;
                if place.table.dead.get() {
                    continue;
                }
                match flush {
                    true => contpte::clear_flush_young(thread, &place.space, place.ptr).await?,
                    false => contpte::test_and_clear_young(thread, &place.space, place.ptr).await?,
                };
            }
            Ok(())
        };
        let aged = aged.await;
        drop(locked);
        self.shared.kernel.put_folio(thread.core, &folio, 1);
        certain(aged)
    }

    /// The device gets a common page, to write to it.
    pub async fn pin(&self, number: usize) -> Outcome {
        if self.pins.borrow().len() == MOST_PINS {
            return Ok(());
        }
        let page = &self.here().common[number];
        let seen = page.look(self.number);
        let pinned = self.thread.pin_user_page(self.shared.common(number), true);
        let pinned = permitted(pinned.await)?;
        page.judge(&seen, true, pinned.is_some())?;
        if let Some(pinned) = pinned {
            let pfn = Pfn(pinned.folio.pfn().0 + pinned.page);
            self.pins.borrow_mut().push(Pin {
                page: number,
                pinned,
                pfn,
            });
        }
        Ok(())
    }

    /// The device stores to a page of its own, which programs see (MM-27).
    pub async fn device(&self, number: u8) -> Outcome {
        let chosen = usize::from(number).checked_rem(self.pins.borrow().len());
        let Some(chosen) = chosen else {
            return Ok(());
        };
        let (number, pfn) = {
            let pin = &self.pins.borrow()[chosen];
            (pin.page, pin.pfn)
        };
        let (page, writer) = (&self.here().common[number], self.threads + self.number);
        let seen = page.look(writer);
        let value = page.begin_store(writer);
        let kernel = &self.shared.kernel;
        let pa = kernel.pa(pfn) + writer as u64 * 8;
        let va = kernel.virt(pa).map_err(|error| error.to_string())?;
        let cpu = &self.thread.cpu;
        let stored = cpu.store(va, Double, Privilege::Privileged, value).await;
        stored.map_err(|fault| format!("{fault:?}"))?;
        page.end_store(writer, &seen, true);
        Ok(())
    }

    pub fn unpin(&self, number: u8) -> Outcome {
        let chosen = usize::from(number).checked_rem(self.pins.borrow().len());
        let Some(chosen) = chosen else {
            return Ok(());
        };
        let Pin { pinned, .. } = self.pins.borrow_mut().swap_remove(chosen);
        self.thread.unpin_user_page(pinned, true);
        Ok(())
    }

    /// What its pins hold.
    pub fn held(&self, held: &mut Held) {
        for pin in &*self.pins.borrow() {
            *held.entry(pin.pinned.folio.pfn()).or_default() += PIN;
        }
    }
}
