// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A booted functional machine, and a core that leaves out one step of the OS.

use sw_mm::boot::{Boot, BootConfig, image};
use sw_mm::functional::{Core, Machine, MachineConfig};
use sw_mm::{AccessSize, Cpu, Par, Privilege, block_on};
use vmsa::{AccessFault, AtOp, DsbKind, FaultKind, SysReg, Tlbi, TlbiOp};

/// The machine with its MMU on and the OS state that goes with it.
pub struct Booted {
    pub machine: Machine,
    pub cpu: Core,
    pub boot: Boot,
}

#[allow(dead_code, reason = "not every test binary takes the default machine")]
pub fn boot(config: &BootConfig) -> Booted {
    boot_on(config, MachineConfig::default())
}

pub fn boot_on(config: &BootConfig, machine: MachineConfig) -> Booted {
    let (memory, boot) = image(config).expect("the configuration boots");
    let machine = Machine::new(machine);
    machine.load(&memory, &boot.registers);
    let cpu = machine.core(0);
    Booted { machine, cpu, boot }
}

#[allow(dead_code, reason = "not every test binary uses every access")]
impl Booted {
    /// A user load of 8 bytes.
    pub fn read(&self, va: u64) -> Result<u64, FaultKind> {
        block_on(
            self.cpu
                .load(va, AccessSize::Double, Privilege::Unprivileged),
        )
        .map_err(kind)
    }

    /// A user store of 8 bytes.
    pub fn write(&self, va: u64, value: u64) -> Result<(), FaultKind> {
        block_on(
            self.cpu
                .store(va, AccessSize::Double, Privilege::Unprivileged, value),
        )
        .map_err(kind)
    }

    /// Output address of a user read, by AT.
    pub fn pa(&self, va: u64) -> Option<u64> {
        match block_on(self.cpu.address_translate(AtOp::S1E0R, va)) {
            Ok(Par::Translated { pa, .. }) => Some(pa),
            _ => None,
        }
    }

    /// Fails if the tables, the allocators or the break-before-make monitor disagree with the OS.
    pub fn audit(&self) {
        for (table, frames) in [
            (&self.boot.user, &self.boot.user_frames),
            (&self.boot.kernel, &self.boot.kernel_frames),
        ] {
            let audit = block_on(table.audit(&self.cpu)).expect("sound tables");
            assert_eq!(audit.tables, frames.in_use() as u64, "leaked table pages");
        }
        let violations = self.machine.violations();
        assert!(violations.is_empty(), "{}", violations[0]);
    }
}

pub fn kind(fault: AccessFault) -> FaultKind {
    fault.fsc.kind().expect("a fault of this profile")
}

/// An OS step to get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "not every test binary uses every mutation")]
pub enum Mutation {
    /// No TLBI is executed.
    NoTlbi,
    /// Every TLBI by VA removes leaf entries only.
    LeafOnlyTlbi,
    /// Only the first TLBI by VA after a barrier is executed.
    OneTlbi,
    /// The barrier after a TLBI waits for stores only.
    StoresOnlyBarrier,
    /// The barrier before a TLBI is left out.
    NoBarrierBeforeTlbi,
    /// No mistake, but a user thread stores to this address just before every compare-and-swap.
    UserStoreBeforeSwap(u64),
}

/// A core that runs the OS with one step wrong.
pub struct Mutant<'a> {
    pub core: &'a Core,
    pub mutation: Mutation,
    invalidated: std::cell::Cell<bool>,
}

#[allow(dead_code, reason = "not every test binary mutates")]
impl<'a> Mutant<'a> {
    pub fn new(core: &'a Core, mutation: Mutation) -> Self {
        Self {
            core,
            mutation,
            invalidated: Default::default(),
        }
    }
}

impl Cpu for Mutant<'_> {
    async fn load(&self, va: u64, s: AccessSize, p: Privilege) -> Result<u64, AccessFault> {
        self.core.load(va, s, p).await
    }

    async fn store(
        &self,
        va: u64,
        s: AccessSize,
        p: Privilege,
        value: u64,
    ) -> Result<(), AccessFault> {
        self.core.store(va, s, p, value).await
    }

    async fn compare_and_swap(
        &self,
        va: u64,
        s: AccessSize,
        p: Privilege,
        expected: u64,
        new: u64,
    ) -> Result<u64, AccessFault> {
        if let Mutation::UserStoreBeforeSwap(user) = self.mutation {
            // It may fault: the page is being taken away.
            let _ = self
                .core
                .store(user, AccessSize::Double, Privilege::Unprivileged, 1)
                .await;
        }
        self.core.compare_and_swap(va, s, p, expected, new).await
    }

    async fn fetch(&self, va: u64, p: Privilege) -> Result<u32, AccessFault> {
        self.core.fetch(va, p).await
    }

    async fn address_translate(&self, op: AtOp, va: u64) -> Result<Par, AccessFault> {
        self.core.address_translate(op, va).await
    }

    async fn tlbi(&self, op: Tlbi) {
        let again = self.invalidated.replace(true);
        let op = match (self.mutation, op.op) {
            (Mutation::NoTlbi, _) => return,
            (Mutation::OneTlbi, _) if again => return,
            (Mutation::LeafOnlyTlbi, TlbiOp::Vae1) => Tlbi {
                op: TlbiOp::Vale1,
                ..op
            },
            _ => op,
        };
        self.core.tlbi(op).await;
    }

    async fn dsb(&self, barrier: DsbKind) {
        self.invalidated.set(false);
        match (self.mutation, barrier) {
            (Mutation::StoresOnlyBarrier, DsbKind::ISH) => self.core.dsb(DsbKind::ISHST).await,
            (Mutation::NoBarrierBeforeTlbi, DsbKind::ISHST) => {}
            _ => self.core.dsb(barrier).await,
        }
    }

    async fn isb(&self) {
        self.core.isb().await;
    }

    async fn write_sysreg(&self, register: SysReg, value: u64) {
        self.core.write_sysreg(register, value).await;
    }
}
