// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Folios and frames: map counts, references, exclusiveness, the lists of reclaim, and whose each frame
//! is (MM-03, MM-30, G8).

use super::{Auditor, Disagreement, Held};
use crate::folio::{Folio, Mapping, Owner};
use crate::page::{NodeId, Pfn};
use std::collections::BTreeMap;
use std::rc::Rc;

impl<R: Fn(u64) -> u64> Auditor<'_, R> {
    /// Each owner of frames, and that there are no others.
    pub(super) fn owners(&mut self, held: &Held) -> Result<(), Disagreement> {
        let memory = &self.kernel.memory;
        let listed = self.listed();
        let mut owned = BTreeMap::<NodeId, u64>::new();
        let mut own = |pfn: Pfn, pages: u64| {
            for pfn in (pfn.0..pfn.0 + pages).map(Pfn) {
                let node = memory.node_of(pfn).filter(|_| memory.in_use(pfn));
                let Some(node) = node else {
                    return Err(Disagreement::OwnedAndFree { pfn });
                };
                *owned.entry(node).or_default() += 1;
            }
            Ok(())
        };
        own(self.kernel.zero_page(), 1)?;
        for owner in self.kernel.frames.all() {
            match owner {
                Owner::Table(table) => {
                    own(table.pfn, 1)?;
                    if !self.linked.contains(&table.pfn) {
                        return Err(Disagreement::Unlinked {
                            pfn: table.pfn,
                            space: table.space,
                        });
                    }
                }
                Owner::Folio(folio) => {
                    own(folio.pfn(), folio.pages())?;
                    self.folio(&folio, held)?;
                    let listed = listed.get(&folio.pfn()).copied().unwrap_or(0);
                    lru(&folio, listed)?;
                    self.census.folios += 1;
                }
            }
        }
        for node in (0..memory.nodes() as u8).map(NodeId) {
            let used = memory.total_pages(node) - memory.free_pages(node);
            let owned = owned.get(&node).copied().unwrap_or(0);
            if used != owned {
                return Err(Disagreement::Usage { node, used, owned });
            }
        }
        Ok(())
    }

    fn folio(&self, folio: &Rc<Folio>, held: &Held) -> Result<(), Disagreement> {
        let pfn = folio.pfn();
        let mappings = self.census.mappings.get(&pfn);
        let mut found = vec![0_u32; folio.pages() as usize];
        for mapped in mappings.into_iter().flatten() {
            found[mapped.page as usize] += 1;
        }
        for (&found, page) in found.iter().zip(0..) {
            let counted = folio.page_mapcount(page);
            if counted != found {
                return Err(Disagreement::Mapcount {
                    pfn,
                    page,
                    counted,
                    found,
                });
            }
            if folio.anon_exclusive(page) && (found != 1 || !folio.is_anon()) {
                return Err(Disagreement::Exclusive { pfn, page });
            }
        }
        let maps: u64 = found.iter().map(|&count| u64::from(count)).sum();
        let others = held.get(&pfn).copied().unwrap_or(0);
        let expected = maps + u64::from(cached(folio)) + others;
        let counted = folio.references();
        if counted != expected {
            return Err(Disagreement::References {
                pfn,
                counted,
                expected,
            });
        }
        match folio.lock.is_locked() {
            true => Err(Disagreement::FolioLocked { pfn }),
            false => Ok(()),
        }
    }

    /// How often each folio is in the list of its node.
    fn listed(&self) -> BTreeMap<Pfn, usize> {
        let mut listed = BTreeMap::new();
        for node in (0..self.kernel.memory.nodes() as u8).map(NodeId) {
            let folios = self.kernel.lru.folios(node);
            for folio in folios.iter().filter(|folio| folio.node() == node) {
                *listed.entry(folio.pfn()).or_default() += 1;
            }
        }
        listed
    }
}

/// Whether the page cache of its file, or the swap cache, has it.
fn cached(folio: &Rc<Folio>) -> bool {
    match folio.mapping() {
        Mapping::File(file) => file
            .page(folio.index())
            .is_some_and(|cached| Rc::ptr_eq(&cached, folio)),
        Mapping::Anon(_) | Mapping::None => folio.swap.get().is_some(),
    }
}

/// Private memory is always listed, or isolated; what says that it is listed is so once.
fn lru(folio: &Folio, listed: usize) -> Result<(), Disagreement> {
    let wants = folio.lru.get() || folio.is_anon() || folio.swap.get().is_some();
    let expected = usize::from(wants && !folio.isolated.get());
    if listed == expected {
        return Ok(());
    }
    Err(Disagreement::Lru {
        pfn: folio.pfn(),
        listed,
        expected,
    })
}
