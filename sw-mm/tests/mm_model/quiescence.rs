// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What has to hold when no operation is under way, whatever was done before (MM-35).

use crate::step::Share;
use crate::world::{Failure, World};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use sw_mm::audit::{Census, Held, Mapped, audit_with};
use sw_mm::boot::HardwareUpdate;
use sw_mm::functional::{Cached, out_of_use};
use sw_mm::mm::AddressSpace;
use sw_mm::page::Pfn;
use sw_mm::pte::Pte;
use sw_mm::{AccessSize, Cpu, block_on, contpte};
use vmsa::{DsbKind, VaRange};

/// Bytes that are read at once.
const LINE: u64 = 512;

impl<C: Cpu> World<C> {
    /// Makes the stores of all cores visible to walkers, and completes what they have under way.
    pub fn settle(&self) {
        for core in 0..self.setup.cores {
            block_on(self.machine.core(core).dsb(DsbKind::ISH));
        }
    }

    /// Everything.
    pub fn check(&mut self) -> Result<(), Failure> {
        let census = self.check_kernel()?;
        self.check_dirty(&census)?;
        self.check_contents(&census)
    }

    /// What needs no model.
    pub fn check_kernel(&self) -> Result<Census, Failure> {
        self.check_kernel_with(&self.held())
    }

    /// The same while somebody holds what is in `held`.
    pub fn check_kernel_with(&self, held: &Held) -> Result<Census, Failure> {
        self.settle();
        let census = self.audit_with(held)?;
        self.check_machine()?;
        self.check_caches(&census)?;
        self.check_counters()?;
        for (&pfn, mappings) in &census.mappings {
            self.check_rmap(pfn, mappings)?;
        }
        Ok(census)
    }

    pub fn audit(&self) -> Result<Census, Failure> {
        self.audit_with(&self.held())
    }

    fn audit_with(&self, held: &Held) -> Result<Census, Failure> {
        // Most words that an audit reads lie behind the one before.
        let recent = RefCell::new((u64::MAX, [0; 64]));
        let read = |pa: u64| {
            let (line, words) = &mut *recent.borrow_mut();
            if *line != pa / LINE {
                *line = pa / LINE;
                self.machine.peek_words(*line * LINE, words);
            }
            words[(pa % LINE / 8) as usize]
        };
        audit_with(&self.kernel, held, read).map_err(|wrong| wrong.to_string().into())
    }

    /// Every core sees what the model holds, also what is out of memory.
    fn check_reads(&mut self) -> Result<(), Failure> {
        let numbers: Vec<u32> = self.spaces.keys().copied().collect();
        for number in numbers {
            let space = Rc::clone(&self.spaces[&number]);
            let core = number as usize % self.setup.cores;
            block_on(self.threads[core].switch_to(&space));
            self.running[core] = Some(number);
            let pages = self.model.spaces[&number].iter();
            let words: Vec<u64> = pages
                .filter_map(|(page, contents)| Some((page, contents.own.as_ref()?)))
                .flat_map(|(page, own)| {
                    let page = page << self.setup.granule.shift();
                    own.keys().map(move |offset| (page + offset) & !7)
                })
                .collect();
            for word in words {
                self.load(core, word, AccessSize::Double)?;
            }
        }
        Ok(())
    }

    /// After that, nothing may be left of any address space (MM-30).
    pub fn check_end(&mut self) -> Result<(), Failure> {
        self.check_reads()?;
        self.shut_down()?;
        self.check_idle()
    }

    /// Nothing is left of any address space.
    pub fn check_idle(&self) -> Result<(), Failure> {
        self.settle();
        let census = self.audit()?;
        if census != Census::default() || self.used() != self.idle_pages {
            let (used, idle) = (self.used(), self.idle_pages);
            return Err(format!("{used} pages in use, {idle} before: {census:?}").into());
        }
        self.check_machine()
    }

