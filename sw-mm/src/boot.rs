// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The first tables: a linear map of all memory in the upper range, an empty tree in the lower one.
//!
//! Memory may lie in several banks with holes between them, as the memory of several nodes does: the
//! window then spans them all, and shows the banks only.
//!
//! Tables that turn the MMU on cannot be written through it. [`build`] therefore runs on a core
//! whose MMU is off, where the linear map is the identity, as the head of a kernel does; and
//! [`image`] does the same on a functional machine and returns what memory then holds, for a
//! harness that loads it before the first instruction.

use crate::attributes::{Attributes, Permissions};
use crate::block_on::block_on;
use crate::cpu::Cpu;
use crate::frame::FramePool;
use crate::functional::Machine;
use crate::linear_map::LinearMap;
use crate::pgtable::{MmError, PageTable, Region, TableFormat};
use std::iter;
use vmsa::{Granule, Mair, Sctlr, SysReg, Tcr, Ttbr, VaRange, geometry};

/// What hardware does to descriptors by itself (TCR_EL1.HA and HD).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HardwareUpdate {
    /// Nothing: every state change is a fault.
    #[default]
    None,
    /// It sets the access flag.
    AccessFlag,
    /// It sets the access flag and manages dirty state.
    AccessFlagAndDirty,
}

/// Size and granule of one VA range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeConfig {
    /// Granule.
    pub granule: Granule,
    /// VA bits, 64 - TxSZ.
    pub va_bits: u32,
}

/// A piece of memory. Both in bytes and multiples of the kernel's page size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bank {
    /// First byte.
    pub base: u64,
    /// Length.
    pub bytes: u64,
}

/// What to boot with. All addresses and lengths in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootConfig {
    /// Upper range, which holds the linear map.
    pub kernel: RangeConfig,
    /// Lower range, empty at first.
    pub user: RangeConfig,
    /// First byte of memory that the linear map shows; with several banks, of the first one.
    pub memory_base: u64,
    /// How much of it, a multiple of the kernel's page size.
    pub memory_bytes: u64,
    /// Zero-filled memory for table pages: the first half for the kernel's, the second for the
    /// user's. It has to lie in the linear map.
    pub tables_base: u64,
    /// How much of it.
    pub tables_bytes: u64,
    /// ASID of the first address space.
    pub asid: u16,
    /// 16-bit ASIDs (TCR_EL1.AS).
    pub asid16: bool,
    /// Hardware updates of descriptors.
    pub hardware_update: HardwareUpdate,
    /// The linear map uses the contiguous hint.
    pub contiguous: bool,
    /// Memory attributes; byte 0 describes all memory of the linear map.
    pub mair: Mair,
    /// Descriptors are big endian (SCTLR_EL1.EE).
    pub big_endian: bool,
}

impl Default for BootConfig {
    /// 64 MiB at 0x4000_0000, its upper half for tables; 4K granule and 48 bits in both ranges.
    fn default() -> Self {
        let range = RangeConfig {
            granule: Granule::K4,
            va_bits: 48,
        };
        Self {
            kernel: range,
            user: range,
            memory_base: 0x4000_0000,
            memory_bytes: 64 << 20,
            tables_base: 0x4200_0000,
            tables_bytes: 32 << 20,
            asid: 1,
            asid16: true,
            hardware_update: HardwareUpdate::None,
            contiguous: false,
            mair: Mair(0)
                .with_attr(0, Mair::NORMAL_WB)
                .with_attr(1, Mair::NORMAL_NC),
            big_endian: false,
        }
    }
}

impl BootConfig {
    /// The default machine with one granule in both ranges.
    pub fn with_granule(granule: Granule) -> Self {
        let range = RangeConfig {
            granule,
            va_bits: 48,
        };
        Self {
            kernel: range,
            user: range,
            ..Self::default()
        }
    }

