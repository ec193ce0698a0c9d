// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which entries the descriptors that a walk read can give.

use vmsa::geometry::{FINAL_LEVEL, contiguous_run, leaf_allowed, level_bytes};
use vmsa::{Descriptor, Granule, Tcr, VaRange};

use super::named::{Held, VA_BITS};
use crate::check::operations::Operation;
use crate::check::walks::WalkRecord;
use crate::dut::ports::{Straps, TlbFill, TlbStructure};

/// Ids of the requirements that broke, and how.
pub type Broken = (&'static [&'static str], String);

/// Judges the entry `change`, which the walk `source` gave.
///
/// # Errors
/// The requirements that it breaks, and how.
pub fn check(straps: &Straps, change: &TlbFill, source: Option<&WalkRecord>) -> Result<(), Broken> {
    let Some(walk) = source else {
        return Err((&["TLB-20"], "no walk gave it".to_owned()));
    };
    let range = VaRange::of(walk.va);
    let registers = &walk.registers;
    if !registers.may_translate() || registers.tcr().all(|tcr| tcr.epd(range)) {
        return Err((&["TLB-32"], "the range does not translate".to_owned()));
    }
    if let Some(cycle) = walk.cancelled {
        let why = format!("an invalidation cancelled its walk at cycle {cycle}");
        return Err((&["DVM-13", "TLBI-07"], why));
    }
    if range != VaRange::of(change.va) {
        let why = format!("the walk was for {:#018x}", walk.va);
        return Err((&["TLB-31"], why));
    }
    if !change.global && !registers.may_be_asid(change.asid, straps.asid8) {
        let why = format!("ASID {:#06x} was not the current one", change.asid);
        return Err((&["TLB-24", "WALK-25"], why));
    }
    if change.structure == TlbStructure::WalkCache {
        return check_table(change, walk);
    }
    if change.prefetch && change.structure != TlbStructure::L2 && !walk.merged {
        let why = "a prefetch that no access joined fills the second level only".to_owned();
        return Err((&["PMU-07", "WALK-24"], why));
    }
    if walk.leaves_nothing() {
        let fault = walk.fault.map(|fsc| fsc.to_string()).unwrap_or_default();
        let why = format!("the walk ended with {fault}");
        return Err((&["VMSA-47", "TLB-20", "WALK-11"], why));
    }
    if !walk.ended {
        return Err((&["TLB-20"], "its walk has not ended".to_owned()));
    }
    let Some(read) = walk.last().filter(|read| !read.error) else {
        return Err((&["TLB-20"], "the walk read no descriptor".to_owned()));
    };
    let leaf = walk.value_at(read.address).unwrap_or(read.value);
    let verdict = check_read(straps, change, walk, read.level, leaf);
    // What a failed update brought back is what counts from then on.
    verdict.map_err(|(ids, why)| match read.by_swap {
        true => (&["HAF-04", "HAF-03", "HAF-01"][..], why),
        false => (ids, why),
    })
}

/// Judges the entry by the descriptor `leaf` of `level` that ended the walk.
fn check_read(
    straps: &Straps,
    change: &TlbFill,
    walk: &WalkRecord,
    level: u8,
    leaf: Descriptor,
) -> Result<(), Broken> {
    let range = VaRange::of(walk.va);
    check_leaf(straps, change, level, leaf)?;
    // One register state in force must explain the geometry; report by the latest.
    let mut verdict = Ok(());
    for tcr in walk.registers.tcr() {
        verdict = check_geometry(straps, change, leaf, tcr, range);
        if verdict.is_ok() {
            break;
        }
    }
    verdict
}

/// A walk-cache entry stands for a table descriptor that the walk read.
fn check_table(change: &TlbFill, walk: &WalkRecord) -> Result<(), Broken> {
    let read = walk
        .reads
        .iter()
        .rev()
        .find(|read| read.level == change.level);
    let Some(read) = read.filter(|read| !read.error) else {
        let why = format!("the walk read no level {} descriptor", change.level);
        return Err((&["TLB-20"], why));
    };
    let is_table = read.value.valid() && read.value.is_table_bit() && change.level < FINAL_LEVEL;
    if !is_table {
        let why = format!(
            "descriptor {} of level {} is no table",
            read.value, read.level
        );
        return Err((&["TLB-20", "WALK-03"], why));
    }
    let range = VaRange::of(walk.va);
    let span = 1u64 << (change.mask & VA_BITS).trailing_zeros().min(63);
    let fits = |granule: Granule| {
        change.pa == read.value.next_table(granule) && span <= level_bytes(granule, change.level)
    };
    if walk.registers.granules(range).any(fits) {
        return Ok(());
    }
    let why = format!("{span:#x} bytes -> {:#014x} from {}", change.pa, read.value);
    Err((&["TLB-30", "WALK-07"], why))
}

