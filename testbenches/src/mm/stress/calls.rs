// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The system calls of the load.

use std::ops::Range;
use std::rc::Rc;

use cosim::regress::Failure;
use sw_mm::mm::{AddressSpace, Advice, Destination, Error, Protection, Remap};
use sw_mm::page::{NodeId, NodeMask};
use sw_mm::policy::{Mode, Policy};

use super::layout::Backing;
use super::log::Ended;
use super::shadow::{Shadow, Wish};
use super::worker::Worker;

/// What a call says of the pages that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// All have to be mapped.
    Mapped,
    /// None may be mapped.
    Vacant,
    Nothing,
}

impl Worker {
    /// One call, or something that the kernel does of its own accord.
    pub(super) async fn call(&self, space: &Rc<AddressSpace>) -> Result<(), Failure> {
        if self.short.replace(false) {
            return self.world.exit(&self.thread).await;
        }
        match self.draw(0..50) {
            0..6 => self.mmap(space).await,
            6..10 => self.munmap(space).await,
            10..16 => self.mprotect(space).await,
            16..20 => self.dontneed(space).await,
            20..23 => self.mremap(space).await,
            23..25 => self.advise(space).await,
            25..27 => self.bind(space).await,
            27..31 => self.fork(space).await,
            31..33 => self.clone(space),
            33..37 => self.switch(space).await,
            37 => self.exit().await,
            38..40 => self.swap_out().await,
            40 => self.reclaim().await,
            41..45 => self.migrate().await,
            45..48 => self.device(space).await,
            48 => self.hint(space).await,
            _ => {
                self.world.os.handle.sleep(self.draw(0..500) as u64).await;
                Ok(())
            }
        }
    }

    /// Some pages of a region; now and then just the one that all are about.
    fn range(&self, backing: Option<Backing>) -> Range<usize> {
        let hot = self.world.hot.get();
        let is = self.world.layout.region(hot).backing;
        if self.draw(0..4) == 0 && backing.is_none_or(|wanted| wanted == is) {
            return hot..hot + 1;
        }
        let regions = self.world.layout.regions();
        let fits =
            |backing: &Backing, wanted: Option<Backing>| wanted.is_none_or(|w| w == *backing);
        let among: Vec<_> = regions
            .iter()
            .filter(|region| fits(&region.backing, backing))
            .collect();
        let region = among[self.draw(0..among.len())];
        let first = self.draw(0..region.pages);
        // Often few, sometimes all that is left.
        let most = match self.draw(0..4) {
            0 => region.pages - first,
            _ => (region.pages - first).min(4),
        };
        let first = region.first + first;
        first..first + self.draw(1..most + 1)
    }

    fn bytes(&self, range: &Range<usize>) -> (u64, u64) {
        let bytes = self.world.os.kernel.granule().bytes();
        (
            self.world.layout.va(range.start, 0),
            range.len() as u64 * bytes,
        )
    }

    fn protection(&self) -> Protection {
        match self.draw(0..10) {
            0..6 => Protection::READ_WRITE,
            6..8 => Protection::READ,
            8 => Protection::new(true, true, true),
            _ => [Protection::NONE, Protection::READ_EXECUTE][self.draw(0..2)],
        }
    }

