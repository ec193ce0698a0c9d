// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which entries a walk's leaf descriptor gives.

use vmsa::geometry::{FINAL_LEVEL, contiguous_run, leaf_allowed, level_bytes};
use vmsa::{Descriptor, Granule, Tcr, VaRange};

use crate::check::registers::Registers;
use crate::check::walks::{WalkRecord, Walks};
use crate::dut::ports::{Straps, TlbEvent};

/// Ids of the requirements that broke, and how.
pub type Broken = (&'static [&'static str], String);

/// The walk that `change` comes from: the latest on that side whose address the entry covers.
pub fn source<'a>(walks: &'a Walks, core: u8, change: &TlbEvent) -> Option<&'a WalkRecord> {
    let low = (1 << 56) - 1;
    walks.of(core).find(|walk| {
        walk.instruction == change.instruction && (walk.va ^ change.va) & change.mask & low == 0
    })
}

/// What a fill is judged by.
pub struct Rules<'a> {
    /// The core's registers.
    pub registers: &'a Registers,
    /// How the hardware is strapped.
    pub straps: &'a Straps,
}

impl Rules<'_> {
    /// Judges the entry `change`, which the walk `source` gave.
    ///
    /// # Errors
    /// The requirements that it breaks, and how.
    pub fn check(&self, change: &TlbEvent, source: Option<&WalkRecord>) -> Result<(), Broken> {
        if !self.registers.may_translate() {
            return Err((&["TLB-32"], "SCTLR_EL1.M = 0".to_owned()));
        }
        let Some(walk) = source else {
            return Err((&["TLB-20"], "no walk gave it".to_owned()));
        };
        if VaRange::of(walk.va) != VaRange::of(change.va) {
            let why = format!("the walk was for {:#018x}", walk.va);
            return Err((&["TLB-31"], why));
        }
        if walk.leaves_nothing() {
            let fault = walk.fault.map(|fsc| fsc.to_string()).unwrap_or_default();
            return Err((
                &["VMSA-47", "TLB-20"],
                format!("the walk ended with {fault}"),
            ));
        }
        let Some(read) = walk.last() else {
            return Err((&["TLB-20"], "the walk read no descriptor".to_owned()));
        };
        let leaf = walk.value_at(read.address).unwrap_or(read.value);
        self.check_leaf(change, read.level, leaf)?;
        if !change.global && !self.registers.may_be_asid(change.asid, self.straps.asid8) {
            let why = format!("ASID {:#06x} is not the current one", change.asid);
            return Err((&["TLB-24", "WALK-25"], why));
        }
        // One register state in force must explain the geometry; report by the latest.
        let range = VaRange::of(walk.va);
        let mut verdict = Ok(());
        for tcr in self.registers.tcr() {
            verdict = self.check_geometry(change, leaf, tcr, range);
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }

    fn check_leaf(&self, change: &TlbEvent, level: u8, leaf: Descriptor) -> Result<(), Broken> {
        if !leaf.valid() {
            return Err((
                &["TLB-20", "TLB-03"],
                format!("descriptor {leaf} is not valid"),
            ));
        }
        if level != change.level || leaf.is_table_bit() != (level == FINAL_LEVEL) {
            let why = format!(
                "level {} from descriptor {leaf} of level {level}",
                change.level
            );
            return Err((&["TLB-30", "WALK-03"], why));
        }
        if !leaf.af() {
            return Err((
                &["HAF-01", "TLB-03"],
                format!("descriptor {leaf} has AF = 0"),
            ));
        }
        if change.global == leaf.ng() {
            let why = format!("global = {} from descriptor {leaf}", change.global);
            return Err((&["TLB-21", "TLB-22"], why));
        }
        Ok(())
    }

    fn check_geometry(
        &self,
        change: &TlbEvent,
        leaf: Descriptor,
        tcr: Tcr,
        range: VaRange,
    ) -> Result<(), Broken> {
        let granule = tcr.granule(range).unwrap_or(Granule::K4);
        let level = change.level;
        if !leaf_allowed(granule, level) {
            return Err((
                &["WALK-03", "TLB-20"],
                format!("{granule} has no leaf at level {level}"),
            ));
        }
        let leaf_bytes = level_bytes(granule, level);
        let run_bytes = contiguous_run(granule, level)
            .map(|descriptors| u64::from(descriptors) * leaf_bytes)
            .filter(|&bytes| {
                // Section 4: the bit is ignored if the run exceeds the VA range.
                let fits = bytes.trailing_zeros() <= 64 - u32::from(tcr.tsz(range));
                leaf.contiguous() && self.straps.contiguous && fits
            });
        let limit = run_bytes.unwrap_or(leaf_bytes);
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
            return Err((
                &["TLB-01"],
                format!("{:#018x} is not aligned to {span:#x}", change.va),
            ));
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

    /// Bytes that the leaf descriptor of `change` maps.
    pub fn leaf_bytes(&self, change: &TlbEvent) -> u64 {
        self.registers
            .granules(VaRange::of(change.va))
            .last()
            .map_or(4096, |granule| level_bytes(granule, change.level))
    }
}
