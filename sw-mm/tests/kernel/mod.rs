// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A kernel on the functional machine.

use std::rc::Rc;
use sw_mm::audit::audit;
use sw_mm::boot::{BootConfig, HardwareUpdate, RangeConfig, image};
use sw_mm::folio::{Folio, Owner};
use sw_mm::functional::{Core, FrameSafety, Machine, MachineConfig};
use sw_mm::kernel::{Kernel, KernelConfig};
use sw_mm::mm::{AddressSpace, Error, Found, Map, Protection};
use sw_mm::page::{NodeConfig, NodeId, Tier};
use sw_mm::pte::Pte;
use sw_mm::thread::Thread;
use sw_mm::{Cpu, NoWitness, Witness, block_on, contpte};
use vmsa::{DsbKind, Granule};

/// First byte of memory, and where the boot tables lie in it.
pub const MEMORY: u64 = 0x4000_0000;
pub const NODE_BYTES: u64 = 16 << 20;

/// A machine, its kernel, and a thread on each core.
pub struct Setup {
    pub machine: Machine,
    pub kernel: Rc<Kernel>,
    pub threads: Vec<Thread<Core>>,
    /// Looks at each frame that comes or goes.
    pub safety: Rc<FrameSafety>,
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
    let safety = FrameSafety::new(&machine, witness);
    let kernel = Kernel::new(config, boot.linear, safety.clone()).expect("the kernel boots");
    safety.of(&kernel);
    let threads = (0..cores)
        .map(|core| Thread::new(&kernel, machine.core(usize::from(core)), core))
        .collect();
    Setup {
        machine,
        kernel,
        threads,
        safety,
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

    /// Another thread on core `core`, in `space`, whose every instruction lets the other tasks of a
    /// scheduler come in between.
    pub async fn interleaved(&self, core: u8, space: &Rc<AddressSpace>) -> Thread<Core> {
        let handle = self.machine.core(usize::from(core));
        let thread = Thread::new(&self.kernel, handle.interleaved(), core);
        thread.switch_to(space).await;
        thread
    }

    /// Every folio.
    pub fn folios(&self) -> Vec<Rc<Folio>> {
        let folio = |owner| match owner {
            Owner::Folio(folio) => Some(folio),
            Owner::Table(_) => None,
        };
        let owners = self.kernel.frames.all();
        owners.into_iter().filter_map(folio).collect()
    }

    /// The last-level entry for `va`, or the leaf above.
    pub fn entry(&self, space: &Rc<AddressSpace>, va: u64) -> Pte {
        let thread = &self.threads[0];
        block_on(async {
            match space.walk(thread, va).await.expect("sound tables") {
                Found::Nothing(_) => Pte::NONE,
                Found::Block(_, _, pte) => pte,
                Found::Table(table) => {
                    let ptr = table.entry(&self.kernel, va).expect("in the window");
                    contpte::get(thread, ptr).await.expect("no fault")
                }
            }
        })
    }

    /// The folio behind `va`.
    pub fn folio(&self, space: &Rc<AddressSpace>, va: u64) -> Rc<Folio> {
        let pte = self.entry(space, va);
        assert!(pte.present(), "{pte:?} at {va:#x}");
        let folio = self.kernel.frames.folio(pte.pfn(self.kernel.granule()));
        folio.expect("a folio behind the entry")
    }

    /// Fails if the books disagree with the tables. Nothing is under way.
    pub fn audit(&self) {
        for thread in &self.threads {
            block_on(thread.cpu.dsb(DsbKind::ISH));
        }
        if let Err(wrong) = audit(&self.kernel, |pa| self.machine.peek(pa)) {
            panic!("{wrong}");
        }
    }

    /// Fails if locks were taken wrongly, break-before-make was skipped, or a frame came or went that a
    /// core could reach.
    pub fn judge(&self) {
        let locks = self.kernel.lock_violations().borrow();
        assert!(locks.is_empty(), "{}", locks[0]);
        let violations = self.machine.violations();
        assert!(violations.is_empty(), "{}", violations[0]);
        let frames = self.safety.violations();
        assert!(frames.is_empty(), "{}", frames[0]);
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
