// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The architectural model against every recorded vector: the answers of another implementation.

use std::path::PathBuf;

use cosim::arch::explain::explain;
use cosim::arch::{Context, Profile};
use cosim::vectors::{Answer, Engine, Mismatch, ModelEngine, Scene, compare, read_scenes};

fn scenes(file: &str) -> Vec<Scene> {
    let path: PathBuf = [
        env!("CARGO_MANIFEST_DIR"),
        "..",
        "testbenches",
        "vectors",
        file,
    ]
    .iter()
    .collect();
    read_scenes(&path).unwrap()
}

/// Replays `file` and returns queries and words compared.
fn replay(file: &str) -> (usize, usize) {
    let mut engine = ModelEngine::new(Profile::default());
    let (mut queries, mut words) = (0, 0);
    for scene in scenes(file) {
        let result = engine.scene(&scene).unwrap();
        let comparison = compare(&scene, engine.profile(), &result);
        if let Some(mismatch) = comparison.mismatches.first() {
            let drawing = match mismatch {
                Mismatch::Query { query, .. } => {
                    let access = query.access(&scene);
                    let context = Context {
                        registers: scene.registers,
                        profile: engine.profile(),
                    };
                    explain(&context, &access, &engine.machine(&scene).walk(&access))
                }
                _ => String::new(),
            };
            panic!("{file}, scene {}: {mismatch:?}\n{drawing}", scene.name);
        }
        queries += comparison.queries;
        words += comparison.words;
        assert_eq!(comparison.per_run, 0, "the model never coalesces");
    }
    (queries, words)
}

#[test]
fn the_model_matches_random_tables() {
    // VMSA-04 to VMSA-10, VMSA-12 to VMSA-15, VMSA-20 to VMSA-24, VMSA-28, VMSA-40 to VMSA-43,
    // VMSA-45, VMSA-50, VMSA-60, WALK-03, WALK-05 to WALK-07.
    assert_eq!(replay("random.jsonl.gz").0, 11_927);
}

#[test]
fn the_model_matches_hardware_updates() {
    // VMSA-25, VMSA-26, HAF-05, HAF-09, HAF-10: the memory left behind is compared too.
    assert_eq!(replay("hafdbs.jsonl.gz"), (1_600, 5_028));
}

#[test]
fn the_model_matches_linux_tables() {
    assert_eq!(replay("linux-6.12-4k.jsonl.gz").0, 5_089);
    assert_eq!(replay("linux-6.12-16k.jsonl.gz").0, 3_566);
}

#[test]
fn a_flipped_descriptor_bit_is_noticed() {
    // The comparison can fail: invalidate the first leaf that a query uses.
    let mut scene = scenes("linux-6.12-4k.jsonl.gz").remove(0);
    let mut engine = ModelEngine::default();
    let query = *scene
        .queries
        .iter()
        .find(|query| matches!(query.expected, Answer::Translated { .. }))
        .unwrap();
    let leaf = engine
        .machine(&scene)
        .walk(&query.access(&scene))
        .steps()
        .last()
        .unwrap()
        .address;
    let word = scene
        .memory
        .iter_mut()
        .find_map(|run| {
            run.words
                .get_mut(leaf.checked_sub(run.address)? as usize / 8)
        })
        .unwrap();
    *word &= !1;
    let result = engine.scene(&scene).unwrap();
    assert!(
        !compare(&scene, engine.profile(), &result)
            .mismatches
            .is_empty()
    );
}
