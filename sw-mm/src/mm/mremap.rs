// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! mremap: an area gets another length, or its pages another address.
//!
//! Pages are moved, not copied: entries are taken out at the old address and stored at the new one
//! under the locks of both tables, and the old translations are flushed before the locks are let go
//! (section 8). The pages keep their index, so that the reverse map finds them at the new address and at
//! no other (MM-23).

use super::batch::Alike;
use super::error::Error;
use super::flush::FlushRange;
use super::space::AddressSpace;
use super::table::{Found, Table};
use super::vma::Vma;
use crate::contpte;
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::lock::Guard;
use crate::pte::{Kind, Pte, PtePtr};
use crate::thread::Thread;
use crate::uffd::Owed;
use std::rc::Rc;
use vmsa::geometry;

/// Where the pages are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Where they are.
    Here,
    /// Where they are, or if there is no room to grow, at this address, where nothing is mapped
    /// (MREMAP_MAYMOVE).
    MayMove(u64),
    /// At this address; what is mapped there goes (MREMAP_FIXED).
    Fixed(u64),
}

/// What to move or resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remap {
    /// First byte, a multiple of the page size.
    pub va: u64,
    /// Bytes, a multiple of the page size, all of one area.
    pub bytes: u64,
    /// Bytes afterwards, a multiple of the page size.
    pub new_bytes: u64,
    /// Where.
    pub to: Destination,
}

/// One place before and after.
struct Step {
    old: PtePtr,
    new: PtePtr,
}

impl<C: Cpu> Thread<C> {
    /// Moves or resizes a range; returns where it is. Once it returns, no core reaches a page at the
    /// old address.
    ///
    /// # Errors
    /// [`Error::NotMapped`] if the range is not of one area, [`Error::Exists`] if it cannot be where it
    /// should, [`Error::OutOfMemory`] (the pages are where they were then), [`Error::Invalid`].
    pub async fn mremap(&self, remap: &Remap) -> Result<u64, Error> {
        let Remap { va, bytes, .. } = *remap;
        let space = self.space().ok_or(Error::NotMapped)?;
        let end = self.checked_range(va, bytes)?;
        self.checked_range(0, remap.new_bytes)?;
        let _span = self.span(Activity::Mremap, space.number(), va, bytes);
        let mut owed = Owed::default();
        let remapped = {
            let _mmap = space.mmap_lock.write(&self.held).await;
            self.remap_locked(&space, remap, end, &mut owed).await
        };
        owed.deliver(self).await;
        remapped
    }

    async fn remap_locked(
        &self,
        space: &Rc<AddressSpace>,
        remap: &Remap,
        end: u64,
        owed: &mut Owed,
    ) -> Result<u64, Error> {
        let Remap { va, bytes, .. } = *remap;
        let vma = space.find(va).filter(|vma| end <= vma.end());
        let vma = vma.ok_or(Error::NotMapped)?;
        match remap.to {
            Destination::Fixed(to) => self.remap_fixed(space, remap, to, owed).await,
            _ if remap.new_bytes <= bytes => {
                if remap.new_bytes < bytes {
                    let start = va + remap.new_bytes;
                    self.unmap_locked(space, start, end, owed).await?;
                }
                Ok(va)
            }
            to => {
                let room = self.checked_range(va, remap.new_bytes);
                let room = room.is_ok_and(|new_end| {
                    end == vma.end() && space.areas_in(end, new_end).is_empty()
                });
                match to {
                    _ if room => {
                        space.grow(&vma, va + remap.new_bytes);
                        Ok(va)
                    }
                    Destination::MayMove(to) => {
                        let new_end = self.checked_range(to, remap.new_bytes)?;
                        if !space.areas_in(to, new_end).is_empty() {
                            return Err(Error::Exists);
                        }
                        self.move_area(space, (va, bytes), (to, remap.new_bytes), owed)
                            .await
                    }
                    _ => Err(Error::Exists),
                }
            }
        }
    }

    async fn remap_fixed(
        &self,
        space: &Rc<AddressSpace>,
        remap: &Remap,
        to: u64,
        owed: &mut Owed,
    ) -> Result<u64, Error> {
        let Remap { va, new_bytes, .. } = *remap;
        let end = va + remap.bytes;
        let new_end = self.checked_range(to, new_bytes)?;
        if to < end && va < new_end {
            return Err(Error::Invalid("the old and the new range overlap"));
        }
        self.unmap_locked(space, to, new_end, owed).await?;
        let bytes = remap.bytes.min(new_bytes);
        if bytes < remap.bytes {
            self.unmap_locked(space, va + bytes, end, owed).await?;
        }
        self.move_area(space, (va, bytes), (to, new_bytes), owed)
            .await
    }

