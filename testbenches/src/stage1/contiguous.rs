// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The contiguous hint of a well-formed run: what one entry may cover, and where it is ignored
//! (section 4).

use cosim::check::Expectation;
use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use vmsa::{Descriptor, El, Fsc, Granule, Tlbi, TlbiScope, VaRange};

use super::regime::{Regime, user_rw};
use super::tree::Tree;
use super::watch::{Watch, expect};

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "contiguous-run",
        purpose: "one entry serves a contiguous run of every granule and level, and nothing beyond it",
        requirements: &["TLB-01", "TLB-02", "TLB-30"],
        run: run_is_one_entry,
    },
    Testbench {
        name: "contiguous-member",
        purpose: "a run entry comes only from a valid, accessed member that carries the hint",
        requirements: &["TLB-03"],
        run: members_that_make_no_run,
    },
    Testbench {
        name: "contiguous-ignored",
        purpose: "the hint means nothing where a level has no runs, in too small a range, or by strap",
        requirements: &["TLB-01", "TLB-04", "TLB-30"],
        run: ignored_hints,
    },
    Testbench {
        name: "contiguous-invalidation",
        purpose: "naming any VA of a run removes all that was made of it",
        requirements: &["TLB-05", "TLBI-06"],
        run: invalidation_of_runs,
    },
];

/// Granule, level, bytes of a leaf and bytes of a run: the table of section 4.
pub const RUNS: [(Granule, u8, u64, u64); 7] = [
    (Granule::K4, 1, 1 << 30, 16 << 30),
    (Granule::K4, 2, 2 << 20, 32 << 20),
    (Granule::K4, 3, 4 << 10, 64 << 10),
    (Granule::K16, 2, 32 << 20, 1 << 30),
    (Granule::K16, 3, 16 << 10, 2 << 20),
    (Granule::K64, 2, 512 << 20, 16 << 30),
    (Granule::K64, 3, 64 << 10, 2 << 20),
];

const TABLES: u64 = 0x5000_0000;
/// Multiples of every run size.
const VA: u64 = 0x0040_0000_0000;
const PA: u64 = 0x2000_0000_0000;
const ELSEWHERE: u64 = 0x3000_0000_0000;

fn load(va: u64) -> CoreRequest {
    CoreRequest::load(va, 3, El::El0)
}

fn run_is_one_entry(bench: &mut Bench) -> Result<(), Failure> {
    for range in [VaRange::Lower, VaRange::Upper] {
        for (granule, level, leaf, run) in RUNS {
            bench.restart()?;
            let mut tree = Tree::new(range, granule, 48, TABLES);
            let va = tree.va(VA);
            tree.map_run(va, level, PA, user_rw(granule, level, 0));
            tree.map(va - leaf, level, user_rw(granule, level, ELSEWHERE));
            tree.map(va + run, level, user_rw(granule, level, ELSEWHERE + run));
            tree.load(bench)?;
            let watch = Watch::on(bench)?;
            let regime = Regime::default().with(&tree, 1);
            bench.run(async move |core| {
                regime.enter(&core).await;
                let first = run / 2 + 0x128;
                let answer = core.access(load(va + first)).await;
                answer.comes_from("TLB-02", HitPlace::Walk)?;
                answer.reaches("TLB-02", PA + first)?;
                watch.last_fill_spans("TLB-01", run)?;
                for offset in [0, leaf - 8, leaf, run - leaf + 0x40, run - 8] {
                    let answer = core.access(load(va + offset)).await;
                    answer.comes_from("TLB-02", HitPlace::L1)?;
                    answer.reaches("TLB-02", PA + offset)?;
                }
                let below = core.access(load(va - 8)).await;
                below.comes_from("TLB-30", HitPlace::Walk)?;
                below.reaches("TLB-01", ELSEWHERE + leaf - 8)?;
                let above = core.access(load(va + run)).await;
                above.comes_from("TLB-30", HitPlace::Walk)?;
                above.reaches("TLB-01", ELSEWHERE + run)
            })?;
        }
    }
    Ok(())
}

