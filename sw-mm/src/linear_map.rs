// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The linear map: the window of the upper VA range through which the kernel reaches all memory.

/// A constant offset between the virtual addresses of the window and the physical ones behind it.
///
/// ```
/// let map = sw_mm::LinearMap::new(0xffff_8000_0000_0000, 0x4000_0000, 0x1000_0000);
/// assert_eq!(map.virt(0x4000_2000), Some(0xffff_8000_0000_2000));
/// assert_eq!(map.phys(0xffff_8000_0000_2000), Some(0x4000_2000));
/// assert_eq!(map.virt(0x3fff_ffff), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearMap {
    virt: u64,
    phys: u64,
    bytes: u64,
}

impl LinearMap {
    /// A window of `bytes` bytes at virtual address `virt` that shows physical memory from `phys` on.
    pub const fn new(virt: u64, phys: u64, bytes: u64) -> Self {
        Self { virt, phys, bytes }
    }

    /// The window of a core whose MMU is off: virtual and physical addresses are the same.
    pub const fn identity() -> Self {
        Self::new(0, 0, 1 << 48)
    }

    /// First virtual address.
    pub const fn base(&self) -> u64 {
        self.virt
    }

    /// First physical address.
    pub const fn phys_base(&self) -> u64 {
        self.phys
    }

    /// Size in bytes.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Virtual address of physical byte `pa`; `None` outside the window.
    pub const fn virt(&self, pa: u64) -> Option<u64> {
        match pa.checked_sub(self.phys) {
            Some(offset) if offset < self.bytes => Some(self.virt.wrapping_add(offset)),
            _ => None,
        }
    }

    /// Physical address behind `va`; `None` outside the window.
    pub const fn phys(&self, va: u64) -> Option<u64> {
        match va.checked_sub(self.virt) {
            Some(offset) if offset < self.bytes => Some(self.phys + offset),
            _ => None,
        }
    }
}
