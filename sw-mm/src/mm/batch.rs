// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Runs of entries that are treated as one: of one folio, in order, with equal attributes (contpte
//! section 7).

use super::error::Error;
use crate::contpte;
use crate::cpu::Cpu;
use crate::folio::Folio;
use crate::pte::{Pte, PtePtr, raw};
use crate::thread::Thread;
use std::rc::Rc;

/// A run of present entries that map consecutive pages of one folio.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The folio.
    pub folio: Rc<Folio>,
    /// Page of the folio that the first entry maps.
    pub page: u64,
    /// Entries.
    pub count: u64,
    /// Any of them was writable.
    pub any_writable: bool,
}

/// In what the entries of a batch may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alike {
    /// Access flag and dirty state.
    State,
    /// Write permission too: it is taken away from all.
    StateAndWrite,
}

fn key(pte: Pte, alike: Alike) -> Pte {
    match alike {
        Alike::State => pte.norm(),
        Alike::StateAndWrite => pte.write_protect().norm(),
    }
}

impl<C: Cpu> Thread<C> {
    /// The batch that begins with the present entry `first`, at most `most` entries; one entry if the
    /// kernel does not batch. `None` if no folio stands behind it. The table's lock is held.
    ///
    /// # Errors
    /// The fault of an access.
    pub async fn batch(
        &self,
        ptr: PtePtr,
        first: Pte,
        most: u64,
        alike: Alike,
    ) -> Result<Option<Batch>, Error> {
        let kernel = &self.kernel;
        let granule = kernel.granule();
        let Some(folio) = kernel
            .frames
            .folio(first.pfn(granule))
            .filter(|_| !first.special())
        else {
            return Ok(None);
        };
        let page = folio.page_of(first.pfn(granule));
        let most = if kernel.config().batched {
            most.min(folio.pages() - page)
        } else {
            1
        };
        let wanted = key(first, alike);
        let mut any_writable = first.writable();
        let hint = contpte::batch_hint(kernel, ptr, first);
        let mut count = hint.min(most).max(1);
        while count < most {
            let next = ptr.offset(count as i64);
            let pte = raw::get(self, next).await?;
            let valid = pte.valid() == first.valid() && pte.present();
            if !valid || key(pte, alike) != wanted.advance(granule, count as i64) {
                break;
            }
            any_writable |= pte.writable();
            count = (count + contpte::batch_hint(kernel, next, pte)).min(most);
        }
        Ok(Some(Batch {
            folio,
            page,
            count,
            any_writable,
        }))
    }
}
