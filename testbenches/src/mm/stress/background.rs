// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What goes on with pages while user code runs: they leave memory, move between nodes, or are pinned for
//! a device, which reads and writes them where they are.

use std::rc::Rc;

use cosim::regress::Failure;
use sw_mm::folio::Folio;
use sw_mm::migrate::MigrateMode;
use sw_mm::mm::{AddressSpace, Error, PinnedPage};
use sw_mm::page::{NodeId, Pfn};
use sw_mm::pte::Pte;
use sw_mm::{AccessSize::Double, Cpu, Privilege};

use super::judge::{Need, Word};
use super::log::Ended;
use super::worker::Worker;

impl Worker {
    /// A folio that reclaim could look at: often that of the page that all are about, or one of some node.
    fn folio(&self) -> Option<Rc<Folio>> {
        let kernel = &self.world.os.kernel;
        if self.draw(0..2) == 0 {
            let va = self.world.layout.va(self.world.hot.get(), 0);
            let (_, entry) = self.world.os.leaf(&*self.thread.space()?, va)?;
            let pfn = Pte(entry.0).pfn(kernel.granule());
            let folio = kernel.frames.folio(pfn).filter(|_| entry.valid())?;
            return Some(folio).filter(|folio| folio.lru.get() && !folio.isolated.get());
        }
        let node = NodeId(self.draw(0..kernel.memory.nodes()) as u8);
        let folios = kernel.lru.folios(node);
        (!folios.is_empty()).then(|| Rc::clone(&folios[self.draw(0..folios.len())]))
    }

