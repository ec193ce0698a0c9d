// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which changes of a live descriptor need break-before-make (section 12 of the VMSA contract).

use vmsa::{Descriptor, Granule};

/// What replacing one leaf-level descriptor by another asks of software.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing changes.
    None,
    /// Invalid to valid: store, then DSB and ISB; nothing was cached (TLB-20).
    Make,
    /// Valid to invalid: store, then TLBI and DSB before relying on it.
    Break,
    /// One store in place; whoever holds the old descriptor at worst takes a spurious fault.
    InPlace,
    /// One store in place, then TLBI and DSB before relying on what was taken away.
    InPlaceThenInvalidate,
    /// Invalid, DSB ISHST, TLBI, DSB ISH, and only then the new descriptor.
    BreakBeforeMake,
}

/// Judges the change of a leaf at `level` from `old` to `new`, at BBML 0: what is right there is right
/// on every implementation.
///
/// A member of a contiguous run always gets [`Change::BreakBeforeMake`] unless it becomes invalid or
/// only its access flag or dirty state moves, and the sequence has to span the run.
///
/// ```
/// use sw_mm::bbm::{Change, classify};
/// use vmsa::{Descriptor, Granule};
///
/// let page = Descriptor::leaf(Granule::K4, 3, 0x1000).with_af(true);
/// let moved = Descriptor::leaf(Granule::K4, 3, 0x2000).with_af(true);
/// assert_eq!(classify(Granule::K4, 3, page, moved), Change::BreakBeforeMake);
/// assert_eq!(
///     classify(Granule::K4, 3, page, page.with_ap_read_only(true)),
///     Change::InPlaceThenInvalidate,
/// );
/// ```
pub const fn classify(granule: Granule, level: u8, old: Descriptor, new: Descriptor) -> Change {
    if old.0 == new.0 {
        return Change::None;
    }
    match (old.valid(), new.valid()) {
        (false, false) => return Change::None,
        (false, true) => return Change::Make,
        (true, false) => return Change::Break,
        (true, true) => {}
    }
    if needs_break(granule, level, old, new) {
        Change::BreakBeforeMake
    } else if takes_away(old, new) {
        Change::InPlaceThenInvalidate
    } else {
        Change::InPlace
    }
}

const fn needs_break(granule: Granule, level: u8, old: Descriptor, new: Descriptor) -> bool {
    let address = old.output_address(granule, level) != new.output_address(granule, level);
    let size = old.is_table_bit() != new.is_table_bit();
    let memory = old.attr_index() != new.attr_index() || old.sh() != new.sh();
    let became_global = old.ng() && !new.ng();
    let no_translation = old.nt() != new.nt() && !old.is_table_bit();
    let run = old.contiguous() != new.contiguous()
        || (old.contiguous() && without_state(old).0 != without_state(new).0);
    address || size || memory || became_global || no_translation || run
}

/// The descriptor with the bits fixed that may differ within a contiguous run.
const fn without_state(leaf: Descriptor) -> Descriptor {
    let leaf = leaf.with_af(false);
    if leaf.dbm() {
        leaf.with_ap_read_only(true)
    } else {
        leaf
    }
}

/// Whether some access that `old` served is refused, or noticed, by `new`.
///
/// More than the plain restrictions counts: AP\[1\] moving either way changes what PAN refuses, EL0
/// write access removes EL1 execution (VMSA-21), write access removes execution under WXN, and EL0
/// execution counts under EPAN.
const fn takes_away(old: Descriptor, new: Descriptor) -> bool {
    (old.af() && !new.af())
        || (!old.ap_read_only() && new.ap_read_only())
        || (old.dbm() && !new.dbm())
        || old.ap_el0() != new.ap_el0()
        || old.uxn() != new.uxn()
        || (!old.pxn() && new.pxn())
        || (!writable(old) && writable(new) && !(new.uxn() && new.pxn()))
        || old.ng() != new.ng()
}

const fn writable(leaf: Descriptor) -> bool {
    leaf.dbm() || !leaf.ap_read_only()
}

#[cfg(test)]
mod tests {
    use super::*;

    const G: Granule = Granule::K4;

    fn page() -> Descriptor {
        Descriptor::leaf(G, 3, 0x8000_0000)
            .with_af(true)
            .with_ng(true)
            .with_sh(3)
            .with_attr_index(1)
            .with_uxn(true)
            .with_pxn(true)
    }

    fn change(from: Descriptor, to: Descriptor) -> Change {
        classify(G, 3, from, to)
    }

    #[test]
    fn changes_of_12_1_break_before_make() {
        let p = page();
        for new in [
            p.with_attr_index(0),
            p.with_sh(2),
            Descriptor(p.0 + 0x1000),
            p.with_contiguous(true),
            p.with_ng(false),
        ] {
            assert_eq!(change(p, new), Change::BreakBeforeMake, "{p} to {new}");
        }
        let run = p.with_contiguous(true);
        assert_eq!(change(run, run.with_ap_el0(true)), Change::BreakBeforeMake);
        assert_eq!(
            change(run, run.with_contiguous(false)),
            Change::BreakBeforeMake
        );
    }

    #[test]
    fn changes_of_12_2_happen_in_place() {
        // BBM-02.
        let p = page();
        let clean = p.with_dbm(true).with_ap_read_only(true);
        let old = p.with_af(false);
        let read_only = p.with_ap_read_only(true);
        assert_eq!(change(p, p), Change::None);
        assert_eq!(change(Descriptor(0), p), Change::Make);
        assert_eq!(change(p, Descriptor(0)), Change::Break);
        assert_eq!(change(old, p), Change::InPlace);
        assert_eq!(
            change(clean, clean.with_ap_read_only(false)),
            Change::InPlace
        );
        assert_eq!(change(read_only, p), Change::InPlace);
        assert_eq!(change(p.with_gp(false), p.with_gp(true)), Change::InPlace);
        for new in [old, read_only, p.with_ap_el0(true), p.with_uxn(false)] {
            assert_eq!(
                change(p, new),
                Change::InPlaceThenInvalidate,
                "{p} to {new}"
            );
        }
        let global = p.with_ng(false);
        assert_eq!(change(global, p), Change::InPlaceThenInvalidate);
    }

    #[test]
    fn state_of_one_run_member_may_move_in_place() {
        let run = page().with_contiguous(true).with_dbm(true);
        assert_eq!(change(run.with_af(false), run), Change::InPlace);
        assert_eq!(change(run.with_ap_read_only(true), run), Change::InPlace);
    }
}
