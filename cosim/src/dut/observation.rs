// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What walks and homes tell: the walk events of the core observation lane and the commits of the
//! node observation lane of `rtl/pkg/socket_pkg.sv`, typed.

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
    /// The walk ends, with `fault` if it found one. A cancelled walk has no end.
    End,
}

/// Something that a table walk did. Fields without a meaning for the kind are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkEvent {
    /// What happened.
    pub kind: WalkKind,
    /// Which of the core's concurrent walks.
    pub slot: u8,
    /// Id of the request that walks; of a prefetch, of the one that triggered it.
    pub id: u16,
    /// Address translated.
    pub va: u64,
    /// Whether the walk serves an instruction fetch.
    pub instruction: bool,
    /// Level of the descriptor, 0 to 3; of a begin, of the first one to be read.
    pub level: u8,
    /// Physical address of the descriptor (begin, step, swap).
    pub address: u64,
    /// Descriptor value as decoded, after any byte swap (step, swap).
    pub value: u64,
    /// Fault with which the walk ends.
    pub fault: Option<Fsc>,
    /// Whether no access asked for this walk.
    pub prefetch: bool,
    /// Whether the walk begins below a table that a walk cache holds (begin).
    pub cached_start: bool,
    /// Whether memory answered with an error (step, swap).
    pub error: bool,
    /// Whether the walk had been cancelled while this answer was under way (step, swap).
    pub discarded: bool,
    /// Whether the result serves an access that joined the walk (end).
    pub merged: bool,
}

/// Words of a core observation lane (`core_obs_t`).
pub const CORE_OBS_WORDS: usize = 24;

/// Whether a core observation lane carries any event.
#[must_use]
pub fn observed(words: &[u64; CORE_OBS_WORDS]) -> bool {
    words[0] & 1 == 1
}

/// The begin of a walk that a core observation lane carries, if any.
#[must_use]
pub fn walk_begin(words: &[u64; CORE_OBS_WORDS]) -> Option<WalkEvent> {
    walk_event(words[1], words[2], words[3], 0)
}

/// The step or swap of a walk that a core observation lane carries, if any.
#[must_use]
pub fn walk_step(words: &[u64; CORE_OBS_WORDS]) -> Option<WalkEvent> {
    walk_event(words[4], words[5], words[6], words[7])
}

/// The end of a walk that a core observation lane carries, if any.
#[must_use]
pub fn walk_end(words: &[u64; CORE_OBS_WORDS]) -> Option<WalkEvent> {
    walk_event(words[8], words[9], 0, 0)
}

/// `walk_obs_t` and the words that go with it.
fn walk_event(control: u64, va: u64, address: u64, value: u64) -> Option<WalkEvent> {
    let bit = |place: u32| control >> place & 1 == 1;
    if !bit(0) {
        return None;
    }
    let kind = match control >> 1 & 3 {
        0 => WalkKind::Begin,
        1 => WalkKind::Step,
        2 => WalkKind::Swap,
        _ => WalkKind::End,
    };
    let (begin, end) = (kind == WalkKind::Begin, kind == WalkKind::End);
    let (flag, answered) = (bit(6), !begin && !end);
    Some(WalkEvent {
        kind,
        slot: (control >> 14 & 3) as u8,
        id: (control >> 16) as u16,
        va,
        instruction: bit(3),
        level: (control >> 4 & 3) as u8,
        address,
        value,
        fault: (end && flag).then_some(Fsc((control >> 8 & 0x3f) as u8)),
        prefetch: bit(7),
        cached_start: begin && flag,
        error: answered && flag,
        discarded: answered && bit(33),
        merged: end && bit(32),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_walk_lane_is_read_from_its_own_words() {
        let mut words = [0; CORE_OBS_WORDS];
        words[0] = 1;
        // A data walk of id 7 in slot 2 that begins at level 1, below a cached table.
        words[1] = 1 | 1 << 4 | 1 << 6 | 2 << 14 | 7 << 16;
        (words[2], words[3]) = (0x1000, 0x8008);
        // A level 3 read of an instruction prefetch in slot 1, in error and discarded.
        words[4] = 1 | 1 << 1 | 1 << 3 | 3 << 4 | 1 << 6 | 1 << 7 | 1 << 14 | 9 << 16 | 1 << 33;
        (words[5], words[6], words[7]) = (0x2000, 0x9010, 0xabcd);
        // A merged walk that ends with a level 2 translation fault.
        words[8] = 1 | 3 << 1 | 2 << 4 | 1 << 6 | 0x06 << 8 | 3 << 14 | 11 << 16 | 1 << 32;
        words[9] = 0x3000;
        assert!(observed(&words));
        let begin = walk_begin(&words).unwrap();
        let expected = WalkEvent {
            kind: WalkKind::Begin,
            slot: 2,
            id: 7,
            va: 0x1000,
            instruction: false,
            level: 1,
            address: 0x8008,
            value: 0,
            fault: None,
            prefetch: false,
            cached_start: true,
            error: false,
            discarded: false,
            merged: false,
        };
        assert_eq!(begin, expected);
        let step = walk_step(&words).unwrap();
        let expected = WalkEvent {
            kind: WalkKind::Step,
            slot: 1,
            id: 9,
            va: 0x2000,
            instruction: true,
            level: 3,
            address: 0x9010,
            value: 0xabcd,
            prefetch: true,
            cached_start: false,
            error: true,
            discarded: true,
            ..expected
        };
        assert_eq!(step, expected);
        let end = walk_end(&words).unwrap();
        let expected = WalkEvent {
            kind: WalkKind::End,
            slot: 3,
            id: 11,
            va: 0x3000,
            instruction: false,
            level: 2,
            address: 0,
            value: 0,
            fault: Some(Fsc(0x06)),
            prefetch: false,
            error: false,
            discarded: false,
            merged: true,
            ..expected
        };
        assert_eq!(end, expected);
    }

    #[test]
    fn an_idle_lane_carries_nothing() {
        let words = [0; CORE_OBS_WORDS];
        assert!(!observed(&words));
        assert_eq!(walk_begin(&words), None);
        assert_eq!(walk_step(&words), None);
        assert_eq!(walk_end(&words), None);
    }
}
