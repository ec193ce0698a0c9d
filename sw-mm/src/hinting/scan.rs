// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Marking: entries are taken out of reach of hardware, their frame and rights kept (change_prot_numa).

use super::Mode;
use crate::contpte;
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::mm::{AddressSpace, Alike, Batch, Error, FlushRange, Found, Table, Vma};
use crate::page::NodeId;
use crate::pte::{Kind, Pte, PtePtr};
use crate::thread::Thread;
use std::rc::Rc;
use vmsa::geometry;

/// What was marked so far.
#[derive(Debug, Default)]
struct Marked {
    entries: u64,
    /// First address, and first address after the last, if there is any.
    range: Option<(u64, u64)>,
}

impl Marked {
    fn add(&mut self, start: u64, end: u64, entries: u64) {
        let (first, last) = self.range.unwrap_or((start, end));
        self.range = Some((first.min(start), last.max(end)));
        self.entries += entries;
    }
}

/// Pages of which areas and nodes are left alone.
struct Filter {
    vma: Rc<Vma>,
    /// The only node from which they are used: pages that are there already tell nothing.
    only_user: Option<NodeId>,
}

impl<C: Cpu> Thread<C> {
    /// Marks the pages of `start..end` in `space` so that their next access faults; returns how many
    /// entries. Once it returns, every access of each core to them does.
    ///
    /// # Errors
    /// The fault of a table access; what was marked by then stays so.
    pub async fn hint_scan(
        &self,
        space: &Rc<AddressSpace>,
        start: u64,
        end: u64,
    ) -> Result<u64, Error> {
        if self.kernel.config().hinting.mode == Mode::Off {
            return Ok(0);
        }
        let bytes = end.saturating_sub(start);
        let _span = self.span(Activity::HintScan, space.number(), start, bytes);
        let _mmap = space.mmap_lock.read(&self.held).await;
        // What others decide while an entry is marked but still held by a TLB, they flush for.
        space.flush_pending.set(space.flush_pending.get() + 1);
        let mut marked = Marked::default();
        let mut done = Ok(());
        for vma in space.areas_in(start, end) {
            if done.is_ok() && hints(space, &vma) {
                let range = (vma.start().max(start), vma.end().min(end));
                let filter = self.filter(space, vma);
                done = self.mark_area(space, &filter, range, &mut marked).await;
            }
        }
        if let Some((start, end)) = marked.range {
            let range = FlushRange::pages(self.kernel.granule(), start, end);
            self.flush_range(space, range).await;
        }
        let pending = &space.flush_pending;
        pending.set(pending.get().saturating_sub(1));
        done.map(|()| marked.entries)
    }

    fn filter(&self, space: &Rc<AddressSpace>, vma: Rc<Vma>) -> Filter {
        let own = self.space().is_some_and(|own| Rc::ptr_eq(&own, space));
        let alone = own && space.users.get() == 1 && !vma.flags().shared;
        Filter {
            vma,
            only_user: alone.then(|| self.kernel.node_of_core(self.core)),
        }
    }

    async fn mark_area(
        &self,
        space: &Rc<AddressSpace>,
        filter: &Filter,
        (start, end): (u64, u64),
        marked: &mut Marked,
    ) -> Result<(), Error> {
        let granule = self.kernel.granule();
        let mut va = start;
        while va < end {
            va = match space.walk(self, va).await? {
                Found::Nothing(level) => next(va, geometry::level_bytes(granule, level)),
                Found::Block(_, ptr, _) => next(va, 1 << ptr.shift),
                Found::Table(table) => {
                    let stop = end.min(table.end(&self.kernel));
                    self.mark_table(space, filter, &table, (va, stop), marked)
                        .await?;
                    stop
                }
            };
        }
        Ok(())
    }

    async fn mark_table(
        &self,
        space: &Rc<AddressSpace>,
        filter: &Filter,
        table: &Table,
        (start, end): (u64, u64),
        marked: &mut Marked,
    ) -> Result<(), Error> {
        let _ptl = table.lock.lock(&self.held).await;
        let mut ptr = table.entry(&self.kernel, start)?;
        while ptr.va < end {
            let pte = contpte::get(self, ptr).await?;
            let mut count = 1;
            if pte.kind() == Kind::Present {
                let most = (end - ptr.va) >> ptr.shift;
                if let Some(batch) = self.batch(ptr, pte, most, Alike::State).await? {
                    count = batch.count;
                    if self.hintable(filter, &batch, pte) {
                        self.mark(space, ptr, &batch).await?;
                        marked.add(ptr.va, ptr.va + (count << ptr.shift), count);
                    }
                }
            }
            ptr = ptr.offset(count as i64);
        }
        Ok(())
    }

    /// Whether a fault on these pages could lead to anything.
    fn hintable(&self, filter: &Filter, batch: &Batch, pte: Pte) -> bool {
        let (kernel, folio) = (&self.kernel, &batch.folio);
        let mut pages = batch.page..batch.page + batch.count;
        // Who uses a page that is shared for copy-on-write is no question of one address space.
        let cow = !filter.vma.flags().shared && pages.any(|page| folio.page_mapcount(page) > 1);
        let pinned = !filter.vma.flags().shared && folio.maybe_pinned();
        let dirty = folio.dirty.get() || pte.dirty();
        let left_alone = cow
            || pinned
            || !folio.is_anon() && dirty
            || filter.only_user == Some(folio.node())
            || kernel.config().hinting.mode == Mode::Tiering && !kernel.in_slow_memory(folio);
        !left_alone
    }

    async fn mark(
        &self,
        space: &Rc<AddressSpace>,
        ptr: PtePtr,
        batch: &Batch,
    ) -> Result<(), Error> {
        let kernel = &self.kernel;
        if kernel.config().hinting.mode == Mode::Tiering {
            let now = kernel.clock.now();
            batch.folio.last_hint.set(Some((self.core, now)));
        }
        // Cleared first, so that what hardware writes meanwhile is not lost.
        let old = contpte::clear_ptes(self, space, ptr, batch.count).await?;
        let new = old.with_cont(false).make_prot_none();
        contpte::set_ptes(self, space, ptr, new, batch.count).await
    }
}

/// Whether pages of `vma` are worth asking about: they may be accessed (MM-29), may move, and are not
/// text or data of a file that everybody shares.
fn hints(space: &AddressSpace, vma: &Vma) -> bool {
    let protection = vma.protection();
    let library = !vma.is_anonymous() && protection.read && !protection.write;
    protection.any() && space.policy_of(vma).migrate_on_fault && !library
}

fn next(va: u64, bytes: u64) -> u64 {
    (va & !(bytes - 1)).saturating_add(bytes)
}