fn members_that_make_no_run(bench: &mut Bench) -> Result<(), Failure> {
    for (granule, level, leaf, run) in RUNS {
        bench.restart()?;
        let mut tree = Tree::new(VaRange::Lower, granule, 48, TABLES);
        let slots = tree.map_run(VA, level, PA, user_rw(granule, level, 0));
        let member = |i: usize| Descriptor(tree.word(slots[i]));
        let (invalid, old, plain) = (
            member(1).with_valid(false),
            member(2).with_af(false),
            member(3).with_contiguous(false),
        );
        let plain_slot = slots[3];
        let old_slot = slots[2];
        tree.set(slots[1], invalid.0);
        tree.set(old_slot, old.0);
        tree.set(plain_slot, plain.0);
        tree.load(bench)?;
        let watch = Watch::on(bench)?;
        let handle = bench.handle()?;
        // The member without the hint is what this is about.
        bench.expect_violation(Expectation::of("TLB-06").descriptor(plain_slot))?;
        let regime = Regime::default().with(&tree, 1);
        bench.run(async move |core| {
            regime.enter(&core).await;
            let translation = core.access(load(VA + leaf)).await;
            translation.faults("TLB-03", Fsc(0x04 + level))?;
            watch.nothing_filled("TLB-03")?;
            let access_flag = core.access(load(VA + 2 * leaf)).await;
            access_flag.faults("TLB-03", Fsc(0x08 + level))?;
            watch.nothing_filled("TLB-03")?;
            // Without the hint on the descriptor read, the entry spans that one descriptor.
            let plain = core.access(load(VA + 3 * leaf + 8)).await;
            plain.reaches("TLB-03", PA + 3 * leaf + 8)?;
            watch.last_fill_spans("TLB-03", leaf)?;
            invalidate_all(&core).await;
            // With hardware management the flag is set in memory first, and then the run is kept.
            let managed = Regime {
                tcr: regime.tcr.with_ha(true),
                ..regime
            };
            managed.enter(&core).await;
            watch.clear();
            let updated = core.access(load(VA + 2 * leaf)).await;
            updated.reaches("TLB-03", PA + 2 * leaf)?;
            let word = handle.peek(old_slot);
            expect("TLB-03", word == old.0 | 1 << 10, || {
                format!("memory holds {word:#018x}")
            })?;
            let spans = run;
            watch.last_fill_spans("TLB-03", spans)
        })?;
    }
    Ok(())
}

