// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Section 3: how a descriptor is read and which encodings it has (WALK-01, WALK-02, WALK-03).

use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::SimHandle;
use vmsa::{Descriptor, El, Fsc, Granule, VaRange};

use super::activity::{Probe, expect, of, within};
use super::geometry::{HALVES, block_levels, start_levels, steps};
use super::ranges::forget;
use super::regime::{Regime, user_rw};
use super::tree::Tree;

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "descriptor-types",
        purpose: "bits 1:0 of a descriptor at every level of every granule",
        requirements: &["WALK-01", "WALK-03", "TLB-20"],
        run: types,
    },
    Testbench {
        name: "big-endian-tables",
        purpose: "EE = 1 swaps the bytes of every descriptor read and of the access flag update",
        requirements: &["WALK-02"],
        run: big_endian,
    },
    Testbench {
        name: "descriptor-atomicity",
        purpose: "a descriptor that flips between two values is never read as a mixture",
        requirements: &["WALK-01"],
        run: atomicity,
    },
];

/// Greatest IASIZE of `granule` and its start level: the deepest tree.
#[must_use]
pub fn deepest(granule: Granule) -> (u32, u8) {
    let (start, txsz, _) = start_levels(granule)[0];
    (64 - u32::from(txsz), start)
}

/// What a descriptor of `level` with `low` in bits 1:0 is (section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Invalid,
    Table,
    Leaf,
}

fn kind(granule: Granule, level: u8, low: u64) -> Kind {
    match (low, level) {
        (0b11, 3) => Kind::Leaf,
        (0b11, _) => Kind::Table,
        (0b01, level) if block_levels(granule).contains(&level) => Kind::Leaf,
        _ => Kind::Invalid,
    }
}

fn types(bench: &mut Bench) -> Result<(), Failure> {
    const OUTPUT: u64 = 0x4000_0000_0000;
    let mut cases = Vec::new();
    for granule in Granule::ALL {
        let (bits, start) = deepest(granule);
        for half in HALVES {
            for level in start..=3 {
                // All bits that software may use are ones where the descriptor is invalid, and
                // leaf attributes too where it is reserved: a wrong decode finds a good leaf.
                let leaf = user_rw(granule, level, OUTPUT).0 & !0b11;
                let table = 0x8000_0000;
                for word in [
                    0b00,
                    0b10,
                    leaf,
                    leaf | 0b10,
                    !0b11,
                    !0b01,
                    leaf | 0b01,
                    if level == 3 {
                        leaf | 0b11
                    } else {
                        table | 0b11
                    },
                ] {
                    let base = 0x1_0000_0000 + cases.len() as u64 * 0x10_0000;
                    let mut tree = Tree::new(half, granule, bits, base);
                    let va = tree.va(0x1357_9bdf_2468 & ((1 << bits) - 8));
                    tree.map(va, level, Descriptor(word));
                    tree.load(bench)?;
                    let path = steps(&tree, start, level, va);
                    cases.push((tree, va, level, word, path));
                }
            }
        }
    }
    bench.count("descriptors", cases.len() as u64);
    let probe = Probe::on(bench)?;
    bench.run(async move |core| {
        for (tree, va, level, word, path) in &cases {
            let (granule, level) = (tree.granule(), *level);
            Regime::default().with(tree, 1).switch(&core).await;
            probe.clear();
            let request = CoreRequest::load(*va, 3, El::El0);
            let answer = core.access(request).await;
            let seen = probe.look();
            let translation = Fsc(0x04 + level);
            let outcome = match kind(granule, level, word & 0b11) {
                Kind::Invalid => answer
                    .faults("WALK-03", translation)
                    .and_then(|()| seen.walked("WALK-01", path, &[]))
                    .and_then(|()| seen.filled("TLB-20", 0)),
                Kind::Leaf => {
                    let pa =
                        OUTPUT | va & ((1 << super::geometry::level_bits(granule, level).1) - 1);
                    answer
                        .reaches("WALK-03", pa)
                        .and_then(|()| seen.walked("WALK-01", path, &[pa & !7]))
                }
                // The table below is empty.
                Kind::Table => answer
                    .faults("WALK-03", Fsc(translation.0 + 1))
                    .and_then(|()| {
                        expect("WALK-03", seen.steps.len() == path.len() + 1, || {
                            (format!("{seen:x?}"), "a read of the next level".to_owned())
                        })
                    }),
            };
            of(&request, &answer, outcome)
                .map_err(|f| within(f, &format!("{granule} level {level} {word:#018x}")))?;
        }
        Ok(())
    })
}

