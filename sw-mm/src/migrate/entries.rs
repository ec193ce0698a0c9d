// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a page leaves behind while it is on its way: migration entries, which keep permission, access
//! flag and dirty state of the entries that they stand for.

use crate::contpte;
use crate::cpu::Cpu;
use crate::folio::Folio;
use crate::huge::is_block;
use crate::mm::{AddressSpace, Error, FlushRange};
use crate::page::Pfn;
use crate::pte::{Kind, Migration, Pte, PtePtr, raw};
use crate::rmap::Span;
use crate::thread::Thread;
use std::rc::Rc;

/// Address spaces whose flush was begun; others see that it is not over.
#[derive(Default)]
struct Begun(Vec<Rc<AddressSpace>>);

impl Begun {
    fn note(&mut self, space: &Rc<AddressSpace>) {
        space.flush_pending.set(space.flush_pending.get() + 1);
        self.0.push(Rc::clone(space));
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        for space in &self.0 {
            let pending = &space.flush_pending;
            pending.set(pending.get().saturating_sub(1));
        }
    }
}

impl<C: Cpu> Thread<C> {
    /// Replaces every entry that maps the locked `folio` by a migration entry. When it returns no core
    /// uses one of them any more: the invalidations were issued entry by entry, and one barrier waits
    /// for all.
    ///
    /// # Errors
    /// [`Error::Busy`] if the folio is pinned, [`Error::Again`] if a fork comes in between,
    /// [`Error::OutOfMemory`] if a block could not be split, or the fault of an access. Entries may be
    /// left behind then.
    pub(crate) async fn unmap_for_migration(&self, folio: &Rc<Folio>) -> Result<(), Error> {
        self.split_blocks_of(folio).await?;
        let mut begun = Begun::default();
        let unmapped = self.unmap_spans(folio, &mut begun).await;
        if !begun.0.is_empty() {
            self.complete_flush().await;
        }
        unmapped
    }

    async fn unmap_spans(&self, folio: &Rc<Folio>, begun: &mut Begun) -> Result<(), Error> {
        let _walk = self.rmap_lock(folio).await;
        let mut spans = self.rmap_spans(folio);
        while let Some(span) = spans.next(self).await? {
            let _ptl = span.table.lock.lock(&self.held).await;
            if span.table.dead.get() {
                continue;
            }
            let first = span.table.entry(&self.kernel, span.va)?;
            if span.block {
                let pte = raw::get(self, first).await?;
                let page = self.page_of_block(first, pte, span.va);
                if is_block(pte) && !self.maps(page, folio, span.page) {
                    // What this page was copied from.
                    continue;
                }
                // A child got one meanwhile.
                return Err(Error::Again);
            }
            let mut done = 0;
            while done < span.count {
                let ptr = first.offset(done as i64);
                let pte = contpte::get(self, ptr).await?;
                let page = span.page + done;
                if pte.present() && self.maps(pte, folio, page) {
                    // A pin is taken under the lock of the table.
                    if folio.maybe_pinned() {
                        return Err(Error::Busy);
                    }
                    let most = span.count - done;
                    done += self
                        .unmap_run(folio, &span, (ptr, page), pte, most, begun)
                        .await?;
                } else {
                    done += 1;
                }
            }
        }
        Ok(())
    }

    /// Replaces the entry at `ptr` and those after it that are like it; returns how many.
    async fn unmap_run(
        &self,
        folio: &Rc<Folio>,
        span: &Span,
        (ptr, page): (PtePtr, u64),
        pte: Pte,
        most: u64,
        begun: &mut Begun,
    ) -> Result<u64, Error> {
        let granule = self.kernel.granule();
        let batch = self.batch(ptr, pte, most, crate::mm::Alike::State).await?;
        let count = batch.map_or(1, |batch| batch.count);
        let old = contpte::clear_ptes(self, &span.space, ptr, count).await?;
        let end = ptr.va + (count << granule.shift());
        let range = FlushRange::pages(granule, ptr.va, end);
        begun.note(&span.space);
        self.flush_range_nosync(&span.space, range).await;
        // MM-36: whatever becomes of the entries.
        if old.dirty() {
            folio.dirty.set(true);
        }
        for offset in 0..count {
            let moving = Pte::migration(Migration {
                pfn: Pfn(folio.pfn().0 + page + offset),
                writable: old.writable(),
                exclusive: folio.anon_exclusive(page + offset),
                young: old.young(),
                dirty: old.dirty(),
            });
            let ptr = ptr.offset(offset as i64);
            contpte::set_ptes(self, &span.space, ptr, moving, 1).await?;
        }
        folio.remove_map(page, count);
        self.kernel.put_folio(self.core, folio, count);
        Ok(count)
    }

    /// Replaces every migration entry for the frames from `old` on by one that maps `folio`, whose
    /// pages stand for them; in runs, so that they may be contiguous again.
    ///
    /// # Errors
    /// The fault of an access.
    pub(crate) async fn remove_migration_entries(
        &self,
        old: Pfn,
        folio: &Rc<Folio>,
    ) -> Result<(), Error> {
        let _walk = self.rmap_lock(folio).await;
        let mut spans = self.rmap_spans(folio);
        while let Some(span) = spans.next(self).await? {
            let _ptl = span.table.lock.lock(&self.held).await;
            if span.table.dead.get() || span.block {
                continue;
            }
            let first = span.table.entry(&self.kernel, span.va)?;
            let mut done = 0;
            while done < span.count {
                let ptr = first.offset(done as i64);
                let pte = contpte::get(self, ptr).await?;
                let page = span.page + done;
                match pte.kind() {
                    Kind::Migration(m) if m.pfn.0 == old.0 + page => {
                        let most = span.count - done;
                        done += self.remap_run(folio, &span, (ptr, page), m, most).await?;
                    }
                    _ => done += 1,
                }
            }
        }
        Ok(())
    }

    async fn remap_run(
        &self,
        folio: &Rc<Folio>,
        span: &Span,
        (ptr, page): (PtePtr, u64),
        moving: Migration,
        most: u64,
    ) -> Result<u64, Error> {
        let granule = self.kernel.granule();
        // mprotect may have cut it since.
        let area = span.space.find(ptr.va);
        let vma = area.unwrap_or_else(|| Rc::clone(&span.vma));
        let most = most.min((vma.end() - ptr.va) >> granule.shift());
        let mut count = 1;
        while count < most {
            let like = Migration {
                pfn: Pfn(moving.pfn.0 + count),
                ..moving
            };
            let next = contpte::get(self, ptr.offset(count as i64)).await?;
            if next.kind() != Kind::Migration(like) {
                break;
            }
            count += 1;
        }
        let pte = Pte::page(granule, folio.pfn()).advance(granule, page as i64);
        let mut pte = vma.protect(pte.with_young(moving.young));
        if moving.writable && vma.protection().write {
            pte = pte.make_writable();
        }
        if moving.dirty {
            pte = pte.make_dirty();
        }
        // References first, so that they are never fewer than the maps (MM-03).
        folio.get(count);
        folio.add_map(page, count);
        if moving.exclusive {
            folio.set_anon_exclusive(page, count, true);
        }
        contpte::set_ptes(self, &span.space, ptr, pte, count).await?;
        Ok(count)
    }
}
