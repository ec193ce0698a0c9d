// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The operating-system side: page-table management written against a `Cpu`, not against a machine.
//!
//! **Dependencies point one way.** This crate knows the formats of `vmsa` and nothing else: no RTL, no
//! simulator, no time. Whoever has a core implements [`Cpu`] for it, and the same code then runs on the
//! simulated hardware and, at host speed, on the machine of [`functional`].
//!
//! **Every table access is real traffic.** A descriptor is read, stored or compared-and-swapped by an
//! instruction of a core, at the address where the [`LinearMap`] shows the table, and so goes through
//! that core's own TLB, walker and memory system. What an edit costs is what the hardware says it
//! costs, and each `await` is a point where hardware updates, other cores and other tasks come in
//! between. Nothing is written by the back door; only the first tables, which turn the MMU on, come
//! from [`boot`].
//!
//! | module | idea |
//! | --- | --- |
//! | [`cpu`] | what a core can be asked |
//! | [`linear_map`] | how the kernel reaches physical memory |
//! | [`pgtable`] | map, unmap and protect, in all granules |
//! | [`bbm`] | which change needs break-before-make |
//! | [`event`] | what the kernel tells of itself |
//! | [`flush`] | TLB invalidation, and when a table page may be freed |
//! | [`attributes`] | permissions and memory type of a leaf |
//! | [`frame`] | where table pages come from |
//! | [`page`] | physical pages, by node, zone and order |
//! | [`policy`], [`hinting`] | from which node pages come, and who uses them |
//! | [`uffd`] | pages that user space brings |
//! | [`clock`] | time |
//! | [`boot`] | the first tables |
//! | [`context`] | which tree a core uses |
//! | [`audit`] | whether the kernel's books agree with its tables |
//! | [`functional`] | a machine for unit tests |

pub mod asid;
pub mod attributes;
pub mod audit;
pub mod bbm;
mod block_on;
pub mod boot;
pub mod clock;
pub mod context;
pub mod contpte;
pub mod cpu;
pub mod event;
pub mod file;
pub mod flush;
pub mod folio;
pub mod frame;
pub mod functional;
mod give_way;
pub mod hinting;
pub mod huge;
pub mod kernel;
pub mod linear_map;
pub mod lock;
pub mod lru;
pub mod migrate;
pub mod mm;
pub mod page;
pub mod pgtable;
pub mod policy;
pub mod pte;
pub mod reclaim;
pub mod rmap;
pub mod swap;
pub mod thread;
pub mod uffd;

pub use attributes::{Attributes, Permissions};
pub use block_on::block_on;
pub use cpu::{AccessSize, Cpu, Par, Privilege};
pub use event::{Activity, NoWitness, OsEvent, Phase, Witness};
pub use frame::{Frame, FrameAllocator, FramePool};
pub use linear_map::LinearMap;
pub use pgtable::{Audit, AuditError, Leaf, MmError, PageTable, Region, TableFormat};
