// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the TLBs of a core tell: fills, invalidations and the messages between cores, as the core
//! observation lane of `rtl/pkg/socket_pkg.sv` carries them.

use super::observation::CORE_OBS_WORDS;

/// A structure that holds information from descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlbStructure {
    /// First-level instruction TLB.
    Itlb,
    /// First-level data TLB.
    Dtlb,
    /// Second-level TLB, of both sides.
    L2,
    /// Walk cache: table descriptors.
    WalkCache,
}

/// An entry written into a TLB or walk cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlbFill {
    /// Where it was written.
    pub structure: TlbStructure,
    /// Id of the request that caused it.
    pub id: u16,
    /// Whether the instruction side filled it.
    pub instruction: bool,
    /// First level: whether the entry comes from the second level, else from a walk.
    pub from_l2: bool,
    /// Whether it comes from a prefetch walk.
    pub prefetch: bool,
    /// Level of the leaf, 0 to 3; walk cache: of the table descriptor.
    pub level: u8,
    /// nG = 0.
    pub global: bool,
    /// Whether the entry is a contiguous run.
    pub contiguous: bool,
    /// Entries that the fill removed because they overlap.
    pub count: u8,
    /// Place of the entry; see [`TlbFill::l2_place`] for the second level.
    pub index: u16,
    /// ASID of the entry.
    pub asid: u16,
    /// First byte of the entry, sign extended.
    pub va: u64,
    /// Output address of the first byte of the entry; walk cache: next table.
    pub pa: u64,
    /// Bits of the address that take part in a match.
    pub mask: u64,
}

impl TlbFill {
    /// Set and way of a second-level entry.
    #[must_use]
    pub const fn l2_place(&self) -> (u8, u8) {
        (self.index as u8, (self.index >> 8 & 7) as u8)
    }
}

/// An operation that took effect on a core's TLBs and walk caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalidation {
    /// Core that issued the operation.
    pub source: u8,
    /// Number of the operation among the broadcast ones of its core, modulo 256; 0 if local.
    pub tag: u8,
    /// Whether the operation was not broadcast.
    pub local: bool,
    /// Walks cancelled, one bit a slot.
    pub cancelled: u8,
    /// First-level entries removed.
    pub l1_count: u16,
    /// Walk-cache entries removed.
    pub wc_count: u8,
}

/// What a core did with invalidation messages; several may come together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DvmEvent {
    /// Number of the operation that it sent to all cores, modulo 256.
    pub inv_sent: Option<u8>,
    /// Whether it sent a SYNC.
    pub sync_sent: bool,
    /// Whether its SYNC has been answered by all.
    pub sync_done: bool,
    /// Core whose SYNC it answered.
    pub answered: Option<u8>,
}

/// The first-level fill that a core observation lane carries, if any.
#[must_use]
pub fn l1_fill(words: &[u64; CORE_OBS_WORDS]) -> Option<TlbFill> {
    let instruction = words[10] >> 1 & 1 == 1;
    let structure = if instruction {
        TlbStructure::Itlb
    } else {
        TlbStructure::Dtlb
    };
    fill(structure, &words[10..14])
}

/// The second-level fill that a core observation lane carries, if any.
#[must_use]
pub fn l2_fill(words: &[u64; CORE_OBS_WORDS]) -> Option<TlbFill> {
    fill(TlbStructure::L2, &words[14..18])
}

/// The walk-cache fill that a core observation lane carries, if any.
#[must_use]
pub fn walk_cache_fill(words: &[u64; CORE_OBS_WORDS]) -> Option<TlbFill> {
    fill(TlbStructure::WalkCache, &words[18..22])
}

/// `fill_obs_t` and the VA, PA and mask words behind it.
fn fill(structure: TlbStructure, words: &[u64]) -> Option<TlbFill> {
    let &[control, va, pa, mask] = words else {
        return None;
    };
    let bit = |place: u32| control >> place & 1 == 1;
    bit(0).then(|| TlbFill {
        structure,
        id: (control >> 48) as u16,
        instruction: bit(1),
        from_l2: bit(2),
        prefetch: bit(3),
        level: (control >> 4 & 3) as u8,
        global: bit(6),
        contiguous: bit(7),
        count: (control >> 8) as u8,
        index: (control >> 16) as u16,
        asid: (control >> 32) as u16,
        va,
        pa,
        mask,
    })
}

/// The invalidation that a core observation lane carries, if any.
#[must_use]
pub fn invalidation(words: &[u64; CORE_OBS_WORDS]) -> Option<Invalidation> {
    let control = words[22];
    (control & 1 == 1).then_some(Invalidation {
        source: (control >> 8) as u8,
        tag: (control >> 16) as u8,
        local: control >> 2 & 1 == 1,
        cancelled: (control >> 4 & 0xf) as u8,
        l1_count: (control >> 24) as u16,
        wc_count: (control >> 40) as u8,
    })
}