fn ignored_hints(bench: &mut Bench) -> Result<(), Failure> {
    no_run_at_the_top_levels(bench)?;
    no_run_beyond_the_range(bench)?;
    for (granule, level, leaf, run) in RUNS {
        bench.restart()?;
        bench.setup().straps.contiguous = false;
        let mut tree = Tree::new(VaRange::Lower, granule, 48, TABLES);
        tree.map_run(VA, level, PA, user_rw(granule, level, 0));
        tree.load(bench)?;
        let watch = Watch::on(bench)?;
        let regime = Regime::default().with(&tree, 1);
        bench.run(async move |core| {
            regime.enter(&core).await;
            for offset in [0, leaf, run - 8] {
                let answer = core.access(load(VA + offset)).await;
                answer.comes_from("TLB-01", HitPlace::Walk)?;
                answer.reaches("TLB-01", PA + offset)?;
                watch.last_fill_spans("TLB-01", leaf)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// 4K level 0, 16K level 1 and 64K level 1 have neither leaves nor runs: bit 52 of a table there
/// means nothing, and 01 there is invalid whatever bit 52 says.
fn no_run_at_the_top_levels(bench: &mut Bench) -> Result<(), Failure> {
    for (granule, level, leaf_level, leaf) in [
        (Granule::K4, 0, 2, 2u64 << 20),
        (Granule::K16, 1, 3, 16 << 10),
        (Granule::K64, 1, 2, 512 << 20),
    ] {
        bench.restart()?;
        let mut tree = Tree::new(VaRange::Lower, granule, 48, TABLES);
        tree.map(VA, leaf_level, user_rw(granule, leaf_level, PA));
        let slot = tree.slot(VA, level);
        let table = Descriptor(tree.word(slot)).with_contiguous(true);
        tree.set(slot, table.0);
        // The neighbour in the top table carries the hint too, and type 01.
        let block = Descriptor(PA | 0b01)
            .with_af(true)
            .with_contiguous(true)
            .with_ap_el0(true);
        tree.set(slot + 8, block.0);
        let beyond = VA + (1 << vmsa::geometry::level_lsb(granule, level));
        tree.load(bench)?;
        let watch = Watch::on(bench)?;
        let regime = Regime::default().with(&tree, 1);
        bench.run(async move |core| {
            regime.enter(&core).await;
            core.access(load(VA + 0x18))
                .await
                .reaches("TLB-04", PA + 0x18)?;
            watch.last_fill_spans("TLB-04", leaf)?;
            let answer = core.access(load(VA + leaf)).await;
            answer.faults("TLB-04", Fsc(0x04 + leaf_level))?;
            core.access(load(beyond))
                .await
                .faults("TLB-04", Fsc(0x04 + level))
        })?;
    }
    Ok(())
}

/// A run larger than the whole VA range is no run.
fn no_run_beyond_the_range(bench: &mut Bench) -> Result<(), Failure> {
    for (granule, level, va_bits, leaf) in [
        (Granule::K4, 2, 24, 2u64 << 20),
        (Granule::K16, 3, 20, 16 << 10),
        (Granule::K64, 3, 20, 64 << 10),
    ] {
        bench.restart()?;
        let mut tree = Tree::new(VaRange::Lower, granule, va_bits, TABLES);
        for i in 0..4 {
            let page = user_rw(granule, level, PA + i * leaf).with_contiguous(true);
            tree.map(i * leaf, level, page);
        }
        tree.load(bench)?;
        let watch = Watch::on(bench)?;
        let regime = Regime::default().with(&tree, 1);
        bench.run(async move |core| {
            regime.enter(&core).await;
            core.access(load(leaf + 0x20))
                .await
                .reaches("TLB-30", PA + leaf + 0x20)?;
            watch.last_fill_spans("TLB-30", leaf)?;
            core.access(load(2 * leaf))
                .await
                .comes_from("TLB-30", HitPlace::Walk)
        })?;
    }
    Ok(())
}

/// Removes everything and waits for it.
pub async fn invalidate_all(core: &CoreHandle) {
    invalidate(core, Tlbi::vmalle1(TlbiScope::Local)).await;
}

/// Carries out `operation` and waits for it.
pub async fn invalidate(core: &CoreHandle, operation: Tlbi) {
    core.access(CoreRequest::tlbi(operation)).await;
    core.access(CoreRequest::dsb(vmsa::DsbKind::SY)).await;
    core.access(CoreRequest::isb()).await;
}

fn invalidation_of_runs(bench: &mut Bench) -> Result<(), Failure> {
    for (granule, level, leaf, run) in RUNS {
        bench.restart()?;
        let mut tree = Tree::new(VaRange::Lower, granule, 48, TABLES);
        let slots = tree.map_run(VA, level, PA, user_rw(granule, level, 0));
        let words: Vec<u64> = slots.iter().map(|&slot| tree.word(slot)).collect();
        tree.load(bench)?;
        let handle = bench.handle()?;
        let regime = Regime::default().with(&tree, 7);
        bench.run(async move |core| {
            regime.enter(&core).await;
            let scope = TlbiScope::Local;
            for named in [0, leaf, run / 2 + leaf, run - leaf] {
                for operation in [
                    Tlbi::vae1(scope, VA + named, 7, None),
                    Tlbi::vale1(scope, VA + named, 7, None),
                    Tlbi::vaae1(scope, VA + named, None),
                    Tlbi::vaale1(scope, VA + named, None),
                ] {
                    core.access(load(VA + 2 * leaf))
                        .await
                        .reaches("TLB-05", PA + 2 * leaf)?;
                    core.access(CoreRequest::fetch(VA + 2 * leaf, El::El0))
                        .await
                        .reaches("TLB-05", PA + 2 * leaf)?;
                    slots.iter().for_each(|&slot| handle.poke(slot, 0));
                    // What is cached still serves; the hardware shows that there is one entry.
                    core.access(load(VA + run - 8))
                        .await
                        .comes_from("TLB-05", HitPlace::L1)?;
                    invalidate(&core, operation).await;
                    for offset in [0, 2 * leaf, named, run - leaf] {
                        let fault = Fsc(0x04 + level);
                        core.access(load(VA + offset))
                            .await
                            .faults("TLB-05", fault)?;
                        let fetch = CoreRequest::fetch(VA + offset, El::El0);
                        core.access(fetch).await.faults("TLBI-06", fault)?;
                    }
                    slots
                        .iter()
                        .zip(&words)
                        .for_each(|(&slot, &word)| handle.poke(slot, word));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}
