// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Tests of the comparison: it sees each kind of difference, and lets pass only what a coalescing
//! TLB may do.

use vmsa::{Descriptor, El, Fsc, Granule, Mair, Sctlr, Tcr, Ttbr, VaRange};

use super::super::engine::{Engine as _, ModelEngine};
use super::super::scene::QueryOp;
use super::*;
use crate::arch::Registers;

const TABLE: u64 = 0x1_0000;

/// A run of 16 4K pages, clean and not yet accessed, and a store to page 2, then to page 5.
fn scene() -> Scene {
    let lower = VaRange::Lower;
    let page = |i: u64| {
        Descriptor::leaf(Granule::K4, 3, 0x40_0000 + 0x1000 * i)
            .with_ap(3)
            .with_dbm(true)
            .with_contiguous(true)
    };
    let words: Vec<u64> = (0..16).map(|i| page(i).0).collect();
    let query = |i: u64| Query {
        va: 0x1000 * i,
        el: El::El0,
        op: QueryOp::Write,
        expected: Answer::Translated {
            pa: 0x40_0000 + 0x1000 * i,
            attr: 0xff,
            sh: 0,
        },
    };
    let mut after = words.clone();
    for i in [2, 5] {
        after[i] = Descriptor(after[i])
            .with_af(true)
            .with_ap_read_only(false)
            .0;
    }
    Scene {
        name: "run".to_owned(),
        line: 1,
        registers: Registers {
            ttbr0: Ttbr::new(0, TABLE),
            ttbr1: Ttbr(0),
            tcr: Tcr(0)
                .with_tsz(lower, 48)
                .with_ips(5)
                .with_ha(true)
                .with_hd(true),
            mair: Mair(0xff),
            sctlr: Sctlr(0).with_m(true).with_c(true).with_i(true),
        },
        memory: vec![Run {
            address: TABLE,
            words,
        }],
        queries: vec![query(2), query(5)],
        after: Some(vec![Run {
            address: TABLE,
            words: after,
        }]),
    }
}

fn model(scene: &Scene) -> SceneResult {
    ModelEngine::default().scene(scene).unwrap()
}

#[test]
fn the_reference_itself_matches_in_both_ways() {
    let scene = scene();
    let result = model(&scene);
    let whole = compare(&scene, Profile::default(), &result);
    assert_eq!(
        (whole.mismatches.len(), whole.per_run, whole.words),
        (0, 16, 0)
    );
    let single = compare(
        &scene,
        Profile {
            contiguous: false,
            ..Profile::default()
        },
        &result,
    );
    assert_eq!(
        (single.mismatches.len(), single.per_run, single.words),
        (0, 0, 16)
    );
}

#[test]
fn a_run_entry_that_spares_an_update_passes_only_if_runs_may_coalesce() {
    let scene = scene();
    let mut result = model(&scene);
    // The store to page 5 hit the entry that the store to page 2 made.
    result.memory[0].words[5] = scene.memory[0].words[5];
    assert_eq!(compare(&scene, Profile::default(), &result).mismatches, []);
    let single = compare(
        &scene,
        Profile {
            contiguous: false,
            ..Profile::default()
        },
        &result,
    );
    assert!(
        matches!(single.mismatches[..], [Mismatch::Word { address, .. }] if address == TABLE + 40)
    );
}

#[test]
fn a_run_that_was_never_marked_is_seen() {
    let scene = scene();
    let result = SceneResult {
        memory: scene.memory.clone(),
        ..model(&scene)
    };
    let comparison = compare(&scene, Profile::default(), &result);
    let state = Mismatch::RunState {
        address: TABLE,
        entries: 16,
        expected: (true, false),
        got: (false, true),
    };
    assert_eq!(comparison.mismatches, [state]);
}

#[test]
fn any_other_bit_of_a_run_is_compared_word_by_word() {
    let scene = scene();
    let mut result = model(&scene);
    result.memory[0].words[9] ^= 1 << 55;
    let comparison = compare(&scene, Profile::default(), &result);
    assert!(
        matches!(comparison.mismatches[..], [Mismatch::Word { address, .. }] if address == TABLE + 72)
    );
}

#[test]
fn a_wrong_or_missing_answer_is_seen() {
    let scene = scene();
    let mut result = model(&scene);
    result.answers[0] = Answer::Fault(Fsc(7));
    result.answers.truncate(1);
    let comparison = compare(&scene, Profile::default(), &result);
    let seen: Vec<_> = comparison
        .mismatches
        .iter()
        .map(|m| matches!(m, Mismatch::Query { .. }))
        .collect();
    assert_eq!(seen, [true, true]);
}

#[test]
fn a_table_written_without_hardware_updates_is_seen() {
    let mut scene = scene();
    scene.registers.tcr = scene.registers.tcr.with_ha(false);
    scene.after = None;
    let mut result = SceneResult {
        memory: scene.memory.clone(),
        ..SceneResult::default()
    };
    scene.queries.clear();
    assert_eq!(compare(&scene, Profile::default(), &result).mismatches, []);
    result.memory[0].words[0] |= 1 << 10;
    assert_eq!(
        compare(&scene, Profile::default(), &result)
            .mismatches
            .len(),
        1
    );
}

#[test]
fn a_speculative_walk_may_set_the_access_flag_and_nothing_else() {
    let mut scene = scene();
    let profile = Profile {
        contiguous: false,
        ..Profile::default()
    };
    scene.queries.clear();
    scene.after = Some(scene.memory.clone());
    let mut result = SceneResult {
        memory: scene.memory.clone(),
        speculative: true,
        ..SceneResult::default()
    };
    let old = scene.memory[0]
        .words
        .iter()
        .position(|word| word >> 10 & 1 == 0);
    let old = old.expect("a page with AF = 0");
    result.memory[0].words[old] |= 1 << 10;
    let comparison = compare(&scene, profile, &result);
    assert_eq!(
        (comparison.mismatches.len(), comparison.speculative),
        (0, 1)
    );
    result.speculative = false;
    assert_eq!(compare(&scene, profile, &result).mismatches.len(), 1);
    result.speculative = true;
    result.memory[0].words[old] ^= 1 << 7;
    assert_eq!(compare(&scene, profile, &result).mismatches.len(), 1);
}