/// Second-level entries that an operation removed, if a core observation lane tells that it is done
/// there.
#[must_use]
pub fn l2_invalidated(words: &[u64; CORE_OBS_WORDS]) -> Option<u16> {
    let control = words[22];
    (control >> 1 & 1 == 1).then_some((control >> 48) as u16)
}

/// What a core observation lane tells of invalidation messages, if anything.
#[must_use]
pub fn dvm_event(words: &[u64; CORE_OBS_WORDS]) -> Option<DvmEvent> {
    let control = words[23];
    let bit = |place: u32| control >> place & 1 == 1;
    bit(0).then(|| DvmEvent {
        inv_sent: bit(1).then_some((control >> 16) as u8),
        sync_sent: bit(2),
        sync_done: bit(3),
        answered: bit(4).then_some((control >> 8) as u8),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fill_is_read_from_its_own_words() {
        let mut words = [0; CORE_OBS_WORDS];
        words[10] = 1 | 1 << 1 | 1 << 2 | 3 << 4 | 2 << 8 | 5 << 16 | 0x1234 << 32 | 77 << 48;
        (words[11], words[12], words[13]) = (0x1000, 0x9000, !0xfff);
        words[14] = 1 | 1 << 3 | 2 << 4 | 1 << 6 | 1 << 7 | 0x3ff << 16 | 78 << 48;
        (words[15], words[16], words[17]) = (0x20_0000, 0x40_0000, !0x1f_ffff);
        words[18] = 1 | 1 << 4 | 9 << 16 | 7 << 32 | 79 << 48;
        (words[19], words[20], words[21]) = (0x4000_0000, 0x8_0000, !0x3fff_ffff);
        let l1 = TlbFill {
            structure: TlbStructure::Itlb,
            id: 77,
            instruction: true,
            from_l2: true,
            prefetch: false,
            level: 3,
            global: false,
            contiguous: false,
            count: 2,
            index: 5,
            asid: 0x1234,
            va: 0x1000,
            pa: 0x9000,
            mask: !0xfff,
        };
        assert_eq!(l1_fill(&words), Some(l1));
        let l2 = l2_fill(&words).unwrap();
        assert_eq!((l2.structure, l2.l2_place()), (TlbStructure::L2, (0xff, 3)));
        assert!(l2.prefetch && l2.global && l2.contiguous && !l2.from_l2 && !l2.instruction);
        assert_eq!(
            (l2.level, l2.va, l2.pa, l2.id),
            (2, 0x20_0000, 0x40_0000, 78)
        );
        let wc = walk_cache_fill(&words).unwrap();
        assert_eq!((wc.structure, wc.index), (TlbStructure::WalkCache, 9));
        assert_eq!((wc.level, wc.asid, wc.pa, wc.id), (1, 7, 0x8_0000, 79));
        words[10] &= !2;
        assert_eq!(
            l1_fill(&words).map(|fill| fill.structure),
            Some(TlbStructure::Dtlb)
        );
    }

    #[test]
    fn an_invalidation_and_its_end_in_the_second_level_are_told_apart() {
        let mut words = [0; CORE_OBS_WORDS];
        assert_eq!((invalidation(&words), l2_invalidated(&words)), (None, None));
        words[22] = 1 | 0b1010 << 4 | 3 << 8 | 0xfe << 16 | 300 << 24 | 5 << 40;
        let expected = Invalidation {
            source: 3,
            tag: 0xfe,
            local: false,
            cancelled: 0b1010,
            l1_count: 300,
            wc_count: 5,
        };
        assert_eq!(invalidation(&words), Some(expected));
        assert_eq!(l2_invalidated(&words), None);
        words[22] = 1 << 1 | 400 << 48;
        assert_eq!(
            (invalidation(&words), l2_invalidated(&words)),
            (None, Some(400))
        );
    }

    #[test]
    fn messages_between_cores_carry_what_is_valid_only() {
        let mut words = [0; CORE_OBS_WORDS];
        assert_eq!(dvm_event(&words), None);
        words[23] = 1 | 1 << 1 | 1 << 3 | 2 << 8 | 0x80 << 16;
        let expected = DvmEvent {
            inv_sent: Some(0x80),
            sync_sent: false,
            sync_done: true,
            answered: None,
        };
        assert_eq!(dvm_event(&words), Some(expected));
        words[23] = 1 | 1 << 2 | 1 << 4 | 2 << 8 | 0x80 << 16;
        let expected = DvmEvent {
            inv_sent: None,
            sync_sent: true,
            sync_done: false,
            answered: Some(2),
        };
        assert_eq!(dvm_event(&words), Some(expected));
    }
}
