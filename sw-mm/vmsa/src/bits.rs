// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One field of a 64-bit word: read it, or replace it.

/// Field of `width` bits that begins at bit `lsb` of `word`.
#[inline]
pub(crate) const fn get(word: u64, lsb: u32, width: u32) -> u64 {
    (word >> lsb) & mask(width)
}

/// `word` with the field of `width` bits at bit `lsb` replaced by the low bits of `value`.
#[inline]
pub(crate) const fn set(word: u64, lsb: u32, width: u32, value: u64) -> u64 {
    (word & !(mask(width) << lsb)) | ((value & mask(width)) << lsb)
}

/// The low `width` bits set.
#[inline]
pub(crate) const fn mask(width: u32) -> u64 {
    if width >= 64 {
        u64::MAX
    } else {
        (1 << width) - 1
    }
}

/// Getter and setter of flags: doc comment, names, and the bit.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident, $with:ident, $bit:expr;)*) => {
        $(
            $(#[$doc])*
            #[inline]
            pub const fn $name(self) -> bool {
                $crate::bits::get(self.0, $bit, 1) == 1
            }

            #[doc = concat!("Copy with [`Self::", stringify!($name), "`] replaced.")]
            #[must_use]
            #[inline]
            pub const fn $with(self, value: bool) -> Self {
                Self($crate::bits::set(self.0, $bit, 1, value as u64))
            }
        )*
    };
}

pub(crate) use flags;
