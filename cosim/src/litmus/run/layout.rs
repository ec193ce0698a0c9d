// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Where the variables, tables and pages of a scenario lie, and what its descriptors are as words.
//!
//! Virtual addresses are the same in every run; physical pages are drawn, so that tables and data
//! spread over the memory nodes. Cores reach descriptors through a linear map in the upper range: one
//! global 1 GB block for EL1 that no scenario edits.

use std::collections::BTreeMap;

use rand::Rng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;
use vmsa::{Descriptor, Granule, geometry};

use super::areas::Areas;
use crate::litmus::scenario::{
    Attribute, DescriptorSpec, Page, Physical, Scenario, Slot, Target, Variable,
};

/// Bytes of a page.
pub const PAGE: u64 = 4096;
const PAGES_OF_TABLE: u64 = 512;
/// What a level 3 table translates: 2 MB.
const REGION: u64 = PAGE * PAGES_OF_TABLE;
/// Pages of all variables that are not apart.
const MOST_PAGES: u64 = 12 * PAGES_OF_TABLE;
/// First of the regions, the one below that of the variables.
const REGIONS: u64 = 0x0000_1234_4000_0000;
/// Physical memory that the linear map shows: 1 GB from here on.
const MEMORY: u64 = 0x4000_0000;
/// Virtual address of the linear map less the physical address behind it.
const LINEAR: u64 = 0xffff_0000_0000_0000;
/// Pages from which tables and single pages are drawn.
const POOL: u64 = MEMORY + (16 << 20);
/// Where areas lie that blocks or runs map.
const LARGE: u64 = MEMORY + (64 << 20);

/// The tables of one address space.
#[derive(Debug)]
struct Space {
    root: u64,
    /// The level 2 table of all regions.
    level2: u64,
    /// The level 3 table of each region.
    level3: BTreeMap<u64, u64>,
}

/// Where everything of one scenario lies.
#[derive(Debug)]
pub struct Layout {
    variables: BTreeMap<String, (Variable, u64)>,
    areas: BTreeMap<String, u64>,
    /// Offset in its pages of the word of a variable that is not at their beginning.
    offsets: BTreeMap<String, u64>,
    spaces: Vec<Space>,
    upper: u64,
    /// Pages before those of variables, whose use leads a prefetcher to them.
    neighbours: Vec<u64>,
    words: BTreeMap<u64, u64>,
}

/// Hands out physical memory.
struct Pool {
    pages: Vec<u64>,
    large: u64,
}

impl Pool {
    fn page(&mut self) -> Result<u64, String> {
        let page = self.pages.pop();
        page.ok_or_else(|| "the scenario needs more than 256 tables and single pages".to_owned())
    }

    fn aligned(&mut self, bytes: u64) -> Result<u64, String> {
        let base = self.large.next_multiple_of(bytes);
        self.large = base + bytes;
        match self.large <= MEMORY + (1 << 30) {
            true => Ok(base),
            false => Err("the physical areas of the scenario take more than 900 MB".to_owned()),
        }
    }
}

impl Layout {
    /// Lays out `scenario`, drawing physical pages from `rng`.
    ///
    /// # Errors
    /// What does not fit.
    pub fn new(scenario: &Scenario, rng: &mut Pcg64Mcg) -> Result<Self, String> {
        let mut pages: Vec<u64> = (0..256).map(|page| POOL + page * PAGE).collect();
        pages.shuffle(rng);
        let mut pool = Pool {
            pages,
            large: LARGE,
        };
        let needs = Areas::of(scenario);
        let variables = place(&scenario.setup.variables, &needs)?;
        let mut areas = BTreeMap::new();
        for (name, need) in needs.iter() {
            let base = match need.alignment(PAGE, REGION) {
                None => pool.page()?,
                Some(bytes) => pool.aligned(bytes)?,
            };
            areas.insert(name.to_owned(), base);
        }
        // Loads of words at one offset do not pass each other in some cores, whatever their pages.
        let mut offsets = BTreeMap::new();
        for variable in &scenario.setup.variables {
            if variable.apart && needs.is_constant(&variable.name) && rng.random_bool(0.7) {
                offsets.insert(variable.name.clone(), 8 * rng.random_range(0..PAGE / 8));
            }
        }
        let mut layout = Self {
            offsets,
            neighbours: neighbours(&variables),
            variables,
            areas,
            spaces: Vec::new(),
            upper: pool.page()?,
            words: BTreeMap::new(),
        };
        layout.linear_map(&mut pool)?;
        let scratch = pool.page()?;
        for _ in &scenario.setup.asids {
            layout.space(&mut pool, scratch)?;
        }
        for (slot, spec) in &scenario.setup.descriptors {
            layout.named(&slot.page)?;
            let (address, word) = (layout.slot(slot), layout.encode(slot, spec).0);
            layout.words.insert(address, word);
        }
        layout.fill(&needs, scenario);
        Ok(layout)
    }

