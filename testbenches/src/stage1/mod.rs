// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Directed testbenches of stage 1 translation: sections 1 to 11 of `docs/spec/vmsa.md`.

pub mod access_flag;
pub mod activity;
pub mod address_size;
pub mod address_translation;
pub mod asid_source;
pub mod attributes;
pub mod barriers;
pub mod contiguous;
pub mod contiguous_misprogrammed;
pub mod device_alignment;
pub mod dirty_state;
pub mod external_abort;
pub mod fault_priority;
pub mod formats;
pub mod geometry;
pub mod ignored_bits;
pub mod page_crossing;
pub mod permission_levels;
pub mod permissions;
pub mod range_control;
pub mod ranges;
pub mod regime;
pub mod register_write;
pub mod syndrome;
pub mod tlb_contents;
pub mod tlb_context;
pub mod tlb_invalidate;
pub mod tlb_invalidate_leaf;
pub mod tlb_overlap;
pub mod tree;
pub mod untranslated;
pub mod update_race;
pub mod watch;
