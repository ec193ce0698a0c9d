// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The nT bit of a block at each FEAT_BBM level (section 12.3).

use cosim::dut::ports::{CoreRequest, HitPlace, TlbStructure};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{El, Granule, Tlbi, TlbiScope};

use super::record::Record;
use crate::stage1::contiguous::invalidate;
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "bbm-nt",
    purpose: "a block with nT is not kept at BBM levels 1 and 2, and never in conflict; at level 0 nT is ignored",
    requirements: &["BBM-05", "BBM-07"],
    run: no_translation_bit,
}];

const TABLES: u64 = 0x5000_0000;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

fn no_translation_bit(bench: &mut Bench) -> Result<(), Failure> {
    for bbml in 0..=2 {
        for (granule, level) in [
            (Granule::K4, 1),
            (Granule::K4, 2),
            (Granule::K16, 2),
            (Granule::K64, 2),
        ] {
            bench.restart()?;
            let straps = &mut bench.setup().straps;
            straps.bbml = bbml;
            straps.conflict_abort = true;
            let mut tree = Tree::new(Lower, granule, 42, TABLES);
            let bytes = vmsa::geometry::level_bytes(granule, level);
            let base = bytes;
            let out = 0x20_0000_0000;
            for page in 0..8u64 {
                let page = page * granule.bytes();
                tree.map(base + page, 3, user_rw(granule, 3, out + page));
            }
            let slot = tree.slot(base, level);
            let block = user_rw(granule, level, out).with_nt(true).0;
            tree.load(bench)?;
            let (record, handle) = (Record::on(bench)?, bench.handle()?);
            bench.run(async move |core| {
                Regime::default().with(&tree, 1).enter(&core).await;
                let kept = bbml == 0;
                let id = if kept { "BBM-07" } else { "BBM-05" };
                // A page of the table is cached, then the block stands there.
                let page = granule.bytes();
                if !kept {
                    core.access(load(base)).await.reaches(id, out)?;
                    let other = Tlbi::vae1(TlbiScope::Local, base + 7 * page, 1, None);
                    invalidate(&core, other).await;
                }
                handle.poke(slot, block);
                record.clear();
                for round in 0..3u64 {
                    for offset in [0, page, 2 * page, bytes - 64].map(|offset| offset + 8 * round) {
                        let request = load(base + offset);
                        let answer = core.access(request).await;
                        on(request, answer.reaches(id, out + offset))?;
                        let place = match (kept, offset < page, round) {
                            (true, true, 0) => HitPlace::Walk,
                            (true, ..) | (false, true, _) => HitPlace::L1,
                            _ => HitPlace::Walk,
                        };
                        // At level 0 the last bytes of the block are in its entry too.
                        on(request, answer.comes_from(id, place))?;
                    }
                }
                let filled: Vec<_> = [TlbStructure::Dtlb, TlbStructure::L2]
                    .into_iter()
                    .flat_map(|structure| record.fills(structure))
                    .map(|(_, fill)| fill.va)
                    .collect();
                let wanted = if kept { vec![base; 2] } else { vec![] };
                expect(id, filled == wanted, || {
                    format!("BBM level {bbml}, {granule} level {level}: entries for {filled:x?}")
                })
            })?;
        }
    }
    Ok(())
}
