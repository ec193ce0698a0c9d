// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Contiguous runs: of each aligned block of entries all have the hint, and agree, or none has it
//! (contpte I1).

use super::disagreement::WrongRun;
use super::{Auditor, Disagreement};
use crate::mm::Table;
use crate::pte::Pte;
use vmsa::geometry;

impl<R: Fn(u64) -> u64> Auditor<'_, R> {
    pub(super) fn runs(
        &mut self,
        space: u32,
        table: &Table,
        entries: &[Pte],
    ) -> Result<(), Disagreement> {
        let granule = self.granule();
        let run = geometry::contiguous_run(granule, table.level).unwrap_or(1);
        let bytes = u64::from(run) << granule.shift();
        for (block, va) in entries
            .chunks(run as usize)
            .zip((table.base..).step_by(bytes as usize))
        {
            // Bit 52 means nothing in an entry that names no page.
            let hinted = |pte: &&Pte| pte.present() && pte.cont();
            let members = block.iter().filter(hinted).count() as u64;
            if members > 0 {
                self.run(block, members)
                    .map_err(|why| Disagreement::Run { space, va, why })?;
                self.census.runs += 1;
            }
        }
        Ok(())
    }

    fn run(&self, block: &[Pte], members: u64) -> Result<(), WrongRun> {
        let (granule, count) = (self.granule(), block.len() as u64);
        if !self.kernel.config().contpte.enabled {
            return Err(WrongRun::Disabled);
        }
        if members < count || !block.iter().all(|pte| pte.valid()) {
            return Err(WrongRun::Partial { members });
        }
        let first = block[0];
        let torn = block.iter().zip(0..).find(|&(pte, index)| {
            let expected = first.norm().advance(granule, index);
            pte.norm() != expected
        });
        if let Some((_, index)) = torn {
            return Err(WrongRun::Torn {
                index: index as u64,
            });
        }
        let pfn = first.pfn(granule);
        if !pfn.0.is_multiple_of(count) {
            return Err(WrongRun::Misaligned);
        }
        let folio = self.kernel.frames.folio(pfn);
        let inside = folio.is_some_and(|folio| folio.page_of(pfn) + count <= folio.pages());
        if !inside || first.special() {
            return Err(WrongRun::NoFolio);
        }
        Ok(())
    }
}
