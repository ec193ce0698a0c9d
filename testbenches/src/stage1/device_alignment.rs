// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Unaligned accesses to Device and to Normal memory, under both settings of SCTLR_EL1.A (VMSA-62).

use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, SimHandle};
use vmsa::{Descriptor, El, Fsc, Granule, Mair, Sctlr, VaRange};

use super::activity::{expect, of, within};
use super::ranges::forget;
use super::regime::Regime;
use super::tree::Tree;

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "device-alignment",
    purpose: "every size and misalignment to every Device type and to Normal memory, A = 0 and 1",
    requirements: &["VMSA-62", "VMSA-50", "VMSA-51", "ORD-09"],
    run: device_alignment,
}];

/// MAIR: four Device types, a reserved byte (Device-nGnRnE here), and three Normal types.
const TYPES: [u8; 8] = [0x00, 0x04, 0x08, 0x0c, 0xf0, 0x44, 0xff, 0xbb];
/// Index of the first Normal type.
const FIRST_NORMAL: u8 = 5;
const ALIGNMENT: Fsc = Fsc(0x21);
const PA: u64 = 0x2_0000_0000;
const HELD: u64 = 0x8877_6655_4433_2211;

/// Every size and offset within 8 bytes, each by a walk of its own and then from the TLB. With size
/// 3 an odd offset also crosses an 8-byte boundary.
async fn every_offset(
    core: &CoreHandle,
    memory: &SimHandle,
    (va, pa): (u64, u64),
    aligned_only: bool,
) -> Result<(), Failure> {
    memory.poke(pa, HELD);
    memory.poke(pa + 8, HELD);
    for size in 0..4u8 {
        for offset in 0..8u64 {
            let mask = (1u64 << size) - 1;
            let unaligned = offset & mask != 0;
            let load = CoreRequest::load(va + offset, size, El::El0);
            let store = CoreRequest::store(va + offset, size, El::El0, 0);
            forget(core).await;
            let by_walk = core.access(load).await;
            of(&load, &by_walk, {
                if unaligned && aligned_only {
                    by_walk.faults("VMSA-62", ALIGNMENT)
                } else {
                    by_walk.reaches("VMSA-62", pa + offset)
                }
            })?;
            forget(core).await;
            let written = core.access(store).await;
            let read = core.access(load).await;
            let words = [memory.peek(pa), memory.peek(pa + 8)];
            memory.poke(pa, HELD);
            memory.poke(pa + 8, HELD);
            if unaligned && aligned_only {
                of(&load, &read, read.faults("VMSA-62", ALIGNMENT))?;
                of(&store, &written, written.faults("VMSA-62", ALIGNMENT))?;
                expect("ORD-09", words == [HELD; 2], || {
                    (
                        format!("{store} left {words:x?}"),
                        "memory as before".to_owned(),
                    )
                })?;
                expect("VMSA-51", !read.wnr && written.wnr, || {
                    (
                        format!("WnR {} and {}", read.wnr, written.wnr),
                        "0 and 1".to_owned(),
                    )
                })?;
                continue;
            }
            let bytes = u128::from(HELD) << 64 | u128::from(HELD);
            let all = u128::from(u64::MAX >> (64 - (8 << size)));
            let expected = (bytes >> (8 * offset) & all) as u64;
            of(&load, &by_walk, by_walk.reads("VMSA-62", expected))?;
            // The store wrote zeros.
            of(&load, &read, read.reads("VMSA-62", 0))?;
            of(&store, &written, written.reaches("VMSA-62", pa + offset))?;
            let after = bytes & !(all << (8 * offset));
            let after = [after as u64, (after >> 64) as u64];
            expect("VMSA-62", words == after, || {
                (format!("{store} left {words:x?}"), format!("{after:x?}"))
            })?;
        }
    }
    Ok(())
}

fn device_alignment(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 21, 0x1_0000_0000);
    for index in 0..8u8 {
        let leaf = Descriptor::leaf(Granule::K4, 3, PA + (u64::from(index) << 12))
            .with_attr_index(index)
            .with_af(true)
            .with_ap(0b01);
        tree.map(u64::from(index) << 12, 3, leaf);
    }
    tree.load(bench)?;
    let memory = bench.handle()?;
    bench.run(async move |core| {
        let regime = Regime {
            mair: Mair(u64::from_le_bytes(TYPES)),
            ..Regime::default().with(&tree, 1)
        };
        for checked in [false, true] {
            let regime = Regime {
                sctlr: regime.sctlr.with_a(checked),
                ..regime
            };
            regime.switch(&core).await;
            for index in 0..8u8 {
                let va = u64::from(index) << 12;
                let device = index < FIRST_NORMAL;
                every_offset(
                    &core,
                    &memory,
                    (va | 0x340, PA + va + 0x340),
                    device || checked,
                )
                .await
                .map_err(|failure| {
                    let byte = TYPES[usize::from(index)];
                    within(failure, &format!("MAIR byte {byte:#04x}, A {checked}"))
                })?;
            }
            // With C = 0 Normal memory is Non-cacheable, but still not Device.
            let uncached = Regime {
                sctlr: regime.sctlr.with_c(false),
                ..regime
            };
            uncached.switch(&core).await;
            every_offset(&core, &memory, (0x6340, PA + 0x6340), checked)
                .await
                .map_err(|failure| within(failure, &format!("C 0, A {checked}")))?;
            // With translation off all data is Device-nGnRnE.
            let off = Regime {
                sctlr: Sctlr(0).with_a(checked),
                ..regime
            };
            off.switch(&core).await;
            every_offset(&core, &memory, (PA | 0x340, PA | 0x340), true)
                .await
                .map_err(|failure| within(failure, &format!("M 0, A {checked}")))?;
        }
        Ok(())
    })
}
