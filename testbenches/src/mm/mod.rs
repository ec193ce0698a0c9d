// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The kernel's memory management on real hardware: what a requirement of `docs/spec/mm_substrate.md`
//! promises, held against answers, faults, commits, invalidations and registers.

pub mod access;
pub mod anonymous;
pub mod asids;
pub mod contpte_ageing;
pub mod contpte_changing;
pub mod contpte_folding;
pub mod contpte_memory;
pub mod contpte_modes;
pub mod contpte_order;
pub mod contpte_processes;
pub mod contpte_race;
pub mod contpte_scene;
pub mod copy;
pub mod exit;
pub mod flags;
pub mod flush;
pub mod frames;
pub mod hinting;
pub mod huge;
pub mod moving;
pub mod os;
pub mod out_of_memory;
pub mod promotion;
pub mod protect;
pub mod stress;
pub mod swapping;
pub mod tables;
pub mod userfaultfd;
