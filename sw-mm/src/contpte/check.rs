// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What has to hold of contiguous runs at every moment (section 9): I1 and I2 of the tables, I3 to I5
//! of the TLBs.
//!
//! All of it is judged from outside, by what memory and the TLBs hold, and shares nothing with the
//! operations that are judged.

use super::block_pages;
use crate::folio::Owner;
use crate::functional::{Cached, Target};
use crate::kernel::Kernel;
use crate::pte::{Kind, Pte};
use std::fmt;
use vmsa::{Descriptor, Granule, geometry};

/// A rule of section 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invariant {
    /// Outside of the lock of its table, a block is folded or unfolded.
    I1,
    /// Under the lock, a folded block differs only in entries that are clear or stand for a folio that
    /// moves, and in the state that may change in place.
    I2,
    /// No TLB holds two entries of one page that disagree.
    I3,
    /// Between clearing a block and writing it again no TLB holds any of it.
    I4,
    /// No TLB reaches a page that was given back.
    I5,
}

/// A rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub invariant: Invariant,
    /// First virtual address of the entry that breaks it.
    pub va: u64,
    /// The entry in the table or TLB.
    pub entry: Descriptor,
    /// Core whose TLB it is, of I3 to I5.
    pub core: Option<usize>,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            invariant,
            va,
            entry,
            core,
            what,
        } = self;
        write!(f, "{invariant:?}: {entry} for VA {va:#x}")?;
        if let Some(core) = core {
            write!(f, " in the TLB of core {core}")?;
        }
        write!(f, ": {what} (contpte section 9)")
    }
}

/// I1 and I2 of every last-level table of every address space; `read` is memory by physical address,
/// as a core loads it: the last stores to a table may be on their way after its lock was released. A
/// table whose lock is taken is under change.
pub fn tables(kernel: &Kernel, read: impl Fn(u64) -> u64) -> Vec<Broken> {
    let mut broken = Vec::new();
    let granule = kernel.granule();
    let pages = block_pages(granule);
    let mut block = Vec::with_capacity(pages as usize);
    for owner in kernel.frames.all() {
        let Owner::Table(table) = owner else {
            continue;
        };
        if table.level != geometry::FINAL_LEVEL || table.dead.get() {
            continue;
        }
        let changing = table.lock.is_locked();
        for first in (0..granule.entries()).step_by(pages as usize) {
            block.clear();
            block.extend((first..first + pages).map(|index| Pte(read(table.pa + index * 8))));
            if let Some((index, what)) = block_fault(granule, &block, changing) {
                broken.push(Broken {
                    invariant: if changing {
                        Invariant::I2
                    } else {
                        Invariant::I1
                    },
                    va: table.base + ((first + index as u64) << granule.shift()),
                    entry: block[index].descriptor(),
                    core: None,
                    what,
                });
            }
        }
    }
    broken
}

/// The first entry of a block that breaks I1, or I2 if it is `changing`, and how.
pub fn block_fault(
    granule: Granule,
    block: &[Pte],
    changing: bool,
) -> Option<(usize, &'static str)> {
    let hinted = |pte: &&Pte| pte.present() && pte.cont();
    let lead = block.iter().position(|pte| hinted(&pte))?;
    let first = block[lead].advance(granule, -(lead as i64));
    if first.pfn(granule).0 & (block.len() as u64 - 1) != 0 {
        return Some((lead, "the frames of the run are not aligned"));
    }
    block.iter().enumerate().find_map(|(index, pte)| {
        let expected = first.advance(granule, index as i64);
        // A folio that has moved comes back as one batch, entry by entry (section 5, set_ptes). A page
        // goes to swap and comes back alone, so its entry is in no run (CONTPTE-32).
        let what = if changing && (pte.is_none() || matches!(pte.kind(), Kind::Migration(_))) {
            return None;
        } else if pte.is_none() {
            "it is clear in a run"
        } else if !pte.valid() {
            "it is not valid in a run"
        } else if !pte.cont() {
            "it lacks the contiguous bit in a run"
        } else if pte.special() {
            "it is special"
        } else if pte.pfn(granule) != expected.pfn(granule) {
            "its frame is not the next of the run"
        } else if uniform(*pte, changing) != uniform(expected, changing) {
            "its attributes are not those of the run"
        } else {
            return None;
        };
        Some((index, what))
    })
}

/// What members of a run have to agree in.
fn uniform(pte: Pte, changing: bool) -> u64 {
    let leaf = pte.norm().descriptor();
    if changing {
        leaf.with_dbm(false).0
    } else {
        leaf.with_ap_read_only(pte.writable() || pte.descriptor().ap_read_only())
            .0
    }
}

/// I3 of the leaves that one TLB holds. Entries whose invalidation is under way are left out. With
/// `bbm2_noabort`, a run and a page of it may differ in permission.
pub fn tlb(leaves: &[Cached], bbm2_noabort: bool) -> Vec<Broken> {
    let mut held: Vec<&Cached> = leaves
        .iter()
        .filter(|e| e.target == Target::Leaf && !e.doomed)
        .collect();
    held.sort_by_key(|e| e.va);
    let mut broken = Vec::new();
    for (place, lower) in held.iter().enumerate() {
        let end = lower.va.saturating_add(lower.bytes);
        for upper in held[place + 1..].iter().take_while(|e| e.va < end) {
            if lower.asid != upper.asid && !lower.global && !upper.global {
                continue;
            }
            let what = if lower.pa + (upper.va - lower.va) != upper.pa {
                "another entry of the page leads elsewhere"
            } else if !bbm2_noabort && lower.run != upper.run && rights(lower) != rights(upper) {
                "a run and a page of it differ in permission"
            } else {
                continue;
            };
            broken.push(of_tlb(Invariant::I3, upper, what));
        }
    }
    broken
}

