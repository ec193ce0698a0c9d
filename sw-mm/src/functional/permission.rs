// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Who may do what with a leaf (section 5 of the VMSA contract, steps 1 to 5).

use super::context::Context;
use super::tlb::Entry;
use super::translate::{Access, Kind};
use vmsa::El;

/// Whether `access` passes the permissions of `entry`, a leaf.
pub(super) fn permitted(context: &Context, access: &Access, entry: &Entry) -> bool {
    let (leaf, limits) = (entry.descriptor, entry.limits);
    let writable = (!leaf.ap_read_only() || (context.hd && leaf.dbm())) && !limits.no_write;
    let el0_data = leaf.ap_el0() && !limits.no_el0;
    let el0_execute = !(leaf.uxn() || limits.uxn);
    let (read, write, execute) = match access.el {
        El::El0 => (el0_data, el0_data && writable, el0_execute),
        El::El1 => {
            let execute = !(leaf.pxn() || limits.pxn || (el0_data && writable));
            let shut = access.pan && (el0_data || (context.epan && el0_execute));
            (!shut, !shut && writable, execute)
        }
    };
    let writable_here = match access.el {
        El::El0 => el0_data && writable,
        El::El1 => writable,
    };
    match access.kind {
        Kind::Read => read,
        Kind::Write => write,
        Kind::ReadWrite => read && write,
        Kind::Execute => execute && !(context.wxn && writable_here),
    }
}
