// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One tree of translation tables, edited by a core through its own MMU.
//!
//! Every descriptor is read and written through the linear map with the accesses of a [`Cpu`]; the
//! only state kept beside the tables is what Linux keeps in `struct page`: which frames are tables
//! and how many live entries each has, so that an emptied table is found without reading it.
//!
//! Edits of one tree shall not overlap: a caller with several tasks holds a lock over it. Walkers,
//! hardware access flag and dirty updates, and accesses of any core may interleave everywhere;
//! descriptors that hardware may update are therefore changed by compare-and-swap only.

mod audit;
mod descend;
mod error;
mod map;
mod protect;
mod run;
mod split;
mod unmap;

pub use audit::{Audit, AuditError};
pub use error::MmError;
pub use map::Region;

use crate::cpu::{AccessSize, Cpu, Privilege};
use crate::flush::{self, Gather};
use crate::frame::{Frame, FrameAllocator};
use crate::linear_map::LinearMap;
use std::cell::RefCell;
use std::collections::BTreeMap;
use vmsa::{Descriptor, Granule, Ttbr, VaRange, geometry};

/// Shape of a tree: what TCR_EL1 and TTBRx_EL1 say about its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFormat {
    /// Half of the VA space.
    pub range: VaRange,
    /// Translation granule.
    pub granule: Granule,
    /// VA bits of the range, 64 - TxSZ.
    pub va_bits: u32,
    /// Address space that its translations belong to; `None` for the kernel's, which all share.
    pub asid: Option<u16>,
    /// SCTLR_EL1.EE: descriptors are stored big endian.
    pub big_endian: bool,
}

/// A leaf found in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// First virtual address that it maps.
    pub va: u64,
    /// Its level: 3 for a page.
    pub level: u8,
    /// The descriptor. Access flag and dirty state of a contiguous run are OR-ed over the run where
    /// a run was taken apart or removed.
    pub descriptor: Descriptor,
    /// Output address of its first byte.
    pub pa: u64,
    /// Bytes that it maps.
    pub bytes: u64,
}

/// What the kernel remembers of one table page.
#[derive(Clone, Copy, Debug)]
struct TablePage {
    frame: Frame,
    level: u8,
    /// Offset in the range of the first byte that the table maps.
    offset: u64,
    /// Entries that are valid.
    live: u64,
}

/// A tree of translation tables.
///
/// ```
/// use sw_mm::{Attributes, FramePool, LinearMap, PageTable, Permissions, TableFormat, block_on};
/// use sw_mm::functional::Machine;
/// use vmsa::{Granule, VaRange};
///
/// # fn main() -> Result<(), sw_mm::MmError> {
/// let machine = Machine::new(Default::default());
/// let cpu = machine.core(0); // its MMU is off: the linear map is the identity
/// let frames = FramePool::new(0x10_0000, 0x10_0000, Granule::K4.bytes());
/// let format = TableFormat {
///     range: VaRange::Lower,
///     granule: Granule::K4,
///     va_bits: 39,
///     asid: Some(1),
///     big_endian: false,
/// };
/// block_on(async {
///     let table = PageTable::new(&cpu, &frames, format, LinearMap::identity()).await?;
///     let rw = Attributes::normal(Permissions::USER_RW);
///     table.map(&cpu, &frames, 0x40_0000, 0x80_0000, 3, &rw).await?;
///     assert_eq!(table.lookup(&cpu, 0x40_0123).await?.map(|leaf| leaf.pa), Some(0x80_0000));
///     table.unmap(&cpu, &frames, 0x40_0000, 0x1000).await?;
///     assert_eq!(frames.in_use(), 1); // the root: empty tables went back
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct PageTable {
    format: TableFormat,
    linear: LinearMap,
    root: u64,
    pages: RefCell<BTreeMap<u64, TablePage>>,
}

impl PageTable {
    /// An empty tree: allocates its root, a whole frame even where the start level needs less.
    ///
    /// # Errors
    /// [`MmError::Format`] for a VA size that the granule cannot have, [`MmError::OutOfFrames`], or
    /// the fault of a store.
    pub async fn new(
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
        format: TableFormat,
        linear: LinearMap,
    ) -> Result<Self, MmError> {
        let least = format.granule.shift() + 1;
        if !(least..=48).contains(&format.va_bits) {
            return Err(MmError::Format {
                granule: format.granule,
                va_bits: format.va_bits,
            });
        }
        let mut table = Self {
            format,
            linear,
            root: 0,
            pages: RefCell::default(),
        };
        table.root = table.new_table(cpu, frames, table.start_level(), 0).await?;
        flush::publish(cpu).await;
        Ok(table)
    }

    /// Removes every mapping and gives every table page back.
    ///
    /// No TTBR may name the tree any more.
    ///
    /// # Errors
    /// The fault of a table access.
    pub async fn destroy(
        self,
        cpu: &impl Cpu,
        frames: &impl FrameAllocator,
    ) -> Result<(), MmError> {
        let mut gather = self.gather();
        self.clear_range(cpu, frames, &mut gather, 0, self.span(), &mut Vec::new())
            .await?;
        gather.flush(cpu, frames).await;
        flush::flush_all(cpu).await;
        for page in self.pages.borrow().values() {
            frames.free(page.frame);
        }
        Ok(())
    }

    /// Shape of the tree.
    pub const fn format(&self) -> TableFormat {
        self.format
    }

    /// Physical address of the start-level table.
    pub const fn root(&self) -> u64 {
        self.root
    }

