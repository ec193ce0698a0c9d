// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Pages that one thread alone uses: what they hold is certain, while all other threads work on tables
//! and areas beside.

use super::op::OWN;
use super::race::Shared;
use super::task::{Outcome, certain, permitted};
use sw_mm::AccessSize::Double;
use sw_mm::Cpu;
use sw_mm::mm::{Destination, Map, Protection, Remap};
use sw_mm::thread::Thread;

/// The own pages of a thread.
pub struct Own {
    /// What each holds that is mapped.
    pages: Vec<Option<u64>>,
    thread: usize,
    /// Which of two places they are in.
    place: bool,
}

impl Own {
    pub fn new(thread: usize) -> Self {
        Self {
            pages: vec![None; usize::from(OWN)],
            thread,
            place: false,
        }
    }

    fn va(&self, shared: &Shared, page: usize) -> u64 {
        shared.own(self.thread, self.place) + page as u64 * shared.page
    }

    pub async fn load<C: Cpu>(&self, thread: &Thread<C>, shared: &Shared, page: usize) -> Outcome {
        let seen = thread.user_load(self.va(shared, page), Double).await;
        match permitted(seen)? {
            seen if seen == self.pages[page] => Ok(()),
            seen => {
                let expected = self.pages[page];
                Err(format!("own page {page}: {seen:?}, expected {expected:?}"))
            }
        }
    }

    pub async fn store<C: Cpu>(
        &mut self,
        thread: &Thread<C>,
        shared: &Shared,
        page: usize,
    ) -> Outcome {
        let value = self.pages[page].map(|value| value + 1);
        let store = thread.user_store(self.va(shared, page), Double, value.unwrap_or(7));
        let stored = permitted(store.await)?;
        if stored.is_some() != value.is_some() {
            return Err(format!("own page {page}: {stored:?}, expected {value:?}"));
        }
        self.pages[page] = value;
        Ok(())
    }

    pub async fn unmap<C: Cpu>(
        &mut self,
        thread: &Thread<C>,
        shared: &Shared,
        page: usize,
    ) -> Outcome {
        let va = self.va(shared, page);
        certain(thread.munmap(va, shared.page).await)?;
        self.pages[page] = None;
        Ok(())
    }

    /// Moves the first run of pages that are mapped, and throws the rest away; maps them if none is.
    pub async fn relocate<C: Cpu>(&mut self, thread: &Thread<C>, shared: &Shared) -> Outcome {
        let Some(first) = self.pages.iter().position(Option::is_some) else {
            let bytes = u64::from(OWN) * shared.page;
            let map = Map::anonymous(self.va(shared, 0), bytes, Protection::READ_WRITE);
            certain(thread.mmap(&map).await)?;
            self.pages.fill(Some(0));
            return Ok(());
        };
        let run = self.pages[first..].iter().take_while(|page| page.is_some());
        let count = run.count();
        let bytes = count as u64 * shared.page;
        let to = shared.own(self.thread, !self.place);
        let remap = Remap {
            va: self.va(shared, first),
            bytes,
            new_bytes: bytes,
            to: Destination::Fixed(to),
        };
        match thread.mremap(&remap).await {
            Ok(at) if at == to => {}
            other => return Err(format!("mremap: {other:?}")),
        }
        let bytes = self.pages.len() as u64 * shared.page;
        certain(thread.munmap(self.va(shared, 0), bytes).await)?;
        self.place = !self.place;
        self.pages.drain(..first);
        self.pages.truncate(count);
        self.pages.resize(usize::from(OWN), None);
        Ok(())
    }

    /// All that is mapped holds what it should.
    pub async fn check<C: Cpu>(&self, thread: &Thread<C>, shared: &Shared) -> Outcome {
        for page in 0..self.pages.len() {
            self.load(thread, shared, page).await?;
        }
        Ok(())
    }
}
