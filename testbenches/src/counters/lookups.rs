// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Counters of lookups, refills and walks, one access at a time: every counter that an access moves,
//! and none besides.

use cosim::dut::ports::{CoreRequest, Counter as C};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{Descriptor, El, Granule};

use super::parts::{Case, HIT_RD, HIT_WR, READ, WRITE, data_walk, sum};
use super::reading::Reading;
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "counter-lookups",
        purpose: "literal counts of lookups, refills, walks and steps, for each kind of access",
        requirements: &["PMU-01", "PMU-02", "PMU-03"],
        run: kinds_of_access,
    },
    Testbench {
        name: "counter-updates",
        purpose: "literal counts of access flag and dirty state updates, of either side",
        requirements: &["PMU-04", "PMU-05"],
        run: hardware_updates,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;

fn kinds_of_access(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(Lower, Granule::K64, 48, TABLES);
    // Granule 64K: levels 1 to 3, three steps. The first 4 KiB of each page are on node 0.
    let page = 0x1_0000u64;
    for i in 0..4 {
        tree.map(
            0x4000_0000 + i * page,
            3,
            user_rw(Granule::K64, 3, PA + i * page),
        );
    }
    tree.load(bench)?;
    let handle = bench.handle()?;
    let regime = Regime::default().with(&tree, 1);
    bench.run(async move |core| {
        regime.enter(&core).await;
        let at = |i: u64| 0x4000_0000 + i * page;
        let cases: Vec<Case> = vec![
            (
                "a load that walks",
                CoreRequest::load(at(0), 3, El::El1),
                sum(&[&HIT_RD, &READ, &data_walk(3, false)]),
            ),
            (
                "a load that hits",
                CoreRequest::load(at(0) + 8, 3, El::El1),
                sum(&[&HIT_RD, &READ]),
            ),
            (
                "a load across 8 bytes",
                CoreRequest::load(at(0) + 5, 3, El::El1),
                sum(&[&HIT_RD, &READ, &READ]),
            ),
            (
                "a store that hits",
                CoreRequest::store(at(0), 3, El::El1, 1),
                sum(&[&HIT_WR, &WRITE]),
            ),
            (
                "a store that walks below a cached table",
                CoreRequest::store(at(1), 3, El::El1, 1),
                sum(&[&HIT_WR, &WRITE, &data_walk(1, true)]),
            ),
            (
                "a compare-and-swap that hits",
                CoreRequest::cas(at(1), El::El1, 1, 2),
                sum(&[&HIT_WR, &WRITE]),
            ),
            (
                "an AT for a write that walks",
                CoreRequest::at(at(2), El::El1, true, false),
                sum(&[&HIT_WR, &data_walk(1, true)]),
            ),
            (
                "an AT for a read that hits",
                CoreRequest::at(at(2), El::El1, false, false),
                sum(&[&HIT_RD]),
            ),
            (
                "a fetch that the second level serves",
                CoreRequest::fetch(at(0), El::El0),
                sum(&[
                    &READ,
                    &[
                        (C::L1iTlb, 1),
                        (C::L2dTlb, 1),
                        (C::L2dTlbRd, 1),
                        (C::L1iTlbRefill, 1),
                    ],
                ]),
            ),
            (
                "a fetch that hits",
                CoreRequest::fetch(at(0) + 4, El::El0),
                sum(&[&READ, &[(C::L1iTlb, 1)]]),
            ),
            (
                "a fetch that walks",
                CoreRequest::fetch(at(3), El::El0),
                sum(&[
                    &READ,
                    &[
                        (C::L1iTlb, 1),
                        (C::L2dTlb, 1),
                        (C::L2dTlbRd, 1),
                        (C::L1iTlbRefill, 1),
                        (C::L2dTlbRefill, 1),
                        (C::L2dTlbRefillRd, 1),
                        (C::ItlbWalk, 1),
                        (C::ItlbWalkBegun, 1),
                        (C::ItlbWalkSmall, 1),
                        (C::ItlbStep, 1),
                        (C::WalkReadLocal, 1),
                        (C::WalkCacheHitL2, 1),
                        (C::BusAccess, 1),
                        (C::BusAccessRd, 1),
                    ],
                ]),
            ),
        ];
        for (what, request, expected) in cases {
            let reading = Reading::start(&handle, 0).await;
            core.access(request).await.succeeds("PMU-02")?;
            let steps = expected.iter().any(|&(counter, _)| counter == C::DtlbStep);
            let requirement = if steps { "PMU-03" } else { "PMU-01" };
            reading.exactly(requirement, what, &expected).await?;
        }
        Ok(())
    })
}

fn hardware_updates(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(Lower, Granule::K64, 48, TABLES);
    let page = 0x1_0000u64;
    let clean = |pa| {
        user_rw(Granule::K64, 3, pa)
            .with_dbm(true)
            .with_ap_read_only(true)
    };
    let old = |pa| Descriptor::with_af(clean(pa), false);
    for (i, leaf) in [
        old(PA),
        clean(PA + page),
        old(PA + 2 * page),
        old(PA + 3 * page),
    ]
    .into_iter()
    .enumerate()
    {
        tree.map(0x4000_0000 + i as u64 * page, 3, leaf);
    }
    tree.load(bench)?;
    let handle = bench.handle()?;
    let mut regime = Regime::default().with(&tree, 1);
    regime.tcr = regime.tcr.with_ha(true).with_hd(true);
    bench.run(async move |core| {
        regime.enter(&core).await;
        let at = |i: u64| 0x4000_0000 + i * page;
        // The tables are cached from here on.
        core.access(CoreRequest::at(at(1), El::El1, false, false))
            .await
            .succeeds("PMU-04")?;
        let bus_write = [(C::BusAccess, 1), (C::BusAccessWr, 1)];
        let cases: [Case; 4] = [
            (
                "a load sets the access flag",
                CoreRequest::load(at(0), 3, El::El0),
                sum(&[
                    &HIT_RD,
                    &READ,
                    &data_walk(1, false),
                    &bus_write,
                    &[(C::DtlbHwupd, 1), (C::AfUpdate, 1)],
                ]),
            ),
            (
                "a store sets the dirty state, past the clean entry",
                CoreRequest::store(at(1), 3, El::El0, 1),
                sum(&[
                    &HIT_WR,
                    &WRITE,
                    &data_walk(1, true),
                    &bus_write,
                    &[(C::DtlbHwupd, 1), (C::DirtyUpdate, 1)],
                ]),
            ),
            (
                "a store sets both in one update",
                CoreRequest::store(at(2), 3, El::El0, 1),
                sum(&[
                    &HIT_WR,
                    &WRITE,
                    &data_walk(1, true),
                    &bus_write,
                    &[(C::DtlbHwupd, 1), (C::AfUpdate, 1), (C::DirtyUpdate, 1)],
                ]),
            ),
            (
                "a fetch sets the access flag",
                CoreRequest::fetch(at(3), El::El0),
                sum(&[
                    &READ,
                    &bus_write,
                    &[
                        (C::L1iTlb, 1),
                        (C::L1iTlbRefill, 1),
                        (C::L2dTlb, 1),
                        (C::L2dTlbRd, 1),
                        (C::L2dTlbRefill, 1),
                        (C::L2dTlbRefillRd, 1),
                        (C::ItlbWalk, 1),
                        (C::ItlbWalkBegun, 1),
                        (C::ItlbWalkSmall, 1),
                        (C::ItlbStep, 1),
                        (C::WalkReadLocal, 1),
                        (C::WalkCacheHitL2, 1),
                        (C::BusAccess, 1),
                        (C::BusAccessRd, 1),
                        (C::ItlbHwupd, 1),
                        (C::AfUpdate, 1),
                    ],
                ]),
            ),
        ];
        for (what, request, expected) in cases {
            let reading = Reading::start(&handle, 0).await;
            core.access(request).await.succeeds("PMU-05")?;
            reading.exactly("PMU-05", what, &expected).await?;
        }
        Ok(())
    })
}
