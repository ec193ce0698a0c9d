// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Random configurations and steps. Everything is a small index, so that what shrinks stays near what
//! failed.

use proptest::prelude::*;
use sw_mm::AccessSize;
use sw_mm::boot::HardwareUpdate;
use sw_mm::contpte;
use sw_mm::mm::{Advice, Protection};
use vmsa::Granule;

/// What the kernel and the machine are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    pub granule: Granule,
    pub update: HardwareUpdate,
    pub contpte: contpte::Config,
    pub batched: bool,
    pub range_tlbi: bool,
    /// ASIDs beyond those that the cores need; `None`: all there are.
    pub spare_asids: Option<u32>,
    pub orders: Vec<u8>,
    pub cores: usize,
    /// The machine caches a contiguous run as one entry.
    pub contiguous: bool,
    pub ets2: bool,
    pub bbm2: bool,
    /// Few slots, so that the swap area is full at times.
    pub swap_slots: u64,
    /// All slots are private memory from the start.
    pub mapped: bool,
    /// There are blocks, and all private memory from the start asks for them.
    pub huge: bool,
}

pub fn setup() -> impl Strategy<Value = Setup> {
    let granule = prop_oneof![
        8 => Just(Granule::K4),
        1 => Just(Granule::K16),
        1 => Just(Granule::K64),
    ];
    let update = prop::sample::select(vec![
        HardwareUpdate::None,
        HardwareUpdate::AccessFlag,
        HardwareUpdate::AccessFlagAndDirty,
    ]);
    // Large folios of 64K pages would spend the test on clearing memory.
    let orders = prop::sample::select(vec![vec![], vec![2], vec![4], vec![2, 4, 9]]);
    let contpte = (0..8u8, any::<bool>(), any::<bool>()).prop_map(|(off, eager, bbm2_noabort)| {
        contpte::Config {
            enabled: off < 6,
            eager,
            bbm2_noabort,
        }
    });
    let flag = || any::<bool>();
    let flags = (flag(), flag(), flag(), flag(), 0..8u8, flag());
    let asids = prop::option::weighted(0.5, 2..5u32);
    let slots = prop::sample::select(vec![1024, 4]);
    (
        granule,
        update,
        contpte,
        flags,
        asids,
        orders,
        1..4usize,
        slots,
    )
        .prop_map(
            |(granule, update, contpte, flags, spare_asids, orders, cores, swap_slots)| Setup {
                granule,
                update,
                contpte,
                batched: !flags.0,
                range_tlbi: !flags.1,
                spare_asids,
                orders: match granule {
                    Granule::K4 => orders,
                    Granule::K16 | Granule::K64 => orders.into_iter().filter(|&o| o < 5).collect(),
                },
                cores,
                contiguous: !flags.2,
                ets2: !flags.3,
                bbm2: contpte.bbm2_noabort,
                swap_slots,
                mapped: flags.4 < 7,
                huge: flags.5,
            },
        )
}

/// Slots of the first window, one page each, across the boundary of two last-level tables.
pub const NEAR: u8 = 24;
/// Slots of the second window, several pages each.
pub const FAR: u8 = 24;

/// Consecutive slots within one window.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub slot: u8,
    pub count: u8,
}

/// A place in a slot.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub slot: u8,
    /// Which page of the slot.
    pub page: u8,
    /// Which byte of the page.
    pub offset: u8,
}

pub const OFFSETS: u8 = 8;

/// What a mapping shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    Anonymous,
    SharedFile(u8),
    PrivateFile(u8),
}

/// A range that gets another length or another place.
#[derive(Clone, Copy, Debug)]
pub struct Remap {
    pub from: Range,
    /// Slots afterwards, of the size of those before.
    pub count: u8,
    /// First slot afterwards.
    pub to: Option<u8>,
    pub fixed: bool,
}

/// What one core does.
#[derive(Clone, Debug)]
pub enum Op {
    Map(Range, Protection, Share),
    Unmap(Range),
    Protect(Range, Protection),
    DontNeed(Range),
    Advise(Range, Advice),
    /// Pages to come are from this node only.
    Bind(Range, Option<u8>),
    Remap(Remap),
    Fork,
    /// Takes the address space of this number, counted among those that live, down.
    Exit(u8),
    Switch(u8),
    Load(Place, AccessSize),
    Store(Place, AccessSize, u8),
    /// Whether it expects what is there.
    Swap(Place, bool, u8),
    Fetch(Place),
    /// The machine walks ahead.
    Speculate(Place),
    /// The kernel takes the page out of memory.
    SwapOut(Place),
    /// The kernel takes pages of a node out of memory, if they are old.
    Reclaim(u8, u8),
    /// The kernel marks pages, to hear of their next access.
    Hint(Range),
    /// The kernel asks whether the page was accessed, with or without a flush.
    Age(Place, bool),
    /// The kernel moves the page to another node.
    Migrate(Place, u8),
    /// A device works with the page: its frame has to stay where it is.
    Pin(Place),
    /// The device of this number stores to its page.
    Device(u8, u8),
    /// The pin of this number is over.
    Unpin(u8),
}

