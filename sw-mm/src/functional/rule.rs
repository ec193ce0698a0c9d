// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which changes of a live descriptor need break-before-make (section 12.1).

use super::tlb::Entry;
use vmsa::{Descriptor, geometry};

/// Whether `member`, which has the contiguous bit set, forms a run with what is at `slot`.
pub(super) fn in_run(member: &Entry, slot: u64) -> bool {
    let run = geometry::contiguous_run(member.granule, member.level);
    run.is_some_and(|run| (slot ^ member.slot) / 8 < u64::from(run))
}

/// Whether `member` of the run around `slot` says another thing of it than the valid `new`. Without
/// the contiguous bit in `new`, which has to be permitted, the two are no longer one run.
pub(super) fn disagrees(member: &Entry, slot: u64, new: Descriptor, bbm2: bool) -> bool {
    let apart = bbm2 && !new.contiguous();
    !apart && run_attributes(as_at(member, slot).descriptor) != run_attributes(new)
}

/// What `member` of a run says about the member at `slot`.
pub(super) fn as_at(member: &Entry, slot: u64) -> Entry {
    let bytes = geometry::level_bytes(member.granule, member.level) as i64;
    let distance = (slot as i64 - member.slot as i64) / 8 * bytes;
    Entry {
        base: member.base.wrapping_add_signed(distance),
        descriptor: Descriptor(member.descriptor.0.wrapping_add_signed(distance)),
        ..*member
    }
}

/// The entry that a TLB may have made of the run of `member`; `member` itself if it is of none.
pub(super) fn as_run(member: &Entry) -> Entry {
    let run = geometry::contiguous_run(member.granule, member.level);
    let members = run.filter(|_| member.leaf && member.descriptor.contiguous());
    let bytes = member.bytes * members.map_or(1, u64::from);
    Entry {
        base: member.base & !(bytes - 1),
        bytes,
        ..*member
    }
}

/// Why replacing `entry`'s descriptor by the valid `new` needs the sequence.
pub(super) fn needs_break(entry: &Entry, new: Descriptor, bbm2: bool) -> Option<&'static str> {
    let (old, granule, level) = (entry.descriptor, entry.granule, entry.level);
    if level < geometry::FINAL_LEVEL && old.is_table_bit() != new.is_table_bit() {
        return Some("block and table replace each other");
    }
    if !entry.leaf {
        return (old.next_table(granule) != new.next_table(granule)).then_some("another table");
    }
    if old.output_address(granule, level) != new.output_address(granule, level) {
        Some("output address")
    } else if old.attr_index() != new.attr_index() || old.sh() != new.sh() {
        Some("memory attributes")
    } else if old.ng() && !new.ng() {
        Some("became global")
    } else if geometry::contiguous_run(granule, level).is_none() {
        None
    } else if old.contiguous() != new.contiguous() {
        (!bbm2).then_some("contiguous bit")
    } else if old.contiguous() && run_attributes(old) != run_attributes(new) {
        Some("attribute of a contiguous run")
    } else {
        None
    }
}

/// The bits that the members of a run have to agree in at any time: write permission, which changes in
/// place, and the dirty state are left out.
pub(super) fn run_attributes(leaf: Descriptor) -> u64 {
    let software = 0xf << Descriptor::SOFTWARE;
    leaf.with_dbm(false).with_ap_read_only(false).0 & !(1 << Descriptor::AF | software)
}
