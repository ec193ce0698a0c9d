// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The declared covergroups. A combination that no hardware and no software can mean is left out here;
//! one that means something and cannot come stands in `unreachable.toml`, with the argument.

use vmsa::geometry;

use super::axis::{self, SHAPES, place};
use super::group::{COUNT, Covergroup, GroupId};

const LOAD: usize = 0;
const STORE: usize = 1;
const CAS: usize = 2;
const FETCH: usize = 3;

const fn all(_: &[usize]) -> bool {
    true
}

const fn group(
    id: GroupId,
    name: &'static str,
    about: &'static str,
    axes: &'static [axis::Axis],
    declares: fn(&[usize]) -> bool,
) -> Covergroup {
    Covergroup {
        id,
        name,
        about,
        axes,
        declares,
    }
}

/// Every covergroup, in the order of [`GroupId`].
pub const GROUPS: [Covergroup; COUNT] = [
    group(
        GroupId::Answer,
        "answer",
        "good answers: leaf, access, where the translation came from",
        &[axis::SHAPE, axis::ACCESS, axis::PLACE],
        all,
    ),
    group(
        GroupId::Context,
        "context",
        "good answers: half of the VA space, privilege, access, where the translation came from",
        &[axis::HALF, axis::PRIVILEGE, axis::ACCESS, axis::PLACE],
        // PSTATE.PAN is none of a fetch's business.
        |at| !(at[1] == 2 && at[2] == FETCH),
    ),
    group(
        GroupId::Size,
        "size",
        "good loads and stores within an 8-byte word: bytes, alignment, where the translation came from",
        &[axis::ACCESS, axis::SIZE, axis::ALIGNMENT, axis::PLACE],
        // A byte is always aligned; 8 unaligned bytes always cross a word.
        |at| (at[0] == LOAD || at[0] == STORE) && (at[2] == 0 || at[1] == 1 || at[1] == 2),
    ),
    group(
        GroupId::Crossing,
        "crossing",
        "loads and stores across a word or a page: bytes, and which half faults",
        &[axis::ACCESS, axis::SIZE, axis::REACH, axis::CROSSING],
        // One byte crosses nothing, and both sides of a word have one translation.
        |at| (at[0] == LOAD || at[0] == STORE) && at[1] > 0 && !(at[2] == 0 && at[3] == 2),
    ),
    group(
        GroupId::Untranslated,
        "untranslated",
        "accesses with translation off: access, privilege, outcome",
        &[axis::ACCESS, axis::PRIVILEGE, axis::UNTRANSLATED],
        |at| at[1] < 2,
    ),
    group(
        GroupId::Fault,
        "fault",
        "faults with a level: kind, level, granule, access",
        &[
            axis::LEVELLED_FAULT,
            axis::LEVEL,
            axis::GRANULE,
            axis::ACCESS,
        ],
        declares_fault,
    ),
    group(
        GroupId::FaultPlace,
        "fault-place",
        "faults: kind, where the translation came from",
        &[axis::FAULT, axis::FAULT_PLACE],
        declares_fault_place,
    ),
    group(
        GroupId::PlainFault,
        "plain-fault",
        "faults without a level: kind, access",
        &[axis::FAULT, axis::ACCESS],
        // An AT reaches no memory behind the walk and has no alignment.
        |at| match at[0] {
            5 | 6 => at[1] <= FETCH,
            7 => true,
            8 => true,
            _ => false,
        },
    ),
    group(
        GroupId::AlignmentFault,
        "alignment-fault",
        "alignment faults: access, bytes",
        &[axis::ACCESS, axis::SIZE],
        // A byte is aligned; an instruction has 4 bytes.
        |at| at[0] <= CAS && at[1] > 0 || at[0] == FETCH && at[1] == 2,
    ),
    group(
        GroupId::WalkStart,
        "walk-start",
        "begins of walks: granule, level, half, from the table base or below a cached table",
        &[axis::GRANULE, axis::LEVEL, axis::HALF, axis::START],
        // 64K has no level 0, and a cached table is above the level that the walk begins at.
        |at| {
            let first = usize::from(at[0] == 2);
            at[1] >= first + at[3]
        },
    ),
    group(
        GroupId::WalkCompany,
        "walk-company",
        "begins of walks: purpose, alone or beside another walk of the core",
        &[axis::PURPOSE, axis::COMPANY],
        all,
    ),
    group(
        GroupId::WalkAgain,
        "walk-again",
        "walks begun again for the same access: side, reason",
        &[axis::SIDE, axis::AGAIN],
        all,
    ),
    group(
        GroupId::PrefetchEnd,
        "prefetch-end",
        "ends of prefetch walks",
        &[axis::PREFETCH_END],
        all,
    ),
    group(
        GroupId::FillL1,
        "fill-l1",
        "first-level fills: TLB, leaf, from a walk or from the second level",
        &[axis::SIDE, axis::SHAPE, axis::SOURCE],
        all,
    ),
    group(
        GroupId::FillL2,
        "fill-l2",
        "second-level fills: leaf, purpose of the walk",
        &[axis::SHAPE, axis::PURPOSE],
        all,
    ),
    group(
        GroupId::FillTable,
        "fill-walk-cache",
        "walk-cache fills: granule, level of the table descriptor, purpose of the walk",
        &[axis::GRANULE, axis::LEVEL, axis::PURPOSE],
        |at| at[1] < 3 && at[1] >= usize::from(at[0] == 2),
    ),
    group(
        GroupId::Displaced,
        "displaced",
        "first-level fills that displace an overlapping entry: TLB, new leaf, old leaf",
        &[axis::SIDE, axis::SIZE_CLASS, axis::OLD_CLASS],
        all,
    ),
    group(
        GroupId::Update,
        "update",
        "hardware updates: what they set, leaf, result",
        &[axis::UPDATE, axis::SHAPE, axis::UPDATE_RESULT],
        all,
    ),
    group(
        GroupId::Race,
        "race",
        "writes to a descriptor that a walk under way has read: writer, core, stage of the walk",
        &[axis::WRITER, axis::WRITER_CORE, axis::RACE_STAGE],
        // The back door belongs to no core.
        |at| !(at[0] == 3 && at[1] == 0),
    ),
    group(
        GroupId::Tlbi,
        "tlbi",
        "entries that an operation meets where it takes effect: operation, scope, entry, fate",
        &[axis::TLBI, axis::SCOPE, axis::HELD, axis::FATE],
        declares_tlbi,
    ),
    group(
        GroupId::Hint,
        "tlbi-hint",
        "level hints of operations by VA, against a leaf entry there: operation, hint",
        &[axis::TLBI, axis::HINT],
        |at| by_va(at[0]),
    ),
    group(
        GroupId::Range,
        "tlbi-range",
        "operands of range forms: operation, granule, SCALE",
        &[axis::TLBI, axis::GRANULE, axis::SCALE],
        |at| at[0] >= FIRST_RANGE,
    ),
    group(
        GroupId::RangePlace,
        "tlbi-range-entry",
        "entries of its granule that a range meets: TLB, granule, position",
        &[axis::TLB, axis::GRANULE, axis::RANGE_PLACE],
        all,
    ),
    group(
        GroupId::RangeForm,
        "tlbi-range-form",
        "special operands of range forms",
        &[axis::RANGE_FORM],
        all,
    ),
    group(
        GroupId::Cancel,
        "cancel",
        "walks cancelled by an invalidation: what was under way, whose operation, purpose",
        &[axis::CANCEL_POINT, axis::CANCEL_BY, axis::DEMAND],
        all,
    ),
    group(
        GroupId::Edit,
        "edit",
        "edits of descriptors that hardware has read: edit, where the old descriptor is held",
        &[axis::EDIT, axis::EDIT_STATE],
        declares_edit,
    ),
    group(
        GroupId::Switch,
        "context-switch",
        "writes of a TTBR: register, what changes, whether entries of the incoming ASID are there",
        &[axis::HALF, axis::SWITCH, axis::INCOMING],
        all,
    ),
    group(
        GroupId::Reuse,
        "asid-reuse",
        "an ASID used for other tables than before: where entries of it are left",
        &[axis::REUSE],
        all,
    ),
    group(
        GroupId::Barrier,
        "barrier",
        "DSBs: kind, widest TLBI of the core that no DSB has completed",
        &[axis::DSB, axis::OUTSTANDING],
        all,
    ),
    group(
        GroupId::BarrierWalk,
        "barrier-walk",
        "synchronising operations as they are issued: operation, own walks under way",
        &[axis::BARRIER, axis::OWN_WALKS],
        all,
    ),
    group(
        GroupId::Dvm,
        "dvm",
        "messages between cores that meet",
        &[axis::MEETING],
        all,
    ),
];