fn check_leaf(
    straps: &Straps,
    change: &TlbFill,
    level: u8,
    leaf: Descriptor,
) -> Result<(), Broken> {
    if !leaf.valid() {
        let why = format!("descriptor {leaf} is not valid");
        return Err((&["TLB-20", "TLB-03"], why));
    }
    if level != change.level || leaf.is_table_bit() != (level == FINAL_LEVEL) {
        let why = format!(
            "level {} from descriptor {leaf} of level {level}",
            change.level
        );
        return Err((&["TLB-30", "WALK-03"], why));
    }
    if !leaf.af() {
        let why = format!("descriptor {leaf} has AF = 0");
        return Err((&["HAF-01", "TLB-03"], why));
    }
    if change.global == leaf.ng() {
        let why = format!("global = {} from descriptor {leaf}", change.global);
        return Err((&["TLB-21", "TLB-22"], why));
    }
    if straps.bbml > 0 && level < FINAL_LEVEL && leaf.0 >> Descriptor::NT & 1 == 1 {
        return Err((&["BBM-05"], format!("block descriptor {leaf} has nT = 1")));
    }
    Ok(())
}

fn check_geometry(
    straps: &Straps,
    change: &TlbFill,
    leaf: Descriptor,
    tcr: Tcr,
    range: VaRange,
) -> Result<(), Broken> {
    let granule = tcr.granule(range).unwrap_or(Granule::K4);
    let level = change.level;
    if !leaf_allowed(granule, level) {
        let why = format!("{granule} has no leaf at level {level}");
        return Err((&["WALK-03", "TLB-20"], why));
    }
    let leaf_bytes = level_bytes(granule, level);
    let limit = run_bytes(straps, granule, level, leaf, tcr, range).unwrap_or(leaf_bytes);
    // Bits above the VA range need not take part in the match, those in between must.
    let top = 64 - u32::from(tcr.tsz(range)).clamp(16, 39);
    let span = 1u64 << change.mask.trailing_zeros().min(63);
    let low = span - 1;
    let holes = !change.mask & !low & ((1 << top) - 1) != 0;
    if holes || span > limit {
        let why = format!("{span:#x} bytes, the descriptor gives {limit:#x}");
        let ids: &[_] = if leaf.contiguous() {
            &["TLB-01", "TLB-30", "TLB-04"]
        } else {
            &["TLB-30", "TLB-01"]
        };
        return Err((ids, why));
    }
    if change.va & low != 0 {
        let why = format!("{:#018x} is not aligned to {span:#x}", change.va);
        return Err((&["TLB-01"], why));
    }
    let output = leaf.output_address(granule, level);
    let expected = if span > leaf_bytes {
        output & !low
    } else {
        output + (change.va & (leaf_bytes - 1))
    };
    if change.pa != expected {
        let why = format!("descriptor {leaf} gives output address {expected:#014x}");
        return Err((&["TLB-02", "VMSA-15"], why));
    }
    Ok(())
}

/// Bytes of the run that `leaf` may be used as, if any.
#[must_use]
pub fn run_bytes(
    straps: &Straps,
    granule: Granule,
    level: u8,
    leaf: Descriptor,
    tcr: Tcr,
    range: VaRange,
) -> Option<u64> {
    let descriptors = contiguous_run(granule, level)?;
    let bytes = u64::from(descriptors) * level_bytes(granule, level);
    // Section 4: the bit is ignored if the run exceeds the VA range.
    let fits = bytes.trailing_zeros() <= 64 - u32::from(tcr.tsz(range));
    (leaf.contiguous() && straps.contiguous && fits).then_some(bytes)
}

/// Bytes that a descriptor of `level` maps for `walk`.
#[must_use]
pub fn reach(walk: Option<&WalkRecord>, level: u8) -> u64 {
    walk.and_then(|walk| walk.registers.granules(VaRange::of(walk.va)).last())
        .map_or(4096, |granule| level_bytes(granule, level))
}

/// The first operation of `effects` (with the cycles of their effect) after which `walk` kept what it
/// had read before and what the operation names (TLBI-07, WALK-30). Only descriptors down to that of
/// `entry` count.
pub fn kept_past<'a, T>(
    walk: &WalkRecord,
    entry: &Held,
    effects: impl Iterator<Item = &'a (u64, T)>,
    asid8: bool,
) -> Option<(&'a T, u64)>
where
    T: AsRef<Operation> + 'a,
{
    let table = |level: u8, asid: u16| Held {
        va: walk.va,
        mask: !(reach(Some(walk), level) - 1),
        reach: reach(Some(walk), level),
        level,
        asid,
        global: false,
        table: true,
    };
    for (cycle, operation) in effects.filter(|(cycle, _)| *cycle > walk.begun) {
        let named = |held: Held| held.named_by(operation.as_ref(), asid8);
        // Tables go by the ASID of the walk, also on the way to a global leaf, which has none (TLB-23).
        let table_named = |level| {
            let mut asids = walk.registers.asids(asid8);
            asids.all(|asid| named(table(level, asid)))
        };
        let from_cache = walk.cached_start && table_named(walk.start.0.saturating_sub(1));
        let mut read_before = walk.reads.iter().filter(|read| read.cycle <= *cycle);
        let kept = read_before.any(|read| {
            if read.level == entry.level {
                named(*entry)
            } else {
                read.level < entry.level && table_named(read.level)
            }
        });
        if from_cache || kept {
            return Some((operation, *cycle));
        }
    }
    None
}
