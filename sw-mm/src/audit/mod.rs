// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Whether all that the kernel believes agrees with what its tables say (section 16).
//!
//! [`audit`] walks the tables of every address space in memory, as a walker would find them, and
//! derives from the entries alone how often each page is mapped, how large each address space is and
//! which frames are in use. All of that is then held against the books: folios, areas, reverse map,
//! counters, lists and the allocator. It costs no traffic: memory is read behind everybody's back.
//!
//! It is meant for quiescence: no operation is under way, and the stores of all cores are visible. Then
//! nothing is approximate: a folio has one reference for each entry that maps it, one for its cache, and
//! those that the caller names.
//!
//! | module | proves |
//! | --- | --- |
//! | `tables` | each table is linked once, at its place, and needed |
//! | `entries` | each entry belongs to an area, permits no more than it, and names a folio that agrees |
//! | `runs` | contiguous runs are whole and consistent (contpte I1) |
//! | `folios` | map counts, references, exclusiveness, lists, frames in use (G8) |
//! | `slots` | slots of the swap area and the swap cache (G8) |
//! | `areas` | areas are in order, and what a page is found from names exactly them |

mod areas;
mod disagreement;
mod entries;
mod folios;
mod runs;
mod slots;
mod tables;

pub use disagreement::{Disagreement, Wrong, WrongRun};

use crate::kernel::Kernel;
use crate::mm::AddressSpace;
use crate::page::Pfn;
use crate::pte::{Pte, SwapEntry};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use vmsa::{Descriptor, Granule, geometry};

/// References that somebody outside of the tables and caches holds, by the first frame of the folio:
/// pins, and folios that are worked with.
pub type Held = BTreeMap<Pfn, u64>;

/// An entry that maps a page of a folio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Number of the address space.
    pub space: u32,
    /// Address of the page.
    pub va: u64,
    /// Page of the folio.
    pub page: u64,
    /// The entry.
    pub pte: Pte,
}

/// What an audit found in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Address spaces.
    pub spaces: usize,
    /// Table pages.
    pub tables: u64,
    /// Entries that name a page, a place in the swap area, or the zero page.
    pub entries: u64,
    /// Contiguous runs.
    pub runs: u64,
    /// Folios.
    pub folios: usize,
    /// By the first frame of each folio that is mapped, all entries that map it, by address space and
    /// address (MM-23).
    pub mappings: BTreeMap<Pfn, Vec<Mapped>>,
}

struct Auditor<'a, R> {
    kernel: &'a Kernel,
    read: R,
    census: Census,
    /// Frames of the tables that an entry, or a root, leads to.
    linked: BTreeSet<Pfn>,
    /// Slot that each swap entry names.
    swapped: Vec<SwapEntry>,
}

/// Pages of one address space as its entries count them.
#[derive(Default)]
struct Pages {
    resident: u64,
    swapped: u64,
    tables: u64,
}

/// Holds the books against memory, which `read` reads: the 8-byte word at a physical address. Nobody
/// holds a folio but tables and caches.
///
/// # Errors
/// The first disagreement, in an order that does not change from run to run.
pub fn audit(kernel: &Kernel, read: impl Fn(u64) -> u64) -> Result<Census, Disagreement> {
    audit_with(kernel, &Held::new(), read)
}

/// As [`audit`], while references to some folios are `held`.
///
/// # Errors
/// As [`audit`].
pub fn audit_with(
    kernel: &Kernel,
    held: &Held,
    read: impl Fn(u64) -> u64,
) -> Result<Census, Disagreement> {
    if let Some(&violation) = kernel.lock_violations().borrow().first() {
        return Err(violation.into());
    }
    kernel.memory.audit()?;
    let mut auditor = Auditor {
        kernel,
        read,
        census: Census::default(),
        linked: BTreeSet::new(),
        swapped: Vec::new(),
    };
    for space in kernel.spaces() {
        auditor.areas(&space)?;
        auditor.space(&space)?;
    }
    auditor.zero_page()?;
    auditor.owners(held)?;
    auditor.links()?;
    auditor.slots()?;
    Ok(auditor.census)
}

impl<R: Fn(u64) -> u64> Auditor<'_, R> {
    fn granule(&self) -> Granule {
        self.kernel.granule()
    }

    fn descriptor(&self, table: u64, index: u64) -> Descriptor {
        Descriptor((self.read)(table + index * 8))
    }

    fn space(&mut self, space: &Rc<AddressSpace>) -> Result<(), Disagreement> {
        let number = space.number();
        let pending = space.flush_pending.get();
        if pending > 0 {
            return Err(Disagreement::FlushPending {
                space: number,
                pending,
            });
        }
        if space.mmap_lock.is_locked() || space.upper_lock.is_locked() {
            return Err(Disagreement::Locked { space: number });
        }
        let pages = self.tables(space)?;
        for (what, counted, found) in [
            ("table", space.tables.get(), pages.tables),
            ("resident", space.resident.get(), pages.resident),
            ("swapped", space.swapped.get(), pages.swapped),
        ] {
            if counted != found {
                return Err(Disagreement::Pages {
                    space: number,
                    what,
                    counted,
                    found,
                });
            }
        }
        self.census.spaces += 1;
        self.census.tables += pages.tables;
        Ok(())
    }

    /// What all readers of untouched memory see has to stay what it is.
    fn zero_page(&self) -> Result<(), Disagreement> {
        let pa = self.kernel.pa(self.kernel.zero_page());
        let words = (pa..pa + self.granule().bytes()).step_by(8);
        match words.map(|pa| (pa, (self.read)(pa))).find(|w| w.1 != 0) {
            Some((pa, value)) => Err(Disagreement::ZeroPage { pa, value }),
            None => Ok(()),
        }
    }

    /// Bytes that an entry of `level` translates.
    fn bytes(&self, level: u8) -> u64 {
        geometry::level_bytes(self.granule(), level)
    }
}
