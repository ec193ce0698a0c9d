// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Migration (section 13): a folio moves to frames of another node, and nobody who uses it notices.
//!
//! The order that makes it safe: every entry that maps the folio is replaced by a migration entry,
//! the flush of all of them completes, the contents are copied, the entries of the new frames become
//! visible. Whoever touches a page meanwhile waits for the lock of the old folio.
//!
//! | module | idea |
//! | --- | --- |
//! | `entries` | entries become migration entries, and entries again |
//! | `split` | a large folio becomes small ones |

mod entries;
mod split;

use crate::contpte;
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::folio::{Folio, Mapping};
use crate::mm::{Error, Table};
use crate::page::{NodeId, Request};
use crate::pte::{Kind, PtePtr};
use crate::thread::Thread;
use std::rc::Rc;

/// Whether a migration may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MigrateMode {
    /// It gives up rather than wait for the lock of the folio (MIGRATE_ASYNC).
    Async,
    /// It waits (MIGRATE_SYNC).
    Sync,
}

impl<C: Cpu> Thread<C> {
    /// Moves `folio` to frames of `target` and returns what stands there for it, or the folio itself if
    /// it is there already.
    ///
    /// # Errors
    /// [`Error::Busy`] if it is pinned (MM-27), [`Error::Again`] if somebody else works with it,
    /// [`Error::OutOfMemory`] without frames on `target`, or the fault of an access. The folio stays
    /// where it is then, mapped as before.
    pub async fn migrate(
        &self,
        folio: &Rc<Folio>,
        target: NodeId,
        mode: MigrateMode,
    ) -> Result<Rc<Folio>, Error> {
        if folio.references() == 0 {
            return Err(Error::NotMapped);
        }
        if folio.node() == target {
            return Ok(Rc::clone(folio));
        }
        if folio.isolated.get() {
            return Err(Error::Again);
        }
        let bytes = self.kernel.granule().bytes() << folio.order();
        let _span = self.span(Activity::Migrate, 0, 0, bytes);
        folio.isolated.set(true);
        folio.get(1);
        let moved = self.migrate_isolated(folio, target, mode).await;
        folio.isolated.set(false);
        self.kernel.put_folio(self.core, folio, 1);
        let counters = &self.kernel.counters;
        match moved {
            Ok(_) => counters.migrations.increment(),
            Err(_) => counters.failed_migrations.increment(),
        }
        moved
    }

    /// Moves `folio` to faster memory on `target` without waiting for anybody, as long as there are
    /// pages to spare (MM-37).
    ///
    /// # Errors
    /// As [`Thread::migrate`]; [`Error::OutOfMemory`] also if `target` has no pages to spare.
    pub async fn promote(&self, folio: &Rc<Folio>, target: NodeId) -> Result<Rc<Folio>, Error> {
        if !self.kernel.memory.balanced(target, folio.pages()) {
            return Err(Error::OutOfMemory);
        }
        let moved = self.migrate(folio, target, MigrateMode::Async).await?;
        self.kernel.counters.promotions.increment();
        Ok(moved)
    }

    async fn migrate_isolated(
        &self,
        folio: &Rc<Folio>,
        target: NodeId,
        mode: MigrateMode,
    ) -> Result<Rc<Folio>, Error> {
        let request = Request::new(folio.order(), target).this_node().movable();
        let (new, _) = self.kernel.allocate_folio(self.core, &request)?;
        let moved = self.migrate_to(folio, &new, mode).await;
        if moved.is_ok() {
            self.kernel.add_to_lru(&new);
        }
        self.kernel.put_folio(self.core, &new, 1);
        moved.map(|()| new)
    }

    async fn migrate_to(
        &self,
        folio: &Rc<Folio>,
        new: &Rc<Folio>,
        mode: MigrateMode,
    ) -> Result<(), Error> {
        let _locked = match mode {
            MigrateMode::Async => self.try_lock_folio(folio).ok_or(Error::Again)?,
            MigrateMode::Sync => self.lock_folio(folio).await,
        };
        // Nobody else knows it.
        let _new = self.try_lock_folio(new);
        if folio.order() != new.order() {
            return Err(Error::Again);
        }
        if folio.maybe_pinned() {
            return Err(Error::Busy);
        }
        let copied = match self.unmap_for_migration(folio).await {
            Ok(()) => self.copy_unmapped(folio, new).await,
            Err(error) => Err(error),
        };
        if let Err(error) = copied {
            self.remove_migration_entries(folio.pfn(), folio).await?;
            return Err(error);
        }
        self.replace_folio(folio, new);
        self.remove_migration_entries(folio.pfn(), new).await
    }

    /// Copies a folio that no table maps any more, if nobody else has it, or got it meanwhile.
    async fn copy_unmapped(&self, folio: &Rc<Folio>, new: &Rc<Folio>) -> Result<(), Error> {
        self.frozen(folio)?;
        self.copy_pages((folio, 0), (new, 0), folio.pages()).await?;
        self.frozen(folio)
    }

    /// Whether the locked folio, all of whose entries were taken out, is referred to by its cache and by
    /// this thread alone.
    pub(crate) fn frozen(&self, folio: &Rc<Folio>) -> Result<(), Error> {
        if folio.maybe_pinned() {
            return Err(Error::Busy);
        }
        let in_file = match folio.mapping() {
            Mapping::File(file) => file
                .page(folio.index())
                .is_some_and(|f| Rc::ptr_eq(&f, folio)),
            Mapping::Anon(_) | Mapping::None => false,
        };
        let cached = u64::from(in_file || folio.swap.get().is_some());
        match folio.mapcount() == 0 && folio.references() == 1 + cached {
            true => Ok(()),
            false => Err(Error::Again),
        }
    }

    /// From now on `new` is what `folio` was.
    fn replace_folio(&self, folio: &Rc<Folio>, new: &Rc<Folio>) {
        let index = folio.index();
        if let Some(entry) = folio.swap.get() {
            self.kernel.swap.replace(entry, new);
            self.kernel.put_folio(self.core, folio, 1);
        }
        if let Mapping::File(file) = folio.mapping() {
            file.remove(index);
            file.insert(index, Rc::clone(new));
            new.get(1);
            self.kernel.put_folio(self.core, folio, 1);
        }
        new.set_mapping(folio.mapping(), index);
        new.dirty.set(folio.dirty.get());
        new.referenced.set(folio.referenced.get());
        new.active.set(folio.active.get());
        new.last_hint.set(folio.last_hint.get());
        folio.set_mapping(Mapping::None, 0);
        folio.lru.set(false);
    }

    /// The folio that an access to the page at `ptr` has to wait for, if it is on its way still.
    pub(crate) async fn moving_folio(
        &self,
        table: &Rc<Table>,
        ptr: PtePtr,
    ) -> Result<Option<Rc<Folio>>, Error> {
        let _ptl = table.lock.lock(&self.held).await;
        match contpte::get(self, ptr).await?.kind() {
            Kind::Migration(m) => Ok(self.kernel.frames.folio(m.pfn)),
            _ => Ok(None),
        }
    }
}
