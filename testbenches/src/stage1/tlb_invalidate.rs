// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! TLBI on the executing core: what each operation removes, and what it leaves alone (section 11).

use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::{Lower, Upper};
use vmsa::{Descriptor, El, Fsc, Granule, Tlbi, TlbiOp, TlbiScope};

use super::contiguous::{invalidate, invalidate_all};
use super::regime::{Regime, user_rw};
use super::tree::Tree;
use super::watch::{Watch, expect};

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "tlbi-removal",
        purpose: "every operation, in every scope, removes what table 11.2 says and spares the rest",
        requirements: &["TLBI-01", "TLBI-02", "TLBI-03", "TLBI-15"],
        run: removal_sets,
    },
    Testbench {
        name: "tlbi-tables",
        purpose: "after a by-VA operation no access goes through the old table; leaf forms remove leaves",
        requirements: &["TLBI-04", "TLBI-05"],
        run: replaced_tables,
    },
    Testbench {
        name: "tlbi-asid8",
        purpose: "with 8-bit ASIDs the upper byte of the operand's ASID counts as zero",
        requirements: &["TLBI-13"],
        run: narrow_asids,
    },
    Testbench {
        name: "tlbi-el0",
        purpose: "an operation that arrives with EL0 attributes removes nothing",
        requirements: &["TLBI-14"],
        run: from_el0,
    },
    Testbench {
        name: "tlbi-memory",
        purpose: "no operation writes memory, sets an access flag or changes dirty state",
        requirements: &["TLBI-16"],
        run: memory_is_untouched,
    },
];

const TABLES: u64 = 0x5000_0000;
const OTHER_TABLES: u64 = 0x5800_0000;
const UPPER_TABLES: u64 = 0x6000_0000;
const PA: u64 = 0x8000_0000;
const SCOPES: [TlbiScope; 3] = [
    TlbiScope::Local,
    TlbiScope::InnerShareable,
    TlbiScope::OuterShareable,
];

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El1)
}

/// The entries that an operation meets. All of them fit into four; `X` is what by-VA forms name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cached {
    /// VA X under ASID 1.
    One,
    /// VA X under ASID 2.
    Two,
    /// VA Z, which shares every table with X, under ASID 1.
    Near,
    /// VA G, global.
    Global,
}

const X: u64 = 0x4000_1000;
const Z: u64 = 0x4000_2000;
const G: u64 = 0xffff_0000_4000_1000;

fn removal_sets(bench: &mut Bench) -> Result<(), Failure> {
    use Cached::{Global, Near, One, Two};
    let mut cases: Vec<(Tlbi, &[Cached])> = Vec::new();
    for scope in SCOPES {
        cases.extend([
            (Tlbi::vmalle1(scope), [One, Two, Near, Global].as_slice()),
            (Tlbi::aside1(scope, 1), &[One, Near]),
            (Tlbi::aside1(scope, 2), &[Two]),
            (Tlbi::vae1(scope, X, 1, None), &[One]),
            (Tlbi::vale1(scope, X, 1, None), &[One]),
            (Tlbi::vae1(scope, X, 2, None), &[Two]),
            (Tlbi::vaae1(scope, X, None), &[One, Two]),
            (Tlbi::vaale1(scope, X, None), &[One, Two]),
            (Tlbi::vaae1(scope, Z, None), &[Near]),
            // Global entries leave whatever ASID the operand names.
            (Tlbi::vae1(scope, G, 1, None), &[Global]),
            (Tlbi::vae1(scope, G, 0xffff, None), &[Global]),
            (Tlbi::vale1(scope, G, 2, None), &[Global]),
            (Tlbi::vaale1(scope, G, None), &[Global]),
            // Named: another ASID, the other half, another page.
            (Tlbi::vae1(scope, X, 3, None), &[]),
            (Tlbi::vaae1(scope, X | 0xffff << 48, None), &[Global]),
            (Tlbi::vaae1(scope, Z | 0xffff << 48, None), &[]),
            (Tlbi::vaae1(scope, X + 0x10_0000, None), &[]),
        ]);
    }
    let page = user_rw(Granule::K4, 3, PA);
    let mut one = Tree::new(Lower, Granule::K4, 48, TABLES);
    let mut two = Tree::new(Lower, Granule::K4, 48, OTHER_TABLES);
    let mut upper = Tree::new(Upper, Granule::K4, 48, UPPER_TABLES);
    let slots = [
        one.map(X, 3, page),
        two.map(X, 3, page),
        one.map(Z, 3, page),
        upper.map(G, 3, page.with_ng(false)),
    ];
    one.load(bench)?;
    two.load(bench)?;
    upper.load(bench)?;
    let handle = bench.handle()?;
    let first = Regime::default().with(&one, 1).with(&upper, 0);
    let second = Regime::default().with(&two, 2).with(&upper, 0);
    bench.run(async move |core| {
        let global = page.with_ng(false).0;
        let words = [page.0, page.0, page.0, global];
        for (operation, removed) in cases {
            invalidate_all(&core).await;
            slots
                .iter()
                .zip(words)
                .for_each(|(&slot, word)| handle.poke(slot, word));
            second.enter(&core).await;
            core.access(load(X))
                .await
                .comes_from("TLBI-01", HitPlace::Walk)?;
            first.enter(&core).await;
            for va in [X, Z, G] {
                core.access(load(va))
                    .await
                    .comes_from("TLBI-01", HitPlace::Walk)?;
            }
            // From here on only an entry can serve.
            slots.iter().for_each(|&slot| handle.poke(slot, 0));
            invalidate(&core, operation).await;
            for (entry, va, regime) in [
                (One, X, first),
                (Near, Z, first),
                (Global, G, first),
                (Two, X, second),
            ] {
                regime.enter(&core).await;
                let answer = core.access(load(va)).await;
                if removed.contains(&entry) {
                    expect("TLBI-01", answer.fault == Some(Fsc(0x07)), || {
                        format!("after {operation} entry {entry:?} gave {answer}")
                    })?;
                } else {
                    // More may always go; this hardware removes no more (TLBI-02, TLBI-15).
                    let id = if entry == Global {
                        "TLBI-02"
                    } else {
                        "TLBI-15"
                    };
                    expect(
                        id,
                        answer.place == HitPlace::L1 && answer.fault.is_none(),
                        || format!("after {operation} entry {entry:?} gave {answer}"),
                    )?;
                }
            }
        }
        Ok(())
    })
}

