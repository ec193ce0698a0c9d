// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The rules of the TLB once more, as one list in order of age, and the proof that the indexed one
//! keeps them.

use super::{Entry, Limits, Owed, Tlb};
use proptest::prelude::*;
use vmsa::{Descriptor, DsbKind, Granule, Tlbi, TlbiOp, TlbiScope, VaRange, geometry};

/// Every entry, oldest first.
#[derive(Default)]
struct Reference(Vec<Entry>);

impl Reference {
    fn fill(&mut self, entry: Entry) {
        let same = |e: &Entry| {
            e.doomed.none()
                && Entry {
                    filled_for: entry.filled_for,
                    ..*e
                } == entry
        };
        if !self.0.iter().any(same) {
            self.0.push(entry);
        }
    }

    fn leaf(&self, range: VaRange, va: u64, asid: u16) -> Option<&Entry> {
        self.0.iter().find(|e| e.leaf && e.serves(range, va, asid))
    }

    fn table(&self, range: VaRange, va: u64, asid: u16) -> Option<&Entry> {
        let serving = |level| {
            let serves = move |e: &&Entry| !e.leaf && e.level == level && e.serves(range, va, asid);
            self.0.iter().find(serves)
        };
        (0..geometry::FINAL_LEVEL).rev().find_map(serving)
    }

    fn doom(&mut self, op: Tlbi, asid: u16, issuer: usize, current: u16) -> Vec<u64> {
        let mut lost = Vec::new();
        for entry in self.0.iter_mut().filter(|e| e.removed_by(op, asid)) {
            entry.doomed.mark(issuer, op.scope);
            if entry.asid == current {
                lost.push(entry.filled_for);
            }
        }
        lost.dedup();
        lost
    }

    fn complete(&mut self, issuer: usize, kind: DsbKind) {
        self.0.retain(|e| !e.doomed.completed_by(issuer, kind));
    }

    fn drop_slot(&mut self, slot: u64) {
        self.0.retain(|e| !(e.leaf && e.slot == slot));
    }

    fn leading_to(&self, pa: u64, bytes: u64) -> Vec<&Entry> {
        let reaches = |e: &&Entry| {
            (!e.leaf || e.range == VaRange::Lower)
                && e.output() < pa + bytes
                && pa < e.output() + e.output_bytes()
        };
        self.0.iter().filter(reaches).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Fill(Entry),
    Doom(Tlbi, usize),
    Complete(usize, DsbKind),
    DropSlot(u64),
    Lookup(u64),
    Query(u64, u64),
}

/// Addresses few enough to meet: pages of two blocks, in both ranges.
fn va() -> impl Strategy<Value = u64> {
    let page = prop_oneof![0..20u64, 500..530u64];
    (page, any::<bool>()).prop_map(|(page, upper)| page << 12 | if upper { !0 << 47 } else { 0 })
}

fn asid() -> impl Strategy<Value = u16> {
    1..4u16
}

fn entry() -> impl Strategy<Value = Entry> {
    let shape = (
        prop::sample::select(Granule::ALL.to_vec()),
        0..4u8,
        any::<bool>(),
    );
    let bits = (any::<bool>(), any::<bool>(), any::<bool>());
    (va(), asid(), 0..6u64, 0..6u64, shape, bits).prop_map(
        |(va, asid, slot, target, (granule, level, run), (global, limited, leaf))| {
            let leaf = leaf && geometry::leaf_allowed(granule, level) || level == 3;
            let mut bytes = geometry::level_bytes(granule, level);
            let descriptor = match leaf {
                true => Descriptor::leaf(granule, level, target << 20 | target << 12),
                false => Descriptor::table(target << 12),
            };
            if let Some(members) = geometry::contiguous_run(granule, level)
                && leaf
                && run
            {
                bytes *= u64::from(members);
            }
            Entry {
                range: VaRange::of(va),
                granule,
                base: va & !(bytes - 1),
                bytes,
                level,
                leaf,
                asid,
                descriptor: descriptor.with_ng(!global),
                slot: slot * 8,
                limits: Limits {
                    no_write: limited,
                    ..Limits::default()
                },
                filled_for: va,
                doomed: Owed::default(),
            }
        },
    )
}

fn tlbi() -> impl Strategy<Value = Tlbi> {
    let scope = prop::sample::select(vec![
        TlbiScope::Local,
        TlbiScope::InnerShareable,
        TlbiScope::OuterShareable,
    ]);
    let op = prop::sample::select(TlbiOp::ALL.to_vec());
    let granule = prop::sample::select(Granule::ALL.to_vec());
    let level = prop::option::of(1..4u8);
    (scope, op, granule, level, va(), asid(), (0..4u8, 0..32u8)).prop_map(
        |(scope, op, granule, level, va, asid, (scale, num))| {
            let single = Tlbi::vae1(scope, va, asid, level.map(|level| (granule, level)));
            let range = Tlbi::rvae1(scope, granule, va, scale, num, level, asid);
            let operand = if op.is_range() { range } else { single }.operand;
            Tlbi { op, scope, operand }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let barrier = prop::sample::select(DsbKind::ALL.to_vec());
    prop_oneof![
        6 => entry().prop_map(Step::Fill),
        3 => (tlbi(), 0..2usize).prop_map(|(op, issuer)| Step::Doom(op, issuer)),
        2 => (0..2usize, barrier).prop_map(|(issuer, kind)| Step::Complete(issuer, kind)),
        1 => (0..6u64).prop_map(|slot| Step::DropSlot(slot * 8)),
        8 => va().prop_map(Step::Lookup),
        2 => (0..0x60_0000u64, 1..0x4000u64).prop_map(|(pa, bytes)| Step::Query(pa, bytes)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x7_1b),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_indexed_tlb_answers_as_a_list_would(steps in prop::collection::vec(step(), 1..120)) {
        let (mut tlb, mut list) = (Tlb::default(), Reference::default());
        for step in steps {
            match step {
                Step::Fill(entry) => {
                    tlb.fill(entry);
                    list.fill(entry);
                }
                Step::Doom(op, issuer) => {
                    let mut lost = Vec::new();
                    tlb.doom(op, op.asid(), issuer, 2, &mut lost);
                    prop_assert_eq!(lost, list.doom(op, op.asid(), issuer, 2));
                }
                Step::Complete(issuer, kind) => {
                    tlb.complete(issuer, kind);
                    list.complete(issuer, kind);
                }
                Step::DropSlot(slot) => {
                    tlb.drop_slot(slot);
                    list.drop_slot(slot);
                }
                Step::Lookup(va) => {
                    let range = VaRange::of(va);
                    for asid in 1..4 {
                        prop_assert_eq!(tlb.leaf(range, va, asid), list.leaf(range, va, asid));
                        prop_assert_eq!(tlb.table(range, va, asid), list.table(range, va, asid));
                    }
                }
                Step::Query(pa, bytes) => {
                    prop_assert_eq!(tlb.leading_to(pa, bytes), list.leading_to(pa, bytes));
                }
            }
            prop_assert_eq!(tlb.entries(), list.0.iter().collect::<Vec<_>>());
        }
    }
}
