// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! System calls: each is made by a core and by the model, and both have to agree on how it ends.

use crate::model::Page;
use crate::step::{FAR, NEAR, Remap, Share};
use crate::world::{FILES, Failure, MOST_SPACES, World, equal};
use std::rc::Rc;
use sw_mm::mm::{self, Advice, Destination, Error, Map, Protection};
use sw_mm::page::{NodeId, NodeMask};
use sw_mm::policy::{Mode, Policy};
use sw_mm::{Cpu, block_on};

impl<C: Cpu> World<C> {
    pub fn map(
        &mut self,
        core: usize,
        (va, bytes): (u64, u64),
        protection: Protection,
        share: Share,
    ) -> Result<(), Failure> {
        let Some(space) = self.running[core] else {
            return Ok(());
        };
        let pages = self.pages((va, bytes));
        let backing = |number: u8| (number % FILES, u64::from(number / FILES));
        let (file, share, offset) = match share {
            Share::Anonymous => (None, share, 0),
            Share::SharedFile(number) | Share::PrivateFile(number) => {
                let (file, offset) = backing(number);
                let share = match share {
                    Share::SharedFile(_) => Share::SharedFile(file),
                    _ => Share::PrivateFile(file),
                };
                let file = Rc::clone(&self.files[usize::from(file)]);
                (Some((file, offset)), share, offset)
            }
        };
        let map = Map {
            shared: matches!(share, Share::SharedFile(_)),
            file,
            ..Map::anonymous(va, bytes, protection)
        };
        let free = self.model.spaces[&space].range(pages.clone()).count() == 0;
        let expected = if free { Ok(()) } else { Err(Error::Exists) };
        equal(block_on(self.threads[core].mmap(&map)), expected.clone())?;
        if expected.is_ok() {
            let page = |number: u64| Page {
                protection,
                share,
                index: offset + (number - pages.start),
                own: None,
                inherited: true,
                pins: Vec::new(),
            };
            let new = pages.clone().map(|number| (number, page(number)));
            let space = self.model.spaces.get_mut(&space);
            space.into_iter().for_each(|s| s.extend(new.clone()));
        }
        Ok(())
    }

    pub fn unmap(&mut self, core: usize, (va, bytes): (u64, u64)) -> Result<(), Failure> {
        let Some(space) = self.running[core] else {
            return Ok(());
        };
        equal(block_on(self.threads[core].munmap(va, bytes)), Ok(()))?;
        let pages = self.pages((va, bytes));
        self.model.unmap(space, pages);
        Ok(())
    }

    pub fn protect(
        &mut self,
        core: usize,
        (va, bytes): (u64, u64),
        protection: Protection,
    ) -> Result<(), Failure> {
        let Some(space) = self.running[core] else {
            return Ok(());
        };
        let pages = self.pages((va, bytes));
        let expected = self.where_mapped(space, (va, bytes));
        let done = block_on(self.threads[core].mprotect(va, bytes, protection));
        equal(done, expected.clone())?;
        if expected.is_ok() {
            let space = self.model.spaces.get_mut(&space).ok_or("no space")?;
            space
                .range_mut(pages)
                .for_each(|(_, page)| page.protection = protection);
        }
        Ok(())
    }

    pub fn dont_need(&mut self, core: usize, (va, bytes): (u64, u64)) -> Result<(), Failure> {
        let Some(space) = self.running[core] else {
            return Ok(());
        };
        let pages = self.pages((va, bytes));
        let expected = self.where_mapped(space, (va, bytes));
        let done = block_on(self.threads[core].madvise_dontneed(va, bytes));
        equal(done, expected.clone())?;
        if expected.is_ok() {
            self.model.forget(space, pages);
        }
        Ok(())
    }

    /// How a call on pages that all have to be mapped is to end.
    fn where_mapped(&self, space: u32, range: (u64, u64)) -> Result<(), Error> {
        match self.model.all_mapped(space, self.pages(range)) {
            true => Ok(()),
            false => Err(Error::NotMapped),
        }
    }

    pub fn advise(
        &mut self,
        core: usize,
        (va, bytes): (u64, u64),
        advice: Advice,
    ) -> Result<(), Failure> {
        let Some(space) = self.running[core] else {
            return Ok(());
        };
        let expected = self.where_mapped(space, (va, bytes));
        let done = block_on(self.threads[core].madvise(va, bytes, advice));
        equal(done, expected.clone())?;
        let inherited = match advice {
            Advice::DontFork => false,
            Advice::DoFork => true,
            _ => return Ok(()),
        };
        if expected.is_ok() {
            let pages = self.pages((va, bytes));
            let space = self.model.spaces.get_mut(&space).ok_or("no space")?;
            let pages = space.range_mut(pages);
            pages.for_each(|(_, page)| page.inherited = inherited);
        }
        Ok(())
    }