    pub(super) async fn swap_out(&self) -> Result<(), Failure> {
        let Some(folio) = self.folio() else {
            return Ok(());
        };
        self.before_swap(&folio);
        self.asks();
        let out = self.thread.swap_out(&folio).await;
        self.answered();
        match out {
            Ok(()) => self.world.count("swap out"),
            Err(Error::Busy | Error::OutOfMemory | Error::Invalid(_) | Error::NotMapped) => {
                self.world.count("swap out refused");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Takes what is old on some node out of memory.
    pub(super) async fn reclaim(&self) -> Result<(), Failure> {
        let nodes = self.world.os.kernel.memory.nodes();
        let node = NodeId(self.draw(0..nodes) as u8);
        self.asks();
        let freed = self.thread.reclaim(node, self.draw(1..5) as u64).await;
        self.answered();
        freed?;
        self.world.count("reclaim");
        Ok(())
    }

    /// Moves a folio to another node; one that stays pinned all the time stays where it is.
    pub(super) async fn migrate(&self) -> Result<(), Failure> {
        let nodes = self.world.os.kernel.memory.nodes();
        let chosen = self.folio().filter(|_| nodes > 1);
        let Some(copied) = chosen.and_then(|folio| self.copied(folio)) else {
            return Ok(());
        };
        let folio = &copied.folio;
        let target = NodeId(((usize::from(folio.node().0) + self.draw(1..nodes)) % nodes) as u8);
        let mode = [MigrateMode::Async, MigrateMode::Sync][self.draw(0..2)];
        let pinned = folio.maybe_pinned();
        self.asks();
        let moved = self.thread.migrate(folio, target, mode).await;
        self.answered();
        match moved {
            Ok(new) => {
                self.moved(&copied, &new);
                self.world.count("migrate");
                let fits = new.node() == target && !(pinned && folio.maybe_pinned());
                fits.then_some(()).ok_or_else(|| {
                    let (from, to) = (folio.pfn(), new.pfn());
                    Failure::expectation(format!("[MM-26, MM-27] {from} was moved to {to}"))
                })
            }
            Err(Error::Busy | Error::Again | Error::OutOfMemory | Error::NotMapped) => {
                self.world.count("migrate refused");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Pins a page and has a device use it for a while.
    pub(super) async fn device(&self, space: &AddressSpace) -> Result<(), Failure> {
        let write = self.draw(0..2) == 0;
        let word = self.word(space, write);
        let need = if write { Need::Write } else { Need::Read };
        let from = self.asks();
        let pinned = self.thread.pin_user_page(word.va, write).await;
        let used = match pinned {
            Ok(pinned) => {
                let used = match self.permitted(&word, None, need, from) {
                    Ok(_) => self.use_pinned(&word, &pinned, write, from).await,
                    Err(failure) => Err(failure),
                };
                self.world.count("pins");
                self.thread.unpin_user_page(pinned, write);
                used
            }
            Err(error) => self.permitted(&word, Some(&error), need, from).map(|_| ()),
        };
        self.answered();
        used
    }

    /// Accesses of a device to the pinned page of `at`. As long as nobody takes the page from its
    /// address, what the device finds and leaves is what is at that address. A page pinned for reads
    /// alone keeps what it held when its address gets a copy.
    async fn use_pinned(
        &self,
        at: &Word,
        pinned: &PinnedPage,
        write: bool,
        from: u64,
    ) -> Result<(), Failure> {
        let world = &self.world;
        let kernel = &world.os.kernel;
        let pfn = Pfn(pinned.folio.pfn().0 + pinned.page);
        let base = kernel.virt(kernel.pa(pfn))?;
        for _ in 0..self.draw(1..5) {
            world.os.handle.sleep(self.draw(0..400) as u64).await;
            let store = write && self.draw(0..2) == 0;
            let word = self.word_of(at.space, at.page, store);
            let va = base + world.layout.offset(word.word);
            let now = world.now();
            if !world.shadow.borrow().is_settled(at.space, at.page, from) {
                break;
            }
            if store {
                let value = self.value(&word);
                let change = world.shadow.borrow_mut().stores(word.place(), value, now);
                let stored = self
                    .thread
                    .cpu
                    .store(va, Double, Privilege::Privileged, value);
                stored.await.map_err(Error::from)?;
                let mut shadow = world.shadow.borrow_mut();
                // Else one cannot say whether it was still there; it may be met for good.
                if shadow.is_settled(at.space, at.page, from) {
                    shadow.stored(word.place(), change, Ended::Done, world.now());
                }
                world.count("device stores");
            } else {
                let loaded = self.thread.cpu.load(va, Double, Privilege::Privileged);
                let value = loaded.await.map_err(Error::from)?;
                if world.shadow.borrow().is_settled(at.space, at.page, from) {
                    let since = if write { now } else { from };
                    self.judge_value(&word, (value, u64::MAX), since)?;
                }
                world.count("device loads");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::{Backing, Layout};
    use super::super::shadow::{Shadow, Wish};
    use super::Ended;
    use vmsa::Granule;

    #[test]
    fn a_device_is_held_to_an_address_only_while_the_page_stays_there() {
        let layout = Layout::new(Granule::K4, 2);
        let (own, shared) = (0, layout.pages_of(Backing::Shared).start);
        let mut shadow = Shadow::new(layout, 2);
        shadow.add(1);
        assert!(shadow.is_settled(1, own, 5));
        let protects = shadow.edits(1, own..own + 1, Wish::default(), 10);
        assert!(shadow.is_settled(1, own, 5), "the page stays");
        shadow.edited(&protects, Ended::Done, 15);
        let unmaps = Wish {
            area: Some(None),
            reset: true,
            ..Wish::default()
        };
        let first = shadow.edits(1, own..shared + 1, unmaps, 20);
        let second = shadow.receives(1, own..own + 1, 25);
        assert!(!shadow.is_settled(1, own, 22), "under way");
        assert!(shadow.is_settled(1, shared, 22), "the file keeps it");
        shadow.edited(&first, Ended::Done, 30);
        assert!(!shadow.is_settled(1, own, 32), "one is left");
        shadow.edited(&second, Ended::Refused, 40);
        assert!(!shadow.is_settled(1, own, 39), "pinned before it was over");
        assert!(shadow.is_settled(1, own, 41));
    }
}
