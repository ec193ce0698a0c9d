// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Translation tables laid out by hand, behind the hardware's back.

use std::collections::BTreeMap;

use cosim::regress::{Bench, Failure};
use vmsa::{Descriptor, Granule, Ttbr, VaRange, geometry};

/// A tree of tables for one VA range. Table pages come one after the other from the address given
/// to [`Tree::new`].
///
/// ```
/// use testbenches::stage1::tree::Tree;
/// use vmsa::{Descriptor, Granule, VaRange};
///
/// let mut tree = Tree::new(VaRange::Lower, Granule::K4, 39, 0x5000_0000);
/// let page = Descriptor::leaf(Granule::K4, 3, 0x8000_0000).with_af(true);
/// let slot = tree.map(0x1234_5000, 3, page);
/// assert_eq!(slot, tree.slot(0x1234_5000, 3));
/// assert_eq!(tree.word(slot), page.0);
/// ```
#[derive(Debug, Clone)]
pub struct Tree {
    range: VaRange,
    granule: Granule,
    va_bits: u32,
    root: u64,
    next: u64,
    words: BTreeMap<u64, u64>,
}

impl Tree {
    /// An empty tree of `va_bits` VA bits whose table pages lie from physical address `base` on,
    /// which is a multiple of 64 KiB.
    #[must_use]
    pub fn new(range: VaRange, granule: Granule, va_bits: u32, base: u64) -> Self {
        let next = base + granule.bytes();
        Self {
            range,
            granule,
            va_bits,
            root: base,
            next,
            words: BTreeMap::new(),
        }
    }

    /// Moves the root of the still empty tree to `root`, a multiple of the size of its (partial)
    /// table, which shall not lie in the page after the base given to [`Tree::new`].
    #[must_use]
    pub fn rooted_at(self, root: u64) -> Self {
        Self { root, ..self }
    }

    /// Physical address of the root.
    #[must_use]
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Level of the root.
    #[must_use]
    pub fn start_level(&self) -> u8 {
        geometry::start_level(self.granule, self.va_bits)
    }

    /// Half of the VA space.
    #[must_use]
    pub fn range(&self) -> VaRange {
        self.range
    }

    /// Granule.
    #[must_use]
    pub fn granule(&self) -> Granule {
        self.granule
    }

    /// 64 - TxSZ.
    #[must_use]
    pub fn va_bits(&self) -> u32 {
        self.va_bits
    }

    /// The VA of byte `offset` of the range.
    #[must_use]
    pub fn va(&self, offset: u64) -> u64 {
        match self.range {
            VaRange::Lower => offset,
            VaRange::Upper => offset | u64::MAX << self.va_bits,
        }
    }

    /// The TTBR value that names the tree.
    #[must_use]
    pub fn ttbr(&self, asid: u16) -> Ttbr {
        Ttbr::new(asid, self.root)
    }

    /// Writes `entry` as the descriptor of `va` at `level`, adding tables above as needed. Returns
    /// its physical address.
    pub fn map(&mut self, va: u64, level: u8, entry: Descriptor) -> u64 {
        let mut table = self.root;
        for upper in self.start_level()..level {
            let slot = self.entry(table, upper, va);
            table = match self.words.get(&slot) {
                Some(&word) => Descriptor(word).next_table(self.granule),
                None => {
                    let page = self.next;
                    self.next += self.granule.bytes();
                    self.words.insert(slot, Descriptor::table(page).0);
                    page
                }
            };
        }
        let slot = self.entry(table, level, va);
        self.words.insert(slot, entry.0);
        slot
    }

    /// Maps every entry of the contiguous run of `va` at `level`, ascending from the run-aligned
    /// address `pa`, each with the bits of `like` and the Contiguous bit. Returns their addresses.
    pub fn map_run(&mut self, va: u64, level: u8, pa: u64, like: Descriptor) -> Vec<u64> {
        let entries = geometry::contiguous_run(self.granule, level).map_or(1, u64::from);
        let bytes = geometry::level_bytes(self.granule, level);
        let first = va & !(entries * bytes - 1);
        (0..entries)
            .map(|i| {
                let bits = like.0 & !Descriptor::leaf(self.granule, level, u64::MAX >> 16).0;
                let leaf = Descriptor::leaf(self.granule, level, pa + i * bytes).0 | bits;
                self.map(
                    first + i * bytes,
                    level,
                    Descriptor(leaf).with_contiguous(true),
                )
            })
            .collect()
    }

    /// Physical address of the descriptor of `va` at `level`; tables on the way shall be there.
    #[must_use]
    pub fn slot(&self, va: u64, level: u8) -> u64 {
        (self.start_level()..level).fold(self.root, |table, upper| {
            Descriptor(self.word(self.entry(table, upper, va))).next_table(self.granule)
        }) | self.entry(0, level, va)
    }

    /// The word at physical address `slot`, 0 where nothing was written.
    #[must_use]
    pub fn word(&self, slot: u64) -> u64 {
        self.words.get(&slot).copied().unwrap_or(0)
    }

    /// Replaces the word at physical address `slot`, e.g. to add limits to a table descriptor.
    pub fn set(&mut self, slot: u64, word: u64) {
        self.words.insert(slot, word);
    }

    /// Stores every word byte-swapped, for walks with SCTLR_EL1.EE = 1.
    pub fn swap_bytes(&mut self) {
        self.words
            .values_mut()
            .for_each(|word| *word = word.swap_bytes());
    }

    /// The same tree, its table pages `distance` bytes further up.
    #[must_use]
    pub fn moved(mut self, distance: u64) -> Self {
        let (start, end) = (self.root, self.next);
        let shift = |word: u64| {
            let next = Descriptor(word).next_table(self.granule);
            let is_link = word & 0b11 == 0b11 && (start..end).contains(&next);
            if is_link { word + distance } else { word }
        };
        self.words = self
            .words
            .iter()
            .map(|(&slot, &word)| (slot + distance, shift(word)))
            .collect();
        self.root += distance;
        self.next += distance;
        self
    }

    /// Puts the tables into the memory of `bench`.
    ///
    /// # Errors
    /// As [`Bench::load`].
    pub fn load(&self, bench: &mut Bench) -> Result<(), Failure> {
        self.words
            .iter()
            .try_for_each(|(&slot, &word)| bench.load(slot, &[word]))
    }

    fn entry(&self, table: u64, level: u8, va: u64) -> u64 {
        table + 8 * geometry::index(self.granule, self.va_bits, level, va)
    }
}