fn replaced_tables(bench: &mut Bench) -> Result<(), Failure> {
    for level in 0..3 {
        bench.restart()?;
        // Two subtrees for one place: the old one maps to PA, the new one to PA + 1 MiB.
        let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
        let mut next = Tree::new(Lower, Granule::K4, 48, OTHER_TABLES);
        tree.map(X, 3, user_rw(Granule::K4, 3, PA));
        tree.map(Z, 3, user_rw(Granule::K4, 3, PA + 0x1000));
        next.map(X, 3, user_rw(Granule::K4, 3, PA + 0x10_0000));
        next.map(Z, 3, user_rw(Granule::K4, 3, PA + 0x10_1000));
        tree.load(bench)?;
        next.load(bench)?;
        let slot = tree.slot(X, level);
        let (old, new) = (tree.word(slot), next.word(next.slot(X, level)));
        let handle = bench.handle()?;
        let regime = Regime::default().with(&tree, 1);
        bench.run(async move |core| {
            regime.enter(&core).await;
            let scope = TlbiScope::Local;
            for operation in [Tlbi::vae1(scope, X, 1, None), Tlbi::vaae1(scope, X, None)] {
                handle.poke(slot, old);
                invalidate_all(&core).await;
                core.access(load(X)).await.reaches("TLBI-04", PA)?;
                handle.poke(slot, 0);
                invalidate(&core, operation).await;
                core.access(load(X))
                    .await
                    .faults("TLBI-04", Fsc(0x04 + level))?;
                handle.poke(slot, new);
                core.access(CoreRequest::dsb(vmsa::DsbKind::SY)).await;
                core.access(CoreRequest::isb()).await;
                core.access(load(X))
                    .await
                    .reaches("TLBI-04", PA + 0x10_0000)?;
                core.access(load(Z))
                    .await
                    .reaches("TLBI-04", PA + 0x10_1000)?;
            }
            // The leaf forms owe the leaf; a walk through the old table stays permitted.
            for operation in [Tlbi::vale1(scope, X, 1, None), Tlbi::vaale1(scope, X, None)] {
                handle.poke(slot, old);
                invalidate_all(&core).await;
                core.access(load(X)).await.reaches("TLBI-05", PA)?;
                handle.poke(slot, new);
                invalidate(&core, operation).await;
                let answer = core.access(load(X)).await;
                answer.comes_from("TLBI-05", HitPlace::Walk)?;
                let fits = answer.fault.is_none() && [PA, PA + 0x10_0000].contains(&answer.pa);
                expect("TLBI-05", fits, || format!("after {operation}: {answer}"))?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn narrow_asids(bench: &mut Bench) -> Result<(), Failure> {
    // 8-bit ASIDs by TCR_EL1.AS = 0, or because the hardware has no others.
    for by_strap in [false, true] {
        bench.restart()?;
        bench.setup().straps.asid8 = by_strap;
        let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
        let slot = tree.map(X, 3, user_rw(Granule::K4, 3, PA));
        let word = tree.word(slot);
        tree.load(bench)?;
        let handle = bench.handle()?;
        let mut regime = Regime::default().with(&tree, 0xab05);
        regime.tcr = regime.tcr.with_asid16(by_strap);
        bench.run(async move |core| {
            regime.enter(&core).await;
            let scope = TlbiScope::Local;
            for asid in [0x0005, 0xcd05, 0xff05, 0xab05] {
                for operation in [
                    Tlbi::aside1(scope, asid),
                    Tlbi::vae1(scope, X, asid, None),
                    Tlbi::vale1(scope, X, asid, None),
                ] {
                    handle.poke(slot, word);
                    core.access(load(X)).await.reaches("TLBI-13", PA)?;
                    handle.poke(slot, 0);
                    invalidate(&core, operation).await;
                    core.access(load(X)).await.faults("TLBI-13", Fsc(0x07))?;
                }
            }
            // Another low byte names another address space.
            handle.poke(slot, word);
            core.access(load(X)).await.reaches("TLBI-13", PA)?;
            invalidate(&core, Tlbi::aside1(scope, 0x0506)).await;
            core.access(load(X))
                .await
                .comes_from("TLBI-13", HitPlace::L1)
        })?;
    }
    Ok(())
}

fn from_el0(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
    tree.map(X, 3, user_rw(Granule::K4, 3, PA));
    tree.load(bench)?;
    let regime = Regime::default().with(&tree, 1);
    bench.run(async move |core| {
        regime.enter(&core).await;
        for scope in SCOPES {
            for operation in [
                Tlbi::vmalle1(scope),
                Tlbi::aside1(scope, 1),
                Tlbi::vae1(scope, X, 1, None),
                Tlbi::vaae1(scope, X, None),
                Tlbi::vale1(scope, X, 1, None),
                Tlbi::vaale1(scope, X, None),
            ] {
                core.access(load(X)).await.reaches("TLBI-14", PA)?;
                let request = CoreRequest {
                    el: El::El0,
                    ..CoreRequest::tlbi(operation)
                };
                core.access(request).await;
                core.access(CoreRequest::dsb(vmsa::DsbKind::SY)).await;
                core.access(CoreRequest::isb()).await;
                core.access(load(X))
                    .await
                    .comes_from("TLBI-14", HitPlace::L1)?;
            }
        }
        Ok(())
    })
}

fn memory_is_untouched(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
    // Old and writable-clean pages: what a walk for these VAs would change.
    let leaf = user_rw(Granule::K4, 3, PA)
        .with_dbm(true)
        .with_ap_read_only(true);
    let slots = [tree.map(X, 3, leaf), tree.map(Z, 3, leaf.with_af(false))];
    let words = slots.map(|slot| tree.word(slot));
    tree.load(bench)?;
    let watch = Watch::on(bench)?;
    let handle = bench.handle()?;
    let mut regime = Regime::default().with(&tree, 1);
    regime.tcr = regime.tcr.with_ha(true).with_hd(true);
    bench.run(async move |core| {
        regime.enter(&core).await;
        core.access(load(X)).await.reaches("TLBI-16", PA)?;
        watch.clear();
        for scope in SCOPES {
            for op in TlbiOp::ALL {
                for va in [X, Z] {
                    let operand = va >> 12 | 1 << 48;
                    invalidate(&core, Tlbi { op, scope, operand }).await;
                }
            }
        }
        watch.nothing_read("TLBI-16")?;
        watch.updates("TLBI-16", &[])?;
        expect("TLBI-16", watch.seen().stores.is_empty(), || {
            format!("writes to {:x?}", watch.seen().stores)
        })?;
        let now = slots.map(|slot| handle.peek(slot));
        expect("TLBI-16", now == words, || {
            format!(
                "descriptors {:?} became {:?}",
                words.map(Descriptor),
                now.map(Descriptor)
            )
        })
    })
}
