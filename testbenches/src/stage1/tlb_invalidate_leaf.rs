// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! TLBI by VA of leaves of every size, with every level hint that fits or says nothing (section 11).

use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{El, Fsc, Granule, Tlbi, TlbiOp, TlbiScope};

use super::contiguous::invalidate;
use super::regime::{Regime, user_rw};
use super::tree::Tree;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "tlbi-leaf-size",
    purpose: "any VA in a block names it, with every level hint that fits or says nothing",
    requirements: &["TLB-33", "TLBI-06", "TLBI-17"],
    run: every_va_of_a_leaf,
}];

const TABLES: u64 = 0x5000_0000;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El1)
}

fn every_va_of_a_leaf(bench: &mut Bench) -> Result<(), Failure> {
    // Granule, level, bytes, and the level hints: the one that fits and those that say nothing
    // (00xx; reserved codes of table 11.1).
    const LEAVES: [(Granule, u8, u64, u64); 7] = [
        (Granule::K4, 1, 1 << 30, 0b0101),
        (Granule::K4, 2, 2 << 20, 0b0110),
        (Granule::K4, 3, 4 << 10, 0b0111),
        (Granule::K16, 2, 32 << 20, 0b1010),
        (Granule::K16, 3, 16 << 10, 0b1011),
        (Granule::K64, 2, 512 << 20, 0b1110),
        (Granule::K64, 3, 64 << 10, 0b1111),
    ];
    const NO_HINT: [u64; 8] = [
        0b0000, 0b0001, 0b0010, 0b0011, 0b0100, 0b1000, 0b1001, 0b1100,
    ];
    for (granule, level, bytes, fitting) in LEAVES {
        bench.restart()?;
        let va = 0x0040_0000_0000;
        let pa = 0x2000_0000_0000;
        let mut tree = Tree::new(Lower, granule, 48, TABLES);
        let slot = tree.map(va, level, user_rw(granule, level, pa));
        let word = tree.word(slot);
        tree.load(bench)?;
        let handle = bench.handle()?;
        let regime = Regime::default().with(&tree, 5);
        bench.run(async move |core| {
            regime.enter(&core).await;
            for ttl in NO_HINT.into_iter().chain([fitting]) {
                // 0x1000 lies inside the page where the granule is larger than 4K.
                for named in [0, 0x1000 % bytes, bytes / 2, bytes - 0x1000] {
                    for op in [TlbiOp::Vae1, TlbiOp::Vale1, TlbiOp::Vaae1, TlbiOp::Vaale1] {
                        core.access(load(va + 8)).await.reaches("TLBI-06", pa + 8)?;
                        let fetch = CoreRequest::fetch(va + bytes - 4, El::El0);
                        core.access(fetch).await.reaches("TLB-33", pa + bytes - 4)?;
                        handle.poke(slot, 0);
                        let operand = (va + named) >> 12 | ttl << 44 | 5 << 48;
                        let scope = TlbiScope::Local;
                        invalidate(&core, Tlbi { op, scope, operand }).await;
                        let id = if ttl == 0 { "TLBI-06" } else { "TLBI-17" };
                        let fault = Fsc(0x04 + level);
                        core.access(load(va + 16)).await.faults(id, fault)?;
                        core.access(load(va + bytes - 8))
                            .await
                            .faults("TLB-33", fault)?;
                        core.access(fetch).await.faults(id, fault)?;
                        handle.poke(slot, word);
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}