fn big_endian(bench: &mut Bench) -> Result<(), Failure> {
    // A page descriptor either way round: swapped it is 0x4307_0034_1200_6743.
    const EITHER_WAY: u64 = 0x4367_0012_3400_0743;
    const LITTLE: u64 = 0x0012_3400_0000;
    const BIG: u64 = 0x0034_1200_6000;
    const OUTPUT: u64 = 0x5555_0000_0000;
    let regime = |tree: &Tree, ee: bool| {
        let regime = Regime::default().with(tree, 1);
        Regime {
            sctlr: regime.sctlr.with_ee(ee),
            tcr: regime.tcr.with_ha(true),
            ..regime
        }
    };
    let mut trees = Vec::new();
    for (granule, half) in Granule::ALL
        .into_iter()
        .flat_map(|g| HALVES.map(|half| (g, half)))
    {
        for swapped in [true, false] {
            let (bits, start) = deepest(granule);
            let base = 0x1_0000_0000 + trees.len() as u64 * 0x10_0000;
            let mut tree = Tree::new(half, granule, bits, base);
            let va = tree.va(0x2468_ace0_1000 & ((1 << bits) - 8));
            // Its access flag is for the walker to set.
            let slot = tree.map(va, 3, user_rw(granule, 3, OUTPUT).with_af(false));
            let before = tree.word(slot);
            if swapped {
                tree.swap_bytes();
            }
            tree.load(bench)?;
            trees.push((tree, start, va, slot, before, swapped));
        }
    }
    let mut single = Tree::new(VaRange::Lower, Granule::K4, 21, 0xf000_0000);
    single.map(0x3000, 3, Descriptor(EITHER_WAY));
    single.load(bench)?;
    let memory = bench.handle()?;
    bench.run(async move |core| {
        for (tree, start, va, slot, before, swapped) in &trees {
            let load = CoreRequest::load(*va, 3, El::El0);
            let page = tree.granule().bytes() - 1;
            // Read the wrong way round, the root's 0x...003 has bits 1:0 = 00 below 2^56.
            regime(tree, !swapped).switch(&core).await;
            let answer = core.access(load).await;
            of(&load, &answer, answer.faults("WALK-02", Fsc(0x04 + start)))?;
            regime(tree, *swapped).switch(&core).await;
            let answer = core.access(load).await;
            of(
                &load,
                &answer,
                answer.reaches("WALK-02", OUTPUT | va & page),
            )?;
            let flagged = before | 1 << 10;
            let expected = if *swapped {
                flagged.swap_bytes()
            } else {
                flagged
            };
            let held = memory.peek(*slot);
            expect("WALK-02", held == expected, || {
                let what = format!("after the access flag update memory holds {held:#018x}");
                (what, format!("{expected:#018x}"))
            })?;
        }
        for (ee, pa) in [(false, LITTLE), (true, BIG), (false, LITTLE)] {
            regime(&single, ee).switch(&core).await;
            let load = CoreRequest::load(0x3000, 3, El::El1);
            let answer = core.access(load).await;
            of(&load, &answer, answer.reaches("WALK-02", pa))?;
        }
        Ok(())
    })
}

fn atomicity(bench: &mut Bench) -> Result<(), Failure> {
    const VA: u64 = 0x5000;
    const ROUNDS: u64 = 300;
    // Every byte of the address differs; a mixture would be a third address or a fault.
    const OUTPUTS: [u64; 2] = [0x1234_5678_9000, 0x6dcb_a987_6000];
    let words = OUTPUTS.map(|pa| user_rw(Granule::K4, 3, pa).0);
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 21, 0x1_0000_0000);
    let slot = tree.map(VA, 3, Descriptor(words[0]));
    tree.load(bench)?;
    let memory = bench.handle()?;
    let probe = Probe::on(bench)?;
    let counts = bench.run(async move |core| {
        Regime::default().with(&tree, 1).enter(&core).await;
        let mut counts = [0u64; 2];
        for round in 0..ROUNDS {
            forget(&core).await;
            probe.clear();
            memory.spawn(flip(memory.clone(), slot, words, round % 53));
            let load = CoreRequest::load(VA, 3, El::El0);
            let answer = core.access(load).await;
            let seen = probe.look();
            let whole = OUTPUTS
                .iter()
                .position(|&pa| answer.reaches("WALK-01", pa).is_ok());
            let at_slot = seen.reads.iter().filter(|&&at| at == slot).count();
            expect("WALK-01", at_slot == 1 && slot & 7 == 0, || {
                (
                    format!("{at_slot} reads of the descriptor"),
                    "one 8-byte read".to_owned(),
                )
            })?;
            match whole {
                Some(which) => counts[which] += 1,
                None => of(&load, &answer, answer.reaches("WALK-01", OUTPUTS[0]))?,
            }
        }
        Ok(counts)
    })?;
    bench.count("first value", counts[0]);
    bench.count("second value", counts[1]);
    expect("WALK-01", counts[0] > 0 && counts[1] > 0, || {
        (
            format!("the two values were read {counts:?} times"),
            "both".to_owned(),
        )
    })
}

/// Writes the other word of `words` to `slot` in `delay` cycles.
async fn flip(memory: SimHandle, slot: u64, words: [u64; 2], delay: u64) {
    memory.sleep(delay).await;
    let other = if memory.peek(slot) == words[0] {
        words[1]
    } else {
        words[0]
    };
    memory.poke(slot, other);
}
