// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Taking entries out of tables (section 8): access flag and dirty state go to the folio, the folio's
//! references to the gather.

use super::batch::Alike;
use super::error::Error;
use super::gather::Gather;
use super::space::AddressSpace;
use super::table::{Found, Table};
use super::vma::Vma;
use crate::contpte;
use crate::cpu::Cpu;
use crate::pte::{Kind, Pte, PtePtr};
use crate::thread::Thread;
use std::rc::Rc;
use vmsa::geometry;

impl<C: Cpu> Thread<C> {
    /// Takes out every entry of `vma` in `start..end`. Pages are given back when the gather is flushed.
    /// The mmap lock is held.
    ///
    /// # Errors
    /// The fault of an access.
    pub(crate) async fn zap_range(
        &self,
        gather: &mut Gather,
        space: &Rc<AddressSpace>,
        vma: &Rc<Vma>,
        start: u64,
        end: u64,
    ) -> Result<(), Error> {
        let granule = self.kernel.granule();
        let mut va = start;
        while va < end {
            match space.walk(self, va).await? {
                Found::Nothing(level) => va = next(va, geometry::level_bytes(granule, level)),
                Found::Block(table, ..) => match self.whole_block(va, start, end) {
                    Some(stop) => {
                        if self.zap_block(gather, space, &table, va).await? {
                            va = stop;
                        }
                    }
                    None => self.split_block(space, &table, va).await?,
                },
                Found::Table(table) => {
                    let stop = end.min(table.end(&self.kernel));
                    self.zap_table(gather, space, &table, va, stop).await?;
                    va = stop;
                    if gather.full() {
                        gather.flush(self).await;
                    }
                }
            }
        }
        let _ = vma;
        Ok(())
    }

    async fn zap_table(
        &self,
        gather: &mut Gather,
        space: &Rc<AddressSpace>,
        table: &Rc<Table>,
        start: u64,
        end: u64,
    ) -> Result<(), Error> {
        let _ptl = table.lock.lock(&self.held).await;
        let mut ptr = table.entry(&self.kernel, start)?;
        while ptr.va < end {
            let most = (end - ptr.va) >> ptr.shift;
            let pte = contpte::get(self, ptr).await?;
            let count = match pte.kind() {
                Kind::None => 1,
                Kind::Present | Kind::ProtNone => {
                    self.zap_present(gather, space, ptr, pte, most).await?
                }
                Kind::Swap { .. } | Kind::Migration(_) => {
                    contpte::clear_ptes(self, space, ptr, 1).await?;
                    self.zap_absent(space, pte);
                    if let Kind::Migration(_) = pte.kind() {
                        // Who moves the page may not have completed its flush yet.
                        let bytes = self.kernel.granule().bytes();
                        gather.range(ptr.va, bytes, bytes);
                    }
                    1
                }
                Kind::Unknown => {
                    return Err(Error::Corrupt {
                        entry: pte.0,
                        va: ptr.va,
                    });
                }
            };
            ptr = ptr.offset(count as i64);
        }
        Ok(())
    }

    async fn zap_present(
        &self,
        gather: &mut Gather,
        space: &Rc<AddressSpace>,
        ptr: PtePtr,
        pte: Pte,
        most: u64,
    ) -> Result<u64, Error> {
        let bytes = self.kernel.granule().bytes();
        let Some(batch) = self.batch(ptr, pte, most, Alike::StateAndWrite).await? else {
            contpte::clear_ptes(self, space, ptr, 1).await?;
            gather.range(ptr.va, bytes, bytes);
            return Ok(1);
        };
        let old = contpte::clear_ptes(self, space, ptr, batch.count).await?;
        gather.range(ptr.va, batch.count * bytes, bytes);
        let folio = &batch.folio;
        // MM-36: before the last entry is gone.
        if old.dirty() {
            folio.dirty.set(true);
        }
        if old.young() {
            folio.referenced.set(true);
        }
        folio.remove_map(batch.page, batch.count);
        space.remove_resident(batch.count);
        gather.folio(Rc::clone(folio), batch.count);
        Ok(batch.count)
    }
}

fn next(va: u64, bytes: u64) -> u64 {
    (va & !(bytes - 1)).saturating_add(bytes)
}
