// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Where the load maps memory: the same pages in every address space, in regions that lie across the
//! end of a table, below other tables, and in files; and the words of each page that it uses.

use std::ops::Range;

use vmsa::{Granule, geometry};

/// What is behind a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// Private memory.
    Anonymous,
    /// A file that all share.
    Shared,
    /// A file that nobody writes, of which each address space gets a copy by writing.
    Private,
}

/// Pages that follow each other.
#[derive(Debug, Clone, Copy)]
pub struct Region {
    /// First address.
    pub va: u64,
    /// Number of its first page among those of all regions.
    pub first: usize,
    /// Pages.
    pub pages: usize,
    /// What is behind them.
    pub backing: Backing,
}

/// Words of each page that each writer owns.
pub const WORDS: usize = 2;

/// All regions.
#[derive(Debug, Clone)]
pub struct Layout {
    granule: Granule,
    regions: Vec<Region>,
    writers: usize,
}

impl Layout {
    /// Regions for tables of `granule`, in pages whose words belong to `writers` threads.
    #[must_use]
    pub fn new(granule: Granule, writers: usize) -> Self {
        let page = granule.bytes();
        let table = geometry::level_bytes(granule, 2);
        let upper = geometry::level_bytes(granule, 1);
        // Below another upper table if the address space is large enough for two.
        let apart = if granule == Granule::K64 { 0 } else { upper };
        let mut regions = Vec::new();
        let mut first = 0;
        let mut add = |va, pages, backing| {
            regions.push(Region {
                va,
                first,
                pages,
                backing,
            });
            first += pages;
        };
        add(4 * table - 8 * page, 16, Backing::Anonymous);
        // Aligned, so that runs and large folios fit.
        add(apart + 8 * table, 32, Backing::Anonymous);
        add(apart + 9 * table - 4 * page, 8, Backing::Shared);
        add(2 * apart + 12 * table, 8, Backing::Private);
        Self {
            granule,
            regions,
            writers,
        }
    }

    /// The regions.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Numbers of the pages behind which is `backing`, of the first such region.
    #[must_use]
    pub fn pages_of(&self, backing: Backing) -> Range<usize> {
        let region = self.regions.iter().find(|region| region.backing == backing);
        region.map_or(0..0, |region| region.first..region.first + region.pages)
    }

    /// Pages of all regions.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.regions.iter().map(|region| region.pages).sum()
    }

    /// Words of a page that are used.
    #[must_use]
    pub fn words(&self) -> usize {
        self.writers * WORDS
    }

    /// The region of page `page`.
    #[must_use]
    pub fn region(&self, page: usize) -> &Region {
        let holds = |region: &&Region| page < region.first + region.pages;
        self.regions.iter().find(holds).unwrap_or(&self.regions[0])
    }

    /// Address of word `word` of page `page`.
    #[must_use]
    pub fn va(&self, page: usize, word: usize) -> u64 {
        let region = self.region(page);
        region.va + (page - region.first) as u64 * self.granule.bytes() + self.offset(word)
    }

    /// Place of a word in its page: from the first line up, and from the last one down.
    #[must_use]
    pub fn offset(&self, word: usize) -> u64 {
        let line = 64 * (word / WORDS) as u64;
        match word % WORDS {
            0 => line,
            _ => self.granule.bytes() - 64 - line,
        }
    }

    /// What a word of a page holds that nobody wrote.
    #[must_use]
    pub fn untouched(&self, page: usize, word: usize) -> u64 {
        match self.region(page).backing {
            Backing::Private => Value::file(page, word),
            Backing::Anonymous | Backing::Shared => 0,
        }
    }
}

/// What the load stores: which address space stored it where, and when.
#[derive(Debug, Clone, Copy)]
pub struct Value;

impl Value {
    /// The `count`th store of a thread, in address space `space`.
    #[must_use]
    pub fn stored(space: u32, page: usize, word: usize, count: u32) -> u64 {
        u64::from(space as u16) << 48
            | (page as u64 & 0xff) << 40
            | (word as u64) << 32
            | u64::from(count)
    }

    /// The contents of the file that nobody writes.
    fn file(page: usize, word: usize) -> u64 {
        Self::stored(0xffff, page, word, 0xf11e_f11e)
    }

    /// In words.
    #[must_use]
    pub fn text(value: u64) -> String {
        match (value, value >> 48) {
            (0, _) => "0".to_owned(),
            (_, 0xffff) => format!("{value:#018x} (the file)"),
            (_, space) => format!(
                "{value:#018x} (store {} in mm{space} to page {} word {})",
                value as u32,
                value >> 40 & 0xff,
                value >> 32 & 0xff
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_an_address_of_its_own() {
        for granule in Granule::ALL {
            let layout = Layout::new(granule, 8);
            let mut seen = std::collections::BTreeSet::new();
            for page in 0..layout.pages() {
                for word in 0..layout.words() {
                    assert!(
                        seen.insert(layout.va(page, word)),
                        "{granule} {page} {word}"
                    );
                }
            }
            assert!(
                seen.iter()
                    .all(|va| va % 8 == 0 && *va < 1 << 39 || granule != Granule::K4)
            );
        }
    }

    #[test]
    fn values_tell_where_they_come_from() {
        let value = Value::stored(3, 7, 2, 99);
        assert_eq!(
            Value::text(value),
            "0x0003070200000063 (store 99 in mm3 to page 7 word 2)"
        );
    }
}
