// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The break-before-make monitor across a change of ASID: entries under the old one meet nothing that
//! is cached under the new one (MM-18, MM-19).

use crate::booted::boot_on;
use sw_mm::boot::BootConfig;
use sw_mm::functional::MachineConfig;
use sw_mm::{AccessSize, Attributes, Cpu, Permissions, Privilege, block_on};
use vmsa::{Descriptor, DsbKind, Granule, SysReg, Tlbi, TlbiScope, Ttbr};

const RW: Attributes = Attributes::normal(Permissions::USER_RW);
const VA: u64 = 0x40_0000_0000;
const PA: u64 = 0x4000_0000;

/// Moves a page that was used under ASID 1 by break-before-make that invalidates for `asid` only,
/// after `cores` of two cores have gone on with the tree under each ASID of `then`. How many violations
/// are seen.
fn moved(cores: usize, then: &[u16], asid: u16) -> usize {
    let config = MachineConfig {
        cores: 2,
        ..MachineConfig::default()
    };
    let os = boot_on(&BootConfig::default(), config);
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    block_on(async {
        table.map(&os.cpu, frames, VA, PA, 3, &RW).await?;
        assert_eq!(os.pa(VA), Some(PA));
        for (core, &asid) in (0..cores).flat_map(|core| then.iter().map(move |asid| (core, asid))) {
            // What a core does after a rollover of ASIDs.
            let core = os.machine.core(core);
            core.tlbi(Tlbi::vmalle1(TlbiScope::Local)).await;
            core.dsb(DsbKind::NSH).await;
            let ttbr = Ttbr::new(asid, table.root());
            core.write_sysreg(SysReg::Ttbr0, ttbr.0).await;
            core.isb().await;
        }
        let leaves = *table.table_pages().last().expect("a leaf table");
        let slot = os.boot.linear.virt(leaves).expect("in the window");
        let put = |value: Descriptor| {
            let who = Privilege::Privileged;
            os.cpu.store(slot, AccessSize::Double, who, value.0)
        };
        put(Descriptor::INVALID).await?;
        sw_mm::flush::flush_page(&os.cpu, Some(asid), VA).await;
        put(RW.leaf(Granule::K4, 3, PA + 0x1000)).await?;
        os.cpu.dsb(DsbKind::ISHST).await;
        Ok::<(), sw_mm::MmError>(())
    })
    .expect("edits");
    os.machine.violations().len()
}

#[test]
fn entries_under_an_asid_that_the_tree_has_left_do_not_count() {
    assert_eq!(moved(2, &[2], 2), 0);
    // It was given out again, after the old entries had gone.
    assert_eq!(moved(2, &[2, 1], 2), 0);
    assert_eq!(moved(2, &[2, 1, 2], 1), 0);
}

#[test]
fn entries_under_an_asid_that_a_core_still_uses_count() {
    assert_eq!(moved(1, &[2], 2), 1, "core 1 goes on under ASID 1");
    assert_eq!(moved(1, &[2, 1], 2), 1);
    assert_eq!(moved(1, &[2], 1), 0);
    assert_eq!(moved(0, &[], 2), 1);
    assert_eq!(moved(0, &[], 1), 0);
}