    /// Moves the pages of a range of one area to where nothing is mapped.
    async fn move_area(
        &self,
        space: &Rc<AddressSpace>,
        (va, bytes): (u64, u64),
        (to, new_bytes): (u64, u64),
        owed: &mut Owed,
    ) -> Result<u64, Error> {
        let vma = space.find(va).ok_or(Error::NotMapped)?;
        let copy = vma.copy_at(to, new_bytes, va);
        let mut moving = Owed::default();
        let context = moving.remap(self, &vma, (va, to), bytes).await;
        copy.set_user_fault_context(context);
        space.insert(copy);
        if let Err(error) = self.move_tables(space, &vma, (va, to), bytes).await {
            moving.cancel();
            // The tables at the old address are still there, so this needs no memory.
            self.move_tables(space, &vma, (to, va), bytes).await?;
            // What was mapped there for a moment is nobody's business.
            let mut nothing = Owed::default();
            let undone = self
                .unmap_locked(space, to, to + new_bytes, &mut nothing)
                .await;
            nothing.cancel();
            return Err(undone.err().unwrap_or(error));
        }
        owed.append(moving);
        self.unmap_locked(space, va, va + bytes, owed).await?;
        Ok(to)
    }

    /// Keeps walkers of the reverse map out while entries move, who would miss a page that moves from an
    /// area that they have yet to look at to one that they have looked at.
    async fn lock_rmap(&self, vma: &Vma) -> (Option<Guard>, Option<Guard>) {
        let anon = match vma.anon_vma() {
            Some(anon_vma) => Some(anon_vma.lock.lock(&self.held).await),
            None => None,
        };
        let file = match vma.file() {
            Some(file) => Some(file.lock.lock(&self.held).await),
            None => None,
        };
        (anon, file)
    }

    async fn move_tables(
        &self,
        space: &Rc<AddressSpace>,
        vma: &Vma,
        (from, to): (u64, u64),
        bytes: u64,
    ) -> Result<(), Error> {
        let kernel = &self.kernel;
        let mut done = 0;
        while done < bytes {
            let (va, new) = (from + done, to + done);
            match space.walk(self, va).await? {
                Found::Nothing(level) => {
                    let below = geometry::level_bytes(kernel.granule(), level);
                    done += below - (va & (below - 1));
                }
                Found::Block(table, ..) => self.split_block(space, &table, va).await?,
                Found::Table(old) => {
                    let Found::Table(table) = space.walk_or_make(self, new).await? else {
                        return Err(Error::Exists);
                    };
                    let room = (old.end(kernel) - va).min(table.end(kernel) - new);
                    let bytes = room.min(bytes - done);
                    // Not around what takes memory, which reclaim might have to make.
                    let _walkers = self.lock_rmap(vma).await;
                    self.move_ptes(space, (&old, va), (&table, new), bytes)
                        .await?;
                    done += bytes;
                }
            }
        }
        Ok(())
    }

    /// Moves entries of one table to one table.
    async fn move_ptes(
        &self,
        space: &Rc<AddressSpace>,
        (old, va): (&Table, u64),
        (new, to): (&Table, u64),
        bytes: u64,
    ) -> Result<(), Error> {
        // Two locks of one class nest in the order of their addresses.
        let (low, high) = if old.pa < new.pa {
            (old, new)
        } else {
            (new, old)
        };
        let _low = low.lock.lock(&self.held).await;
        let _high = match low.pa == high.pa {
            true => None,
            false => Some(high.lock.lock(&self.held).await),
        };
        self.flush_pending(space, va, bytes).await;
        let mut step = Step {
            old: old.entry(&self.kernel, va)?,
            new: new.entry(&self.kernel, to)?,
        };
        let mut cached = false;
        while step.old.va < va + bytes {
            let most = (va + bytes - step.old.va) >> step.old.shift;
            let pte = contpte::get(self, step.old).await?;
            let count = self.move_entries(space, &step, pte, most).await?;
            cached |= pte.valid();
            step.old = step.old.offset(count as i64);
            step.new = step.new.offset(count as i64);
        }
        if cached {
            // Under the locks: who finds a page at the new address, to write it out or to take its
            // write permission away, may rely on nobody using it at the old one any more.
            let range = FlushRange::pages(self.kernel.granule(), va, va + bytes);
            self.flush_range(space, range).await;
        }
        Ok(())
    }

    /// Moves the entry at `step` and those after it that are like it; returns how many.
    async fn move_entries(
        &self,
        space: &Rc<AddressSpace>,
        step: &Step,
        pte: Pte,
        most: u64,
    ) -> Result<u64, Error> {
        let count = match pte.kind() {
            Kind::None => return Ok(1),
            Kind::Present => {
                let batch = self.batch(step.old, pte, most, Alike::State).await?;
                batch.map_or(1, |batch| batch.count)
            }
            Kind::ProtNone | Kind::Swap { .. } | Kind::Migration(_) => 1,
            Kind::Unknown => {
                return Err(Error::Corrupt {
                    entry: pte.0,
                    va: step.old.va,
                });
            }
        };
        // Not what was read before: hardware may have marked it since.
        let taken = contpte::clear_ptes(self, space, step.old, count).await?;
        let taken = match taken.valid() {
            true => taken.with_cont(false),
            false => taken,
        };
        contpte::set_ptes(self, space, step.new, taken, count).await?;
        Ok(count)
    }
}
