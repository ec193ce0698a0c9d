// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the socket tells about its inside: the observation lanes of `rtl/pkg/socket_pkg.sv`, typed.

use vmsa::Fsc;

/// Kind of a walk event (`walk_event_e`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkKind {
    /// A walk starts.
    Begin,
    /// A descriptor was read; `value` is what was decoded.
    Step,
    /// A hardware update was answered; `value` is what memory held.
    Swap,
    /// The walk ends, with `fault` if it found one.
    End,
}

/// Something that a table walker did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkEvent {
    /// What happened.
    pub kind: WalkKind,
    /// Id of the request that walks.
    pub id: u16,
    /// Address translated.
    pub va: u64,
    /// Whether the walk serves an instruction fetch.
    pub instruction: bool,
    /// Level of the descriptor, 0 to 3.
    pub level: u8,
    /// Physical address of the descriptor.
    pub address: u64,
    /// Descriptor value as decoded, after any byte swap.
    pub value: u64,
    /// Fault with which the walk ends.
    pub fault: Option<Fsc>,
}

/// Kind of a TLB event (`tlb_event_e`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlbKind {
    /// An entry was written.
    Fill,
    /// An operation removed `count` entries.
    Invalidate,
}

/// A change of a TLB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlbEvent {
    /// What happened.
    pub kind: TlbKind,
    /// Instruction TLB, or data TLB.
    pub instruction: bool,
    /// Entry written.
    pub index: u8,
    /// First byte of the entry, sign extended.
    pub va: u64,
    /// Output address of the first byte of the entry.
    pub pa: u64,
    /// Bits of the address that take part in a match.
    pub mask: u64,
    /// ASID of the entry.
    pub asid: u16,
    /// nG = 0.
    pub global: bool,
    /// Level of the leaf, 0 to 3.
    pub level: u8,
    /// Entries removed by an invalidation, or overlapped by a fill.
    pub count: u8,
}

/// The walk event that a core observation lane carries, if any.
#[must_use]
pub fn walk_event(words: &[u64; 8]) -> Option<WalkEvent> {
    let control = words[0];
    if control & 1 == 0 {
        return None;
    }
    let kind = match control >> 1 & 3 {
        0 => WalkKind::Begin,
        1 => WalkKind::Step,
        2 => WalkKind::Swap,
        _ => WalkKind::End,
    };
    let fault = kind == WalkKind::End && control >> 6 & 1 == 1;
    Some(WalkEvent {
        kind,
        id: (control >> 16) as u16,
        va: words[1],
        instruction: control >> 3 & 1 == 1,
        level: (control >> 4 & 3) as u8,
        address: words[2],
        value: words[3],
        fault: fault.then_some(Fsc((control >> 8 & 0x3f) as u8)),
    })
}

/// The TLB event that a core observation lane carries, if any.
#[must_use]
pub fn tlb_event(words: &[u64; 8]) -> Option<TlbEvent> {
    let control = words[4];
    if control & 1 == 0 {
        return None;
    }
    Some(TlbEvent {
        kind: if control >> 1 & 3 == 0 {
            TlbKind::Fill
        } else {
            TlbKind::Invalidate
        },
        instruction: control >> 3 & 1 == 1,
        level: (control >> 4 & 3) as u8,
        global: control >> 6 & 1 == 1,
        index: (control >> 16) as u8,
        count: (control >> 32) as u8,
        asid: (control >> 48) as u16,
        va: words[5],
        pa: words[6],
        mask: words[7],
    })
}

/// Who made a write visible (`commit_kind_e`, and software through the back door).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitKind {
    /// A store of a core.
    Store,
    /// A compare-and-swap of a core.
    Cas,
    /// An access flag or dirty state update of a walker.
    Update,
    /// A write that the testbench did behind the hardware's back.
    Backdoor,
}

/// A write that became visible to every observer, as its lane carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitLane {
    /// Who wrote.
    pub kind: CommitKind,
    /// Core whose store or walker wrote.
    pub source: u8,
    /// Bytes written, one bit a byte.
    pub strobe: u8,
    /// Physical address of the 8-byte word.
    pub address: u64,
    /// Bytes written, in place.
    pub data: u64,
}

/// The commit that a node observation lane carries, if any.
#[must_use]
pub fn commit_lane(words: &[u64; 4]) -> Option<CommitLane> {
    let control = words[0];
    if control & 1 == 0 {
        return None;
    }
    Some(CommitLane {
        kind: match control >> 1 & 3 {
            0 => CommitKind::Store,
            1 => CommitKind::Cas,
            _ => CommitKind::Update,
        },
        source: (control >> 8) as u8,
        strobe: (control >> 16) as u8,
        address: words[1] & !7,
        data: words[2],
    })
}

/// Replaces the bytes of `word` that `strobe` selects by those of `data`.
#[must_use]
pub fn merge_bytes(word: u64, data: u64, strobe: u8) -> u64 {
    // Spreads each strobe bit over its byte: bit i goes to bit 8*i, times 255.
    let spread = (u64::from(strobe & 0x7f).wrapping_mul(0x0002_0408_1020_4081)
        & 0x0001_0101_0101_0101)
        | u64::from(strobe >> 7) << 56;
    let mask = spread * 0xff;
    word & !mask | data & mask
}
