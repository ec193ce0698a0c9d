// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which tree a core translates with.

use crate::cpu::Cpu;
use crate::pgtable::PageTable;
use vmsa::{DsbKind, SysReg, VaRange};

/// Makes `table` the tree of its range on this core; base and ASID change in one write (13.5).
///
/// The barrier before it also completes invalidations of this core that are still in flight.
/// TCR_EL1 shall already describe the format of the tree.
pub async fn switch_to(cpu: &impl Cpu, table: &PageTable) {
    let register = match table.format().range {
        VaRange::Lower => SysReg::Ttbr0,
        VaRange::Upper => SysReg::Ttbr1,
    };
    cpu.dsb(DsbKind::ISH).await;
    cpu.write_sysreg(register, table.ttbr().0).await;
    cpu.isb().await;
}
