// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Section 2, geometry: which table and which entry a walk reads, for every granule, every TxSZ and
//! both halves of the VA space; and which address bits a page or block takes from the VA.

use std::collections::BTreeSet;

use cosim::dut::ports::{CoreRequest, HitPlace};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use vmsa::{El, Granule, Tlbi, TlbiScope, VaRange};

use super::activity::{Probe, expect, of, within};
use super::regime::{Regime, user_rw};
use super::tree::Tree;

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "geometry-pages",
        purpose: "walks to pages: every granule, TxSZ and half, each VA bit alone, partial roots",
        requirements: &["VMSA-12", "VMSA-13", "VMSA-14", "VMSA-15"],
        run: pages,
    },
    Testbench {
        name: "geometry-blocks",
        purpose: "blocks of every size: each in-block address bit alone, after a walk and from the TLB",
        requirements: &["VMSA-14", "VMSA-15"],
        run: blocks,
    },
];

/// Both halves of the VA space.
pub const HALVES: [VaRange; 2] = [VaRange::Lower, VaRange::Upper];

/// Where table pages of the first tree lie; each tree has [`SPACING`] bytes.
const TABLES: u64 = 0x1_0000_0000;
/// Bytes set aside for one tree: 4 MiB of table pages, then the root.
const SPACING: u64 = 0x80_0000;
/// Offset of the root, with room for three of its size before it.
const ROOT: u64 = 0x40_0000;
/// A PA bit that no table page has.
const DATA: u64 = 1 << 46;

/// Section 2: first and last TxSZ of every start level.
#[must_use]
pub fn start_levels(granule: Granule) -> &'static [(u8, u8, u8)] {
    match granule {
        Granule::K4 => &[(0, 16, 24), (1, 25, 33), (2, 34, 42), (3, 43, 48)],
        Granule::K16 => &[(0, 16, 16), (1, 17, 27), (2, 28, 38), (3, 39, 48)],
        Granule::K64 => &[(1, 16, 21), (2, 22, 34), (3, 35, 47)],
    }
}

/// Section 2: highest and lowest VA bit that a full table of `level` resolves.
#[must_use]
pub fn level_bits(granule: Granule, level: u8) -> (u32, u32) {
    match (granule, level) {
        (Granule::K4, 0) => (47, 39),
        (Granule::K4, 1) => (38, 30),
        (Granule::K4, 2) => (29, 21),
        (Granule::K4, _) => (20, 12),
        (Granule::K16, 0) => (47, 47),
        (Granule::K16, 1) => (46, 36),
        (Granule::K16, 2) => (35, 25),
        (Granule::K16, _) => (24, 14),
        (Granule::K64, 0 | 1) => (47, 42),
        (Granule::K64, 2) => (41, 29),
        (Granule::K64, _) => (28, 16),
    }
}

/// Section 2: levels with blocks, without LPA2 and with 48-bit addresses.
#[must_use]
pub fn block_levels(granule: Granule) -> &'static [u8] {
    match granule {
        Granule::K4 => &[1, 2],
        Granule::K16 | Granule::K64 => &[2],
    }
}

/// The descriptors that a walk of `va` in `tree` reads down to `leaf`: level and address.
#[must_use]
pub fn steps(tree: &Tree, start: u8, leaf: u8, va: u64) -> Vec<(u8, u64)> {
    let mut table = tree.root();
    (start..=leaf)
        .map(|level| {
            let (full, low) = level_bits(tree.granule(), level);
            let high = full.min(tree.va_bits() - 1);
            let index = va >> low & ((1 << (high - low + 1)) - 1);
            let address = table | index << 3;
            table = tree.word(address) & 0xffff_ffff_ffff & !(tree.granule().bytes() - 1);
            (level, address)
        })
        .collect()
}

