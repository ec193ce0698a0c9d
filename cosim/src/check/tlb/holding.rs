// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the cores hold, for rules about where it leads: the mirrors, read from outside.

use super::TlbMonitor;
use super::mirror::Entry;
use crate::dut::ports::TlbStructure;

const STRUCTURES: [TlbStructure; 4] = [
    TlbStructure::Itlb,
    TlbStructure::Dtlb,
    TlbStructure::L2,
    TlbStructure::WalkCache,
];

/// An entry that a core surely holds.
#[derive(Debug, Clone, Copy)]
pub struct Holding<'a> {
    /// The core.
    pub core: u8,
    /// Where it holds it.
    pub structure: TlbStructure,
    /// The entry.
    pub entry: &'a Entry,
}

impl TlbMonitor {
    /// Every entry that is surely there, core by core. One that an operation may have removed beyond
    /// what it named (TLB-29) is left out.
    pub fn holdings(&self) -> impl Iterator<Item = Holding<'_>> {
        self.cores.iter().flat_map(|(&core, held)| {
            STRUCTURES.into_iter().flat_map(move |structure| {
                let entries = held.structures[structure as usize].certain();
                entries.map(move |entry| Holding {
                    core,
                    structure,
                    entry,
                })
            })
        })
    }
}
