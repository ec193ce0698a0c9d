// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Error injection: words of tables and of data answer with errors for a while, edits or not.

use std::rc::Rc;

use cosim::sim::{ErrorOn, SimHandle};
use rand::Rng;
use rand_pcg::Pcg64Mcg;

use super::figures::Figures;
use super::leaf;
use super::world::{SPACES, World};

/// Marks words again and again until cycle `end`.
pub async fn inject(
    world: Rc<World>,
    handle: SimHandle,
    figures: Rc<Figures>,
    mut rng: Pcg64Mcg,
    end: u64,
) {
    while handle.now() < end {
        handle.sleep(rng.random_range(100..2000)).await;
        let count = rng.random_range(1..4);
        let marked: Vec<u64> = (0..count).map(|_| word(&mut rng, &world)).collect();
        for &word in &marked {
            let on = [ErrorOn::Reads, ErrorOn::Writes, ErrorOn::Both][rng.random_range(0..3)];
            let times = rng.random_bool(0.5).then(|| rng.random_range(1..4));
            handle.mark_error(word, on, times);
            figures.count("words marked with errors");
        }
        handle.sleep(rng.random_range(100..1500)).await;
        marked.iter().for_each(|&word| handle.clear_error(word));
    }
}

/// A descriptor on some way down, or a word of data.
fn word(rng: &mut Pcg64Mcg, world: &World) -> u64 {
    let current = rng.random_range(0..SPACES);
    let (space, region) = world.pick(rng, current);
    if rng.random_bool(0.3) {
        let page = rng.random_range(0..8) * space.granule().bytes();
        return leaf::pa(space.granule(), 3, region.piece, 0) + page + 8 * rng.random_range(0..4);
    }
    if rng.random_bool(0.3) {
        let level = rng.random_range(space.tree.start_level()..=region.level);
        return space.tree.slot(region.va, level);
    }
    region.slots[rng.random_range(0..region.slots.len())]
}
