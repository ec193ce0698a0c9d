// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Section 3: bits of a descriptor that change nothing (WALK-04 to WALK-07), and the one below a
//! block's address that does: nT (BBM-05).

use cosim::dut::ports::{CoreRequest, CoreResponse, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, SimHandle};
use vmsa::{Descriptor, El, Fsc, Granule};

use super::activity::{Probe, expect, of, within};
use super::formats::deepest;
use super::geometry::{HALVES, block_levels, level_bits, steps};
use super::regime::{NORMAL, Regime};
use super::tree::Tree;

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "ignored-leaf-bits",
        purpose: "each bit of a page or block that is ignored: address, attributes, permissions, span",
        requirements: &["WALK-04", "WALK-05", "WALK-06"],
        run: leaves,
    },
    Testbench {
        name: "ignored-table-bits",
        purpose: "each bit of a table descriptor that is ignored, at every level",
        requirements: &["WALK-04", "WALK-06", "WALK-07"],
        run: tables,
    },
    Testbench {
        name: "block-nt",
        purpose: "nT in a block keeps it out of the TLB; in a page the bit is something else",
        requirements: &["WALK-05", "BBM-05", "BBM-07"],
        run: block_nt,
    },
];

const OUTPUT: u64 = 0x5555_0000_0000;
const OFFSET: u64 = 0x1357_9bdf_0468;

/// A tree of `granule` in `half` with one leaf at `level`, which EL0 may only read.
struct Scene {
    tree: Tree,
    start: u8,
    level: u8,
    va: u64,
    pa: u64,
    regime: Regime,
}

impl Scene {
    fn all(bench: &mut Bench, levels: fn(Granule) -> Vec<u8>) -> Result<Vec<Self>, Failure> {
        let mut scenes = Vec::new();
        for (granule, half) in Granule::ALL
            .into_iter()
            .flat_map(|g| HALVES.map(|half| (g, half)))
        {
            for level in levels(granule) {
                let (bits, start) = deepest(granule);
                let base = 0x1_0000_0000 + scenes.len() as u64 * 0x10_0000;
                let mut tree = Tree::new(half, granule, bits, base);
                let va = tree.va(OFFSET & ((1 << bits) - 8));
                let leaf = Descriptor::leaf(granule, level, OUTPUT)
                    .with_attr_index(NORMAL)
                    .with_sh(3)
                    .with_af(true)
                    .with_ng(true)
                    .with_ap(0b11);
                tree.map(va, level, leaf);
                tree.load(bench)?;
                let pa = OUTPUT | va & ((1 << level_bits(granule, level).1) - 1);
                let regime = Regime::default().with(&tree, 1);
                scenes.push(Self {
                    tree,
                    start,
                    level,
                    va,
                    pa,
                    regime,
                });
            }
        }
        Ok(scenes)
    }

    /// The requests whose answers show everything: a permitted read, a forbidden write, and fetches.
    fn requests(&self) -> [CoreRequest; 4] {
        [
            CoreRequest::load(self.va, 3, El::El0),
            CoreRequest::store(self.va, 3, El::El1, 1),
            CoreRequest::fetch(self.va, El::El0),
            CoreRequest::fetch(self.va, El::El1),
        ]
    }

    /// The walk goes through the same descriptors to the same translation, and the entries made
    /// span what the leaf does.
    async fn same(
        &self,
        core: &CoreHandle,
        probe: &Probe,
        requirement: &str,
    ) -> Result<(), Failure> {
        let what = format!("{} level {}", self.tree.granule(), self.level);
        self.regime.switch(core).await;
        probe.clear();
        let [load, store, fetches @ ..] = self.requests();
        let answer = core.access(load).await;
        let seen = probe.look();
        let path = steps(&self.tree, self.start, self.level, self.va);
        of(&load, &answer, {
            translates(&answer, requirement, self.pa)
                .and_then(|()| seen.walked(requirement, &path, &[self.pa]))
                .and_then(|()| self.spans(&seen.fills, requirement))
        })
        .map_err(|failure| within(failure, &what))?;
        // From the TLB, and then by a walk of its own.
        let answer = core.access(store).await;
        of(
            &store,
            &answer,
            answer.faults(requirement, Fsc(0x0c + self.level)),
        )
        .map_err(|failure| within(failure, &what))?;
        for fetch in fetches {
            let answer = core.access(fetch).await;
            of(&fetch, &answer, translates(&answer, requirement, self.pa))
                .map_err(|failure| within(failure, &what))?;
        }
        Ok(())
    }

    fn spans(
        &self,
        fills: &[cosim::dut::ports::TlbFill],
        requirement: &str,
    ) -> Result<(), Failure> {
        let low = level_bits(self.tree.granule(), self.level).1;
        let mask = 0xffff_ffff_ffff & u64::MAX << low;
        let output = OUTPUT & mask;
        let good =
            fills.len() == 1 && fills[0].mask == mask && fills[0].pa == output && !fills[0].global;
        expect(requirement, good, || {
            (
                format!("entries {fills:x?}"),
                format!("one of mask {mask:#x} to {output:#x}, not global"),
            )
        })
    }
}

fn translates(answer: &CoreResponse, requirement: &str, pa: u64) -> Result<(), Failure> {
    answer
        .reaches(requirement, pa)
        .and_then(|()| answer.has_attributes(requirement, 0xff, 3))
}

fn leaf_levels(granule: Granule) -> Vec<u8> {
    block_levels(granule).iter().copied().chain([3]).collect()
}

