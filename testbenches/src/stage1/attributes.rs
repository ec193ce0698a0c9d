// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Memory attributes: every MAIR byte with every SH under every setting of SCTLR_EL1.C and I, and
//! two translations of one PA (VMSA-60, VMSA-61, VMSA-63).

use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use vmsa::{Descriptor, El, Fsc, Granule, Mair, SysReg, VaRange};

use super::activity::{of, within};
use super::ranges::forget;
use super::regime::{DEVICE, NON_CACHEABLE, NORMAL, Regime};
use super::tree::Tree;

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "memory-attributes",
        purpose: "all 256 MAIR bytes at all 8 indices with all 4 SH, for data, fetch and AT",
        requirements: &["VMSA-60", "VMSA-29"],
        run: every_byte,
    },
    Testbench {
        name: "cache-controls",
        purpose: "C and I make Normal memory Non-cacheable, in the TLB and after a walk",
        requirements: &["VMSA-60", "VMSA-61"],
        run: cache_controls,
    },
    Testbench {
        name: "attribute-alias",
        purpose: "one PA under two VAs with different attributes and permissions",
        requirements: &["VMSA-63"],
        run: alias,
    },
];

/// VA of the page with AttrIndx `index` and shareability `sh`.
fn page(index: u8, sh: u8) -> u64 {
    u64::from(index << 2 | sh) << 12
}

/// PA of that page.
fn output(index: u8, sh: u8) -> u64 {
    0x2_0000_0000 + page(index, sh)
}

/// Pages for every AttrIndx and SH, 32 in all, in a table at level 3. EL0 may read and execute them.
fn pages(bench: &mut Bench) -> Result<Regime, Failure> {
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 21, 0x1_0000_0000);
    for (index, sh) in (0..8).flat_map(|index| (0..4).map(move |sh| (index, sh))) {
        let leaf = Descriptor::leaf(Granule::K4, 3, output(index, sh))
            .with_attr_index(index)
            .with_sh(sh)
            .with_af(true)
            .with_ap(0b11);
        tree.map(page(index, sh), 3, leaf);
    }
    tree.load(bench)?;
    Ok(Regime::default().with(&tree, 1))
}

/// ATTR and SH reported for MAIR byte `byte` under descriptor SH `sh`, caches on: section 1.3.
fn reported(byte: u8, sh: u8) -> (u8, u8) {
    let attr = match (byte >> 4, byte & 0xf) {
        // Device-nGnRnE, nGnRE, nGRE, GRE.
        (0, 0b0000 | 0b0100 | 0b1000 | 0b1100) => byte,
        // Reserved: Device-nGnRnE here.
        (0, _) | (_, 0) => 0x00,
        _ => byte,
    };
    // Device and Normal Non-cacheable are Outer Shareable, and so is the reserved SH here.
    let outer = attr >> 4 == 0 || attr == 0x44 || sh == 0b01;
    (attr, if outer { 0b10 } else { sh })
}

/// A load, an AT and a fetch of page (`index`, `sh`), whose attributes shall be `data` and `fetch`.
async fn look(
    core: &CoreHandle,
    requirement: &str,
    (index, sh): (u8, u8),
    data: (u8, u8),
    fetch: (u8, u8),
) -> Result<(), Failure> {
    let va = page(index, sh) | 0xab8;
    let pa = output(index, sh) | 0xab8;
    for request in [
        CoreRequest::load(va, 3, El::El0),
        CoreRequest::at(va, El::El0, false, false),
    ] {
        let answer = core.access(request).await;
        of(&request, &answer, {
            answer
                .reaches(requirement, pa)
                .and_then(|()| answer.has_attributes(requirement, data.0, data.1))
        })?;
    }
    let request = CoreRequest::fetch(va, El::El0);
    let answer = core.access(request).await;
    of(&request, &answer, {
        if fetch.0 >> 4 == 0 {
            answer.faults("VMSA-29", Fsc(0x0f))
        } else {
            answer
                .reaches(requirement, pa)
                .and_then(|()| answer.has_attributes(requirement, fetch.0, fetch.1))
        }
    })
}

fn every_byte(bench: &mut Bench) -> Result<(), Failure> {
    let regime = pages(bench)?;
    bench.run(async move |core| {
        regime.enter(&core).await;
        for byte in 0..=255u8 {
            // Each byte at an index of its own; the others hold other bytes.
            let bytes: [u8; 8] =
                std::array::from_fn(|i| byte.wrapping_mul(37).wrapping_add(i as u8));
            core.access(CoreRequest::msr(SysReg::Mair, u64::from_le_bytes(bytes)))
                .await;
            core.access(CoreRequest::isb()).await;
            forget(&core).await;
            for (index, &value) in (0u8..).zip(&bytes) {
                for sh in 0..4 {
                    let both = reported(value, sh);
                    look(&core, "VMSA-60", (index, sh), both, both)
                        .await
                        .map_err(|failure| {
                            within(
                                failure,
                                &format!("MAIR byte {index} is {value:#04x}, SH {sh}"),
                            )
                        })?;
                }
            }
        }
        Ok(())
    })
}

