// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The `Cpu` trait: everything the OS can ask of one processing element.
//!
//! A simulated core implements it by driving the RTL and waiting for the answer; the functional
//! machine of [`crate::functional`] implements it at host speed. Each call is one instruction, so
//! what the OS does between two `await`s is atomic and what it does across them is not.

use vmsa::{AccessFault, AtOp, DsbKind, Fsc, SysReg, Tlbi};

/// Bytes that one access reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccessSize {
    /// 1 byte.
    Byte,
    /// 2 bytes.
    Half,
    /// 4 bytes.
    Word,
    /// 8 bytes, the size of a descriptor.
    Double,
}

impl AccessSize {
    /// All sizes, smallest first.
    pub const ALL: [AccessSize; 4] = [Self::Byte, Self::Half, Self::Word, Self::Double];

    /// log2 of the bytes.
    pub const fn log2(self) -> u32 {
        self as u32
    }

    /// Bytes.
    pub const fn bytes(self) -> u64 {
        1 << self.log2()
    }

    /// The bits of a value that an access of this size carries.
    ///
    /// ```
    /// assert_eq!(sw_mm::AccessSize::Half.mask(), 0xffff);
    /// ```
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes())
    }
}

/// With whose rights an access at EL1 is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Privilege {
    /// EL1: LDR, STR, CAS. PSTATE.PAN of the core applies.
    Privileged,
    /// EL0: LDTR, STTR, or an access of a user thread on this core.
    Unprivileged,
}

/// What PAR_EL1 says after an AT instruction (VMSA-54).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Par {
    /// PAR.F = 0.
    Translated {
        /// Output address of the VA, in-page bits included.
        pa: u64,
        /// PAR.ATTR: the memory attributes, coded as a MAIR byte.
        attr: u8,
        /// PAR.SH: 0 non, 2 outer, 3 inner shareable.
        sh: u8,
    },
    /// PAR.F = 1: the translation takes a stage 1 fault with this status.
    Faulted(Fsc),
}

/// One processing element, as the OS sees it.
///
/// All methods take `&self`: several tasks may have accesses of one core outstanding. Implementors
/// are single-threaded, so no future need be `Send`. An [`AccessFault`] is the synchronous exception
/// that the access took; the access then had no effect (ORD-09).
///
/// ```
/// use sw_mm::{AccessSize, Cpu, Privilege};
/// use sw_mm::functional::Machine;
///
/// async fn increment(cpu: &impl Cpu, va: u64) -> Result<u64, vmsa::AccessFault> {
///     let size = AccessSize::Double;
///     loop {
///         let old = cpu.load(va, size, Privilege::Privileged).await?;
///         let seen = cpu
///             .compare_and_swap(va, size, Privilege::Privileged, old, old + 1)
///             .await?;
///         if seen == old {
///             return Ok(old + 1);
///         }
///     }
/// }
///
/// let machine = Machine::new(Default::default());
/// let core = machine.core(0);
/// assert_eq!(sw_mm::block_on(increment(&core, 0x1000)), Ok(1));
/// ```
#[expect(
    async_fn_in_trait,
    reason = "one thread polls every task of a simulation, so no future has to be Send"
)]
pub trait Cpu {
    /// Reads `size` bytes at `va`, zero extended.
    ///
    /// # Errors
    /// The fault of the access.
    async fn load(
        &self,
        va: u64,
        size: AccessSize,
        privilege: Privilege,
    ) -> Result<u64, AccessFault>;

    /// Writes the low `size` bytes of `value` at `va`.
    ///
    /// # Errors
    /// The fault of the access.
    async fn store(
        &self,
        va: u64,
        size: AccessSize,
        privilege: Privilege,
        value: u64,
    ) -> Result<(), AccessFault>;

    /// Writes zeros to the `bytes` bytes at `va`, both multiples of 8, with EL1 privilege: the loop that
    /// clears a page. Other tasks and cores come in between its stores, though an implementor may group
    /// those to one line of 64 bytes.
    ///
    /// # Errors
    /// The fault of a store; those before it were performed.
    async fn clear(&self, va: u64, bytes: u64) -> Result<(), AccessFault> {
        for offset in (0..bytes & !7).step_by(8) {
            let va = va.wrapping_add(offset);
            self.store(va, AccessSize::Double, Privilege::Privileged, 0)
                .await?;
        }
        Ok(())
    }

    /// Copies `bytes` bytes from `from` to `to`, all multiples of 8, with EL1 privilege and in ascending
    /// order: the loop that copies a page. Accesses may be grouped as those of [`Cpu::clear`].
    ///
    /// # Errors
    /// The fault of an access; what came before it was performed.
    async fn copy(&self, to: u64, from: u64, bytes: u64) -> Result<(), AccessFault> {
        let (size, who) = (AccessSize::Double, Privilege::Privileged);
        for offset in (0..bytes & !7).step_by(8) {
            let word = self.load(from.wrapping_add(offset), size, who).await?;
            self.store(to.wrapping_add(offset), size, who, word).await?;
        }
        Ok(())
    }

    /// Writes `new` at `va` if memory holds `expected`, as one atomic access, and returns what memory
    /// held. `va` shall be aligned to `size`.
    ///
    /// # Errors
    /// The fault of the access; a CAS needs read and write permission whatever its compare says
    /// (HAF-16).
    async fn compare_and_swap(
        &self,
        va: u64,
        size: AccessSize,
        privilege: Privilege,
        expected: u64,
        new: u64,
    ) -> Result<u64, AccessFault>;

    /// Fetches the 4-byte instruction at `va`.
    ///
    /// # Errors
    /// The fault of the fetch.
    async fn fetch(&self, va: u64, privilege: Privilege) -> Result<u32, AccessFault>;

    /// AT: translates `va` without accessing it.
    ///
    /// # Errors
    /// Only external aborts are taken as exceptions (VMSA-55); stage 1 faults are in the [`Par`].
    async fn address_translate(&self, op: AtOp, va: u64) -> Result<Par, AccessFault>;

    /// Issues a TLB invalidation; a later [`DsbKind::ISH`] of this core waits for it.
    async fn tlbi(&self, op: Tlbi);

    /// Data synchronization barrier.
    async fn dsb(&self, kind: DsbKind);

    /// Instruction synchronization barrier: a context synchronization event.
    async fn isb(&self);

    /// MSR: takes effect no later than the next [`Cpu::isb`].
    async fn write_sysreg(&self, register: SysReg, value: u64);
}