/// Ignored bits of a leaf, each with its requirement: section 3.3.
fn ignored_of_leaf(granule: Granule, level: u8) -> Vec<(u32, &'static str)> {
    let mut bits = vec![(5, "WALK-06"), (50, "WALK-06"), (63, "WALK-06")];
    bits.extend((55..=62).map(|bit| (bit, "WALK-06")));
    // With HD = 0 DBM says nothing.
    bits.push((51, "WALK-06"));
    let above = if granule == Granule::K64 {
        "WALK-06"
    } else {
        "WALK-04"
    };
    bits.extend([(48, above), (49, above)]);
    let low = level_bits(granule, level).1;
    bits.extend(
        (12..low)
            .filter(|&bit| level == 3 || bit != 16)
            .map(|bit| (bit, "WALK-05")),
    );
    bits
}

/// Ignored bits of a table descriptor: section 3.2.
fn ignored_of_table(granule: Granule) -> Vec<(u32, &'static str)> {
    let mut bits: Vec<_> = (2..=11)
        .chain(50..=58)
        .chain([63])
        .map(|bit| (bit, "WALK-06"))
        .collect();
    bits.extend((12..granule.shift()).map(|bit| (bit, "WALK-07")));
    let above = if granule == Granule::K64 {
        "WALK-06"
    } else {
        "WALK-04"
    };
    bits.extend([(48, above), (49, above)]);
    bits
}

/// Checks `scene` with each bit of `bits` set in the word at `slot`, and with all of them.
async fn with_each(
    core: &CoreHandle,
    memory: &SimHandle,
    probe: &Probe,
    scene: &Scene,
    slot: u64,
    bits: &[(u32, &'static str)],
) -> Result<(), Failure> {
    let word = scene.tree.word(slot);
    let each = bits
        .iter()
        .map(|&(bit, requirement)| (1u64 << bit, requirement));
    let all = bits.iter().fold(0, |all, (bit, _)| all | 1 << bit);
    for (extra, requirement) in each.chain([(all, "WALK-06"), (0, "WALK-06")]) {
        memory.poke(slot, word | extra);
        scene
            .same(core, probe, requirement)
            .await
            .map_err(|failure| within(failure, &format!("with {extra:#018x} added")))?;
    }
    Ok(())
}

fn leaves(bench: &mut Bench) -> Result<(), Failure> {
    let scenes = Scene::all(bench, leaf_levels)?;
    let probe = Probe::on(bench)?;
    let memory = bench.handle()?;
    bench.run(async move |core| {
        for scene in &scenes {
            let slot = scene.tree.slot(scene.va, scene.level);
            let bits = ignored_of_leaf(scene.tree.granule(), scene.level);
            with_each(&core, &memory, &probe, scene, slot, &bits).await?;
        }
        Ok(())
    })
}

fn tables(bench: &mut Bench) -> Result<(), Failure> {
    let mut scenes = Scene::all(bench, |_| vec![3])?;
    let probe = Probe::on(bench)?;
    let memory = bench.handle()?;
    bench.run(async move |core| {
        for scene in &mut scenes {
            let granule = scene.tree.granule();
            for level in scene.start..3 {
                let slot = scene.tree.slot(scene.va, level);
                // With HPD = 1 and every HWU bit, bits 62:59 are ignored as well.
                let plain = scene.regime.tcr;
                for hpd in [false, true] {
                    let mut bits = ignored_of_table(granule);
                    if hpd {
                        bits.extend((59..=62).map(|bit| (bit, "WALK-06")));
                        let half = scene.tree.range();
                        scene.regime.tcr.0 |= 0xff << 43;
                        scene.regime.tcr = scene.regime.tcr.with_hpd(half, true);
                    }
                    with_each(&core, &memory, &probe, scene, slot, &bits).await?;
                }
                scene.regime.tcr = plain;
            }
        }
        Ok(())
    })
}

fn block_nt(bench: &mut Bench) -> Result<(), Failure> {
    let scenes = Scene::all(bench, leaf_levels)?;
    let probe = Probe::on(bench)?;
    let memory = bench.handle()?;
    bench.run(async move |core| {
        for scene in &scenes {
            let (granule, level) = (scene.tree.granule(), scene.level);
            let slot = scene.tree.slot(scene.va, level);
            memory.poke(slot, scene.tree.word(slot) | 1 << 16);
            scene.regime.switch(&core).await;
            probe.clear();
            // A block with nT is walked for each time; a page is kept. OUTPUT has bit 16 clear, so
            // that a page of up to 64 KB shows it in its address.
            let block = level != 3;
            let (requirement, pa) = if block {
                ("WALK-05", scene.pa)
            } else {
                ("BBM-07", scene.pa | 1 << 16)
            };
            let load = CoreRequest::load(scene.va, 3, El::El0);
            for place in [
                HitPlace::Walk,
                if block { HitPlace::Walk } else { HitPlace::L1 },
            ] {
                let answer = core.access(load).await;
                of(&load, &answer, {
                    translates(&answer, requirement, pa).and_then(|()| {
                        answer.comes_from(if block { "BBM-05" } else { "BBM-07" }, place)
                    })
                })
                .map_err(|failure| {
                    within(failure, &format!("{granule} level {level} with bit 16"))
                })?;
            }
            probe
                .look()
                .filled(if block { "BBM-05" } else { "BBM-07" }, usize::from(!block))?;
        }
        Ok(())
    })
}