    fn format(&self, range: VaRange) -> TableFormat {
        let (config, asid) = match range {
            VaRange::Lower => (self.user, Some(self.asid)),
            VaRange::Upper => (self.kernel, None),
        };
        TableFormat {
            range,
            granule: config.granule,
            va_bits: config.va_bits,
            asid,
            big_endian: self.big_endian,
        }
    }

    fn bank(&self) -> Bank {
        Bank {
            base: self.memory_base,
            bytes: self.memory_bytes,
        }
    }

    /// The window over all banks: at the start of the upper range, moved up so that virtual and
    /// physical addresses agree modulo the largest block and the map can use it.
    fn linear_map(&self, more: &[Bank]) -> Result<LinearMap, MmError> {
        let banks = || iter::once(self.bank()).chain(more.iter().copied());
        let base = banks().map(|bank| bank.base).min().unwrap_or_default();
        let end = banks().map(|bank| bank.base + bank.bytes).max();
        let bytes = end.unwrap_or_default() - base;
        let RangeConfig { granule, va_bits } = self.kernel;
        let span = 1u64 << va_bits.min(48);
        let block = (0..geometry::FINAL_LEVEL)
            .filter(|&level| geometry::block_allowed(granule, level))
            .map(|level| geometry::level_bytes(granule, level))
            .find(|&bytes| bytes <= span / 2)
            .unwrap_or(granule.bytes());
        let shift = base % block;
        let virt = !(span - 1) + shift;
        if shift + bytes > span {
            return Err(MmError::OutOfRange {
                va: virt.wrapping_add(bytes),
                va_bits,
            });
        }
        Ok(LinearMap::new(virt, base, bytes))
    }

    fn registers(&self, ttbr0: Ttbr, ttbr1: Ttbr) -> Registers {
        let mut tcr = Tcr(0)
            .with_ips(5)
            .with_asid16(self.asid16)
            .with_ha(self.hardware_update != HardwareUpdate::None)
            .with_hd(self.hardware_update == HardwareUpdate::AccessFlagAndDirty);
        for range in [VaRange::Lower, VaRange::Upper] {
            let format = self.format(range);
            tcr = tcr
                .with_tsz(range, 64 - format.va_bits as u8)
                .with_granule(range, format.granule)
                .with_irgn(range, 1)
                .with_orgn(range, 1)
                .with_sh(range, 3);
        }
        Registers {
            ttbr0,
            ttbr1,
            tcr,
            mair: self.mair,
            sctlr: Sctlr(0)
                .with_m(true)
                .with_c(true)
                .with_i(true)
                .with_ee(self.big_endian),
        }
    }
}

/// Values of the translation registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// TTBR0_EL1.
    pub ttbr0: Ttbr,
    /// TTBR1_EL1.
    pub ttbr1: Ttbr,
    /// TCR_EL1.
    pub tcr: Tcr,
    /// MAIR_EL1.
    pub mair: Mair,
    /// SCTLR_EL1.
    pub sctlr: Sctlr,
}

impl Registers {
    /// Registers and values in the order to write them: the MMU comes on last.
    pub const fn writes(&self) -> [(SysReg, u64); 5] {
        [
            (SysReg::Mair, self.mair.0),
            (SysReg::Tcr, self.tcr.0),
            (SysReg::Ttbr0, self.ttbr0.0),
            (SysReg::Ttbr1, self.ttbr1.0),
            (SysReg::Sctlr, self.sctlr.0),
        ]
    }

    /// Writes them all, with the barriers that let the core run on with its MMU on.
    pub async fn load(&self, cpu: &impl Cpu) {
        for (register, value) in self.writes() {
            if register == SysReg::Sctlr {
                cpu.isb().await;
            }
            cpu.write_sysreg(register, value).await;
        }
        cpu.isb().await;
    }
}

/// The state in which the OS begins.
#[derive(Debug)]
pub struct Boot {
    /// What the registers shall hold.
    pub registers: Registers,
    /// The linear map.
    pub linear: LinearMap,
    /// Tree of the upper range.
    pub kernel: PageTable,
    /// Tree of the lower range, empty.
    pub user: PageTable,
    /// Table pages of the upper range.
    pub kernel_frames: FramePool,
    /// Table pages of the lower range.
    pub user_frames: FramePool,
}

