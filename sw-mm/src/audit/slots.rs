// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The swap area: each slot in use is named by as many entries as it counts, and by at least one
//! (MM-25); what is in the swap cache stands for its slot, and nobody may write it there.

use super::{Auditor, Disagreement};
use crate::pte::SwapEntry;
use std::collections::BTreeMap;
use std::rc::Rc;

impl<R: Fn(u64) -> u64> Auditor<'_, R> {
    pub(super) fn slots(&self) -> Result<(), Disagreement> {
        let swap = &self.kernel.swap;
        let mut named: BTreeMap<SwapEntry, u32> = BTreeMap::new();
        for &entry in &self.swapped {
            *named.entry(entry).or_default() += 1;
        }
        for slot in swap.slots() {
            let found = named.remove(&slot.entry).unwrap_or(0);
            if slot.count != found || found == 0 {
                return Err(Disagreement::Slot {
                    entry: slot.entry,
                    counted: slot.count,
                    found,
                });
            }
            let folio = swap.folio(slot.entry);
            let stands = |folio: &Rc<_>| {
                let folio: &crate::folio::Folio = folio;
                folio.swap.get() == Some(slot.entry) && !folio.anon_exclusive(0)
            };
            let sound = match &folio {
                Some(folio) => slot.cached && stands(folio),
                None => !slot.cached && swap.content(slot.entry).is_some(),
            };
            if !sound {
                return Err(Disagreement::SwapCache { entry: slot.entry });
            }
        }
        match named.into_iter().next() {
            Some((entry, found)) => Err(Disagreement::Slot {
                entry,
                counted: 0,
                found,
            }),
            None => Ok(()),
        }
    }
}