    pub fn bind(
        &mut self,
        core: usize,
        (va, bytes): (u64, u64),
        node: Option<u8>,
    ) -> Result<(), Failure> {
        let Some(space) = self.running[core] else {
            return Ok(());
        };
        let policy = node.map(|node| {
            let nodes = NodeMask::of(NodeId(node % 2));
            Policy::new(Mode::Bind(nodes))
        });
        let done = block_on(self.threads[core].mbind(va, bytes, policy));
        equal(done, self.where_mapped(space, (va, bytes)))
    }

    pub fn remap(&mut self, core: usize, remap: Remap) -> Result<(), Failure> {
        let Some(space) = self.running[core] else {
            return Ok(());
        };
        let (va, bytes) = self.range(remap.from);
        let unit = self.slot(remap.from.slot).1 * self.page_bytes();
        let new_bytes = u64::from(remap.count) * unit;
        let to = remap.to.map(|slot| self.slot(slot % (NEAR + FAR)).0);
        let destination = match to {
            None => Destination::Here,
            Some(to) if remap.fixed => Destination::Fixed(to),
            Some(to) => Destination::MayMove(to),
        };
        // Where areas begin and end only the kernel knows: what is one to it is one.
        let area = self.spaces[&space].find(va);
        let area = area.filter(|area| va + bytes <= area.end());
        let free = |from: u64, end: u64| {
            let pages = self.pages((from, end - from));
            self.model.spaces[&space].range(pages).next().is_none()
        };
        let room = area.as_ref().is_some_and(|area| {
            area.end() == va + bytes && free(va + bytes, va + new_bytes.max(bytes))
        });
        let expected = match (area, destination) {
            (None, _) => Err(Error::NotMapped),
            (_, Destination::Fixed(to)) if to < va + bytes && va < to + new_bytes => {
                Err(Error::Invalid("the old and the new range overlap"))
            }
            (_, Destination::Fixed(to)) => Ok(to),
            _ if new_bytes <= bytes || room => Ok(va),
            (_, Destination::MayMove(to)) if free(to, to + new_bytes) => Ok(to),
            _ => Err(Error::Exists),
        };
        let moved = block_on(self.threads[core].mremap(&mm::Remap {
            va,
            bytes,
            new_bytes,
            to: destination,
        }));
        match moved {
            moved if moved == expected => {}
            Err(error) if expected.is_ok() => {
                // What was in the way, and what is too long, is gone by then, as in Linux.
                if let Destination::Fixed(to) = destination {
                    let pages = self.pages((to, new_bytes));
                    self.model.unmap(space, pages);
                    let kept = new_bytes.min(bytes);
                    let pages = self.pages((va + kept, bytes - kept));
                    self.model.unmap(space, pages);
                }
                return Err(error.into());
            }
            moved => return Err(format!("{moved:x?}, expected {expected:x?}").into()),
        }
        if let Ok(to) = expected {
            let (from, new) = (self.pages((va, bytes)), self.pages((to, new_bytes)));
            let space = self.model.spaces.get_mut(&space).ok_or("no space")?;
            crate::model::shift(space, from, new);
        }
        Ok(())
    }

    pub fn fork(&mut self, core: usize) -> Result<(), Failure> {
        let Some(parent) = self.running[core] else {
            return Ok(());
        };
        if self.spaces.len() == MOST_SPACES {
            return Ok(());
        }
        let child = block_on(self.threads[core].fork())?;
        let mut copy = self.model.spaces[&parent].clone();
        copy.retain(|_, page| page.inherited);
        copy.values_mut().for_each(|page| page.pins.clear());
        self.model.spaces.insert(child.number(), copy);
        self.spaces.insert(child.number(), child);
        Ok(())
    }

    pub fn exit(&mut self, core: usize, number: u8) -> Result<(), Failure> {
        let chosen = usize::from(number).checked_rem(self.spaces.len());
        let found = chosen.and_then(|index| self.spaces.keys().nth(index).copied());
        let Some(space) = found.and_then(|number| self.spaces.remove(&number)) else {
            return Ok(());
        };
        for other in 0..self.setup.cores {
            if self.running[other] == Some(space.number()) {
                block_on(self.threads[other].leave());
                self.running[other] = None;
            }
        }
        self.model.spaces.remove(&space.number());
        equal(block_on(self.threads[core].exit_space(&space)), Ok(()))
    }

    /// Takes every address space down and empties the files.
    pub fn shut_down(&mut self) -> Result<(), Failure> {
        while !self.pins.is_empty() {
            self.unpin(0, 0)?;
        }
        while !self.spaces.is_empty() {
            self.exit(0, 0)?;
        }
        for file in &self.files {
            for folio in file.pages() {
                file.remove(folio.index());
                self.kernel.put_folio(0, &folio, 1);
            }
        }
        Ok(())
    }
}