const ASIDE1: usize = 2;
const FIRST_RANGE: usize = 6;

const fn by_va(op: usize) -> bool {
    op != 0 && op != ASIDE1
}

fn declares_fault(at: &[usize]) -> bool {
    let &[kind, level, granule, _] = at else {
        return false;
    };
    let granule = vmsa::Granule::ALL[granule];
    let first = u8::from(granule == vmsa::Granule::K64);
    let level = level as u8;
    match kind {
        // Level 0 also stands for the table base register and for a range without walks.
        0 | 1 => level == 0 || level >= first,
        // Only a valid leaf can lack its access flag or a permission.
        2 | 3 => geometry::leaf_allowed(granule, level),
        _ => level >= first,
    }
}

fn declares_fault_place(at: &[usize]) -> bool {
    use place::{L1, NONE, WALK, WALK_CACHE};
    match (at[0], at[1]) {
        // A table base out of range and an untranslated address out of range read nothing.
        (0, place) => matches!(place, WALK | WALK_CACHE | NONE),
        // A range without walks, an address outside both ranges; and a write by the entry of a clean page,
        // which has to walk in a range without walks.
        (1, place) => matches!(place, WALK | WALK_CACHE | NONE | L1),
        // No TLB holds a translation that faults so, and a walk that faults serves its own access.
        (2 | 4 | 8, place) => matches!(place, WALK | WALK_CACHE),
        (3, place) => place != NONE,
        (5, _) => true,
        // Unaligned to Device memory, or refused before any lookup.
        (6, _) => true,
        // Only a first-level lookup can find two entries.
        (_, place) => place == L1,
    }
}

