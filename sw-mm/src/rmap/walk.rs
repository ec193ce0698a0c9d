// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Finding the entries that map a folio.

use super::{AddressSpace, Vma};
use crate::cpu::Cpu;
use crate::folio::{Folio, Mapping};
use crate::huge::is_block;
use crate::lock::Guard;
use crate::mm::{Error, Found, Table};
use crate::pte::{Kind, Pte, PtePtr, raw};
use crate::thread::Thread;
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec;
use vmsa::geometry;

/// Where a page of a folio is, or would be, mapped.
#[derive(Debug, Clone)]
pub struct Place {
    /// The address space.
    pub space: Rc<AddressSpace>,
    /// The area.
    pub vma: Rc<Vma>,
    /// The table.
    pub table: Rc<Table>,
    /// The entry, as it was when looked at without the lock: look again under it.
    pub ptr: PtePtr,
    /// Page of the folio, the first one of a block.
    pub page: u64,
    /// Pages that the entry maps: one, or all of a block.
    pub pages: u64,
}

/// Entries of one table that map consecutive pages of a folio, if they map it at all.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub space: Rc<AddressSpace>,
    pub vma: Rc<Vma>,
    pub table: Rc<Table>,
    /// Address of the first page.
    pub va: u64,
    /// First page of the folio.
    pub page: u64,
    /// Pages.
    pub count: u64,
    /// The table has one entry for all of them: a block, or what was one when it was looked at.
    pub block: bool,
}

impl<C: Cpu> Thread<C> {
    /// Every entry that maps a page of `folio`, or holds a migration entry for it (MM-23). The folio
    /// lock, or the lock of its anon_vma, is held.
    ///
    /// # Errors
    /// The fault of a table access.
    pub async fn rmap_walk(&self, folio: &Folio) -> Result<Vec<Place>, Error> {
        let mut places = Vec::new();
        let mut spans = self.rmap_spans(folio);
        while let Some(span) = spans.next(self).await? {
            let first = span.table.entry(&self.kernel, span.va)?;
            let place = |ptr, page, pages| Place {
                space: Rc::clone(&span.space),
                vma: Rc::clone(&span.vma),
                table: Rc::clone(&span.table),
                ptr,
                page,
                pages,
            };
            if span.block {
                let pte = raw::get(self, first).await?;
                let page = self.page_of_block(first, pte, span.va);
                // Areas that were one when it was mapped have one part of it each.
                let known = places.iter().any(|known: &Place| known.ptr == first);
                if is_block(pte) && self.maps(page, folio, span.page) && !known {
                    places.push(place(first, 0, folio.pages()));
                }
                continue;
            }
            for offset in 0..span.count {
                let (ptr, page) = (first.offset(offset as i64), span.page + offset);
                if self.maps(raw::get(self, ptr).await?, folio, page) {
                    places.push(place(ptr, page, 1));
                }
            }
        }
        Ok(places)
    }

    /// Keeps the areas through which `folio` is found as they are for a walk: tables are not freed, and
    /// no child comes to be whose entries the walk would miss. The folio is locked.
    pub(crate) async fn rmap_lock(&self, folio: &Folio) -> Option<Guard> {
        match folio.mapping() {
            Mapping::None => None,
            Mapping::Anon(anon_vma) => Some(anon_vma.lock.lock(&self.held).await),
            Mapping::File(file) => Some(file.lock.lock(&self.held).await),
        }
    }

    /// The places where pages of `folio` would be mapped, as far as there are tables, parents before
    /// their children. What is there the caller finds out under the lock of each table.
    pub(crate) fn rmap_spans(&self, folio: &Folio) -> Spans {
        Spans {
            reaches: reaches(folio, self.kernel.granule().shift()).into_iter(),
            found: VecDeque::new(),
        }
    }