    /// G4, MM-02, MM-05, MM-06.
    fn check_machine(&self) -> Result<(), Failure> {
        if let Some(violation) = self.machine.violations().first() {
            return Err(violation.to_string().into());
        }
        match self.safety.violations().first() {
            Some(violation) => Err(violation.to_string().into()),
            None => Ok(()),
        }
    }

    /// MM-11.
    fn check_counters(&self) -> Result<(), Failure> {
        let faults = self.kernel.counters.access_flag_faults.get();
        match self.setup.update {
            HardwareUpdate::None => Ok(()),
            _ if faults == 0 => Ok(()),
            _ => Err(format!("{faults} access flag faults (MM-11)").into()),
        }
    }

    /// Every flush is over, so what TLBs hold is what tables say, but for permission and state that
    /// were given since (G2, G3).
    fn check_caches(&self, census: &Census) -> Result<(), Failure> {
        let mut entries = BTreeMap::<(u32, u64), (Pfn, Pte)>::new();
        for (&pfn, mappings) in &census.mappings {
            for &Mapped {
                space,
                va,
                page,
                pte,
            } in mappings
            {
                entries.insert((space, va), (Pfn(pfn.0 + page), pte));
            }
        }
        for core in 0..self.setup.cores {
            let used = |cached: &Cached| {
                VaRange::of(cached.va) == VaRange::Lower && !out_of_use(&self.kernel, cached)
            };
            let mut leaves = self.machine.cached_leaves(core);
            leaves.retain(used);
            let noabort = self.setup.contpte.bbm2_noabort;
            if let Some(broken) = contpte::check::tlb(&leaves, noabort).first() {
                return Err(broken.to_string().into());
            }
            for cached in leaves {
                self.check_leaf(&cached, &entries)?;
            }
            for cached in self.machine.cached_tables(core) {
                if used(&cached) {
                    self.check_table(&cached)?;
                }
            }
        }
        Ok(())
    }

    fn space_of(&self, cached: &Cached) -> Result<&AddressSpace, Failure> {
        // Of those that had the number, the one that has it in this generation.
        let spaces = self.spaces.values();
        let had = spaces.filter(|space| space.context.asid() == cached.asid);
        let space = had.max_by_key(|space| space.context.id());
        let space = space.ok_or_else(|| format!("of no address space: {cached:?} (G2)"))?;
        Ok(space)
    }

    fn check_leaf(
        &self,
        cached: &Cached,
        entries: &BTreeMap<(u32, u64), (Pfn, Pte)>,
    ) -> Result<(), Failure> {
        let stale = |what: &str| Err(format!("stale {what}: {cached:?} (G2)").into());
        let number = self.space_of(cached)?.number();
        let (bytes, shift) = (self.setup.granule.bytes(), self.setup.granule.shift());
        for offset in (0..cached.bytes).step_by(bytes as usize) {
            let pfn = Pfn((cached.pa + offset) >> shift);
            let now = entries.get(&(number, cached.va + offset));
            let Some(&(frame, pte)) = now else {
                // The zero page is in no folio.
                if pfn != self.kernel.zero_page() {
                    return stale("mapping");
                }
                continue;
            };
            if frame != pfn || !pte.valid() {
                return stale("frame");
            }
            // Hardware that manages dirty state takes the mark for the right.
            let hardware = self.setup.update == HardwareUpdate::AccessFlagAndDirty;
            let writes = cached.permissions.write || hardware && cached.descriptor.dbm();
            if writes && !pte.writable() || cached.permissions.el0_execute && pte.descriptor().uxn()
            {
                return stale("permission");
            }
        }
        Ok(())
    }

    fn check_table(&self, cached: &Cached) -> Result<(), Failure> {
        let number = self.space_of(cached)?.number();
        let table = self
            .kernel
            .frames
            .table(Pfn(cached.pa >> self.setup.granule.shift()));
        let same = table.is_some_and(|table| {
            (table.space, table.base, table.level) == (number, cached.va, cached.level + 1)
        });
        match same {
            true => Ok(()),
            false => Err(format!("stale table: {cached:?} (G2, MM-05)").into()),
        }
    }

