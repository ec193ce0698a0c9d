// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Address spaces: areas, tables, faults, and the system calls that change them.
//!
//! | module | idea |
//! | --- | --- |
//! | `space` | an address space |
//! | `vma` | its areas, and how they split and merge |
//! | `table` | its tables, linked and walked through the linear map |
//! | `flush` | TLB flushes, and what each counts |
//! | `gather` | what was unmapped and is freed after the flush |
//! | `batch` | runs of entries that are treated as one |
//! | `user` | accesses of a user thread, faults and retries |
//! | `fault` | what a fault asks for |
//! | `anonymous`, `file_fault`, `cow`, `hinting_fault`, `user_fault` | pages for a fault |
//! | `mmap`, `munmap`, `mremap`, `mprotect`, `madvise`, `zap`, `fork`, `exit` | system calls |
//! | `absent` | entries that name no page in memory |
//! | `pin` | pages that stay in their frames for a device |
//! | `memory` | clearing and copying pages |

mod absent;
mod anonymous;
mod batch;
mod cow;
mod error;
mod exit;
mod fault;
mod file_fault;
mod flush;
mod fork;
mod gather;
mod hinting_fault;
mod madvise;
mod memory;
mod mmap;
mod mprotect;
mod mremap;
mod munmap;
mod pin;
mod space;
mod table;
mod user;
mod user_fault;
mod vma;
mod zap;

pub(crate) use batch::Alike;
pub use batch::Batch;
pub use error::{Error, Signal};
pub(crate) use fault::Fault;
pub use flush::FlushRange;
pub use gather::Gather;
pub use madvise::Advice;
pub use mmap::Map;
pub use mremap::{Destination, Remap};
pub use pin::PinnedPage;
pub use space::AddressSpace;
pub use table::{Found, Table};
pub use vma::{Protection, Vma, VmaFlags};