#[derive(Clone, Debug)]
pub struct Step {
    pub core: u8,
    pub op: Op,
}

fn protection() -> impl Strategy<Value = Protection> {
    prop_oneof![
        8 => Just(Protection::READ_WRITE),
        3 => Just(Protection::READ),
        1 => Just(Protection::READ_EXECUTE),
        2 => Just(Protection::new(true, true, true)),
        1 => Just(Protection::NONE),
    ]
}

/// Some slots are used more than others, so that steps meet.
fn slot() -> impl Strategy<Value = u8> {
    prop_oneof![
        3 => 0..NEAR,
        3 => NEAR / 2 - 3..NEAR / 2 + 3,
        2 => NEAR..NEAR + FAR,
        2 => NEAR + 4..NEAR + 8,
    ]
}

fn range(most: u8) -> impl Strategy<Value = Range> {
    (slot(), 1..=most).prop_map(|(slot, count)| Range { slot, count })
}

fn place() -> impl Strategy<Value = Place> {
    (slot(), 0..4u8, 0..OFFSETS).prop_map(|(slot, page, offset)| Place { slot, page, offset })
}

fn share() -> impl Strategy<Value = Share> {
    prop_oneof![
        4 => Just(Share::Anonymous),
        1 => (0..16u8).prop_map(Share::SharedFile),
        1 => (0..16u8).prop_map(Share::PrivateFile),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let size = || prop::sample::select(AccessSize::ALL.to_vec());
    let advice = prop::sample::select(vec![
        Advice::DoFork,
        Advice::DontFork,
        Advice::HugePage,
        Advice::NoHugePage,
    ]);
    let remap = (
        range(4),
        1..5u8,
        prop::option::weighted(0.8, slot()),
        any::<bool>(),
    )
        .prop_map(|(from, count, to, fixed)| Remap {
            from,
            count,
            to,
            fixed,
        });
    prop_oneof![
        12 => (range(10), protection(), share()).prop_map(|(r, p, s)| Op::Map(r, p, s)),
        4 => range(3).prop_map(Op::Unmap),
        8 => (range(6), protection()).prop_map(|(r, p)| Op::Protect(r, p)),
        4 => range(3).prop_map(Op::DontNeed),
        2 => (range(3), advice).prop_map(|(r, a)| Op::Advise(r, a)),
        2 => (range(3), prop::option::of(0..2u8)).prop_map(|(r, n)| Op::Bind(r, n)),
        5 => remap.prop_map(Op::Remap),
        5 => Just(Op::Fork),
        1 => any::<u8>().prop_map(Op::Exit),
        8 => any::<u8>().prop_map(Op::Switch),
        30 => (place(), size()).prop_map(|(p, s)| Op::Load(p, s)),
        60 => (place(), size(), any::<u8>()).prop_map(|(p, s, v)| Op::Store(p, s, v)),
        12 => (place(), any::<bool>(), any::<u8>()).prop_map(|(p, hit, v)| Op::Swap(p, hit, v)),
        6 => place().prop_map(Op::Fetch),
        6 => place().prop_map(Op::Speculate),
        10 => place().prop_map(Op::SwapOut),
        3 => (0..2u8, 0..20u8).prop_map(|(n, pages)| Op::Reclaim(n, pages)),
        6 => range(10).prop_map(Op::Hint),
        4 => (place(), any::<bool>()).prop_map(|(p, flush)| Op::Age(p, flush)),
        8 => (place(), 0..2u8).prop_map(|(p, node)| Op::Migrate(p, node)),
        2 => place().prop_map(Op::Pin),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(n, v)| Op::Device(n, v)),
        2 => any::<u8>().prop_map(Op::Unpin),
    ]
}

pub fn step() -> impl Strategy<Value = Step> {
    (0..3u8, op()).prop_map(|(core, op)| Step { core, op })
}
