// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A functional machine: registers, memory and the walk, with no TLB. Every access walks, and the
//! update it asks for is done at once.

use vmsa::SysReg;

use super::access::{Access, AccessKind, Fault};
use super::context::{Context, Profile};
use super::walk::{Translation, Walk, translate};
use super::words::Words;

/// One PE that translates and performs accesses in order.
#[derive(Clone, Default)]
pub struct Machine {
    context: Context,
    memory: Words,
}

impl Machine {
    /// A machine as after reset: memory and registers zero, translation off.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self {
            context: Context {
                profile,
                ..Context::default()
            },
            memory: Words::new(),
        }
    }

    /// Registers and profile.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Writes a system register; it acts at once.
    pub fn msr(&mut self, register: SysReg, value: u64) {
        self.context.registers.set(register, value);
    }

    /// Physical memory.
    #[must_use]
    pub fn memory(&self) -> &Words {
        &self.memory
    }

    /// Physical memory, to write through the back door.
    pub fn memory_mut(&mut self) -> &mut Words {
        &mut self.memory
    }

    /// Translates `access` against memory as it is, without any effect.
    #[must_use]
    pub fn walk(&self, access: &Access) -> Walk {
        translate(&self.memory, &self.context, access)
    }

    /// Translates the first page of `access` and does the descriptor update it asks for.
    ///
    /// # Errors
    /// The fault the access takes; no descriptor is changed then (HAF-09 to HAF-11).
    pub fn touch(&mut self, access: &Access) -> Result<Translation, Fault> {
        let walk = self.walk(access);
        let translation = walk.outcome?;
        if let Some(update) = walk.update {
            self.memory.set(update.address, update.to);
        }
        Ok(translation)
    }

    /// Performs `access` (not a fetch or AT, which only translate): writes `data` or, for a
    /// compare-and-swap, writes it if the old value equals `compare`. Returns the value read before,
    /// and the translation of the first byte.
    ///
    /// # Errors
    /// The fault the access takes, of its lower part if both fault; no byte is accessed then.
    pub fn access(
        &mut self,
        access: &Access,
        data: u64,
        compare: u64,
    ) -> Result<(u64, Translation), Fault> {
        let second = access.second_part();
        if let Some(part) = &second {
            // Neither part may change a descriptor if the other faults.
            let first_good = self.walk(access).outcome;
            first_good?;
            self.walk(part).outcome?;
        }
        let low = self.touch(access)?;
        let high = match &second {
            Some(part) => Some((part.va.wrapping_sub(access.va), self.touch(part)?)),
            None => None,
        };
        if access.at || access.kind == AccessKind::Execute {
            return Ok((0, low));
        }
        let byte_address = |i: u64| match high {
            Some((split, high)) if i >= split => high.pa + (i - split),
            _ => low.pa + i,
        };
        let old = (0..access.bytes()).fold(0, |value, i| {
            value | u64::from(self.byte(byte_address(i))) << (8 * i)
        });
        let writes = match access.kind {
            AccessKind::Write => true,
            AccessKind::Cas => old == compare & (u64::MAX >> (64 - 8 * access.bytes())),
            _ => false,
        };
        if writes {
            for i in 0..access.bytes() {
                self.set_byte(byte_address(i), (data >> (8 * i)) as u8);
            }
        }
        Ok((old, low))
    }

    fn byte(&self, address: u64) -> u8 {
        (self.memory.get(address) >> (8 * (address & 7))) as u8
    }

    fn set_byte(&mut self, address: u64, value: u8) {
        let shift = 8 * (address & 7);
        let word = self.memory.get(address) & !(0xff << shift) | u64::from(value) << shift;
        self.memory.set(address, word);
    }
}
