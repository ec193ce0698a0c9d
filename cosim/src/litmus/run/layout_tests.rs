// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A scenario laid out means what its file says.

use super::*;
use crate::litmus::parse;
use crate::sim::Seed;

fn layout(head: &str, program: &str, seed: u64) -> Layout {
    let text = format!(
        "title = \"t\"\nrequirements = [\"WALK-01\"]\n{head}\n[[core]]\nprogram = [\"{program}\"]\n\
         [[outcome]]\nwhen = \"PA_x = 0\"\nverdict = \"A\"\n"
    );
    let scenario = parse("t", &text).unwrap();
    Layout::new(&scenario, &mut Seed::new(seed).rng()).unwrap()
}

fn page(variable: &str, page: u32) -> Page {
    Page {
        variable: variable.to_owned(),
        page,
    }
}

fn area(area: &str, page: u32) -> Physical {
    Physical {
        area: area.to_owned(),
        page,
    }
}

/// Where the tables of address space `space` lead `va`, and the level 3 table on the way.
fn walk(layout: &Layout, space: usize, va: u64) -> (u64, u64) {
    let mut table = layout.root(space);
    for level in 0..3 {
        let entry = Descriptor(layout.word(table + index_of(level, va)));
        assert!(entry.valid(), "level {level}");
        if !entry.is_table_bit() {
            return (entry.output_address(Granule::K4, level) | (va % REGION), 0);
        }
        table = entry.next_table(Granule::K4);
    }
    let leaf = Descriptor(layout.word(table + index_of(3, va)));
    assert!(leaf.valid());
    (leaf.output_address(Granule::K4, 3) | (va % PAGE), table)
}

#[test]
fn every_page_leads_to_the_word_of_its_own_page_in_every_space() {
    for seed in 0..20 {
        let head = "asids = [1, 2]\npages = { x = 3 }";
        let layout = layout(head, "load r0, x[2]; load r1, y; load r2, flag", seed);
        for space in 0..2 {
            for (name, pages) in [("x", 3), ("y", 1), ("flag", 1)] {
                for i in 0..pages {
                    let (pa, _) = walk(&layout, space, layout.va(&page(name, i)));
                    assert_eq!(pa, layout.word_at(&area(name, i)), "{name}[{i}]");
                    assert_eq!(layout.word(pa), area(name, i).first_word());
                }
            }
        }
        let table = |name| walk(&layout, 0, layout.va(&page(name, 0))).1;
        assert_eq!(table("x"), table("y"));
        assert_ne!(table("x"), table("flag"));
        assert_ne!(layout.root(0), layout.root(1));
    }
}

#[test]
fn the_linear_map_shows_descriptors_at_their_addresses() {
    let layout = layout("", "store pte(x), inv", 1);
    let slot = Slot {
        page: page("x", 0),
        space: 0,
        table: false,
    };
    let address = layout.slot(&slot);
    let va = layout.linear(address);
    let table = Descriptor(layout.word(layout.upper_root() + index_of(0, va)));
    let block = Descriptor(layout.word(table.next_table(Granule::K4) + index_of(1, va)));
    let output = block.output_address(Granule::K4, 1) | va & ((1 << 30) - 1);
    assert_eq!(output, address);
    assert!(block.valid() && !block.ap_el0() && !block.ng());
}

#[test]
fn a_large_variable_goes_on_under_a_second_table() {
    let layout = layout("pages = { x = 640 }", "load r0, x[639]", 1);
    let [low, high] = [511, 512].map(|i| walk(&layout, 0, layout.va(&page("x", i))));
    assert_eq!(low.0, layout.word_at(&area("x", 511)));
    assert_eq!(high.0, layout.word_at(&area("x", 512)));
    assert_ne!(low.1, high.1);
}

#[test]
fn blocks_and_runs_are_aligned_to_what_maps_them() {
    let block = layout(
        "pages = { x = 2 }\n[init]\n\"tab(x)\" = \"PA_x\"",
        "load r0, y; load r1, x[1]",
        1,
    );
    let (pa, _) = walk(&block, 0, block.va(&page("x", 1)));
    assert_eq!(pa, block.word_at(&area("x", 1)));
    let run = layout(
        "pages = { x = 16 }\n[init]\nx = \"PA_x cont\"",
        "load r0, x",
        1,
    );
    assert_eq!(run.va(&page("x", 0)) % (16 * PAGE), 0);
    assert_eq!(run.physical(&area("x", 0)) % (16 * PAGE), 0);
}

#[test]
fn a_page_is_called_by_its_area() {
    let layout = layout("pages = { x = 3 }", "load r0, x[2]; load r1, y", 1);
    for (area, name) in [(area("x", 2), "PA_x[2]"), (area("y", 0), "PA_y")] {
        let pa = layout.physical(&area);
        assert_eq!(layout.name_of(pa).as_deref(), Some(name));
    }
}

#[test]
fn the_page_before_a_variable_is_mapped_for_a_prefetcher_to_begin_at() {
    let layout = layout("", "load r0, x; load r1, y", 1);
    let x = layout.va(&page("x", 0));
    assert!(layout.neighbours().contains(&(x - PAGE)));
    for &va in layout.neighbours() {
        walk(&layout, 0, va);
    }
}