    fn linear_map(&mut self, pool: &mut Pool) -> Result<(), String> {
        let level1 = pool.page()?;
        let block = Descriptor::leaf(Granule::K4, 1, MEMORY)
            .with_af(true)
            .with_sh(3);
        let index = |level| geometry::index(Granule::K4, 48, level, LINEAR + MEMORY) * 8;
        self.words
            .insert(self.upper + index(0), Descriptor::table(level1).0);
        self.words.insert(level1 + index(1), block.0);
        Ok(())
    }

    /// Makes the tables of one more address space, every variable mapped to its own area.
    fn space(&mut self, pool: &mut Pool, scratch: u64) -> Result<(), String> {
        let (root, level1, level2) = (pool.page()?, pool.page()?, pool.page()?);
        let index = |level| geometry::index(Granule::K4, 48, level, REGIONS) * 8;
        self.words
            .insert(root + index(0), Descriptor::table(level1).0);
        self.words
            .insert(level1 + index(1), Descriptor::table(level2).0);
        let mut leaves: Vec<(u64, u64)> = self.neighbours.iter().map(|&va| (va, scratch)).collect();
        for (variable, base) in self.variables.values() {
            let area = self.areas[&variable.name];
            let pages = 0..u64::from(variable.pages);
            leaves.extend(pages.map(|page| (base + page * PAGE, area + page * PAGE)));
        }
        let mut level3 = BTreeMap::new();
        for (va, pa) in leaves {
            let region = va & !(REGION - 1);
            let table = match level3.get(&region) {
                Some(&table) => table,
                None => *level3.entry(region).or_insert(pool.page()?),
            };
            self.words
                .insert(level2 + index_of(2, va), Descriptor::table(table).0);
            self.words
                .insert(table + index_of(3, va), leaf(3, pa, &[]).0);
        }
        self.spaces.push(Space {
            root,
            level2,
            level3,
        });
        Ok(())
    }

    /// First words of pages.
    fn fill(&mut self, needs: &Areas, scenario: &Scenario) {
        for (name, need) in needs.iter() {
            for page in 0..need.pages() {
                let physical = Physical {
                    area: name.to_owned(),
                    page: page as u32,
                };
                let address = self.word_at(&physical);
                self.words.insert(address, physical.first_word());
            }
        }
        for (physical, value) in &scenario.setup.memory {
            self.words.insert(self.word_at(physical), *value);
        }
    }

    fn named(&self, page: &Page) -> Result<(), String> {
        match self.variables.get(&page.variable) {
            Some((variable, _)) if page.page < variable.pages => Ok(()),
            _ => Err(format!("{} has no page {}", page.variable, page.page)),
        }
    }

    /// Virtual address of the word of a page that programs use.
    #[must_use]
    pub fn va(&self, page: &Page) -> u64 {
        let base = self.variables.get(&page.variable).map_or(0, |(_, va)| *va);
        base + u64::from(page.page) * PAGE + self.offset(&page.variable)
    }

    fn offset(&self, name: &str) -> u64 {
        self.offsets.get(name).copied().unwrap_or(0)
    }

    /// Physical address of the word of a page of an area that programs use.
    #[must_use]
    pub fn word_at(&self, physical: &Physical) -> u64 {
        self.physical(physical) + self.offset(&physical.area)
    }

    /// Physical address of a page of an area.
    #[must_use]
    pub fn physical(&self, physical: &Physical) -> u64 {
        let base = self.areas.get(&physical.area).copied().unwrap_or(POOL);
        base + u64::from(physical.page) * PAGE
    }

    /// The name of the page that holds physical address `pa`, if it is one of an area.
    #[must_use]
    pub fn name_of(&self, pa: u64) -> Option<String> {
        let below = self.areas.iter().filter(|(_, base)| **base <= pa);
        let (name, base) = below.max_by_key(|(_, base)| **base)?;
        let single = *base < LARGE;
        match (pa - base) / PAGE {
            0 => Some(format!("PA_{name}")),
            _ if single => None,
            page => Some(format!("PA_{name}[{page}]")),
        }
    }

    /// Physical address of a descriptor.
    #[must_use]
    pub fn slot(&self, slot: &Slot) -> u64 {
        let (va, space) = (self.va(&slot.page), &self.spaces[slot.space]);
        match slot.table {
            true => space.level2 + index_of(2, va),
            false => space.table_of(va) + index_of(3, va),
        }
    }

    /// Virtual address through which cores reach the word at physical address `pa`.
    #[must_use]
    pub fn linear(&self, pa: u64) -> u64 {
        LINEAR + pa
    }

