// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a range operation removes: by ASID or not, last level or all, leaves that it covers only in
//! part; and ranges that name nothing (section 11.2).

use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::{Lower, Upper};
use vmsa::{El, Fsc, Granule, Tlbi, TlbiOp, TlbiScope};

use super::record::Record;
use crate::stage1::contiguous::{RUNS, invalidate, invalidate_all};
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::{expect, on};

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "tlbi-range-removal",
        purpose: "each range form of each granule and scope removes by ASID as table 11.2 says",
        requirements: &["TLBI-08", "TLBI-01", "TLBI-03"],
        run: removal_sets,
    },
    Testbench {
        name: "tlbi-range-partial",
        purpose: "a range that covers only part of a block or run removes all of it, and no neighbour",
        requirements: &["TLBI-08", "TLBI-06"],
        run: partly_covered_leaves,
    },
    Testbench {
        name: "tlbi-range-nothing",
        purpose: "a range of no granule or of another than the one in use neither hangs nor faults",
        requirements: &["TLBI-09"],
        run: ranges_without_duty,
    },
    Testbench {
        name: "tlbi-range-level",
        purpose: "a range with the level hint that fits removes the leaf; with another it may",
        requirements: &["TLBI-08", "TLBI-17"],
        run: level_hints,
    },
    Testbench {
        name: "tlbi-range-tables",
        purpose: "after an all-level range no access goes through an old table; last-level ranges may",
        requirements: &["TLBI-08", "TLBI-05"],
        run: replaced_tables,
    },
];

const TABLES: u64 = 0x5000_0000;
const OTHER_TABLES: u64 = 0x5800_0000;
const UPPER_TABLES: u64 = 0x6000_0000;
const PA: u64 = 0x8000_0000;
const FORMS: [TlbiOp; 4] = [
    TlbiOp::Rvae1,
    TlbiOp::Rvaae1,
    TlbiOp::Rvale1,
    TlbiOp::Rvaale1,
];
const SCOPES: [TlbiScope; 3] = [
    TlbiScope::Local,
    TlbiScope::InnerShareable,
    TlbiScope::OuterShareable,
];

/// The range operation `op` on the two pages from `start` on.
fn two_pages(op: TlbiOp, scope: TlbiScope, granule: Granule, start: u64, asid: u16) -> Tlbi {
    let form = Tlbi::rvae1(scope, granule, start, 0, 0, None, asid);
    Tlbi { op, ..form }
}

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El1)
}