    /// Makes a call that is about the pages in `range` and does to them what `wish` says.
    async fn about(
        &self,
        space: &AddressSpace,
        range: Range<usize>,
        wish: Wish,
        needs: Needs,
        name: &'static str,
        call: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Failure> {
        let number = space.number();
        let from = self.asks();
        let edit = {
            let mut shadow = self.world.shadow.borrow_mut();
            shadow.edits(number, range.clone(), wish, from)
        };
        let answer = call.await;
        let span = (from, self.world.now());
        let mut shadow = self.world.shadow.borrow_mut();
        let may = |mapped: bool, all: bool, shadow: &Shadow| {
            shadow.may_have_been(&edit, range.clone(), span, all, |area| {
                area.is_some() == mapped
            })
        };
        let fits = match (&answer, needs) {
            (Ok(()), Needs::Mapped) => may(true, true, &shadow),
            (Ok(()), Needs::Vacant) => may(false, true, &shadow),
            (Ok(()), Needs::Nothing) => true,
            (Err(Error::NotMapped), Needs::Mapped) => may(false, false, &shadow),
            (Err(Error::Exists), Needs::Vacant) => may(true, false, &shadow),
            _ => false,
        };
        let ended = if answer.is_ok() {
            Ended::Done
        } else {
            Ended::Refused
        };
        shadow.edited(&edit, ended, span.1);
        shadow.answered(self.number);
        drop(shadow);
        self.world.count(name);
        if fits {
            return Ok(());
        }
        Err(Failure::expectation(format!(
            "core {} asked at {from} for {name} of mm{number} pages {range:?}: {answer:?}",
            self.number
        )))
    }

    async fn mmap(&self, space: &AddressSpace) -> Result<(), Failure> {
        let (range, protection) = (self.range(None), self.protection());
        let map = self.world.map(range.start, range.len(), protection);
        let wish = Wish {
            area: Some(Some(protection)),
            inherited: Some(true),
            reset: false,
        };
        let call = self.thread.mmap(&map);
        self.about(space, range, wish, Needs::Vacant, "mmap", call)
            .await
    }

    async fn munmap(&self, space: &AddressSpace) -> Result<(), Failure> {
        let range = self.range(None);
        let (va, bytes) = self.bytes(&range);
        let wish = Wish {
            area: Some(None),
            reset: true,
            ..Wish::default()
        };
        let call = self.thread.munmap(va, bytes);
        self.about(space, range, wish, Needs::Nothing, "munmap", call)
            .await
    }

    async fn mprotect(&self, space: &AddressSpace) -> Result<(), Failure> {
        let (range, protection) = (self.range(None), self.protection());
        let (va, bytes) = self.bytes(&range);
        let wish = Wish {
            area: Some(Some(protection)),
            ..Wish::default()
        };
        let call = self.thread.mprotect(va, bytes, protection);
        self.about(space, range, wish, Needs::Mapped, "mprotect", call)
            .await
    }

    async fn dontneed(&self, space: &AddressSpace) -> Result<(), Failure> {
        let range = self.range(None);
        let (va, bytes) = self.bytes(&range);
        let wish = Wish {
            reset: true,
            ..Wish::default()
        };
        let call = self.thread.madvise_dontneed(va, bytes);
        self.about(space, range, wish, Needs::Mapped, "MADV_DONTNEED", call)
            .await
    }

    async fn advise(&self, space: &AddressSpace) -> Result<(), Failure> {
        let range = self.range(None);
        let (va, bytes) = self.bytes(&range);
        let advice = [Advice::NoHugePage, Advice::DontFork, Advice::DoFork][self.draw(0..3)];
        let wish = Wish {
            inherited: match advice {
                Advice::DontFork => Some(false),
                Advice::DoFork => Some(true),
                _ => None,
            },
            ..Wish::default()
        };
        let call = self.thread.madvise(va, bytes, advice);
        self.about(space, range, wish, Needs::Mapped, "madvise", call)
            .await
    }

    async fn bind(&self, space: &AddressSpace) -> Result<(), Failure> {
        let range = self.range(None);
        let (va, bytes) = self.bytes(&range);
        let nodes = self.world.os.kernel.memory.nodes();
        let node = NodeId(self.draw(0..nodes) as u8);
        let all = (0..nodes as u8).map(NodeId).collect::<NodeMask>();
        let policy = match self.draw(0..3) {
            0 => None,
            1 => Some(Policy::new(Mode::Preferred(node))),
            _ => Some(Policy::new(Mode::Interleave(all))),
        };
        let call = self.thread.mbind(va, bytes, policy);
        self.about(space, range, Wish::default(), Needs::Mapped, "mbind", call)
            .await
    }

    /// Moves private memory to other pages of its own.
    async fn mremap(&self, space: &AddressSpace) -> Result<(), Failure> {
        let old = self.range(Some(Backing::Anonymous));
        let other = self.range(Some(Backing::Anonymous));
        let count = old.len().min(other.len());
        let (old, new) = (
            old.start..old.start + count,
            other.start..other.start + count,
        );
        if old.start < new.end && new.start < old.end {
            return Ok(());
        }
        let (number, from) = (space.number(), self.asks());
        let wish = Wish {
            area: Some(None),
            reset: true,
            ..Wish::default()
        };
        let (gives, takes) = {
            let mut shadow = self.world.shadow.borrow_mut();
            let gives = shadow.edits(number, old.clone(), wish, from);
            (gives, shadow.receives(number, new.clone(), from))
        };
        let ((va, bytes), (to, _)) = (self.bytes(&old), self.bytes(&new));
        let answer = self
            .thread
            .mremap(&Remap {
                va,
                bytes,
                new_bytes: bytes,
                to: Destination::Fixed(to),
            })
            .await;
        let now = self.world.now();
        let mut shadow = self.world.shadow.borrow_mut();
        let fits = match &answer {
            Ok(at) => {
                let there = shadow.moved(&gives, &takes, (from, now));
                shadow.edited(&gives, Ended::Done, now);
                shadow.edited(&takes, Ended::Done, now);
                there && *at == to
            }
            // What was at the destination is gone all the same.
            Err(Error::OutOfMemory) => {
                shadow.emptied(&takes);
                shadow.edited(&gives, Ended::Refused, now);
                shadow.edited(&takes, Ended::Done, now);
                self.short.set(true);
                true
            }
            Err(error) => {
                shadow.edited(&gives, Ended::Refused, now);
                shadow.edited(&takes, Ended::Refused, now);
                *error == Error::NotMapped
            }
        };
        shadow.answered(self.number);
        drop(shadow);
        self.world.count(if answer.is_ok() {
            "mremap"
        } else {
            "mremap refused"
        });
        if fits {
            return Ok(());
        }
        Err(Failure::expectation(format!(
            "core {} asked at {from} to move mm{number} pages {old:?} to {new:?}: {answer:?}",
            self.number
        )))
    }

    /// Marks pages, so that their next access tells who uses them, and they move there.
    async fn hint(&self, space: &Rc<AddressSpace>) -> Result<(), Failure> {
        let (va, bytes) = self.bytes(&self.range(None));
        self.asks();
        let marked = self.thread.hint_scan(space, va, va + bytes).await;
        self.answered();
        marked?;
        self.world.count("hint scan");
        Ok(())
    }

    async fn fork(&self, space: &AddressSpace) -> Result<(), Failure> {
        let world = &self.world;
        if world.spaces() > 2 * world.os.threads.len() + 1 {
            return world.exit(&self.thread).await;
        }
        let from = self.asks();
        match self.thread.fork().await {
            Ok(child) => {
                let (parent, number) = (space.number(), child.number());
                let mut shadow = world.shadow.borrow_mut();
                shadow.fork(parent, number, (from, world.now()));
                world.appears();
                world.put(child);
                world.count("fork");
            }
            Err(Error::OutOfMemory) => self.short.set(true),
            Err(error) => return Err(error.into()),
        }
        self.answered();
        Ok(())
    }

    /// One more thread for this address space, to run on whichever core.
    fn clone(&self, space: &Rc<AddressSpace>) -> Result<(), Failure> {
        if self.world.waiting() < 2 * self.world.os.threads.len() {
            space.users.set(space.users.get() + 1);
            self.world.put(Rc::clone(space));
            self.world.count("clone");
        }
        Ok(())
    }

    async fn switch(&self, space: &Rc<AddressSpace>) -> Result<(), Failure> {
        let place = self.draw(0..64);
        if let Some(next) = self.world.take(place) {
            self.thread.switch_to(&next).await;
            // Only now does nobody walk its tables any more from here.
            self.world.put(Rc::clone(space));
            self.world.count("switch");
        }
        Ok(())
    }

    async fn exit(&self) -> Result<(), Failure> {
        self.world.count("exit");
        self.world.exit(&self.thread).await
    }
}