    /// The word that `spec` means in `slot`.
    #[must_use]
    pub fn encode(&self, slot: &Slot, spec: &DescriptorSpec) -> Descriptor {
        let level = if slot.table { 2 } else { 3 };
        match &spec.target {
            Target::Nothing => Descriptor::INVALID,
            Target::Leaf(physical) => leaf(level, self.physical(physical), &spec.attributes),
            Target::Table => {
                let table = self.spaces[slot.space].table_of(self.va(&slot.page));
                let invalid = spec.attributes.contains(&Attribute::Invalid);
                Descriptor::table(table).with_valid(!invalid)
            }
        }
    }

    /// Root of the tables of address space `space`.
    #[must_use]
    pub fn root(&self, space: usize) -> u64 {
        self.spaces[space].root
    }

    /// Root of the tables of the upper range.
    #[must_use]
    pub fn upper_root(&self) -> u64 {
        self.upper
    }

    /// Pages whose use leads a prefetcher to a variable.
    #[must_use]
    pub fn neighbours(&self) -> &[u64] {
        &self.neighbours
    }

    /// Every word that is not zero at first, and every word that a scenario may change, by address.
    #[must_use]
    pub fn words(&self) -> &BTreeMap<u64, u64> {
        &self.words
    }

    /// What memory holds at first at physical address `pa`.
    #[must_use]
    pub fn word(&self, pa: u64) -> u64 {
        self.words.get(&pa).copied().unwrap_or(0)
    }
}

impl Space {
    fn table_of(&self, va: u64) -> u64 {
        self.level3.get(&(va & !(REGION - 1))).copied().unwrap_or(0)
    }
}

/// Places variables: those under the shared table in one region (a variable that is larger than that
/// begins there and goes on into the next), each other in its own.
fn place(
    variables: &[Variable],
    needs: &Areas,
) -> Result<BTreeMap<String, (Variable, u64)>, String> {
    let mut placed = BTreeMap::new();
    let shared = REGIONS + REGION;
    let mut apart = shared + 16 * REGION;
    // A block maps its variable from the beginning of the region on.
    let (blocks, others): (Vec<_>, Vec<_>) = variables
        .iter()
        .partition(|variable| needs.is_block(&variable.name));
    let mut next = u64::from(blocks.is_empty());
    for variable in blocks.into_iter().chain(others) {
        let pages = u64::from(variable.pages);
        let size = pages.next_power_of_two();
        let va = if variable.apart {
            let va = apart + size % PAGES_OF_TABLE * PAGE;
            apart += (pages / PAGES_OF_TABLE + 2) * REGION;
            va
        } else {
            let first = match next {
                1 if size >= PAGES_OF_TABLE => 0,
                _ => next.next_multiple_of(size),
            };
            // A page between two variables is the neighbour of the second.
            next = first + pages + 1;
            shared + first * PAGE
        };
        if pages > MOST_PAGES || next > MOST_PAGES || apart > REGIONS + (1 << 30) - REGION {
            return Err(format!(
                "there is no room for the pages of {}",
                variable.name
            ));
        }
        placed.insert(variable.name.clone(), (variable.clone(), va));
    }
    Ok(placed)
}

/// The page before each variable, where no other variable has it.
fn neighbours(variables: &BTreeMap<String, (Variable, u64)>) -> Vec<u64> {
    let taken = |va: u64| {
        variables
            .values()
            .any(|(variable, base)| (*base..base + u64::from(variable.pages) * PAGE).contains(&va))
    };
    let before = variables.values().map(|(_, base)| base - PAGE);
    before.filter(|&va| !taken(va)).collect()
}

fn index_of(level: u8, va: u64) -> u64 {
    geometry::index(Granule::K4, 48, level, va) * 8
}

fn leaf(level: u8, pa: u64, attributes: &[Attribute]) -> Descriptor {
    let default = Descriptor::leaf(Granule::K4, level, pa)
        .with_af(true)
        .with_ap_el0(true)
        .with_ng(true)
        .with_sh(3);
    attributes
        .iter()
        .fold(default, |leaf, attribute| match attribute {
            Attribute::Invalid => leaf.with_valid(false),
            Attribute::ReadOnly => leaf.with_ap_read_only(true),
            Attribute::Dbm => leaf.with_dbm(true),
            Attribute::Clean => leaf.with_ap_read_only(true).with_dbm(true),
            Attribute::Af0 => leaf.with_af(false),
            Attribute::Global => leaf.with_ng(false),
            Attribute::El1Only => leaf.with_ap_el0(false),
            Attribute::Contiguous => leaf.with_contiguous(true),
            Attribute::Nt => leaf.with_nt(true),
        })
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
