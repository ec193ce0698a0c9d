// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A kernel on the functional machine.

use std::rc::Rc;
use sw_mm::boot::{BootConfig, HardwareUpdate, RangeConfig, image};
use sw_mm::functional::{Core, Machine, MachineConfig};
use sw_mm::kernel::{Kernel, KernelConfig};
use sw_mm::mm::{AddressSpace, Error, Map, Protection};
use sw_mm::page::{NodeConfig, NodeId, Tier};
use sw_mm::thread::Thread;
use sw_mm::{NoWitness, Witness, block_on};
use vmsa::Granule;

/// First byte of memory, and where the boot tables lie in it.
pub const MEMORY: u64 = 0x4000_0000;
pub const NODE_BYTES: u64 = 16 << 20;

/// A machine, its kernel, and a thread on each core.
pub struct Setup {
    pub machine: Machine,
    pub kernel: Rc<Kernel>,
    pub threads: Vec<Thread<Core>>,
}

/// Two nodes of 16 MiB, the cores in turn on them; 4K pages.
#[allow(dead_code, reason = "not every test binary takes it")]
pub fn config(cores: usize) -> KernelConfig {
    let node = |index: u64| NodeConfig {
        base: MEMORY + index * NODE_BYTES,
        bytes: NODE_BYTES,
        movable_bytes: 0,
        tier: Tier::Top,
        watermarks: Default::default(),
        zeroed: true,
    };
    KernelConfig {
        nodes: vec![node(0), node(1)],
        core_nodes: (0..cores).map(|core| NodeId((core % 2) as u8)).collect(),
        ..KernelConfig::simple(MEMORY, NODE_BYTES)
    }
}

pub fn boot(config: KernelConfig) -> Setup {
    boot_with(config, Rc::new(NoWitness))
}

pub fn boot_with(config: KernelConfig, witness: Rc<dyn Witness>) -> Setup {
    let boot_config = BootConfig {
        user: RangeConfig {
            granule: config.granule,
            va_bits: config.va_bits,
        },
        memory_base: MEMORY,
        memory_bytes: 128 << 20,
        tables_base: MEMORY + (64 << 20),
        tables_bytes: 32 << 20,
        hardware_update: config.hardware_update,
        ..BootConfig::default()
    };
    let (memory, boot) = image(&boot_config).expect("the configuration boots");
    let machine = Machine::new(MachineConfig {
        cores: config.core_nodes.len(),
        bbm2: config.contpte.bbm2_noabort,
        ..MachineConfig::default()
    });
    machine.load(&memory, &boot.registers);
    let cores = config.core_nodes.len() as u8;
    let kernel = Kernel::new(config, boot.linear, witness).expect("the kernel boots");
    let threads = (0..cores)
        .map(|core| Thread::new(&kernel, machine.core(usize::from(core)), core))
        .collect();
    Setup {
        machine,
        kernel,
        threads,
    }
}

#[allow(dead_code, reason = "not every test binary uses every access")]
impl Setup {
    /// A new address space that core 0 runs.
    pub fn space(&self) -> Rc<AddressSpace> {
        let thread = &self.threads[0];
        block_on(async {
            let space = AddressSpace::new(thread).await.expect("a root");
            thread.switch_to(&space).await;
            space
        })
    }

    /// Fails if locks were taken wrongly or break-before-make was skipped.
    pub fn judge(&self) {
        let locks = self.kernel.lock_violations().borrow();
        assert!(locks.is_empty(), "{}", locks[0]);
        let violations = self.machine.violations();
        assert!(violations.is_empty(), "{}", violations[0]);
    }

    /// Pages in use on all nodes.
    pub fn used(&self) -> u64 {
        let memory = &self.kernel.memory;
        (0..memory.nodes() as u8)
            .map(|node| memory.total_pages(NodeId(node)) - memory.free_pages(NodeId(node)))
            .sum()
    }
}

/// Every granule with every way of hardware updates.
#[allow(dead_code, reason = "not every test binary takes it")]
pub fn variants(cores: usize) -> Vec<KernelConfig> {
    let updates = [
        HardwareUpdate::None,
        HardwareUpdate::AccessFlag,
        HardwareUpdate::AccessFlagAndDirty,
    ];
    let of = |granule: Granule| {
        updates.map(|hardware_update| KernelConfig {
            granule,
            hardware_update,
            ..config(cores)
        })
    };
    Granule::ALL.into_iter().flat_map(of).collect()
}

/// Private memory that may be written.
#[allow(dead_code, reason = "not every test binary takes it")]
pub async fn map(thread: &Thread<Core>, va: u64, bytes: u64) -> Result<(), Error> {
    let map = Map::anonymous(va, bytes, Protection::READ_WRITE);
    thread.mmap(&map).await
}
