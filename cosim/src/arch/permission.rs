// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Permissions: the five steps of section 5, from leaf bits and table limits to what is allowed.

use std::fmt;

use vmsa::{Descriptor, El};

use super::access::{Access, AccessKind};
use super::context::Context;

/// Table limits, OR-ed over the table descriptors of a walk (VMSA-24).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// APTable\[0\]: no EL0 access.
    pub no_el0: bool,
    /// APTable\[1\]: no write.
    pub no_write: bool,
    /// UXNTable.
    pub uxn: bool,
    /// PXNTable.
    pub pxn: bool,
}

impl Limits {
    /// The limits with those of `table` added.
    #[must_use]
    pub const fn and(self, table: Descriptor) -> Self {
        Self {
            no_el0: self.no_el0 || table.ap_table() & 1 != 0,
            no_write: self.no_write || table.ap_table() & 2 != 0,
            uxn: self.uxn || table.uxn_table(),
            pxn: self.pxn || table.pxn_table(),
        }
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.no_el0, "APTable[0]: no EL0 data access"),
            (self.no_write, "APTable[1]: read-only"),
            (self.uxn, "UXNTable"),
            (self.pxn, "PXNTable"),
        ];
        let mut any = false;
        for (_, text) in parts.iter().filter(|(on, _)| *on) {
            write!(f, "{}{text}", if any { ", " } else { "" })?;
            any = true;
        }
        if any { Ok(()) } else { f.write_str("none") }
    }
}

/// What one exception level may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rights {
    /// Read.
    pub r: bool,
    /// Write.
    pub w: bool,
    /// Execute.
    pub x: bool,
}

impl Rights {
    /// Whether an access of `kind` is allowed.
    #[must_use]
    pub const fn allow(self, kind: AccessKind) -> bool {
        match kind {
            AccessKind::Execute => self.x,
            _ => (self.r || !kind.reads()) && (self.w || !kind.writes()),
        }
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |on, letter| if on { letter } else { '-' };
        write!(
            f,
            "{}{}{}",
            show(self.r, 'r'),
            show(self.w, 'w'),
            show(self.x, 'x')
        )
    }
}

