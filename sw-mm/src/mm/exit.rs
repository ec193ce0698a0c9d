// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The end of an address space (section 8): every page, table and slot goes back (MM-30).

use super::error::Error;
use super::gather::Gather;
use super::space::{AddressSpace, unlink};
use crate::cpu::Cpu;
use crate::event::Activity;
use crate::thread::Thread;
use std::rc::Rc;

impl<C: Cpu> Thread<C> {
    /// This thread is done with its address space; the last user takes it down. The core goes on
    /// without one.
    ///
    /// # Errors
    /// The fault of an access.
    pub async fn exit(&self) -> Result<(), Error> {
        let Some(space) = self.space() else {
            return Ok(());
        };
        self.leave().await;
        self.exit_space(&space).await
    }

    /// Drops one user of `space`, which no core runs any more once the last one is gone.
    ///
    /// # Errors
    /// The fault of an access.
    pub async fn exit_space(&self, space: &Rc<AddressSpace>) -> Result<(), Error> {
        if !space.drop_user() {
            return Ok(());
        }
        let _span = self.span(Activity::Exit, space.number(), 0, 0);
        let mmap = space.mmap_lock.write(&self.held).await;
        let areas = space.detach(0, space.end());
        let mut gather = Gather::new(space, true);
        let mut done = Ok(());
        for vma in &areas {
            if done.is_ok() {
                let (start, end) = (vma.start(), vma.end());
                done = self.zap_range(&mut gather, space, vma, start, end).await;
            }
        }
        // Before the tables go: who comes from a page finds them through the areas.
        areas.iter().for_each(unlink);
        for vma in &areas {
            self.wait_for_walks(vma).await;
        }
        if done.is_ok() {
            let all = (0, space.end());
            done = space.free_tables_of(self, &mut gather, &areas, all).await;
        }
        if done.is_ok() {
            gather.table(&space.root);
            space.root.dead.set(true);
            space.tables.set(space.tables.get().saturating_sub(1));
        }
        gather.finish(self).await;
        drop(mmap);
        self.kernel.remove_space(space.number());
        done
    }
}