fn cache_controls(bench: &mut Bench) -> Result<(), Failure> {
    const OFF: (u8, u8) = (0x44, 2);
    let regime = pages(bench)?;
    bench.run(async move |core| {
        regime.enter(&core).await;
        for first in (0..=255u8).step_by(8) {
            let bytes: [u8; 8] = std::array::from_fn(|i| first + i as u8);
            core.access(CoreRequest::msr(SysReg::Mair, u64::from_le_bytes(bytes)))
                .await;
            core.access(CoreRequest::isb()).await;
            forget(&core).await;
            for (index, &value) in (0u8..).zip(&bytes) {
                // The TLBs hold the page after the first of these, whatever C and I were.
                for (c, i) in [
                    (true, true),
                    (false, true),
                    (true, false),
                    (false, false),
                    (true, true),
                ] {
                    let sctlr = regime.sctlr.with_c(c).with_i(i);
                    core.access(CoreRequest::msr(SysReg::Sctlr, sctlr.0)).await;
                    core.access(CoreRequest::isb()).await;
                    for sh in [0, 3] {
                        let plain = reported(value, sh);
                        let normal = plain.0 >> 4 != 0;
                        let data = if normal && !c { OFF } else { plain };
                        let fetch = if normal && !i { OFF } else { plain };
                        let requirement = if c && i { "VMSA-60" } else { "VMSA-61" };
                        look(&core, requirement, (index, sh), data, fetch)
                            .await
                            .map_err(|failure| {
                                within(
                                    failure,
                                    &format!("MAIR byte {value:#04x}, C {c}, I {i}, SH {sh}"),
                                )
                            })?;
                    }
                }
            }
        }
        Ok(())
    })
}

/// One view of the shared PA.
struct View {
    va: u64,
    index: u8,
    sh: u8,
    writable: bool,
    attributes: (u8, u8),
}

fn alias(bench: &mut Bench) -> Result<(), Failure> {
    const PA: u64 = 0x2_2222_2000;
    let view = |n: u64, index, sh, writable, attributes| View {
        va: n << 12,
        index,
        sh,
        writable,
        attributes,
    };
    let views = [
        view(1, NORMAL, 3, true, (0xff, 3)),
        view(2, NON_CACHEABLE, 3, false, (0x44, 2)),
        view(3, DEVICE, 0, true, (0x04, 2)),
        view(4, NORMAL, 0, false, (0xff, 0)),
    ];
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 21, 0x1_0000_0000);
    for view in &views {
        let leaf = Descriptor::leaf(Granule::K4, 3, PA)
            .with_attr_index(view.index)
            .with_sh(view.sh)
            .with_af(true)
            .with_ap_el0(true)
            .with_ap_read_only(!view.writable);
        tree.map(view.va, 3, leaf);
    }
    tree.load(bench)?;
    bench.run(async move |core| {
        let mair = Mair(0)
            .with_attr(NORMAL, 0xff)
            .with_attr(NON_CACHEABLE, 0x44)
            .with_attr(DEVICE, 4);
        let regime = Regime {
            mair,
            ..Regime::default().with(&tree, 1)
        };
        regime.enter(&core).await;
        let mut held = 0;
        for round in 0..8u64 {
            for (n, view) in (0u64..).zip(&views) {
                let va = view.va | 0x128;
                let place = if round == 0 {
                    HitPlace::Walk
                } else {
                    HitPlace::L1
                };
                let load = CoreRequest::load(va, 3, El::El0);
                let answer = core.access(load).await;
                of(&load, &answer, {
                    let (attr, sh) = view.attributes;
                    answer
                        .reaches("VMSA-63", PA | 0x128)
                        .and_then(|()| answer.reads("VMSA-63", held))
                        .and_then(|()| answer.has_attributes("VMSA-63", attr, sh))
                        .and_then(|()| answer.comes_from("VMSA-63", place))
                })?;
                let value = round << 8 | n | 0x5a00_0000;
                let store = CoreRequest::store(va, 3, El::El0, value);
                let answer = core.access(store).await;
                if view.writable {
                    of(&store, &answer, answer.reaches("VMSA-63", PA | 0x128))?;
                    held = value;
                } else {
                    of(&store, &answer, answer.faults("VMSA-63", Fsc(0x0f)))?;
                }
            }
        }
        Ok(())
    })
}
