// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What all threads of the load share: the kernel, the shadow, address spaces that nobody runs at the
//! moment, and the first thing that went wrong.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use cosim::regress::Failure;
use cosim::sim::CoreHandle;
use sw_mm::AccessSize::Double;
use sw_mm::file::File;
use sw_mm::mm::{AddressSpace, Map, Protection};
use sw_mm::thread::Thread;

use super::layout::{Backing, Layout};
use super::mistake::{Copied, Mistake};
use super::shadow::{Shadow, Wish};
use crate::mm::os::{Os, drop_cache};

/// The load.
pub struct World {
    /// The kernel and its threads.
    pub os: Rc<Os>,
    /// Where it maps memory.
    pub layout: Layout,
    /// What is there.
    pub shadow: RefCell<Shadow>,
    /// The page that all are about at the moment.
    pub hot: Cell<usize>,
    /// What the kernel does wrong, to see whether it is noticed.
    pub mistake: Option<Mistake>,
    /// What was copied too early, and is moved next.
    pub copied: RefCell<Option<Copied>>,
    /// Something was loaded that cannot be.
    pub noticed: Cell<bool>,
    /// Address spaces to go on in, one for each user that no core runs.
    ready: RefCell<Vec<Rc<AddressSpace>>>,
    shared: Rc<File>,
    private: Rc<File>,
    /// Cycle from which on everything exits.
    end: u64,
    failure: RefCell<Option<Failure>>,
    figures: RefCell<BTreeMap<&'static str, u64>>,
    spaces: Cell<usize>,
}

impl World {
    /// A load on `os` until cycle `end`, with a kernel that makes `mistake`.
    #[must_use]
    pub fn new(os: Rc<Os>, end: u64, mistake: Option<Mistake>) -> Rc<Self> {
        let threads = os.threads.len();
        let layout = Layout::new(os.kernel.granule(), threads);
        let pages = |backing| layout.pages_of(backing).len() as u64;
        Rc::new(Self {
            shadow: RefCell::new(Shadow::new(layout.clone(), threads)),
            ready: RefCell::default(),
            shared: File::new(1, pages(Backing::Shared)),
            private: File::new(2, pages(Backing::Private)),
            end,
            failure: RefCell::default(),
            figures: RefCell::default(),
            spaces: Cell::new(0),
            hot: Cell::new(0),
            mistake,
            copied: RefCell::default(),
            noticed: Cell::new(false),
            layout,
            os,
        })
    }

    /// The current cycle.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.os.handle.now()
    }

    /// Whether everything exits.
    #[must_use]
    pub fn over(&self) -> bool {
        self.now() >= self.end || self.failure.borrow().is_some()
    }

    /// Something went wrong.
    pub fn fail(&self, failure: Failure) {
        let mut first = self.failure.borrow_mut();
        if first.is_none() {
            *first = Some(failure.at_cycle(self.now()));
        }
    }

    /// The first thing that went wrong.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.failure.borrow().clone()
    }

    /// One more of what `name` says.
    pub fn count(&self, name: &'static str) {
        *self.figures.borrow_mut().entry(name).or_default() += 1;
    }

    /// What was done, and how often.
    #[must_use]
    pub fn figures(&self) -> BTreeMap<&'static str, u64> {
        self.figures.borrow().clone()
    }

    /// Address spaces that live.
    #[must_use]
    pub fn spaces(&self) -> usize {
        self.spaces.get()
    }

    /// Whether an address space waits for a core.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ready.borrow().len()
    }

    /// Has somebody go on in `space` later.
    pub fn put(&self, space: Rc<AddressSpace>) {
        self.ready.borrow_mut().push(space);
    }

    /// Takes the address space that waits at `place`, modulo their number.
    pub fn take(&self, place: usize) -> Option<Rc<AddressSpace>> {
        let mut ready = self.ready.borrow_mut();
        let count = ready.len();
        (count > 0).then(|| ready.remove(place % count))
    }

    /// What to map `pages` of a region to get what is behind them.
    #[must_use]
    pub fn map(&self, first: usize, pages: usize, protection: Protection) -> Map {
        let region = self.layout.region(first);
        let index = (first - region.first) as u64;
        let (shared, file) = match region.backing {
            Backing::Anonymous => (false, None),
            Backing::Shared => (true, Some((Rc::clone(&self.shared), index))),
            Backing::Private => (false, Some((Rc::clone(&self.private), index))),
        };
        let bytes = pages as u64 * self.os.kernel.granule().bytes();
        Map {
            shared,
            file,
            ..Map::anonymous(self.layout.va(first, 0), bytes, protection)
        }
    }

    /// A new address space, with every region mapped, that `thread` runs.
    ///
    /// # Errors
    /// What the kernel answers.
    pub async fn create(&self, thread: &Thread<CoreHandle>) -> Result<(), Failure> {
        let space = AddressSpace::new(thread).await?;
        self.appears();
        self.shadow.borrow_mut().add(space.number());
        thread.switch_to(&space).await;
        let protection = Protection::READ_WRITE;
        for region in self.layout.regions() {
            let pages = region.first..region.first + region.pages;
            let wish = Wish {
                area: Some(Some(protection)),
                ..Wish::default()
            };
            let edit = self
                .shadow
                .borrow_mut()
                .edits(space.number(), pages, wish, self.now());
            thread
                .mmap(&self.map(region.first, region.pages, protection))
                .await?;
            self.shadow
                .borrow_mut()
                .edited(&edit, super::log::Ended::Done, self.now());
        }
        Ok(())
    }

    /// One more address space lives.
    pub fn appears(&self) {
        self.spaces.set(self.spaces.get() + 1);
    }

    /// Has `thread` leave its address space for good.
    ///
    /// # Errors
    /// What the kernel answers.
    pub async fn exit(&self, thread: &Thread<CoreHandle>) -> Result<(), Failure> {
        let Some(space) = thread.space() else {
            return Ok(());
        };
        thread.exit().await?;
        let number = space.number();
        let gone = self.os.kernel.space(number).is_none();
        if gone && self.shadow.borrow_mut().remove(number) {
            self.spaces.set(self.spaces.get() - 1);
        }
        Ok(())
    }

    /// Writes the file that nobody writes afterwards, through a mapping of it that all would share.
    ///
    /// # Errors
    /// What the kernel answers.
    pub async fn prepare(&self) -> Result<(), Failure> {
        let thread = &self.os.threads[0];
        let space = AddressSpace::new(thread).await?;
        thread.switch_to(&space).await;
        let pages = self.layout.pages_of(Backing::Private);
        let map = self.map(pages.start, pages.len(), Protection::READ_WRITE);
        thread
            .mmap(&Map {
                shared: true,
                ..map
            })
            .await?;
        for page in pages {
            for word in 0..self.layout.words() {
                let value = self.layout.untouched(page, word);
                thread
                    .user_store(self.layout.va(page, word), Double, value)
                    .await?;
            }
        }
        thread.exit().await?;
        Ok(())
    }

    /// Gives back what is left when every address space has exited.
    pub fn clean(&self) {
        drop_cache(&self.os.kernel, &self.shared);
        drop_cache(&self.os.kernel, &self.private);
    }
}