    /// The places in one area.
    async fn spans_of(&self, reach: &Reach) -> Result<VecDeque<Span>, Error> {
        let granule = self.kernel.granule();
        let mut spans = VecDeque::new();
        let (mut va, mut page) = (reach.va, reach.page);
        while page < reach.end {
            let left = reach.end - page;
            let below = |bytes: u64| ((va & !(bytes - 1)) + bytes - va) >> granule.shift();
            let found = reach.space.walk(self, va).await?;
            let count = match &found {
                Found::Nothing(level) => below(geometry::level_bytes(granule, *level)),
                Found::Block(_, ptr, _) => below(1 << ptr.shift),
                Found::Table(table) => (table.end(&self.kernel) - va) >> granule.shift(),
            };
            let count = count.min(left);
            let block = matches!(found, Found::Block(..));
            if let Found::Table(table) | Found::Block(table, ..) = found {
                let (space, vma) = (Rc::clone(&reach.space), Rc::clone(&reach.vma));
                spans.push_back(Span {
                    space,
                    vma,
                    table,
                    va,
                    page,
                    count,
                    block,
                });
            }
            page += count;
            va += count << granule.shift();
        }
        Ok(spans)
    }

    /// What the block `pte` at `ptr` says of the page at `va`.
    pub(crate) fn page_of_block(&self, ptr: PtePtr, pte: Pte, va: u64) -> Pte {
        let granule = self.kernel.granule();
        let page = (va - ptr.va) >> granule.shift();
        pte.as_page().advance(granule, page as i64)
    }

    /// Whether `pte` maps page `page` of `folio`, or is a migration entry for it.
    pub(crate) fn maps(&self, pte: Pte, folio: &Folio, page: u64) -> bool {
        let wanted = folio.pfn().0 + page;
        match pte.kind() {
            Kind::Present | Kind::ProtNone => {
                !pte.special() && pte.pfn(self.kernel.granule()).0 == wanted
            }
            Kind::Migration(m) => m.pfn.0 == wanted,
            _ => false,
        }
    }

    /// Waits until no walk is under way that began before `vma` was linked, or unlinked.
    pub(crate) async fn wait_for_walks(&self, vma: &Vma) {
        if let Some(anon_vma) = vma.anon_vma() {
            drop(anon_vma.lock.lock(&self.held).await);
        }
        if let Some(file) = vma.file() {
            drop(file.lock.lock(&self.held).await);
        }
    }
}

/// Places to be visited, area by area.
///
/// The tables of an area are looked for when the area before it is done with: a fork that goes on at the
/// same time copies what the parent has into tables that may not have been there when the walk began.
pub(crate) struct Spans {
    reaches: vec::IntoIter<Reach>,
    found: VecDeque<Span>,
}

impl Spans {
    /// The next place.
    ///
    /// # Errors
    /// The fault of a table access.
    pub async fn next<C: Cpu>(&mut self, thread: &Thread<C>) -> Result<Option<Span>, Error> {
        while self.found.is_empty() {
            let Some(reach) = self.reaches.next() else {
                return Ok(None);
            };
            self.found = thread.spans_of(&reach).await?;
        }
        Ok(self.found.pop_front())
    }
}

/// Addresses that an area has for pages of a folio: of the pages from `page` to `end`.
struct Reach {
    space: Rc<AddressSpace>,
    vma: Rc<Vma>,
    va: u64,
    page: u64,
    end: u64,
}

/// All at one point in time, so that areas that split or merge during the walk are not missed.
fn reaches(folio: &Folio, shift: u32) -> Vec<Reach> {
    let areas = match folio.mapping() {
        Mapping::None => Vec::new(),
        Mapping::Anon(anon_vma) => anon_vma.areas(),
        Mapping::File(file) => file.areas(),
    };
    let reach = |(space, vma): (Rc<AddressSpace>, Rc<Vma>)| {
        let (first, last) = (folio.index(), folio.index() + folio.pages());
        let start = vma.page_offset();
        let from = first.max(start);
        let to = last.min(start + (vma.bytes() >> shift));
        (from < to).then(|| Reach {
            va: vma.start() + ((from - start) << shift),
            page: from - first,
            end: to - first,
            space,
            vma,
        })
    };
    areas.into_iter().filter_map(reach).collect()
}