fn removal_sets(bench: &mut Bench) -> Result<(), Failure> {
    for granule in Granule::ALL {
        bench.restart()?;
        let page = granule.bytes();
        let (x, near) = (0x4000_0000 + 3 * page, 0x4000_0000 + 5 * page);
        let global = 0xffff_0000_4000_0000 + 3 * page;
        // ASID of each entry, whether it is global, and its VA.
        let entries = [
            (1, false, x),
            (2, false, x),
            (1, false, near),
            (1, true, global),
        ];
        let leaf = user_rw(granule, 3, PA);
        let mut one = Tree::new(Lower, granule, 48, TABLES);
        let mut two = Tree::new(Lower, granule, 48, OTHER_TABLES);
        let mut upper = Tree::new(Upper, granule, 48, UPPER_TABLES);
        let slots = [
            one.map(x, 3, leaf),
            two.map(x, 3, leaf),
            one.map(near, 3, leaf),
            upper.map(global, 3, leaf.with_ng(false)),
        ];
        let words = [leaf.0, leaf.0, leaf.0, leaf.with_ng(false).0];
        one.load(bench)?;
        two.load(bench)?;
        upper.load(bench)?;
        let handle = bench.handle()?;
        let first = Regime::default().with(&one, 1).with(&upper, 0);
        let second = Regime::default().with(&two, 2).with(&upper, 0);
        bench.run(async move |core| {
            for scope in SCOPES {
                for op in FORMS {
                    for (start, asid) in [
                        (x, 1),
                        (x, 2),
                        (x, 3),
                        (near, 1),
                        (global, 9),
                        (x - page, 1),
                    ] {
                        let operation = two_pages(op, scope, granule, start, asid);
                        let named = CoreRequest::tlbi(operation);
                        invalidate_all(&core).await;
                        for (slot, word) in slots.into_iter().zip(words) {
                            handle.poke(slot, word);
                        }
                        second.enter(&core).await;
                        core.access(load(x)).await.reaches("TLBI-08", PA)?;
                        first.enter(&core).await;
                        for va in [x, near, global] {
                            core.access(load(va)).await.reaches("TLBI-08", PA)?;
                        }
                        slots.iter().for_each(|&slot| handle.poke(slot, 0));
                        invalidate(&core, operation).await;
                        for (entry_asid, is_global, va) in entries {
                            let covered = (start..start + 2 * page).contains(&va);
                            let fits = is_global || !op.by_asid() || asid == entry_asid;
                            let regime = if entry_asid == 2 { second } else { first };
                            regime.enter(&core).await;
                            let answer = core.access(load(va)).await;
                            if covered && fits {
                                let id = if is_global { "TLBI-03" } else { "TLBI-08" };
                                on(named, answer.faults(id, Fsc(0x07)))?;
                            } else {
                                // More may always go; this hardware removes no more.
                                on(named, answer.comes_from("TLBI-08", HitPlace::L1))?;
                                on(named, answer.reaches("TLBI-08", PA))?;
                            }
                        }
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn partly_covered_leaves(bench: &mut Bench) -> Result<(), Failure> {
    for (granule, level, leaf, run) in RUNS {
        for is_run in [false, true] {
            let (page, span) = (granule.bytes(), if is_run { run } else { leaf });
            if span == page {
                continue;
            }
            bench.restart()?;
            // The leaf in question lies between two neighbours of its own size.
            let (va, pa) = (0x0040_0000_0000 + run, 0x2000_0000_0000 + run);
            let mut tree = Tree::new(Lower, granule, 48, TABLES);
            let like = user_rw(granule, level, 0);
            let mut slots = Vec::new();
            for place in [va - span, va, va + span] {
                let at = pa + place - va;
                slots.push(match is_run {
                    true => tree.map_run(place, level, at, like),
                    false => vec![tree.map(place, level, user_rw(granule, level, at))],
                });
            }
            let words: Vec<(u64, u64)> =
                slots.iter().flatten().map(|&s| (s, tree.word(s))).collect();
            tree.load(bench)?;
            let handle = bench.handle()?;
            let regime = Regime::default().with(&tree, 1);
            bench.run(async move |core| {
                regime.enter(&core).await;
                let cases = [
                    (va, [false, true, false]),
                    (va + span / 2, [false, true, false]),
                    (va + span - 2 * page, [false, true, false]),
                    (va - page, [true, true, false]),
                    (va + span - page, [false, true, true]),
                ];
                for (i, (start, removed)) in cases.into_iter().enumerate() {
                    for op in [FORMS[i % 4], FORMS[(i + 1) % 4]] {
                        let operation = two_pages(op, SCOPES[i % 3], granule, start, 1);
                        let named = CoreRequest::tlbi(operation);
                        invalidate_all(&core).await;
                        words
                            .iter()
                            .for_each(|&(slot, word)| handle.poke(slot, word));
                        for place in [va - span, va, va + span] {
                            let at = pa + place - va;
                            core.access(load(place)).await.reaches("TLBI-08", at)?;
                        }
                        words.iter().for_each(|&(slot, _)| handle.poke(slot, 0));
                        invalidate(&core, operation).await;
                        for (place, removed) in [va - span, va, va + span].into_iter().zip(removed)
                        {
                            for offset in [0, span / 2, span - 8] {
                                let answer = core.access(load(place + offset)).await;
                                if removed {
                                    let id = if is_run { "TLBI-06" } else { "TLBI-08" };
                                    on(named, answer.faults(id, Fsc(0x04 + level)))?;
                                } else {
                                    on(named, answer.comes_from("TLBI-08", HitPlace::L1))?;
                                }
                            }
                        }
                    }
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn ranges_without_duty(bench: &mut Bench) -> Result<(), Failure> {
    for granule in Granule::ALL {
        bench.restart()?;
        let va = 0x4000_0000;
        let mut tree = Tree::new(Lower, granule, 48, TABLES);
        tree.map(va, 3, user_rw(granule, 3, PA));
        tree.load(bench)?;
        let record = Record::on(bench)?;
        let regime = Regime::default().with(&tree, 1);
        bench.run(async move |core| {
            regime.enter(&core).await;
            for scope in SCOPES {
                for op in FORMS {
                    // Every granule but the one in use, and in place of it the reserved code 0.
                    for other in Granule::ALL {
                        core.access(load(va)).await.reaches("TLBI-09", PA)?;
                        let mut operation = two_pages(op, scope, other, va, 1);
                        let reserved = other == granule;
                        if reserved {
                            operation.operand &= !(3 << 46);
                        }
                        let named = CoreRequest::tlbi(operation);
                        record.clear();
                        on(named, core.access(named).await.succeeds("TLBI-09"))?;
                        core.access(CoreRequest::dsb(vmsa::DsbKind::SY)).await;
                        core.access(CoreRequest::isb()).await;
                        let answer = core.access(load(va)).await;
                        on(named, answer.reaches("TLBI-09", PA))?;
                        if reserved {
                            // It names nothing: here it does nothing at all.
                            on(named, answer.comes_from("TLBI-09", HitPlace::L1))?;
                            let silent =
                                record.effects(0).is_empty() && record.messages(0).is_empty();
                            expect("TLBI-09", silent, || format!("{named} had an effect"))?;
                        }
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn level_hints(bench: &mut Bench) -> Result<(), Failure> {
    for (granule, level, leaf, _) in RUNS {
        bench.restart()?;
        let (va, pa) = (0x0040_0000_0000, 0x2000_0000_0000);
        let mut tree = Tree::new(Lower, granule, 48, TABLES);
        let slot = tree.map(va, level, user_rw(granule, level, pa));
        let word = tree.word(slot);
        tree.load(bench)?;
        let handle = bench.handle()?;
        let regime = Regime::default().with(&tree, 1);
        bench.run(async move |core| {
            regime.enter(&core).await;
            for op in FORMS {
                for hint in 0..4u64 {
                    // Aligned to the leaf, as a hint wants, and inside it.
                    for start in [va, va + leaf / 2 / granule.bytes() * granule.bytes()] {
                        handle.poke(slot, word);
                        core.access(load(va)).await.reaches("TLBI-17", pa)?;
                        handle.poke(slot, 0);
                        let mut operation =
                            two_pages(op, TlbiScope::InnerShareable, granule, start, 1);
                        operation.operand |= hint << 37;
                        let named = CoreRequest::tlbi(operation);
                        invalidate(&core, operation).await;
                        let answer = core.access(load(va)).await;
                        let fault = Fsc(0x04 + level);
                        if hint == 0 || (hint == u64::from(level) && start == va) {
                            on(named, answer.faults("TLBI-17", fault))?;
                        } else {
                            let fits = answer.fault == Some(fault)
                                || (answer.fault.is_none() && answer.pa == pa);
                            expect("TLBI-17", fits, || format!("after {named}: {answer}"))?;
                        }
                        invalidate_all(&core).await;
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn replaced_tables(bench: &mut Bench) -> Result<(), Failure> {
    let (x, z) = (0x4000_1000, 0x4000_2000);
    for level in 0..3 {
        bench.restart()?;
        // Two subtrees for one place: the old one maps to PA, the new one to PA + 1 MiB.
        let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
        let mut next = Tree::new(Lower, Granule::K4, 48, OTHER_TABLES);
        for (va, pa) in [(x, PA), (z, PA + 0x1000)] {
            tree.map(va, 3, user_rw(Granule::K4, 3, pa));
            next.map(va, 3, user_rw(Granule::K4, 3, pa + 0x10_0000));
        }
        tree.load(bench)?;
        next.load(bench)?;
        let slot = tree.slot(x, level);
        let (old, new) = (tree.word(slot), next.word(next.slot(x, level)));
        let handle = bench.handle()?;
        let regime = Regime::default().with(&tree, 1);
        bench.run(async move |core| {
            regime.enter(&core).await;
            for (op, scope) in FORMS
                .into_iter()
                .flat_map(|op| SCOPES.map(|scope| (op, scope)))
            {
                let operation = two_pages(op, scope, Granule::K4, x, 1);
                let named = CoreRequest::tlbi(operation);
                handle.poke(slot, old);
                invalidate_all(&core).await;
                core.access(load(x)).await.reaches("TLBI-05", PA)?;
                handle.poke(slot, new);
                invalidate(&core, operation).await;
                for (va, pa) in [(x, PA), (z, PA + 0x1000)] {
                    let answer = core.access(load(va)).await;
                    if op.last_level() {
                        let fits = [pa, pa + 0x10_0000].contains(&answer.pa);
                        expect("TLBI-05", answer.fault.is_none() && fits, || {
                            format!("after {named}: {answer}")
                        })?;
                    } else {
                        on(named, answer.reaches("TLBI-08", pa + 0x10_0000))?;
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}
