// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What an audit can find wrong, and where.

use crate::lock::LockViolation;
use crate::page::{NodeId, PageError, Pfn};
use crate::pte::{Pte, SwapEntry};
use thiserror::Error;

/// A disagreement between tables and books, or among the books.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Disagreement {
    /// A rule of locking was broken (MM-34, G9).
    #[error("{0}")]
    Locking(LockViolation),
    /// The books of the page allocator.
    #[error(transparent)]
    Allocator(#[from] PageError),
    /// A lock of an address space is held at quiescence.
    #[error("space {space}: a lock is held")]
    Locked {
        /// Address space.
        space: u32,
    },
    /// Flushes are announced at quiescence.
    #[error("space {space}: {pending} flushes are pending")]
    FlushPending {
        /// Address space.
        space: u32,
        /// How many.
        pending: u32,
    },
    /// A count of an address space is not what its tables hold (G8).
    #[error("space {space}: {counted} {what} pages counted, {found} found")]
    Pages {
        /// Address space.
        space: u32,
        /// Which pages.
        what: &'static str,
        /// As counted.
        counted: u64,
        /// By the tables.
        found: u64,
    },
    /// An entry leads to a frame that is no table of that place.
    #[error("space {space}: the level {level} entry {entry:#018x} for {va:#x} is no table of its")]
    StrayTable {
        /// Address space.
        space: u32,
        /// Level of the entry; the start level for the root.
        level: u8,
        /// First address that it translates.
        va: u64,
        /// The entry; for the root its address.
        entry: u64,
    },
    /// A table that no entry leads to.
    #[error("the table in frame {pfn} of space {space} is not linked")]
    Unlinked {
        /// Frame of the table.
        pfn: Pfn,
        /// Address space that it was made for.
        space: u32,
    },
    /// A table in whose range there is no area (MM-32).
    #[error("space {space}: the level {level} table for {va:#x} serves no area")]
    IdleTable {
        /// Address space.
        space: u32,
        /// Level of its entries.
        level: u8,
        /// First address that it translates.
        va: u64,
    },
    /// An entry where no area is.
    #[error("space {space}: {pte:?} at {va:#x}, where no area is")]
    NoArea {
        /// Address space.
        space: u32,
        /// Address.
        va: u64,
        /// The entry.
        pte: Pte,
    },
    /// An entry that contradicts its area, or the state that it names.
    #[error("space {space}: {pte:?} at {va:#x}: {why}")]
    Entry {
        /// Address space.
        space: u32,
        /// Address.
        va: u64,
        /// The entry.
        pte: Pte,
        /// What is wrong with it.
        why: Wrong,
    },
    /// A contiguous run that is not whole or not consistent (contpte I1).
    #[error("space {space}: the block at {va:#x}: {why}")]
    Run {
        /// Address space.
        space: u32,
        /// First address of the block.
        va: u64,
        /// What is wrong with it.
        why: WrongRun,
    },
    /// The page of zeros holds something else (MM-07).
    #[error("the zero page holds {value:#x} at {pa:#x}")]
    ZeroPage {
        /// Where.
        pa: u64,
        /// What.
        value: u64,
    },
    /// A page is not mapped as often as it says (MM-03, MM-23).
    #[error("page {page} of folio {pfn} says it is mapped {counted} times, {found} entries do")]
    Mapcount {
        /// First frame of the folio.
        pfn: Pfn,
        /// Page of the folio.
        page: u64,
        /// As counted.
        counted: u32,
        /// By the tables.
        found: u32,
    },
    /// The references of a folio are not accounted for (MM-03, G8).
    #[error("folio {pfn} has {counted} references, {expected} are accounted for")]
    References {
        /// First frame of the folio.
        pfn: Pfn,
        /// As counted.
        counted: u64,
        /// Entries that map it, its cache, and who is known to hold it.
        expected: u64,
    },
    /// A page claims to belong to one address space only and does not (section 2).
    #[error("page {page} of folio {pfn} is exclusive, but not private memory that is mapped once")]
    Exclusive {
        /// First frame of the folio.
        pfn: Pfn,
        /// Page of the folio.
        page: u64,
    },
    /// A folio and the list of its node disagree.
    #[error("folio {pfn}: listed {listed} times for reclaim, {expected} expected")]
    Lru {
        /// First frame of the folio.
        pfn: Pfn,
        /// Times it is in the list of its node.
        listed: usize,
        /// Times it ought to be.
        expected: usize,
    },
    /// A folio is locked at quiescence.
    #[error("folio {pfn} is locked")]
    FolioLocked {
        /// First frame of the folio.
        pfn: Pfn,
    },
    /// The owner of a frame has it no longer, by the allocator.
    #[error("frame {pfn} has an owner and is free")]
    OwnedAndFree {
        /// The frame.
        pfn: Pfn,
    },
    /// Frames of a node are in use that nobody owns (MM-30).
    #[error("node {node}: {used} pages in use, {owned} have an owner")]
    Usage {
        /// The node.
        node: NodeId,
        /// Pages in use.
        used: u64,
        /// Pages of the zero page, tables and folios.
        owned: u64,
    },
    /// An area is out of place: empty, not of whole pages, across another or beyond the end.
    #[error("space {space}: the area at {va:#x} is out of place")]
    Area {
        /// Address space.
        space: u32,
        /// Its first byte.
        va: u64,
    },
    /// An area is not found from its anon_vma or file exactly once (MM-23).
    #[error("space {space}: the area at {va:#x} is found {found} times from its {what}")]
    Links {
        /// Address space.
        space: u32,
        /// First byte of the area.
        va: u64,
        /// anon_vma or file.
        what: &'static str,
        /// Times found.
        found: usize,
    },
    /// A slot of the swap area is not named as often as it counts, or by nobody (MM-25).
    #[error("{entry:?} counts {counted} entries, {found} name it")]
    Slot {
        /// The slot.
        entry: SwapEntry,
        /// As counted.
        counted: u32,
        /// By the tables.
        found: u32,
    },
    /// The swap cache disagrees with a slot or a folio, the folio may be written, or what the slot
    /// holds is nowhere.
    #[error("{entry:?} and the swap cache disagree")]
    SwapCache {
        /// The slot.
        entry: SwapEntry,
    },
    /// What a folio is found from names an area that is gone.
    #[error("folio {pfn} is looked for in an area at {va:#x} of space {space} that is gone")]
    StaleLink {
        /// First frame of the folio.
        pfn: Pfn,
        /// Address space of the area.
        space: u32,
        /// Its first byte.
        va: u64,
    },
}