    /// Nobody writes back, so what was stored to a file is marked, in the folio or in an entry
    /// (MM-36).
    fn check_dirty(&self, census: &Census) -> Result<(), Failure> {
        for &(file, index) in self.model.files.keys() {
            let Some(folio) = self.files[usize::from(file)].page(index) else {
                return Err(format!("page {index} of file {file} is gone").into());
            };
            let mut mapped = census.mappings.get(&folio.pfn()).into_iter().flatten();
            // What a device stored is marked when it gives the page back.
            let pinned = self.pins.iter().any(|pin| pin.is_of(file, index));
            if !pinned && !folio.dirty.get() && !mapped.any(|mapped| mapped.pte.dirty()) {
                return Err(format!("page {index} of file {file} is clean (MM-36)").into());
            }
        }
        Ok(())
    }

    /// What memory holds of every page that is mapped is what the model holds (G1).
    fn check_contents(&self, census: &Census) -> Result<(), Failure> {
        let shift = self.setup.granule.shift();
        let mut held = vec![0; self.setup.granule.bytes() as usize / 8];
        for (&pfn, mappings) in &census.mappings {
            for mapped in mappings {
                let (number, page) = (mapped.va >> shift, mapped.page);
                let space = &self.model.spaces[&mapped.space];
                let expected = space.get(&number).ok_or("mapped, but not in the model")?;
                let contents = match (&expected.own, expected.share) {
                    (Some(own), _) => Some(own),
                    (None, Share::Anonymous) => None,
                    (None, Share::SharedFile(f) | Share::PrivateFile(f)) => {
                        self.model.files.get(&(f, expected.index))
                    }
                };
                let pa = (pfn.0 + page) << shift;
                let mut words = BTreeMap::<u64, u64>::new();
                for (&offset, &byte) in contents.into_iter().flatten() {
                    *words.entry(offset / 8).or_default() |= u64::from(byte) << (offset % 8 * 8);
                }
                self.machine.peek_words(pa, &mut held);
                let mut expected = words.iter().peekable();
                for (word, &seen) in held.iter().enumerate() {
                    let wanted = expected.next_if(|&(&at, _)| at == word as u64);
                    let wanted = wanted.map_or(0, |(_, &value)| value);
                    if seen != wanted {
                        let va = mapped.va + word as u64 * 8;
                        return Err(format!(
                            "space {} at {va:#x}: {seen:#x} in memory, expected {wanted:#x} (G1)",
                            mapped.space
                        )
                        .into());
                    }
                }
            }
        }
        Ok(())
    }

    /// The reverse map finds the entries that the audit found (MM-23).
    fn check_rmap(&self, pfn: Pfn, mappings: &[Mapped]) -> Result<(), Failure> {
        let thread = &self.threads[0];
        let folio = self.kernel.frames.folio(pfn).ok_or("no folio")?;
        let places = block_on(async {
            let _lock = folio.lock.lock(&thread.held).await;
            thread.rmap_walk(&folio).await
        });
        let places = places?;
        let shift = self.setup.granule.shift();
        let mut found: Vec<_> = places
            .iter()
            .flat_map(|place| {
                let page = move |page| (place.ptr.va + (page << shift), place.page + page);
                (0..place.pages)
                    .map(page)
                    .map(|(va, page)| (place.space.number(), va, page))
            })
            .collect();
        found.sort_unstable();
        let mut expected: Vec<_> = mappings.iter().map(|m| (m.space, m.va, m.page)).collect();
        expected.sort_unstable();
        match found == expected {
            true => Ok(()),
            false => Err(format!(
                "the reverse map of {pfn} finds {found:x?}, its entries are {expected:x?} (MM-23)"
            )
            .into()),
        }
    }
}
