// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The registered testbenches.
//!
//! Each module is about one part of the specification. A testbench runs on real RTL under all
//! checkers; on top of that it states literal expectations, each under the id of the requirement
//! that it proves.

pub mod counters;
pub mod coverage;
pub mod experiment;
pub mod invalidation;
pub mod litmus;
pub mod memory;
pub mod mm;
pub mod os;
pub mod random;
pub mod selftest;
pub mod shrunk;
pub mod stage1;
pub mod stress;
pub mod walker;

use cosim::regress::Testbench;

/// The testbenches of every module.
const MODULES: &[&[Testbench]] = &[
    stage1::untranslated::TESTBENCHES,
    stage1::ranges::TESTBENCHES,
    stage1::range_control::TESTBENCHES,
    stage1::register_write::TESTBENCHES,
    stage1::asid_source::TESTBENCHES,
    stage1::geometry::TESTBENCHES,
    stage1::ignored_bits::TESTBENCHES,
    stage1::address_translation::TESTBENCHES,
    stage1::syndrome::TESTBENCHES,
    stage1::formats::TESTBENCHES,
    stage1::device_alignment::TESTBENCHES,
    stage1::attributes::TESTBENCHES,
    stage1::contiguous::TESTBENCHES,
    stage1::contiguous_misprogrammed::TESTBENCHES,
    stage1::tlb_contents::TESTBENCHES,
    stage1::tlb_context::TESTBENCHES,
    stage1::tlb_overlap::TESTBENCHES,
    stage1::tlb_invalidate::TESTBENCHES,
    stage1::tlb_invalidate_leaf::TESTBENCHES,
    stage1::barriers::TESTBENCHES,
    stage1::permissions::TESTBENCHES,
    stage1::permission_levels::TESTBENCHES,
    stage1::access_flag::TESTBENCHES,
    stage1::dirty_state::TESTBENCHES,
    stage1::update_race::TESTBENCHES,
    stage1::address_size::TESTBENCHES,
    stage1::fault_priority::TESTBENCHES,
    stage1::external_abort::TESTBENCHES,
    stage1::page_crossing::TESTBENCHES,
    invalidation::range_lengths::TESTBENCHES,
    invalidation::range_sets::TESTBENCHES,
    invalidation::hints::TESTBENCHES,
    invalidation::scope::TESTBENCHES,
    invalidation::completion::TESTBENCHES,
    invalidation::barriers::TESTBENCHES,
    invalidation::walks::TESTBENCHES,
    invalidation::progress::TESTBENCHES,
    invalidation::shield::TESTBENCHES,
    counters::lookups::TESTBENCHES,
    counters::walks::TESTBENCHES,
    counters::outcomes::TESTBENCHES,
    counters::relations::TESTBENCHES,
    counters::messages::TESTBENCHES,
    counters::time::TESTBENCHES,
    walker::second_level::TESTBENCHES,
    walker::second_level_fill::TESTBENCHES,
    walker::replacement::TESTBENCHES,
    walker::walk_cache::TESTBENCHES,
    walker::walk_nodes::TESTBENCHES,
    walker::prefetch::TESTBENCHES,
    walker::prefetch_range::TESTBENCHES,
    walker::concurrent::TESTBENCHES,
    walker::recency::TESTBENCHES,
    walker::bbm_rules::TESTBENCHES,
    walker::bbm_sizes::TESTBENCHES,
    walker::bbm_nt::TESTBENCHES,
    walker::table_reuse::TESTBENCHES,
    walker::in_flight::TESTBENCHES,
    walker::update_order::TESTBENCHES,
    memory::latency::TESTBENCHES,
    memory::load::TESTBENCHES,
    memory::links::TESTBENCHES,
    memory::refused::TESTBENCHES,
    memory::order::TESTBENCHES,
    memory::atomics::TESTBENCHES,
    memory::coherence::TESTBENCHES,
    memory::migration::TESTBENCHES,
    memory::invariance::TESTBENCHES,
    memory::distance::TESTBENCHES,
    mm::anonymous::TESTBENCHES,
    mm::tables::TESTBENCHES,
    mm::copy::TESTBENCHES,
    mm::flags::TESTBENCHES,
    mm::protect::TESTBENCHES,
    mm::asids::TESTBENCHES,
    mm::flush::TESTBENCHES,
    mm::exit::TESTBENCHES,
    mm::out_of_memory::TESTBENCHES,
    mm::hinting::TESTBENCHES,
    mm::promotion::TESTBENCHES,
    mm::userfaultfd::TESTBENCHES,
    mm::swapping::TESTBENCHES,
    mm::moving::TESTBENCHES,
    mm::huge::TESTBENCHES,
    mm::stress::TESTBENCHES,
    mm::contpte_folding::TESTBENCHES,
    mm::contpte_order::TESTBENCHES,
    mm::contpte_changing::TESTBENCHES,
    mm::contpte_ageing::TESTBENCHES,
    mm::contpte_processes::TESTBENCHES,
    mm::contpte_race::TESTBENCHES,
    mm::contpte_modes::TESTBENCHES,
    os::frames::TESTBENCHES,
    coverage::places::TESTBENCHES,
    coverage::faults::TESTBENCHES,
    coverage::updates::TESTBENCHES,
    coverage::races::TESTBENCHES,
    coverage::cancelled::TESTBENCHES,
    coverage::edits::TESTBENCHES,
    coverage::overlaps::TESTBENCHES,
    coverage::maintenance::TESTBENCHES,
    random::TESTBENCHES,
    selftest::TESTBENCHES,
    stress::TESTBENCHES,
    shrunk::inv_changes_while_waiting::TESTBENCHES,
];

const COUNT: usize = {
    let (mut count, mut i) = (0, 0);
    while i < MODULES.len() {
        count += MODULES[i].len();
        i += 1;
    }
    count
};

static JOINED: [Testbench; COUNT] = {
    let mut joined = [MODULES[0][0]; COUNT];
    let (mut at, mut i) = (0, 0);
    while i < MODULES.len() {
        let mut j = 0;
        while j < MODULES[i].len() {
            joined[at] = MODULES[i][j];
            at += 1;
            j += 1;
        }
        i += 1;
    }
    joined
};

/// Every testbench, in the order in which `mmu-cosim list` shows them.
pub static REGISTRY: &[Testbench] = &JOINED;

/// The tutorial, whose code is compiled and run as a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../../docs/first-testbench.md")]
struct FirstTestbench;
