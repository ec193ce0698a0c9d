// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What user programs have to see: address spaces as flat maps from pages to rights and bytes. No
//! tables, no folios, no TLBs.

use crate::step::Share;
use std::collections::BTreeMap;
use sw_mm::mm::{Protection, Signal};

/// Bytes that are not zero, by their place in a page.
pub type Bytes = BTreeMap<u64, u8>;

/// A page of an address space.
#[derive(Clone, Debug)]
pub struct Page {
    pub protection: Protection,
    pub share: Share,
    /// Page of the file.
    pub index: u64,
    /// Contents that nobody else has.
    pub own: Option<Bytes>,
    /// A child gets it.
    pub inherited: bool,
    /// Who works with the frame that holds its own contents.
    pub pins: Vec<u32>,
}

/// An address space: pages by number.
pub type Space = BTreeMap<u64, Page>;

/// What an access asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Load,
    Store,
    Swap,
    Fetch,
}

/// An access that is refused, and the address that is reported.
pub type Refused = (Signal, u64);

#[derive(Clone, Debug)]
pub struct Model {
    shift: u32,
    pub spaces: BTreeMap<u32, Space>,
    /// Contents of files: by file and page.
    pub files: BTreeMap<(u8, u64), Bytes>,
    /// Pages that each file has.
    pub file_pages: u64,
}

impl Model {
    pub fn new(shift: u32, file_pages: u64) -> Self {
        Self {
            shift,
            spaces: BTreeMap::new(),
            files: BTreeMap::new(),
            file_pages,
        }
    }

    fn page_of(&self, va: u64) -> (u64, u64) {
        (va >> self.shift, va & ((1 << self.shift) - 1))
    }

    fn page(&mut self, space: u32, page: u64) -> Option<&mut Page> {
        self.spaces.get_mut(&space)?.get_mut(&page)
    }

    /// Whether every page is mapped.
    pub fn all_mapped(&self, space: u32, pages: std::ops::Range<u64>) -> bool {
        let space = &self.spaces[&space];
        space.range(pages.clone()).count() as u64 == pages.end - pages.start
    }

    /// Judges an access of `bytes` bytes, page by page, as far as it is permitted. A page that is about
    /// to be written becomes private on the way if it is to be.
    pub fn judge(
        &mut self,
        space: u32,
        va: u64,
        bytes: u64,
        access: Access,
    ) -> Result<(), Refused> {
        let aligned = match access {
            Access::Swap => va.is_multiple_of(8),
            Access::Load | Access::Store | Access::Fetch => true,
        };
        if !aligned {
            return Err((Signal::Bus, va));
        }
        let (first, last) = (va >> self.shift, (va + bytes - 1) >> self.shift);
        for number in first..=last {
            // The second page is named by its first byte.
            let at = va.max(number << self.shift);
            self.judge_page(space, number, at, access)?;
        }
        Ok(())
    }

    fn judge_page(
        &mut self,
        space: u32,
        number: u64,
        at: u64,
        access: Access,
    ) -> Result<(), Refused> {
        let (shift, file_pages) = (self.shift, self.file_pages);
        let contents = self.shared(space, number);
        let segv = Err((Signal::Segv, at));
        let Some(page) = self.page(space, number) else {
            return segv;
        };
        let Protection {
            read,
            write,
            execute,
        } = page.protection;
        let (reads, writes) = match access {
            Access::Load => (read, true),
            Access::Fetch => (execute, true),
            Access::Store => (write, true),
            // It is a read that faults first.
            Access::Swap => (read, write),
        };
        if !reads {
            return segv;
        }
        if page.share != Share::Anonymous && page.own.is_none() && page.index >= file_pages {
            return Err((Signal::Bus, number << shift));
        }
        if !writes {
            return segv;
        }
        let stores = matches!(access, Access::Store | Access::Swap);
        if stores && !matches!(page.share, Share::SharedFile(_)) && page.own.is_none() {
            page.own = Some(contents);
        }
        Ok(())
    }

    /// What a page shows that has no contents of its own.
    fn shared(&self, space: u32, number: u64) -> Bytes {
        let page = self.spaces.get(&space).and_then(|s| s.get(&number));
        let Some(page) = page.filter(|page| page.own.is_none()) else {
            return Bytes::new();
        };
        match page.share {
            Share::Anonymous => Bytes::new(),
            Share::SharedFile(file) | Share::PrivateFile(file) => {
                let contents = self.files.get(&(file, page.index));
                contents.cloned().unwrap_or_default()
            }
        }
    }

    /// The byte at `va`.
    pub fn byte(&self, space: u32, va: u64) -> u8 {
        let (number, offset) = self.page_of(va);
        let Some(page) = self.spaces.get(&space).and_then(|s| s.get(&number)) else {
            return 0;
        };
        let contents = match (&page.own, page.share) {
            (Some(own), _) => Some(own),
            (None, Share::Anonymous) => None,
            (None, Share::SharedFile(file) | Share::PrivateFile(file)) => {
                self.files.get(&(file, page.index))
            }
        };
        contents.and_then(|c| c.get(&offset)).copied().unwrap_or(0)
    }

    /// `bytes` bytes at `va`, little endian.
    pub fn read(&self, space: u32, va: u64, bytes: u64) -> u64 {
        (0..bytes).rev().fold(0, |value, i| {
            value << 8 | u64::from(self.byte(space, va + i))
        })
    }

    /// Writes them; the access was judged.
    pub fn write(&mut self, space: u32, va: u64, bytes: u64, value: u64) {
        for i in 0..bytes {
            let (number, offset) = self.page_of(va + i);
            let Some(page) = self.page(space, number) else {
                continue;
            };
            let (share, index) = (page.share, page.index);
            let contents = match (&mut page.own, share) {
                (Some(own), _) => own,
                (None, Share::SharedFile(file)) => self.files.entry((file, index)).or_default(),
                (None, _) => continue,
            };
            contents.insert(offset, (value >> (8 * i)) as u8);
        }
    }

    /// Takes pages out.
    pub fn unmap(&mut self, space: u32, pages: std::ops::Range<u64>) {
        if let Some(space) = self.spaces.get_mut(&space) {
            space.retain(|number, _| !pages.contains(number));
        }
    }

    /// Throws contents away.
    pub fn forget(&mut self, space: u32, pages: std::ops::Range<u64>) {
        if let Some(space) = self.spaces.get_mut(&space) {
            for (_, page) in space.range_mut(pages) {
                page.own = None;
                page.pins.clear();
            }
        }
    }
}

/// Moves pages to where there is room for as many or more; new ones are like the last, without contents
/// of their own.
pub fn shift(space: &mut Space, from: std::ops::Range<u64>, to: std::ops::Range<u64>) {
    let mut taken = Vec::new();
    for number in from {
        taken.extend(space.remove(&number));
    }
    let last = taken.last().cloned();
    space.retain(|number, _| !to.contains(number));
    let count = taken.len() as u64;
    let more = (1..).filter_map(|further| {
        let last = last.as_ref()?;
        Some(Page {
            index: last.index + further,
            own: None,
            pins: Vec::new(),
            ..last.clone()
        })
    });
    let grown = (to.end - to.start).saturating_sub(count) as usize;
    space.extend(to.zip(taken.into_iter().chain(more.take(grown))));
}
