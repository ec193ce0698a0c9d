// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The walk caches: a walk begins below the deepest table that is known for its address and address
//! space, with the limits collected down to it, until an invalidation removes the table (sections 10
//! and 11).

use cosim::dut::ports::{CoreRequest, TlbStructure};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use vmsa::VaRange::Lower;
use vmsa::{Descriptor, El, Fsc, Granule, Tlbi, TlbiScope, geometry};

use super::record::{Record, Walk};
use crate::stage1::contiguous::invalidate;
use crate::stage1::regime::{Regime, flush, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "walk-cache-levels",
        purpose: "a walk begins below the deepest table known, at every level of every granule, or at the root without walk caches",
        requirements: &["WALK-20", "TLB-27"],
        run: levels,
    },
    Testbench {
        name: "walk-cache-asid",
        purpose: "a table is remembered for one address space, whatever the nG of the leaves below it",
        requirements: &["TLB-23", "TLBI-04"],
        run: address_spaces,
    },
    Testbench {
        name: "walk-cache-limits",
        purpose: "a walk that begins below a cached table has the limits of the tables above",
        requirements: &["VMSA-23", "VMSA-24"],
        run: limits,
    },
    Testbench {
        name: "walk-cache-invalidate",
        purpose: "each operation that removes non-leaf entries ends the use of a table, at each level",
        requirements: &["TLBI-01", "TLBI-04", "TLBI-05"],
        run: invalidation,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

/// The walks of one load at `va`, which succeeds.
async fn walks_of(
    core: &CoreHandle,
    record: &Record,
    id: &str,
    va: u64,
    pa: u64,
) -> Result<Vec<Walk>, Failure> {
    record.clear();
    let request = load(va);
    on(request, core.access(request).await.reaches(id, pa))?;
    Ok(record.walks())
}

/// The only walk of a load of `va` reads the descriptors from level `from` on.
async fn begins_at(
    core: &CoreHandle,
    record: &Record,
    id: &str,
    (va, pa): (u64, u64),
    (tree, from, cached): (&Tree, u8, bool),
) -> Result<(), Failure> {
    let walks = walks_of(core, record, id, va, pa).await?;
    let slots: Vec<_> = (from..=3)
        .map(|level| (level, tree.slot(va, level)))
        .collect();
    let read = |walk: &Walk| -> Vec<_> {
        walk.reads
            .iter()
            .map(|read| (read.level, read.address))
            .collect()
    };
    let met = walks.len() == 1 && walks[0].cached_start == cached && read(&walks[0]) == slots;
    expect(id, met, || {
        format!(
            "{va:#x}: {walks:x?}, not one that reads {slots:x?}, below a cached table: {cached}"
        )
    })
}

fn levels(bench: &mut Bench) -> Result<(), Failure> {
    for granule in [Granule::K4, Granule::K16, Granule::K64] {
        for on_strap in [true, false] {
            bench.restart()?;
            bench.setup().straps.walk_caches = on_strap;
            let mut tree = Tree::new(Lower, granule, 48, TABLES);
            let start = tree.start_level();
            let base = 0x0155_5555_0000 & !(granule.bytes() - 1);
            tree.map(base, 3, user_rw(granule, 3, PA));
            // A page that shares all descriptors above `level` with the base.
            let cousins: Vec<_> = (start..=3)
                .map(|level| {
                    let va = base ^ geometry::level_bytes(granule, level);
                    let pa = PA + (u64::from(level) + 1) * granule.bytes();
                    tree.map(va, 3, user_rw(granule, 3, pa));
                    (level, va, pa)
                })
                .collect();
            tree.load(bench)?;
            let record = Record::on(bench)?;
            bench.run(async move |core| {
                let id = if on_strap { "TLB-27" } else { "WALK-20" };
                Regime::default().with(&tree, 1).enter(&core).await;
                for (level, va, pa) in cousins {
                    flush(&core).await;
                    begins_at(&core, &record, id, (base, PA), (&tree, start, false)).await?;
                    let filled: Vec<_> = record
                        .fills(TlbStructure::WalkCache)
                        .iter()
                        .map(|(_, fill)| (fill.level, fill.pa))
                        .collect();
                    let tables: Vec<_> = (start..3)
                        .filter(|_| on_strap)
                        .map(|at| {
                            (
                                at,
                                Descriptor(tree.word(tree.slot(base, at))).next_table(granule),
                            )
                        })
                        .collect();
                    expect(id, filled == tables, || {
                        format!("{granule}: tables remembered {filled:x?}, not {tables:x?}")
                    })?;
                    let cached = on_strap && level > start;
                    let from = if cached { level } else { start };
                    begins_at(&core, &record, id, (va, pa), (&tree, from, cached)).await?;
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn address_spaces(bench: &mut Bench) -> Result<(), Failure> {
    let base = 0x0040_0000_0000;
    let page = move |i: u64| base + (i << 12);
    let mut trees = [0, 1].map(|i| Tree::new(Lower, Granule::K4, 48, TABLES + i * 0x100_0000));
    for i in 0..16 {
        // Global leaves; where they differ, only one of the spaces ever uses them.
        let leaf = |pa| user_rw(Granule::K4, 3, pa + (i << 12)).with_ng(false);
        trees[0].map(page(i), 3, leaf(PA));
        trees[1].map(page(i), 3, leaf(PA + 0x1000_0000));
    }
    for tree in &trees {
        tree.load(bench)?;
    }
    let record = Record::on(bench)?;
    let regimes = [1u16, 2].map(|asid| Regime::default().with(&trees[usize::from(asid) - 1], asid));
    bench.run(async move |core| {
        let id = "TLB-23";
        let in_1 = |i: u64| (page(i), PA + (i << 12));
        let in_2 = |i: u64| (page(i), PA + 0x1000_0000 + (i << 12));
        regimes[0].enter(&core).await;
        begins_at(&core, &record, id, in_1(0), (&trees[0], 0, false)).await?;
        begins_at(&core, &record, id, in_1(1), (&trees[0], 3, true)).await?;
        // The tables of space 1 mean nothing to space 2, though the leaves are global.
        regimes[1].enter(&core).await;
        begins_at(&core, &record, id, in_2(2), (&trees[1], 0, false)).await?;
        begins_at(&core, &record, id, in_2(3), (&trees[1], 3, true)).await?;
        // ASIDE1 spares global leaves, not the tables above them.
        regimes[0].enter(&core).await;
        for operation in [
            Tlbi::aside1(TlbiScope::Local, 1),
            Tlbi::vae1(TlbiScope::Local, page(15), 1, None),
            Tlbi::vaae1(TlbiScope::Local, page(15), None),
        ] {
            flush(&core).await;
            begins_at(&core, &record, id, in_1(6), (&trees[0], 0, false)).await?;
            invalidate(&core, operation).await;
            begins_at(&core, &record, id, in_1(7), (&trees[0], 0, false)).await?;
        }
        // TLBI-04: an operation for space 1 concerns no table of space 2; the one for all does.
        for (operation, from) in [
            (Tlbi::vae1(TlbiScope::Local, page(15), 2, None), 3),
            (Tlbi::aside1(TlbiScope::Local, 2), 3),
            (Tlbi::vaae1(TlbiScope::Local, page(15), None), 0),
        ] {
            flush(&core).await;
            begins_at(&core, &record, "TLBI-04", in_1(8), (&trees[0], 0, false)).await?;
            invalidate(&core, operation).await;
            begins_at(
                &core,
                &record,
                "TLBI-04",
                in_1(9),
                (&trees[0], from, from != 0),
            )
            .await?;
        }
        Ok(())
    })
}

fn limits(bench: &mut Bench) -> Result<(), Failure> {
    let base = 0x0040_0000_0000;
    for level in 0..3 {
        for hpd in [false, true] {
            bench.restart()?;
            let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
            for i in 0..4u64 {
                tree.map(base + (i << 12), 3, user_rw(Granule::K4, 3, PA + (i << 12)));
            }
            // Read-only for all, not executable at EL0, by one table above.
            let slot = tree.slot(base, level);
            let table = Descriptor(tree.word(slot))
                .with_ap_table(0b10)
                .with_uxn_table(true);
            tree.set(slot, table.0);
            tree.load(bench)?;
            let record = Record::on(bench)?;
            bench.run(async move |core| {
                let mut regime = Regime::default().with(&tree, 1);
                regime.tcr = regime.tcr.with_hpd(Lower, hpd);
                regime.enter(&core).await;
                let id = if hpd { "VMSA-23" } else { "VMSA-24" };
                begins_at(&core, &record, id, (base, PA), (&tree, 0, false)).await?;
                begins_at(
                    &core,
                    &record,
                    id,
                    (base + 0x1000, PA + 0x1000),
                    (&tree, 3, true),
                )
                .await?;
                for (request, allowed) in [
                    (CoreRequest::store(base + 0x2000, 3, El::El0, 1), hpd),
                    (CoreRequest::store(base + 0x1000, 3, El::El1, 1), hpd),
                    (CoreRequest::fetch(base + 0x3000, El::El0), hpd),
                    (load(base + 0x3000), true),
                ] {
                    let answer = core.access(request).await;
                    on(
                        request,
                        match allowed {
                            true => answer.succeeds(id),
                            false => answer.faults(id, Fsc(0x0f)),
                        },
                    )?;
                }
                let started: Vec<_> = record.walks().iter().map(|walk| walk.start.0).collect();
                expect(id, started.iter().all(|&start| start == 3), || {
                    format!("walks began at levels {started:?}")
                })
            })?;
        }
    }
    Ok(())
}

fn invalidation(bench: &mut Bench) -> Result<(), Failure> {
    let base = 0x0040_0000_0000;
    let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
    for i in 0..4u64 {
        tree.map(base + (i << 12), 3, user_rw(Granule::K4, 3, PA + (i << 12)));
    }
    // For each level a second set of tables from there down, to which its descriptor will point.
    let others = [0u64, 1, 2].map(|level| {
        let mut other = Tree::new(Lower, Granule::K4, 48, TABLES + (level + 1) * 0x100_0000);
        for i in 0..4u64 {
            let pa = PA + (level + 1) * 0x1000_0000 + (i << 12);
            other.map(base + (i << 12), 3, user_rw(Granule::K4, 3, pa));
        }
        other
    });
    tree.load(bench)?;
    for other in &others {
        other.load(bench)?;
    }
    let record = Record::on(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |core| {
        Regime::default().with(&tree, 1).enter(&core).await;
        for (level, other) in (0u8..).zip(&others) {
            let slot = tree.slot(base, level);
            let (old, new) = (tree.word(slot), other.word(other.slot(base, level)));
            let new_pa = PA + (u64::from(level) + 1) * 0x1000_0000;
            for (operation, removes) in operations(base) {
                handle.poke(slot, old);
                flush(&core).await;
                core.access(load(base)).await.reaches("TLBI-01", PA)?;
                core.access(load(base + 0x1000))
                    .await
                    .reaches("TLBI-01", PA + 0x1000)?;
                handle.poke(slot, new);
                invalidate(&core, operation).await;
                // A page that no entry holds, below the table whose descriptor has changed.
                let (id, pa, from) = match removes {
                    true => ("TLBI-01", new_pa, 0),
                    false => ("TLBI-05", PA, 3),
                };
                let walks = walks_of(&core, &record, id, base + 0x2000, pa + 0x2000).await?;
                let start = walks.first().map(|walk| walk.start.0);
                expect(id, start == Some(from), || {
                    let what = operation.op;
                    format!("{what:?}, level {level} changed: the walk began at level {start:?}")
                })?;
            }
            handle.poke(slot, old);
        }
        Ok(())
    })
}

/// Operations that name the page at `va`, with whether they remove tables.
fn operations(va: u64) -> Vec<(Tlbi, bool)> {
    let (scope, granule) = (TlbiScope::Local, Granule::K4);
    vec![
        (Tlbi::vmalle1(scope), true),
        (Tlbi::aside1(scope, 1), true),
        (Tlbi::vae1(scope, va, 1, None), true),
        (Tlbi::vaae1(scope, va, None), true),
        (Tlbi::vale1(scope, va, 1, None), false),
        (Tlbi::vaale1(scope, va, None), false),
        (Tlbi::rvae1(scope, granule, va, 0, 0, None, 1), true),
        (Tlbi::rvaae1(scope, granule, va, 0, 0, None), true),
        (Tlbi::rvale1(scope, granule, va, 0, 0, None, 1), false),
        (Tlbi::rvaale1(scope, granule, va, 0, 0, None), false),
    ]
}
