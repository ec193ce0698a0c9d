// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Where the descriptors of a VA lie in memory, read by the back door: for error marks and for an
//! observer that writes descriptors behind the operating system's back.

use cosim::sim::SimHandle;
use sw_mm::TableFormat;
use vmsa::{Descriptor, geometry};

/// Addresses of the descriptors on the way to `va`, from the start level down, as far as tables lead.
pub fn path(handle: &SimHandle, format: &TableFormat, root: u64, va: u64) -> Vec<u64> {
    let mut slots = Vec::new();
    let mut table = root;
    for level in geometry::start_level(format.granule, format.va_bits)..=geometry::FINAL_LEVEL {
        let slot = table + 8 * geometry::index(format.granule, format.va_bits, level, va);
        slots.push(slot);
        let word = handle.peek(slot);
        let entry = Descriptor(if format.big_endian {
            word.swap_bytes()
        } else {
            word
        });
        if !entry.valid() || !entry.is_table_bit() {
            break;
        }
        table = entry.next_table(format.granule);
    }
    slots
}