/// Builds the first tables on a core whose MMU is off; the registers are left to the caller.
///
/// # Errors
/// [`MmError`] if the configuration cannot be: memory larger than the upper range, too few table
/// pages, a VA size that the granule does not have.
pub async fn build(cpu: &impl Cpu, config: &BootConfig) -> Result<Boot, MmError> {
    build_banks(cpu, config, &[]).await
}

/// As [`build`], with `more` memory in other places.
///
/// # Errors
/// As [`build`].
pub async fn build_banks(
    cpu: &impl Cpu,
    config: &BootConfig,
    more: &[Bank],
) -> Result<Boot, MmError> {
    let linear = config.linear_map(more)?;
    let half = config.tables_bytes / 2;
    let pool = |base, range: RangeConfig| FramePool::new(base, half, range.granule.bytes());
    let kernel_frames = pool(config.tables_base, config.kernel);
    let user_frames = pool(config.tables_base + half, config.user);
    let flat = LinearMap::identity();
    let kernel = PageTable::new(cpu, &kernel_frames, config.format(VaRange::Upper), flat).await?;
    let user = PageTable::new(cpu, &user_frames, config.format(VaRange::Lower), flat).await?;
    let attributes = Attributes {
        global: true,
        ..Attributes::normal(Permissions::KERNEL_RW)
    };
    for Bank { base, bytes } in iter::once(config.bank()).chain(more.iter().copied()) {
        let va = linear
            .virt(base)
            .ok_or(MmError::OutsideLinearMap { pa: base })?;
        let pa = base;
        let region = Region { va, pa, bytes };
        kernel
            .map_region(cpu, &kernel_frames, region, &attributes, config.contiguous)
            .await?;
    }
    Ok(Boot {
        registers: config.registers(user.ttbr(), kernel.ttbr()),
        linear,
        kernel: kernel.through(linear),
        user: user.through(linear),
        kernel_frames,
        user_frames,
    })
}

/// The first tables as memory contents: pieces of (physical address, 8-byte words); all other memory
/// is zero.
pub type MemoryImage = Vec<(u64, Vec<u64>)>;

/// Builds the first tables beside the machine that will use them.
///
/// ```
/// use sw_mm::boot::{BootConfig, image};
///
/// # fn main() -> Result<(), sw_mm::MmError> {
/// let (memory, boot) = image(&BootConfig::default())?;
/// // 64 MiB are 32 blocks of 2 MiB: one table for each of the levels 0, 1 and 2.
/// assert_eq!(boot.kernel.table_pages().len(), 3);
/// let words: usize = memory.iter().map(|(_, words)| words.len()).sum();
/// assert_eq!(words, 2 + 32);
/// assert!(boot.registers.sctlr.m());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`build`].
pub fn image(config: &BootConfig) -> Result<(MemoryImage, Boot), MmError> {
    image_banks(config, &[])
}

/// As [`image`], with `more` memory in other places.
///
/// ```
/// use sw_mm::boot::{Bank, BootConfig, image_banks};
///
/// # fn main() -> Result<(), sw_mm::MmError> {
/// let far = Bank { base: 2 << 40, bytes: 64 << 20 };
/// let (_, boot) = image_banks(&BootConfig::default(), &[far])?;
/// let shown = |pa| boot.linear.virt(pa);
/// assert_eq!(shown(far.base).zip(shown(0x4000_0000)).map(|(a, b)| a - b), Some((2 << 40) - 0x4000_0000));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`build`].
pub fn image_banks(config: &BootConfig, more: &[Bank]) -> Result<(MemoryImage, Boot), MmError> {
    let machine = Machine::new(Default::default());
    let boot = block_on(build_banks(&machine.core(0), config, more))?;
    Ok((machine.contents(), boot))
}
