// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Control bits that change while the load runs, with the maintenance that makes the change act.

use cosim::sim::CoreHandle;
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use sw_mm::{Cpu, flush};
use vmsa::VaRange::{Lower, Upper};
use vmsa::{Sctlr, SysReg, Tcr};

/// Other values of the bits that the operating system can live with: it runs from the upper range, so
/// that one is never disabled.
pub fn draw(rng: &mut Pcg64Mcg, tcr: Tcr, sctlr: Sctlr) -> (Tcr, Sctlr) {
    let mut bit = |chance: f64| rng.random_bool(chance);
    let tcr = tcr
        .with_epd(Lower, bit(0.1))
        .with_e0pd(Lower, bit(0.1))
        .with_e0pd(Upper, bit(0.2))
        .with_tbi(Lower, bit(0.5))
        .with_tbi(Upper, bit(0.5))
        .with_tbid(Lower, bit(0.5))
        .with_tbid(Upper, bit(0.5))
        .with_hpd(Lower, bit(0.3))
        .with_hpd(Upper, bit(0.3))
        .with_ha(bit(0.7))
        .with_hd(bit(0.7));
    let sctlr = sctlr
        .with_wxn(bit(0.3))
        .with_epan(bit(0.5))
        .with_a(bit(0.1))
        .with_c(bit(0.8))
        .with_i(bit(0.8));
    (tcr, sctlr)
}

/// Writes both registers, then removes what was cached under the old values.
pub async fn change(core: &CoreHandle, tcr: Tcr, sctlr: Sctlr) {
    core.write_sysreg(SysReg::Tcr, tcr.0).await;
    core.write_sysreg(SysReg::Sctlr, sctlr.0).await;
    core.isb().await;
    flush::flush_all(core).await;
}