/// Who may do what through an entry, dirty or not.
fn rights(entry: &Cached) -> (bool, bool, bool, bool) {
    let leaf = entry.descriptor;
    let write = leaf.dbm() || !leaf.ap_read_only();
    let limits = entry.permissions;
    (limits.el0, write, limits.el0_execute, limits.el1_execute)
}

/// I4: entries of `bytes` bytes at `va`, for `asid`, that are still held although the block there was
/// cleared and its invalidation has completed.
pub fn cleared_block(leaves: &[Cached], asid: u16, va: u64, bytes: u64) -> Vec<Broken> {
    let held = leaves.iter().filter(|e| {
        e.target == Target::Leaf
            && (e.asid == asid || e.global)
            && e.va < va + bytes
            && va < e.va.saturating_add(e.bytes)
    });
    held.map(|e| of_tlb(Invariant::I4, e, "the block is clear and was invalidated"))
        .collect()
}

/// I5: entries that lead to memory that is given back, as
/// [`Machine::translations_to`](crate::functional::Machine::translations_to) lists them.
pub fn freed(translations: &[Cached]) -> Vec<Broken> {
    let leaves = translations.iter().filter(|e| e.target == Target::Leaf);
    leaves
        .map(|e| of_tlb(Invariant::I5, e, "its memory is given back"))
        .collect()
}

fn of_tlb(invariant: Invariant, entry: &Cached, what: &'static str) -> Broken {
    Broken {
        invariant,
        va: entry.va,
        entry: entry.descriptor,
        core: Some(entry.core),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Pfn;
    use crate::pte::Migration;

    const G: Granule = Granule::K4;

    fn folded() -> Vec<Pte> {
        let first = Pte::page(G, Pfn(0x4_0020)).make_writable().with_cont(true);
        (0..16).map(|page| first.advance(G, page)).collect()
    }

    fn fault(changing: bool, change: impl Fn(&mut Vec<Pte>)) -> Option<&'static str> {
        let mut block = folded();
        change(&mut block);
        block_fault(G, &block, changing).map(|(_, what)| what)
    }

    #[test]
    fn folded_and_unfolded_blocks_pass() {
        // I1.
        assert_eq!(fault(false, |_| ()), None);
        let unfold = |block: &mut Vec<Pte>| {
            block.iter_mut().for_each(|pte| *pte = pte.with_cont(false));
            block[3] = Pte::NONE;
            block[4] = block[9];
            block[5] = Pte::swap(crate::pte::SwapEntry(u64::MAX), false);
        };
        assert_eq!(fault(false, unfold), None);
        let state = |block: &mut Vec<Pte>| {
            block[3] = block[3].with_young(true);
            block[4] = block[4].make_dirty();
        };
        assert_eq!(fault(false, state), None);
    }

    #[test]
    fn every_way_to_tear_a_run_is_found() {
        // I1, I2: also while it changes.
        type Change = fn(&mut Vec<Pte>);
        let torn: [(Change, &str); 7] = [
            (|b| b[7] = b[7].with_cont(false), "lacks"),
            (|b| b[7] = b[7].advance(G, 1), "frame"),
            (|b| b[7] = b[7].with_execute(true), "attributes"),
            (|b| b[7] = b[7].make_prot_none(), "not valid"),
            (|b| b[7] = b[7].make_special(), "special"),
            (
                |b| b[7] = Pte::swap(crate::pte::SwapEntry(5), false),
                "not valid",
            ),
            (
                |b| b.iter_mut().for_each(|pte| *pte = pte.advance(G, 1)),
                "aligned",
            ),
        ];
        for (change, why) in torn {
            for changing in [false, true] {
                let what = fault(changing, change);
                assert!(
                    what.is_some_and(|what| what.contains(why)),
                    "{why} {what:?}"
                );
            }
        }
    }

    #[test]
    fn only_a_block_under_change_may_be_half_clear_half_protected_or_half_moved() {
        // I2.
        let clear: fn(&mut Vec<Pte>) = |block| block[..9].fill(Pte::NONE);
        let protect: fn(&mut Vec<Pte>) = |block| {
            for pte in &mut block[..9] {
                *pte = pte.write_protect();
            }
        };
        let arriving: fn(&mut Vec<Pte>) = |block| {
            for pte in &mut block[9..] {
                *pte = Pte::migration(Migration {
                    pfn: pte.pfn(G),
                    writable: true,
                    exclusive: true,
                    young: true,
                    dirty: false,
                });
            }
        };
        for change in [clear, protect, arriving] {
            assert_eq!(fault(true, change), None);
            assert!(fault(false, change).is_some());
        }
    }

    #[test]
    fn read_only_entries_that_are_no_clean_ones_count_as_protected() {
        // I1: RDONLY is dirty state only where DBM is set.
        let change = |block: &mut Vec<Pte>| {
            for pte in block.iter_mut() {
                *pte = Pte(pte.descriptor().with_dbm(false).0);
            }
            block[2] = Pte(block[2].descriptor().with_ap_read_only(false).0);
        };
        assert!(fault(false, change).is_some());
    }
}
