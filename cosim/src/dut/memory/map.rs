// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which node is home to which physical address.

use super::words::Words;
use super::{MAX_NODES, MemoryConfigError};

/// Entries of the map.
pub const MAP_ENTRIES: usize = 8;
/// Addresses of an entry begin and end at multiples of this many bytes: 2 MB.
pub const MAP_UNIT: u64 = 1 << 21;
/// Bytes of physical address space.
pub(super) const PA_SIZE: u64 = 1 << 48;
/// log2 of the bytes that follow each other on one node of an entry.
const INTERLEAVE: u32 = 12;

/// A range of addresses and the nodes that share it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MapEntry {
    /// First address, a multiple of 2 MB.
    pub base: u64,
    /// First address behind it, a multiple of 2 MB; equal to `base` for an entry not in use.
    pub end: u64,
    /// The nodes, one bit each; their number is a power of two. Pages of 4 KB are dealt out in turn,
    /// lowest node first.
    pub nodes: u8,
}

/// The map: the first entry that covers an address decides; what no entry covers has no home, and
/// answers with an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AddressMap {
    /// Entries, first one first.
    pub entries: [MapEntry; MAP_ENTRIES],
}

impl AddressMap {
    /// All of memory dealt out to the first `nodes` nodes.
    #[must_use]
    pub fn interleaved(nodes: usize) -> Self {
        let mut map = Self::default();
        map.entries[0] = MapEntry {
            base: 0,
            end: PA_SIZE,
            nodes: u8::MAX >> (MAX_NODES - nodes.clamp(1, MAX_NODES)),
        };
        map
    }

    /// The home of `address`; `None` if it has none.
    #[must_use]
    pub fn home(&self, address: u64) -> Option<u8> {
        let nodes = self.nodes(address)?;
        let turn = (address >> INTERLEAVE) as u32 & (nodes.count_ones().checked_sub(1)?);
        (0..MAX_NODES as u8)
            .filter(|node| nodes >> node & 1 == 1)
            .nth(turn as usize)
    }

    /// The nodes that share the range of `address`, one bit each; `None` if it has no home.
    #[must_use]
    pub fn nodes(&self, address: u64) -> Option<u8> {
        let covers = |entry: &&MapEntry| (entry.base..entry.end).contains(&address);
        Some(self.entries.iter().find(covers)?.nodes)
    }

    pub(super) fn encode(&self, words: &mut Words) -> Result<(), MemoryConfigError> {
        for (number, entry) in self.entries.iter().enumerate() {
            if entry.base == entry.end {
                words.skip(64);
                continue;
            }
            let wrong = |why| MemoryConfigError::Map { entry: number, why };
            if !entry.nodes.is_power_of_two() && !entry.nodes.count_ones().is_power_of_two() {
                return Err(wrong("the number of its nodes is not a power of two"));
            }
            if entry.base > entry.end || entry.end > PA_SIZE {
                return Err(wrong("it ends before it begins, or beyond 48 bits"));
            }
            if (entry.base | entry.end) % MAP_UNIT != 0 {
                return Err(wrong("it does not begin and end at multiples of 2 MB"));
            }
            words.put(27, entry.base / MAP_UNIT);
            words.put(27, entry.end / MAP_UNIT - 1);
            words.put(8, u64::from(entry.nodes));
            words.skip(1);
            words.put(1, 1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_dealt_out_and_the_first_entry_decides() {
        let mut map = AddressMap::interleaved(2);
        assert_eq!(map.home(0x1fff), Some(1));
        assert_eq!(map.home(0x2000), Some(0));
        map.entries[1] = map.entries[0];
        map.entries[0] = MapEntry {
            base: MAP_UNIT,
            end: 2 * MAP_UNIT,
            nodes: 0b1010,
        };
        assert_eq!(map.home(MAP_UNIT), Some(1));
        assert_eq!(map.home(MAP_UNIT + 0x1000), Some(3));
        assert_eq!(map.home(2 * MAP_UNIT), Some(0));
        map.entries[1] = MapEntry::default();
        assert_eq!(map.home(0), None);
    }
}