    /// TTBR value that names the tree.
    pub const fn ttbr(&self) -> Ttbr {
        let asid = match self.format.asid {
            Some(asid) => asid,
            None => 0,
        };
        Ttbr::new(asid, self.root)
    }

    /// The same tree, edited through another linear map from now on: boot code that built it with
    /// the MMU off hands it over to a kernel that runs with the MMU on.
    #[must_use]
    pub fn through(self, linear: LinearMap) -> Self {
        Self { linear, ..self }
    }

    /// Physical addresses of all table pages, ascending.
    pub fn table_pages(&self) -> Vec<u64> {
        self.pages.borrow().keys().copied().collect()
    }

    /// The leaf that maps `va`, found by reading the tables.
    ///
    /// # Errors
    /// [`MmError::OutOfRange`], or the fault of a table access.
    pub async fn lookup(&self, cpu: &impl Cpu, va: u64) -> Result<Option<Leaf>, MmError> {
        let offset = self.offset(va)?;
        let mut path = self.path();
        let (level, entry) = self
            .descend(cpu, &mut path, offset, geometry::FINAL_LEVEL)
            .await?;
        Ok(entry.valid().then(|| self.leaf_at(offset, level, entry)))
    }

    fn leaf_at(&self, offset: u64, level: u8, descriptor: Descriptor) -> Leaf {
        let bytes = self.level_bytes(level);
        Leaf {
            va: self.va(offset & !(bytes - 1)),
            level,
            descriptor,
            pa: descriptor.output_address(self.format.granule, level),
            bytes,
        }
    }

    fn gather(&self) -> Gather {
        Gather::new(self.format.granule, self.format.asid)
    }

    fn start_level(&self) -> u8 {
        geometry::start_level(self.format.granule, self.format.va_bits)
    }

    fn level_bytes(&self, level: u8) -> u64 {
        geometry::level_bytes(self.format.granule, level)
    }

    /// Bytes of the whole range.
    fn span(&self) -> u64 {
        1 << self.format.va_bits
    }

    /// Offset of `va` in the range; tagged addresses are out of range here.
    fn offset(&self, va: u64) -> Result<u64, MmError> {
        let offset = va & (self.span() - 1);
        if self.va(offset) == va {
            Ok(offset)
        } else {
            Err(MmError::OutOfRange {
                va,
                va_bits: self.format.va_bits,
            })
        }
    }

    fn va(&self, offset: u64) -> u64 {
        match self.format.range {
            VaRange::Lower => offset,
            VaRange::Upper => offset | !(self.span() - 1),
        }
    }

    /// Start and end offsets of a page-aligned range of `bytes` bytes.
    fn extent(&self, va: u64, bytes: u64) -> Result<(u64, u64), MmError> {
        let start = self.offset(va)?;
        let page = self.format.granule.bytes();
        for value in [va, bytes] {
            aligned(value, page)?;
        }
        match start.checked_add(bytes) {
            Some(end) if end <= self.span() => Ok((start, end)),
            _ => Err(MmError::OutOfRange {
                va: va.wrapping_add(bytes),
                va_bits: self.format.va_bits,
            }),
        }
    }

    fn slot(&self, table: u64, level: u8, offset: u64) -> Result<u64, MmError> {
        let index = geometry::index(self.format.granule, self.format.va_bits, level, offset);
        let pa = table + index * 8;
        self.linear.virt(pa).ok_or(MmError::OutsideLinearMap { pa })
    }

    async fn read(&self, cpu: &impl Cpu, slot: u64) -> Result<Descriptor, MmError> {
        let value = cpu
            .load(slot, AccessSize::Double, Privilege::Privileged)
            .await?;
        Ok(Descriptor(self.byte_order(value)))
    }

    async fn write(&self, cpu: &impl Cpu, slot: u64, value: Descriptor) -> Result<(), MmError> {
        let value = self.byte_order(value.0);
        Ok(cpu
            .store(slot, AccessSize::Double, Privilege::Privileged, value)
            .await?)
    }

    /// Replaces `old` by `new` unless the slot holds something else by now; returns what it held.
    async fn swap(
        &self,
        cpu: &impl Cpu,
        slot: u64,
        old: Descriptor,
        new: Descriptor,
    ) -> Result<Descriptor, MmError> {
        let (old, new) = (self.byte_order(old.0), self.byte_order(new.0));
        let seen = cpu
            .compare_and_swap(slot, AccessSize::Double, Privilege::Privileged, old, new)
            .await?;
        Ok(Descriptor(self.byte_order(seen)))
    }

    /// Clears the slot and returns what it held at that instant, hardware updates included.
    async fn take(&self, cpu: &impl Cpu, slot: u64) -> Result<Descriptor, MmError> {
        let mut old = self.read(cpu, slot).await?;
        loop {
            let seen = self.swap(cpu, slot, old, Descriptor::INVALID).await?;
            if seen == old {
                return Ok(old);
            }
            old = seen;
        }
    }

    /// WALK-02: a walker swaps descriptor bytes when EE = 1, and this core's data port does not.
    const fn byte_order(&self, value: u64) -> u64 {
        if self.format.big_endian {
            value.swap_bytes()
        } else {
            value
        }
    }
}

/// Checks that `value` is a multiple of `bytes`.
const fn aligned(value: u64, bytes: u64) -> Result<(), MmError> {
    if value.is_multiple_of(bytes) {
        Ok(())
    } else {
        Err(MmError::Misaligned { value, bytes })
    }
}
