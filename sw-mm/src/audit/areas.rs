// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Areas: in order, and found from where their pages are found from, exactly once each (MM-23).

use super::{Auditor, Disagreement};
use crate::folio::{Mapping, Owner};
use crate::mm::{AddressSpace, Vma};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Areas that something names.
type Named = Vec<(Rc<AddressSpace>, Rc<Vma>)>;

impl<R: Fn(u64) -> u64> Auditor<'_, R> {
    pub(super) fn areas(&self, space: &Rc<AddressSpace>) -> Result<(), Disagreement> {
        let (number, page) = (space.number(), self.granule().bytes());
        let mut end = 0;
        for area in space.areas() {
            let whole = area.start().is_multiple_of(page) && area.end().is_multiple_of(page);
            let within = end <= area.start() && area.start() < area.end();
            // Found under its first byte, or not at all.
            let found = space.find(area.start());
            let same = found.is_some_and(|found| Rc::ptr_eq(&found, &area));
            if !whole || !within || !same || area.end() > space.end() {
                return Err(Disagreement::Area {
                    space: number,
                    va: area.start(),
                });
            }
            end = area.end();
            let anon_vma = area.anon_vma().map(|anon_vma| anon_vma.areas());
            let file = area.file().map(|file| file.areas());
            for (what, named) in [("anon_vma", anon_vma), ("file", file)] {
                let found = named.map_or(1, |named| times(&named, space, &area));
                if found != 1 {
                    return Err(Disagreement::Links {
                        space: number,
                        va: area.start(),
                        what,
                        found,
                    });
                }
            }
        }
        Ok(())
    }

    /// Nothing that a folio is found from names an area that is gone.
    pub(super) fn links(&self) -> Result<(), Disagreement> {
        let mut seen = BTreeSet::new();
        for owner in self.kernel.frames.all() {
            let Owner::Folio(folio) = owner else {
                continue;
            };
            let (at, named) = match folio.mapping() {
                Mapping::Anon(anon_vma) => (Rc::as_ptr(&anon_vma) as usize, anon_vma.areas()),
                Mapping::File(file) => (Rc::as_ptr(&file) as usize, file.areas()),
                Mapping::None => continue,
            };
            if !seen.insert(at) {
                continue;
            }
            let gone = |(space, area): &&(Rc<AddressSpace>, Rc<Vma>)| {
                let known = self.kernel.space(space.number());
                let alive = known.is_some_and(|known| Rc::ptr_eq(&known, space));
                let found = space.find(area.start());
                !alive || !found.is_some_and(|found| Rc::ptr_eq(&found, area))
            };
            if let Some((space, area)) = named.iter().find(gone) {
                return Err(Disagreement::StaleLink {
                    pfn: folio.pfn(),
                    space: space.number(),
                    va: area.start(),
                });
            }
        }
        Ok(())
    }
}

fn times(named: &Named, space: &Rc<AddressSpace>, area: &Rc<Vma>) -> usize {
    let same = |(s, a): &&(Rc<AddressSpace>, Rc<Vma>)| Rc::ptr_eq(s, space) && Rc::ptr_eq(a, area);
    named.iter().filter(same).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::audit;
    use crate::boot::{BootConfig, image};
    use crate::functional::Machine;
    use crate::kernel::{Kernel, KernelConfig};
    use crate::mm::VmaFlags;
    use crate::thread::Thread;
    use crate::{NoWitness, block_on};

    #[test]
    fn areas_out_of_place_are_found() {
        let config = BootConfig::default();
        let (memory, boot) = image(&config).expect("boots");
        let kernel_config = KernelConfig::simple(config.memory_base, 1 << 20);
        let (page, end) = (kernel_config.granule.bytes(), 1 << kernel_config.va_bits);
        // Across another, not of whole pages, beyond the end.
        let wrong = [
            (4 * page, 8 * page),
            (8 * page, 9 * page + 1),
            (end - page, end + page),
        ];
        for (va, stop) in wrong {
            let machine = Machine::new(Default::default());
            machine.load(&memory, &boot.registers);
            let kernel = Kernel::new(kernel_config.clone(), boot.linear, Rc::new(NoWitness));
            let kernel = kernel.expect("a kernel");
            let thread = Thread::new(&kernel, machine.core(0), 0);
            let space = block_on(AddressSpace::new(&thread)).expect("a root");
            let area = |start, stop, shared| {
                let flags = VmaFlags {
                    shared,
                    ..VmaFlags::default()
                };
                Vma::new(start, stop, flags, None, 12)
            };
            space.insert(area(0, 5 * page, false));
            assert!(audit(&kernel, |pa| machine.peek(pa)).is_ok());
            space.insert(area(va, stop, true));
            let expected = Disagreement::Area { space: 1, va };
            assert_eq!(audit(&kernel, |pa| machine.peek(pa)), Err(expected));
        }
    }
}