impl From<LockViolation> for Disagreement {
    fn from(violation: LockViolation) -> Self {
        Self::Locking(violation)
    }
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Wrong {
    /// Bits that no entry has.
    #[error("no such entry")]
    Unknown,
    /// Memory type, shareability or scope differ from those of user memory, or the execute right from
    /// that of the area.
    #[error("attributes are not those of its area")]
    Attributes,
    /// Hardware may use it although the area permits nothing (MM-29).
    #[error("valid, but its area permits nothing")]
    Valid,
    /// Hardware lets stores through that the kernel does not call writable.
    #[error("stores pass although it is not writable")]
    Stores,
    /// Writable, but its area is not (MM-14).
    #[error("writable, but its area is not")]
    Writable,
    /// Writable, but others may have the page too (MM-16, G7).
    #[error("writable, but the page is not its own")]
    NotOwn,
    /// It names a frame that is in no folio (G1).
    #[error("its frame is in no folio")]
    NoFolio,
    /// The folio does not belong to what the area maps, or is elsewhere in it (section 10).
    #[error("its folio belongs elsewhere")]
    Elsewhere,
    /// Marked as without folio, but it is not a read-only zero page of private memory (MM-07).
    #[error("special, but not the zero page")]
    Special,
    /// A page is still on its way.
    #[error("a migration is under way")]
    Moving,
}

/// What is wrong with a contiguous run.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum WrongRun {
    /// Contiguous mappings are off (CONTPTE-34).
    #[error("the hint is set although it is not used")]
    Disabled,
    /// Some of its entries have the hint.
    #[error("{members} of its entries have the hint")]
    Partial {
        /// How many.
        members: u64,
    },
    /// Its entries differ in more than access flag and dirty state, or in their order.
    #[error("entry {index} does not continue the first")]
    Torn {
        /// The first that differs.
        index: u64,
    },
    /// It does not begin at a frame that is aligned to it.
    #[error("its first frame is not aligned to it")]
    Misaligned,
    /// It is not inside one folio.
    #[error("it is not inside one folio")]
    NoFolio,
}
