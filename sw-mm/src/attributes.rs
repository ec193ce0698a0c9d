// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a mapping allows and how memory behaves behind it, and the leaf descriptor that says so.

use vmsa::{Descriptor, Granule};

/// Software bit 55: the page was dirty when its write permission went away, so that dirty state
/// survives a change that has no hardware bit for it.
const SOFTWARE_DIRTY: u64 = 1 << Descriptor::SOFTWARE;

/// Who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// EL0 may read, and write if `write`.
    pub el0: bool,
    /// Writable by whoever may read.
    pub write: bool,
    /// EL0 may execute.
    pub el0_execute: bool,
    /// EL1 may execute (never, if EL0 may write: VMSA-21).
    pub el1_execute: bool,
}

impl Permissions {
    /// Kernel data: EL1 reads and writes.
    pub const KERNEL_RW: Self = Self::data(false, true);
    /// Kernel read-only data.
    pub const KERNEL_RO: Self = Self::data(false, false);
    /// User data: both levels read and write.
    pub const USER_RW: Self = Self::data(true, true);
    /// User read-only data.
    pub const USER_RO: Self = Self::data(true, false);
    /// User text: both read, EL0 executes.
    pub const USER_RX: Self = Self {
        el0_execute: true,
        ..Self::USER_RO
    };

    const fn data(el0: bool, write: bool) -> Self {
        Self {
            el0,
            write,
            el0_execute: false,
            el1_execute: false,
        }
    }

    /// What a leaf descriptor grants by itself, table limits and PAN aside.
    pub const fn of(leaf: Descriptor) -> Self {
        Self {
            el0: leaf.ap_el0(),
            write: leaf.dbm() || !leaf.ap_read_only(),
            el0_execute: !leaf.uxn(),
            el1_execute: !leaf.pxn(),
        }
    }
}

/// Everything of a leaf but its address and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Access rights.
    pub permissions: Permissions,
    /// Index of the MAIR byte, 0 to 7.
    pub attr_index: u8,
    /// SH: 0 non, 2 outer, 3 inner shareable.
    pub shareability: u8,
    /// Valid in every address space (nG = 0).
    pub global: bool,
    /// The access flag is set from the start.
    pub accessed: bool,
    /// A writable page starts clean (DBM = 1, AP\[2\] = 1), so that its first write is noticed.
    pub track_dirty: bool,
}

impl Attributes {
    /// Normal inner-shareable memory behind MAIR byte 0, private to its address space, accessed, not
    /// tracking dirty state.
    pub const fn normal(permissions: Permissions) -> Self {
        Self {
            permissions,
            attr_index: 0,
            shareability: 3,
            global: false,
            accessed: true,
            track_dirty: false,
        }
    }

    /// The leaf descriptor of `level` that maps the region at `pa`.
    ///
    /// ```
    /// use sw_mm::{Attributes, Permissions};
    /// use vmsa::Granule;
    ///
    /// let leaf = Attributes::normal(Permissions::USER_RW).leaf(Granule::K4, 3, 0x8000_1000);
    /// assert_eq!(leaf.0, 0x0060_0000_8000_1f43);
    /// ```
    pub const fn leaf(&self, granule: Granule, level: u8, pa: u64) -> Descriptor {
        let p = self.permissions;
        let tracked = p.write && self.track_dirty;
        Descriptor::leaf(granule, level, pa)
            .with_attr_index(self.attr_index)
            .with_sh(self.shareability)
            .with_ng(!self.global)
            .with_af(self.accessed)
            .with_ap_el0(p.el0)
            .with_ap_read_only(!p.write || tracked)
            .with_dbm(tracked)
            .with_uxn(!p.el0_execute)
            .with_pxn(!p.el1_execute)
    }
}

/// Whether the page behind `leaf` was written since it was last cleaned, as far as its descriptor
/// can tell: pages that do not track dirty state count as written when they are writable.
pub const fn is_dirty(leaf: Descriptor) -> bool {
    leaf.0 & SOFTWARE_DIRTY != 0 || !leaf.ap_read_only()
}

/// `leaf` with its dirty state set, in hardware form if it tracks it.
pub(crate) const fn with_dirty(leaf: Descriptor) -> Descriptor {
    let marked = Descriptor(leaf.0 | SOFTWARE_DIRTY);
    if leaf.dbm() {
        marked.with_ap_read_only(false)
    } else {
        marked
    }
}

/// `leaf` with other permissions; address, memory type, access flag and dirty state are kept.
///
/// A page made writable again tracks dirty state if `track_dirty`.
pub(crate) const fn with_permissions(
    leaf: Descriptor,
    permissions: Permissions,
    track_dirty: bool,
) -> Descriptor {
    let was_written = leaf.0 & SOFTWARE_DIRTY != 0 || (leaf.dbm() && !leaf.ap_read_only());
    let was_writable = leaf.dbm() || !leaf.ap_read_only();
    let leaf = leaf
        .with_ap_el0(permissions.el0)
        .with_uxn(!permissions.el0_execute)
        .with_pxn(!permissions.el1_execute);
    if !permissions.write {
        let leaf = if was_written {
            Descriptor(leaf.0 | SOFTWARE_DIRTY)
        } else {
            leaf
        };
        leaf.with_dbm(false).with_ap_read_only(true)
    } else if was_writable {
        leaf
    } else {
        leaf.with_dbm(track_dirty)
            .with_ap_read_only(track_dirty && !was_written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracked() -> Descriptor {
        Attributes {
            track_dirty: true,
            ..Attributes::normal(Permissions::USER_RW)
        }
        .leaf(Granule::K4, 3, 0x1000)
    }

    #[test]
    fn permissions_round_trip_through_a_descriptor() {
        for bits in 0..16u32 {
            let permissions = Permissions {
                el0: bits & 1 != 0,
                write: bits & 2 != 0,
                el0_execute: bits & 4 != 0,
                el1_execute: bits & 8 != 0,
            };
            for track_dirty in [false, true] {
                let attributes = Attributes {
                    track_dirty,
                    ..Attributes::normal(permissions)
                };
                let leaf = attributes.leaf(Granule::K64, 3, 0x10_0000);
                assert_eq!(Permissions::of(leaf), permissions);
            }
        }
    }

    #[test]
    fn dirty_state_survives_write_protection() {
        // MM-36: what hardware recorded is not lost when its bits go away.
        let clean = tracked();
        assert!(!is_dirty(clean));
        let written = clean.with_ap_read_only(false);
        let protected = with_permissions(written, Permissions::USER_RO, true);
        assert!(!Permissions::of(protected).write);
        assert!(is_dirty(protected));
        let again = with_permissions(protected, Permissions::USER_RW, true);
        assert!(again.dbm() && !again.ap_read_only());
        let never_written = with_permissions(clean, Permissions::USER_RO, true);
        assert!(!is_dirty(never_written));
    }
}