/// What an operation names by definition it removes: VMALLE1 keeps nothing, ASIDE1 leaves global
/// leaves, last-level forms leave tables.
fn declares_tlbi(at: &[usize]) -> bool {
    let &[op, _, held, fate] = at else {
        return false;
    };
    const GLOBAL: usize = 3;
    const TABLE: usize = 5;
    let last_level = matches!(op, 4 | 5 | 8 | 9);
    let never = (op == ASIDE1 && held == GLOBAL) || (last_level && held == TABLE);
    match fate {
        0 => !never,
        _ => op != 0,
    }
}

/// Leaf edits meet TLB entries; edits of table descriptors meet walk caches. A descriptor that turns from
/// block to table or back may still be held as what it was before.
pub(super) fn declares_edit(at: &[usize]) -> bool {
    const SPLIT: usize = 13;
    const JOIN: usize = 18;
    const WALK_CACHE: usize = 4;
    match at[0] {
        SPLIT | JOIN => true,
        0..SPLIT => at[1] != WALK_CACHE,
        _ => !matches!(at[1], 1..=3),
    }
}

/// Granule, level and kind of every leaf that [`axis::SHAPE`] names are what the architecture has.
const _: () = {
    let mut i = 0;
    while i < SHAPES.len() {
        assert!(geometry::leaf_allowed(SHAPES[i].0, SHAPES[i].1));
        i += 1;
    }
};
