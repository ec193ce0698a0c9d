// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The registers of one translation regime, and how a core enters it.

use cosim::dut::ports::CoreRequest;
use cosim::sim::CoreHandle;
use vmsa::{Descriptor, Granule, Mair, Sctlr, SysReg, Tcr, Tlbi, TlbiScope, Ttbr};

use super::tree::Tree;

/// Index of Normal Write-Back memory in [`Regime::default`].
pub const NORMAL: u8 = 0;
/// Index of Normal Non-cacheable memory.
pub const NON_CACHEABLE: u8 = 1;
/// Index of Device-nGnRE memory.
pub const DEVICE: u8 = 2;

/// Values of the registers that stage 1 depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Regime {
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

impl Default for Regime {
    /// Translation and caches on, 48-bit output, 16-bit ASIDs, both ranges disabled (EPDx = 1) until
    /// a tree is given, memory types as the constants of this module say.
    fn default() -> Self {
        use vmsa::VaRange::{Lower, Upper};
        Self {
            ttbr0: Ttbr(0),
            ttbr1: Ttbr(0),
            tcr: Tcr(0)
                .with_ips(5)
                .with_asid16(true)
                .with_tsz(Lower, 16)
                .with_tsz(Upper, 16)
                .with_granule(Lower, Granule::K4)
                .with_granule(Upper, Granule::K4)
                .with_epd(Lower, true)
                .with_epd(Upper, true),
            mair: Mair(0)
                .with_attr(NORMAL, Mair::NORMAL_WB)
                .with_attr(NON_CACHEABLE, Mair::NORMAL_NC)
                .with_attr(DEVICE, 0x04),
            sctlr: Sctlr(0).with_m(true).with_c(true).with_i(true),
        }
    }
}

impl Regime {
    /// The regime in which `tree` translates its range, under `asid`.
    #[must_use]
    pub fn with(mut self, tree: &Tree, asid: u16) -> Self {
        let range = tree.range();
        match range {
            vmsa::VaRange::Lower => self.ttbr0 = tree.ttbr(asid),
            vmsa::VaRange::Upper => self.ttbr1 = tree.ttbr(asid),
        }
        let tsz = u8::try_from(64 - tree.va_bits()).unwrap_or(u8::MAX);
        self.tcr = self
            .tcr
            .with_tsz(range, tsz)
            .with_granule(range, tree.granule())
            .with_epd(range, false);
        self
    }

    /// Enters the regime from any other, with translation off and every TLB entry removed between.
    pub async fn switch(&self, core: &CoreHandle) {
        core.access(CoreRequest::msr(SysReg::Sctlr, 0)).await;
        core.access(CoreRequest::isb()).await;
        core.access(CoreRequest::tlbi(Tlbi::vmalle1(TlbiScope::Local)))
            .await;
        core.access(CoreRequest::dsb(vmsa::DsbKind::SY)).await;
        self.enter(core).await;
    }

    /// Writes the registers, SCTLR_EL1 last, and synchronises.
    pub async fn enter(&self, core: &CoreHandle) {
        let values = [
            (SysReg::Ttbr0, self.ttbr0.0),
            (SysReg::Ttbr1, self.ttbr1.0),
            (SysReg::Tcr, self.tcr.0),
            (SysReg::Mair, self.mair.0),
            (SysReg::Sctlr, self.sctlr.0),
        ];
        for (register, value) in values {
            core.access(CoreRequest::msr(register, value)).await;
        }
        core.access(CoreRequest::isb()).await;
    }
}

/// Empties the TLBs of `core`.
pub async fn flush(core: &CoreHandle) {
    core.access(CoreRequest::tlbi(Tlbi::vmalle1(TlbiScope::Local)))
        .await;
    core.access(CoreRequest::dsb(vmsa::DsbKind::SY)).await;
    core.access(CoreRequest::isb()).await;
}

/// A page or block of Normal memory, accessed, not global, that EL0 and EL1 may read and write.
#[must_use]
pub fn user_rw(granule: Granule, level: u8, pa: u64) -> Descriptor {
    Descriptor::leaf(granule, level, pa)
        .with_attr_index(NORMAL)
        .with_sh(3)
        .with_af(true)
        .with_ng(true)
        .with_ap_el0(true)
}