/// What memory holds at `pa` in these testbenches.
fn content(pa: u64) -> u64 {
    pa.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// One tree, its registers, and what accesses through it do.
struct Shape {
    what: String,
    regime: Regime,
    /// Bytes of the start-level table.
    root_bytes: u64,
    tree: Tree,
    cases: Vec<Case>,
}

struct Case {
    va: u64,
    pa: u64,
    steps: Vec<(u8, u64)>,
}

impl Shape {
    /// A tree with TxSZ `txsz`, the `number`th of the testbench. Its root is an odd multiple of its
    /// size away from any greater alignment, and TTBR holds ones below that size (section 1.1).
    fn new(range: VaRange, granule: Granule, start: u8, txsz: u8, number: u64) -> (Self, u8) {
        let bits = 64 - u32::from(txsz);
        let root_bytes = 8u64 << (bits - level_bits(granule, start).1);
        let base = TABLES + number * SPACING;
        let tree = Tree::new(range, granule, bits, base).rooted_at(base + ROOT + 3 * root_bytes);
        let what = format!("{granule} granule, TxSZ {txsz}, {range:?} half");
        let shape = Self {
            what,
            regime: Regime::default(),
            root_bytes,
            tree,
            cases: Vec::new(),
        };
        (shape, start)
    }

    /// Puts everything in memory; call it when all is mapped.
    fn load(&mut self, bench: &mut Bench) -> Result<(), Failure> {
        self.regime = Regime::default().with(&self.tree, 1);
        let junk = self.root_bytes - 2;
        match self.tree.range() {
            VaRange::Lower => self.regime.ttbr0.0 |= junk,
            VaRange::Upper => self.regime.ttbr1.0 |= junk,
        }
        for case in &self.cases {
            bench.load(case.pa, &[content(case.pa)])?;
        }
        self.tree.load(bench)
    }

    async fn check(&self, core: &CoreHandle, probe: &Probe) -> Result<(), Failure> {
        let what = &self.what;
        self.regime.switch(core).await;
        for case in &self.cases {
            probe.clear();
            let request = CoreRequest::load(case.va, 3, El::El0);
            let answer = core.access(request).await;
            let seen = probe.look();
            of(&request, &answer, {
                self.starts_inside_one_table(&seen.steps)
                    .and_then(|()| seen.walked("VMSA-14", &case.steps, &[case.pa]))
                    .and_then(|()| answer.reaches("VMSA-15", case.pa))
                    .and_then(|()| answer.reads("VMSA-15", content(case.pa)))
            })
            .map_err(|failure| within(failure, what))?;
        }
        Ok(())
    }

    /// VMSA-12, VMSA-13: the first read is of a level at which one table, full or partial, resolves
    /// all VA bits, and lies in that table.
    fn starts_inside_one_table(&self, seen: &[(u8, u64)]) -> Result<(), Failure> {
        let (root, granule) = (self.tree.root(), self.tree.granule());
        let resolved = seen.first().map(|&(level, _)| {
            let low = level_bits(granule, level).1;
            self.tree.va_bits().saturating_sub(low)
        });
        let one_table = resolved.is_some_and(|bits| 1 <= bits && bits <= granule.shift() - 3);
        expect("VMSA-13", one_table, || {
            let what = format!("the first of {seen:x?} resolves {resolved:?} bits");
            (what, "at least one bit, at most one table".to_owned())
        })?;
        let inside = seen
            .first()
            .is_some_and(|(_, at)| (root..root + self.root_bytes).contains(at));
        expect("VMSA-12", inside, || {
            (
                format!("reads {seen:x?}"),
                format!(
                    "first one of the {} bytes from {root:#x} on",
                    self.root_bytes
                ),
            )
        })
    }
}

/// An 8-byte aligned PA in some page or block of `bytes`, with its offset the one of `va`.
fn place(rng: &mut Pcg64Mcg, bytes: u64, va: u64) -> u64 {
    let above = rng.random::<u64>() & 0xffff_ffff_ffff & !(bytes - 1);
    // The random part keeps away from the tables; what is below `bytes` is what VMSA-15 says.
    (above | DATA) & !(bytes - 1) | va & (bytes - 1)
}

/// Offsets of a range of `bits` bits: the ends, alternating bits, and each bit from `low` on alone.
fn offsets(bits: u32, low: u32) -> Vec<u64> {
    let mask = (1u64 << bits) - 1;
    let patterns = [0, u64::MAX, 0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa];
    let mut all: Vec<u64> = patterns.iter().map(|pattern| pattern & mask & !7).collect();
    all.extend((low..bits).map(|bit| 1 << bit));
    all
}

fn pages(bench: &mut Bench) -> Result<(), Failure> {
    // Every walk is to show all its reads.
    bench.setup().straps.walk_caches = false;
    let mut rng = bench.rng("pages");
    let mut shapes = Vec::new();
    for granule in Granule::ALL {
        for half in HALVES {
            for &(start, first, last) in start_levels(granule) {
                for txsz in first..=last {
                    let number = shapes.len() as u64;
                    let (mut shape, start) = Shape::new(half, granule, start, txsz, number);
                    let tree = &mut shape.tree;
                    let mut mapped = BTreeSet::new();
                    for offset in offsets(tree.va_bits(), granule.shift()) {
                        if !mapped.insert(offset >> granule.shift()) {
                            continue;
                        }
                        let va = tree.va(offset | rng.random::<u64>() & (granule.bytes() - 8));
                        let pa = place(&mut rng, granule.bytes(), va);
                        tree.map(va, 3, user_rw(granule, 3, pa));
                        shape.cases.push(Case {
                            va,
                            pa,
                            steps: steps(tree, start, 3, va),
                        });
                    }
                    shape.load(bench)?;
                    shapes.push(shape);
                }
            }
        }
    }
    bench.count("regimes", shapes.len() as u64);
    bench.count(
        "accesses",
        shapes.iter().map(|shape| shape.cases.len() as u64).sum(),
    );
    let probe = Probe::on(bench)?;
    bench.run(async move |core| {
        for shape in &shapes {
            shape.check(&core, &probe).await?;
        }
        Ok(())
    })
}

fn blocks(bench: &mut Bench) -> Result<(), Failure> {
    let mut rng = bench.rng("blocks");
    let mut shapes = Vec::new();
    for granule in Granule::ALL {
        for half in HALVES {
            for &level in block_levels(granule) {
                let above = start_levels(granule)
                    .iter()
                    .filter(|&&(start, ..)| start <= level);
                for (start, txsz) in above.flat_map(|&(start, a, b)| [(start, a), (start, b)]) {
                    let number = shapes.len() as u64;
                    let (mut shape, start) = Shape::new(half, granule, start, txsz, number);
                    let bits = level_bits(granule, level).1;
                    let bytes = 1u64 << bits;
                    let tree = &mut shape.tree;
                    // The last block of the range, so that every index bit is 1.
                    let first = tree.va((1u64 << tree.va_bits()) - bytes);
                    let output = place(&mut rng, bytes, first);
                    tree.map(first, level, user_rw(granule, level, output));
                    for offset in offsets(bits, 3) {
                        let (va, pa) = (first | offset, output | offset);
                        shape.cases.push(Case {
                            va,
                            pa,
                            steps: steps(tree, start, level, va),
                        });
                    }
                    shape.load(bench)?;
                    shapes.push(shape);
                }
            }
        }
    }
    bench.count("regimes", shapes.len() as u64);
    bench.run(async move |core| {
        for shape in &shapes {
            shape.regime.switch(&core).await;
            for hits in [false, true] {
                through_block(&core, shape, hits)
                    .await
                    .map_err(|f| within(f, &shape.what))?;
            }
        }
        Ok(())
    })
}

/// Accesses every address of `shape`, whose cases share one block: through the entry that the first
/// left in the TLB, or each through a walk of its own.
async fn through_block(core: &CoreHandle, shape: &Shape, hits: bool) -> Result<(), Failure> {
    let from = if hits { HitPlace::L1 } else { HitPlace::Walk };
    for case in &shape.cases {
        if !hits {
            core.access(CoreRequest::tlbi(Tlbi::vmalle1(TlbiScope::Local)))
                .await;
            core.access(CoreRequest::dsb(vmsa::DsbKind::SY)).await;
        }
        let request = CoreRequest::load(case.va, 3, El::El0);
        let answer = core.access(request).await;
        of(&request, &answer, {
            answer
                .reaches("VMSA-15", case.pa)
                .and_then(|()| answer.reads("VMSA-15", content(case.pa)))
                .and_then(|()| answer.comes_from("VMSA-15", from))
        })?;
    }
    Ok(())
}