/// The rights that leaf `descriptor` under `limits` gives to accesses like `access`: only its
/// privilege, PAN and data-or-fetch nature matter.
#[must_use]
pub const fn rights(
    context: &Context,
    access: &Access,
    descriptor: Descriptor,
    limits: Limits,
) -> Rights {
    let sctlr = context.registers.sctlr;
    // VMSA-25: a page under hardware dirty management counts as writable throughout.
    let read_only = descriptor.ap_read_only() && !(context.hd() && descriptor.dbm());
    // Steps 1 and 2: AP, then APTable. VMSA-26: APTable[1] holds against DBM.
    let writable = !read_only && !limits.no_write;
    let user = descriptor.ap_el0() && !limits.no_el0;
    let (user_r, user_w) = (user, user && writable);
    // Step 3. VMSA-22: execution does not ask for read. VMSA-21: EL0-writable is never EL1-executable.
    let user_x = !(descriptor.uxn() || limits.uxn);
    let kernel_x = !(descriptor.pxn() || limits.pxn || user_w);
    // Step 5, WXN, for the level of the access. It looks at writability before PAN, which concerns
    // data accesses only (step 4).
    match access.el {
        El::El0 => Rights {
            r: user_r,
            w: user_w,
            x: user_x && !(sctlr.wxn() && user_w),
        },
        El::El1 => {
            let blocked =
                access.pan && access.is_data() && (user_r || user_w || (sctlr.epan() && user_x));
            Rights {
                r: !blocked,
                w: writable && !blocked,
                x: kernel_x && !(sctlr.wxn() && writable),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vmsa::{Sctlr, Tcr};

    /// "Full result" of section 5, copied: AP, UXN, PXN, WXN, EL0, EL1; x matches both.
    const TABLE: &str = "
        00 0 0 0 --x rwx
        00 0 0 1 --x rw-
        00 0 1 x --x rw-
        00 1 0 0 --- rwx
        00 1 0 1 --- rw-
        00 1 1 x --- rw-
        01 0 x 0 rwx rw-
        01 0 x 1 rw- rw-
        01 1 x x rw- rw-
        10 0 0 x --x r-x
        10 0 1 x --x r--
        10 1 0 x --- r-x
        10 1 1 x --- r--
        11 0 0 x r-x r-x
        11 0 1 x r-x r--
        11 1 0 x r-- r-x
        11 1 1 x r-- r--";

    fn access(el: El, pan: bool) -> Access {
        Access {
            pan,
            ..Access::new(AccessKind::Read, el, 0)
        }
    }

    fn leaf(ap: u8, uxn: bool, pxn: bool) -> Descriptor {
        Descriptor(0).with_ap(ap).with_uxn(uxn).with_pxn(pxn)
    }

    fn with_sctlr(sctlr: Sctlr) -> Context {
        let mut context = Context::default();
        context.registers.sctlr = sctlr;
        context
    }

    #[test]
    fn the_permission_table_holds_for_every_combination() {
        // VMSA-20, VMSA-21, VMSA-22.
        let mut rows_used = 0u32;
        for bits in 0..32u8 {
            let (ap, uxn, pxn, wxn) = (bits & 3, bits & 4 != 0, bits & 8 != 0, bits & 16 != 0);
            let is = |field: &str, on: bool| field == "x" || field == if on { "1" } else { "0" };
            let mut rows = TABLE
                .lines()
                .map(|l| l.split_whitespace().collect::<Vec<_>>())
                .filter(|row| {
                    row.len() == 6
                        && row[0] == format!("{ap:02b}")
                        && is(row[1], uxn)
                        && is(row[2], pxn)
                        && is(row[3], wxn)
                });
            let row = rows.next().expect("each combination has a row");
            assert!(rows.next().is_none(), "and only one");
            let context = with_sctlr(Sctlr(0).with_wxn(wxn));
            for (el, expected) in [(El::El0, row[4]), (El::El1, row[5])] {
                let got = rights(
                    &context,
                    &access(el, false),
                    leaf(ap, uxn, pxn),
                    Limits::default(),
                );
                assert_eq!(
                    got.to_string(),
                    expected,
                    "AP {ap:02b} UXN {uxn} PXN {pxn} WXN {wxn} {el}"
                );
            }
            rows_used += 1;
        }
        assert_eq!(rows_used, 32);
    }

    #[test]
    fn pan_takes_data_rights_of_el1_from_user_pages() {
        // VMSA-27, section 5 step 4 and its summary.
        for bits in 0..16u8 {
            let (ap, uxn, epan) = (bits & 3, bits & 4 != 0, bits & 8 != 0);
            let context = with_sctlr(Sctlr(0).with_epan(epan));
            let got = rights(
                &context,
                &access(El::El1, true),
                leaf(ap, uxn, false),
                Limits::default(),
            );
            let blocked = ap & 1 == 1 || epan && !uxn;
            assert_eq!(
                (got.r, got.w),
                (!blocked, !blocked && ap & 2 == 0),
                "{bits:#x}"
            );
            // Fetches and EL0 are not concerned.
            let fetch = Access {
                kind: AccessKind::Execute,
                ..access(El::El1, true)
            };
            let without = Access {
                pan: false,
                ..fetch
            };
            let rights = |a| rights(&context, a, leaf(ap, uxn, false), Limits::default());
            assert_eq!(rights(&fetch).x, rights(&without).x);
            assert_eq!(
                rights(&access(El::El0, true)),
                rights(&access(El::El0, false))
            );
        }
        // An APTable[0] above hides the page from PAN.
        let limits = Limits {
            no_el0: true,
            ..Limits::default()
        };
        let got = rights(
            &Context::default(),
            &access(El::El1, true),
            leaf(1, true, false),
            limits,
        );
        assert!(got.r && got.w);
    }

    #[test]
    fn dirty_managed_pages_count_as_writable() {
        // VMSA-25, VMSA-26.
        let mut context = with_sctlr(Sctlr(0).with_wxn(true));
        context.registers.tcr = Tcr(0).with_ha(true).with_hd(true);
        let page = leaf(3, false, false).with_dbm(true);
        let show = |context: &Context, el, limits| {
            rights(context, &access(el, false), page, limits).to_string()
        };
        assert_eq!(show(&context, El::El0, Limits::default()), "rw-");
        assert_eq!(show(&context, El::El1, Limits::default()), "rw-");
        let limits = Limits {
            no_write: true,
            ..Limits::default()
        };
        assert_eq!(show(&context, El::El0, limits), "r-x");
        assert_eq!(show(&context, El::El1, limits), "r-x");
        context.registers.tcr = Tcr(0).with_hd(true);
        assert_eq!(show(&context, El::El0, Limits::default()), "r-x");
    }

    proptest! {
        #[test]
        fn table_limits_only_remove_rights(
            bits in any::<u64>(), limits in any::<[bool; 4]>(), table in any::<u64>(),
            sctlr in any::<u64>(), tcr in any::<u64>(), el0 in any::<bool>(),
        ) {
            // VMSA-24. PAN = 0: under PAN a limit on EL0 may give EL1 its access back (section 5).
            let mut context = with_sctlr(Sctlr(sctlr));
            context.registers.tcr = Tcr(tcr);
            let access = access(if el0 { El::El0 } else { El::El1 }, false);
            let [no_el0, no_write, uxn, pxn] = limits;
            let few = Limits { no_el0, no_write, uxn, pxn };
            let more = few.and(Descriptor(table));
            let without = rights(&context, &access, Descriptor(bits), few);
            let with = rights(&context, &access, Descriptor(bits), more);
            prop_assert!(!with.r || without.r);
            prop_assert!(!with.w || without.w);
            // A limit that removes write may give execution back under WXN or VMSA-21.
            let write_lost = (more.no_write && !few.no_write) || (more.no_el0 && !few.no_el0);
            prop_assert!(!with.x || without.x || write_lost);
        }
    }
}
