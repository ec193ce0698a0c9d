// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The dimensions along which bins are declared: each value with its stable name.

mod position;

pub use position::{
    SHAPES, access, dsb, fault, granule, half, operation, prefetch_end, privilege, shape,
    size_class,
};

/// One dimension of a covergroup.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    /// What the values are.
    pub name: &'static str,
    /// The name of each value, in the order of their numbers.
    pub values: &'static [&'static str],
}

const fn axis(name: &'static str, values: &'static [&'static str]) -> Axis {
    Axis { name, values }
}

/// What accesses, by [`access`].
pub const ACCESS: Axis = axis(
    "access",
    &["load", "store", "cas", "fetch", "at-read", "at-write"],
);
/// Where a translation came from, by the constants of [`place`].
pub const PLACE: Axis = axis("place", &["l1", "l2", "walk-cache", "walk", "joined"]);
/// [`PLACE`], or no translation at all.
pub const FAULT_PLACE: Axis = axis(
    "place",
    &["l1", "l2", "walk-cache", "walk", "joined", "none"],
);
/// Translation granule, by [`granule`].
pub const GRANULE: Axis = axis("granule", &["4K", "16K", "64K"]);
/// Level of a descriptor.
pub const LEVEL: Axis = axis("level", &["level0", "level1", "level2", "level3"]);
/// Kind of a leaf, by [`shape`].
pub const SHAPE: Axis = axis(
    "leaf",
    &[
        "4K.page",
        "4K.run3",
        "4K.block2",
        "4K.run2",
        "4K.block1",
        "4K.run1",
        "16K.page",
        "16K.run3",
        "16K.block2",
        "16K.run2",
        "64K.page",
        "64K.run3",
        "64K.block2",
        "64K.run2",
    ],
);
/// Kind of a leaf of any granule: page, block or contiguous run.
pub const SIZE_CLASS: Axis = axis("leaf", &["page", "block", "run"]);
/// Kind of the leaf that leaves.
pub const OLD_CLASS: Axis = axis("old", &["old-page", "old-block", "old-run"]);
/// Half of the VA space.
pub const HALF: Axis = axis("half", &["ttbr0", "ttbr1"]);
/// Privilege of an access, by [`privilege`].
pub const PRIVILEGE: Axis = axis("privilege", &["el0", "el1", "el1-pan"]);
/// Bytes accessed.
pub const SIZE: Axis = axis("size", &["1B", "2B", "4B", "8B"]);
/// Alignment of an access within an 8-byte word.
pub const ALIGNMENT: Axis = axis("alignment", &["aligned", "unaligned"]);
/// Boundary that an unaligned access crosses.
pub const REACH: Axis = axis("boundary", &["word", "page"]);
/// What became of an access across a boundary.
pub const CROSSING: Axis = axis("outcome", &["good", "first-faults", "second-faults"]);
/// Faults whose status code has a level, by [`fault`].
pub const LEVELLED_FAULT: Axis = axis(
    "fault",
    &[
        "address-size-fault",
        "translation-fault",
        "access-flag-fault",
        "permission-fault",
        "abort-on-walk",
    ],
);
/// Every fault, by [`fault`]: first those of [`LEVELLED_FAULT`].
pub const FAULT: Axis = axis(
    "fault",
    &[
        "address-size-fault",
        "translation-fault",
        "access-flag-fault",
        "permission-fault",
        "abort-on-walk",
        "external-abort",
        "alignment-fault",
        "conflict-abort",
        "unsupported-update",
    ],
);
/// What a walk serves, by the constants of [`purpose`].
pub const PURPOSE: Axis = axis("purpose", &["data", "instruction", "prefetch"]);
/// First-level TLB.
pub const SIDE: Axis = axis("side", &["itlb", "dtlb"]);
/// Where a first-level entry comes from.
pub const SOURCE: Axis = axis("source", &["from-walk", "from-l2"]);
/// Where a walk begins.
pub const START: Axis = axis("start", &["at-table-base", "at-walk-cache"]);
/// Whether other walks of the core are under way.
pub const COMPANY: Axis = axis("company", &["alone", "beside-another"]);
/// TLBI operation, by [`operation`].
pub const TLBI: Axis = axis(
    "operation",
    &[
        "vmalle1", "vae1", "aside1", "vaae1", "vale1", "vaale1", "rvae1", "rvaae1", "rvale1",
        "rvaale1",
    ],
);
/// Who is reached by a TLBI.
pub const SCOPE: Axis = axis("scope", &["local", "is", "os"]);
/// Kind of an entry, as invalidations meet it.
pub const HELD: Axis = axis(
    "entry",
    &[
        "l1-page",
        "l1-block",
        "l1-run",
        "l1-global",
        "l2",
        "walk-cache",
    ],
);
/// What an invalidation does to an entry.
pub const FATE: Axis = axis("fate", &["removed", "kept"]);
/// How a level hint relates to the entry.
pub const HINT: Axis = axis(
    "hint",
    &["no-hint", "right-hint", "wrong-level", "wrong-granule"],
);
/// SCALE of a range.
pub const SCALE: Axis = axis("scale", &["scale0", "scale1", "scale2", "scale3"]);
/// TLB level.
pub const TLB: Axis = axis("tlb", &["l1", "l2"]);
/// Where an entry lies with respect to a range.
pub const RANGE_PLACE: Axis = axis(
    "position",
    &["first", "inside", "last", "before", "after", "larger"],
);
/// Special operands of range forms.
pub const RANGE_FORM: Axis = axis(
    "form",
    &[
        "reserved-granule",
        "other-granule",
        "upper-half",
        "cut-at-top",
        "shortest",
        "longest",
    ],
);
/// What a cancelled walk was about.
pub const CANCEL_POINT: Axis = axis(
    "point",
    &[
        "start",
        "read-level0",
        "read-level1",
        "read-level2",
        "read-level3",
        "swap-level1",
        "swap-level2",
        "swap-level3",
        "table-level0",
        "table-level1",
        "table-level2",
        "leaf",
    ],
);
/// Whose operation cancels a walk.
pub const CANCEL_BY: Axis = axis("by", &["local", "own-broadcast", "foreign-broadcast"]);
/// Whether an access waits for the walk.
pub const DEMAND: Axis = axis("purpose", &["demand", "prefetch"]);
/// What a hardware update is to set.
pub const UPDATE: Axis = axis("update", &["af", "dirty", "af-and-dirty"]);
/// What became of a hardware update.
pub const UPDATE_RESULT: Axis = axis("result", &["done", "lost", "done-after-loss", "cancelled"]);
/// Who writes a descriptor.
pub const WRITER: Axis = axis("writer", &["store", "cas", "update", "back-door"]);
/// Whether it is the core of the walk that writes.
pub const WRITER_CORE: Axis = axis("core", &["own-core", "other-core"]);
/// How far the walk is that has read the descriptor written.
pub const RACE_STAGE: Axis = axis("stage", &["read", "swap-due"]);
/// Edits of a descriptor.
pub const EDIT: Axis = axis(
    "edit",
    &[
        "make",
        "break",
        "move",
        "relax",
        "restrict",
        "af-clear",
        "af-set",
        "clean",
        "dirty",
        "contiguous-set",
        "contiguous-clear",
        "ng",
        "attributes",
        "split",
        "link",
        "unlink",
        "relink",
        "limits",
        "join",
    ],
);
/// Where an edited descriptor is held.
pub const EDIT_STATE: Axis = axis(
    "state",
    &[
        "nowhere",
        "l2-only",
        "l1-of-one",
        "l1-of-many",
        "walk-cache",
        "walk-reading",
        "walk-read",
    ],
);
/// What a write of a TTBR changes.
pub const SWITCH: Axis = axis("change", &["same", "asid", "base", "asid-and-base"]);
/// Whether TLBs of the core hold entries of the incoming ASID.
pub const INCOMING: Axis = axis("entries", &["no-entries", "entries"]);
/// Where an ASID that is used for other tables still has entries.
pub const REUSE: Axis = axis("entries", &["none-left", "left-here", "left-elsewhere"]);
/// DSB, in the order of [`vmsa::DsbKind::ALL`].
pub const DSB: Axis = axis(
    "dsb",
    &[
        "oshld", "oshst", "osh", "nshld", "nshst", "nsh", "ishld", "ishst", "ish", "ld", "st", "sy",
    ],
);
/// The widest TLBI of the core that no DSB has completed.
pub const OUTSTANDING: Axis = axis(
    "outstanding",
    &["no-tlbi", "local-tlbi", "is-tlbi", "os-tlbi"],
);
/// What synchronises.
pub const BARRIER: Axis = axis(
    "operation",
    &[
        "dsb",
        "dsb-ld",
        "dsb-st",
        "isb",
        "msr",
        "local-tlbi",
        "broadcast-tlbi",
    ],
);
/// Own walks under way.
pub const OWN_WALKS: Axis = axis("walks", &["no-walk", "demand-walk", "prefetch-walk"]);
/// Meetings of messages between cores, by the constants of [`meeting`].
pub const MEETING: Axis = axis(
    "meeting",
    &[
        "inv-crosses-inv",
        "inv-with-inv",
        "sync-crosses-sync",
        "sync-with-sync",
        "sync-crosses-inv",
        "inv-meets-own-sync",
        "one-inv-outstanding",
        "two-invs-outstanding",
        "four-invs-outstanding",
        "answer-beside-own-walk",
        "answer-at-once",
        "answer-waits",
        "own-answer-last",
        "other-answer-last",
        "sync-skipped",
        "effects-together",
        "effects-apart",
        "effect-waits",
    ],
);
/// How a prefetch walk ends.
pub const PREFETCH_END: Axis = axis(
    "end",
    &[
        "found",
        "translation-fault",
        "address-size-fault",
        "access-flag-fault",
        "abort-on-walk",
        "unsupported-update",
    ],
);
/// Why a walk begins again for the same access.
pub const AGAIN: Axis = axis("reason", &["after-fault", "after-cancel"]);
/// Whether a fault keeps an untranslated access from memory.
pub const UNTRANSLATED: Axis = axis("outcome", &["good", "fault"]);

/// Values of [`PLACE`] and [`FAULT_PLACE`].
pub mod place {
    /// First-level TLB.
    pub const L1: usize = 0;
    /// Second-level TLB.
    pub const L2: usize = 1;
    /// Own walk that began below a cached table.
    pub const WALK_CACHE: usize = 2;
    /// Own walk from the table base.
    pub const WALK: usize = 3;
    /// Walk of another access.
    pub const JOINED: usize = 4;
    /// No translation.
    pub const NONE: usize = 5;
}

/// Values of [`PURPOSE`].
pub mod purpose {
    /// A data access.
    pub const DATA: usize = 0;
    /// A fetch.
    pub const INSTRUCTION: usize = 1;
    /// No access.
    pub const PREFETCH: usize = 2;
}

/// Values of [`MEETING`].
pub mod meeting {
    /// An INV is sent while one of another core is on its way.
    pub const INV_CROSSES_INV: usize = 0;
    /// Two cores send an INV in one cycle.
    pub const INV_WITH_INV: usize = 1;
    /// A SYNC is sent while one of another core is unanswered.
    pub const SYNC_CROSSES_SYNC: usize = 2;
    /// Two cores send a SYNC in one cycle.
    pub const SYNC_WITH_SYNC: usize = 3;
    /// A SYNC is sent while an INV of another core is on its way.
    pub const SYNC_CROSSES_INV: usize = 4;
    /// An INV takes effect on a core whose own SYNC is unanswered.
    pub const INV_MEETS_OWN_SYNC: usize = 5;
    /// An INV is sent, the only one of its core on its way; two and four or more follow.
    pub const OUTSTANDING: usize = 6;
    /// A SYNC is answered by a core with a demand walk under way.
    pub const ANSWER_BESIDE_OWN_WALK: usize = 9;
    /// A SYNC is answered within [`SOON`] cycles.
    pub const ANSWER_AT_ONCE: usize = 10;
    /// A SYNC is answered later.
    pub const ANSWER_WAITS: usize = 11;
    /// The core that sent the SYNC is the last to answer it.
    pub const OWN_ANSWER_LAST: usize = 12;
    /// Another core is.
    pub const OTHER_ANSWER_LAST: usize = 13;
    /// A DSB that completes broadcasts needs no SYNC, since nothing was sent.
    pub const SYNC_SKIPPED: usize = 14;
    /// An INV takes effect on several cores in one cycle.
    pub const EFFECTS_TOGETHER: usize = 15;
    /// An INV takes effect on several cores in several cycles.
    pub const EFFECTS_APART: usize = 16;
    /// An INV takes effect more than [`SOON`] cycles after it was sent.
    pub const EFFECT_WAITS: usize = 17;
    /// Cycles that a message takes with nothing in its way, with room.
    pub const SOON: u64 = 8;
}
