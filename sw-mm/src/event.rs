// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the kernel tells of itself: activities with a begin and an end, instants, and which frames
//! come and go.
//!
//! A [`Witness`] sees hardware-visible effects only through the machine; this is the other half,
//! which says what they were for. A waveform shows it on the time axis of the hardware, and a checker
//! holds the hardware against it, such as that no TLB reaches a frame that was given back (MM-02).

use std::fmt;

/// What the kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Activity {
    /// Handling a fault of a user access.
    Fault,
    /// Copying a page that is shared, for a write (section 6).
    CopyOnWrite,
    /// Duplicating an address space.
    Fork,
    /// mmap.
    Mmap,
    /// munmap.
    Munmap,
    /// mprotect.
    Mprotect,
    /// mremap.
    Mremap,
    /// madvise.
    Madvise,
    /// Taking an address space down.
    Exit,
    /// Context switch.
    Switch,
    /// Rollover of the ASID allocator.
    AsidRollover,
    /// Turning a block into one contiguous run (contpte section 4).
    Fold,
    /// Turning a contiguous run into single pages.
    Unfold,
    /// A TLB flush, from its first barrier to its last.
    Flush,
    /// Clearing a page.
    ClearPage,
    /// Copying a page.
    CopyPage,
    /// Writing a folio to swap and taking it out of memory.
    SwapOut,
    /// Bringing a page back from swap.
    SwapIn,
    /// Moving a folio to another frame.
    Migrate,
    /// Looking for pages to reclaim.
    Reclaim,
    /// Marking entries for NUMA hinting.
    HintScan,
    /// Replacing a large leaf by a table of pages.
    SplitHuge,
    /// Waiting for user space to resolve a fault (userfaultfd).
    UserFault,
    /// A frame was handed out. [`OsEvent::pa`] and [`OsEvent::bytes`] say which.
    FrameAllocated,
    /// A frame was given back.
    FrameFreed,
    /// A table was linked into a tree.
    TableLinked,
    /// A table was unlinked.
    TableUnlinked,
}

impl Activity {
    /// Every activity.
    pub const ALL: [Activity; 27] = [
        Self::Fault,
        Self::CopyOnWrite,
        Self::Fork,
        Self::Mmap,
        Self::Munmap,
        Self::Mprotect,
        Self::Mremap,
        Self::Madvise,
        Self::Exit,
        Self::Switch,
        Self::AsidRollover,
        Self::Fold,
        Self::Unfold,
        Self::Flush,
        Self::ClearPage,
        Self::CopyPage,
        Self::SwapOut,
        Self::SwapIn,
        Self::Migrate,
        Self::Reclaim,
        Self::HintScan,
        Self::SplitHuge,
        Self::UserFault,
        Self::FrameAllocated,
        Self::FrameFreed,
        Self::TableLinked,
        Self::TableUnlinked,
    ];

    /// Its name in logs and waveforms.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::CopyOnWrite => "copy-on-write",
            Self::Fork => "fork",
            Self::Mmap => "mmap",
            Self::Munmap => "munmap",
            Self::Mprotect => "mprotect",
            Self::Mremap => "mremap",
            Self::Madvise => "madvise",
            Self::Exit => "exit",
            Self::Switch => "switch",
            Self::AsidRollover => "asid-rollover",
            Self::Fold => "fold",
            Self::Unfold => "unfold",
            Self::Flush => "flush",
            Self::ClearPage => "clear-page",
            Self::CopyPage => "copy-page",
            Self::SwapOut => "swap-out",
            Self::SwapIn => "swap-in",
            Self::Migrate => "migrate",
            Self::Reclaim => "reclaim",
            Self::HintScan => "hint-scan",
            Self::SplitHuge => "split-huge",
            Self::UserFault => "user-fault",
            Self::FrameAllocated => "frame-allocated",
            Self::FrameFreed => "frame-freed",
            Self::TableLinked => "table-linked",
            Self::TableUnlinked => "table-unlinked",
        }
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where in an activity an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It begins. What begins on a core ends there in reverse order.
    Begin,
    /// It is over.
    End,
    /// It has no length.
    Instant,
}

/// One thing that the kernel did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OsEvent {
    /// Core that did it.
    pub core: u8,
    /// Begin, end or instant.
    pub phase: Phase,
    /// What it is.
    pub activity: Activity,
    /// Number of the address space that it is about; 0 is none.
    pub space: u32,
    /// First virtual address concerned, or 0.
    pub va: u64,
    /// First physical address concerned, or 0.
    pub pa: u64,
    /// Bytes concerned, or 0.
    pub bytes: u64,
}

impl fmt::Display for OsEvent {
    /// The event in words, without its core and phase.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.activity.fmt(f)?;
        if self.space != 0 {
            write!(f, " mm{}", self.space)?;
        }
        if self.va != 0 {
            write!(f, " va {:#x}", self.va)?;
        }
        if self.pa != 0 {
            write!(f, " pa {:#x}", self.pa)?;
        }
        if self.bytes != 0 {
            write!(f, " +{:#x}", self.bytes)?;
        }
        Ok(())
    }
}

/// Who watches a kernel.
pub trait Witness {
    /// The kernel did this, now.
    fn os(&self, event: &OsEvent);
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWitness;

impl Witness for NoWitness {
    fn os(&self, _: &OsEvent) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_as_a_phrase() {
        let event = OsEvent {
            core: 1,
            phase: Phase::Begin,
            activity: Activity::Fold,
            space: 2,
            va: 0x1_0000,
            pa: 0,
            bytes: 0x1_0000,
        };
        assert_eq!(event.to_string(), "fold mm2 va 0x10000 +0x10000");
    }

    #[test]
    fn every_activity_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Activity::ALL
            .iter()
            .map(|activity| activity.name())
            .collect();
        assert_eq!(names.len(), Activity::ALL.len());
    }
}
