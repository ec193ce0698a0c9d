// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A kernel on the functional machine beside the model: each step is done by both.

use crate::memory::Pin;
use crate::model::{Access, Model, Refused, Space};
use crate::step::{FAR, NEAR, OFFSETS, Op, Place, Range, Setup, Share, Step};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use sw_mm::boot::{BootConfig, RangeConfig, image};
use sw_mm::file::File;
use sw_mm::functional::{Core, FrameSafety, Machine, MachineConfig};
use sw_mm::kernel::{Kernel, KernelConfig};
use sw_mm::mm::{AddressSpace, Advice, Error, Protection};
use sw_mm::page::{NodeConfig, NodeId, Tier};
use sw_mm::thread::Thread;
use sw_mm::{AccessSize, Cpu, NoWitness, block_on};
use vmsa::Granule;

const MEMORY: u64 = 0x4000_0000;
const NODES: u64 = 2;
/// Memory for the boot tables.
const TABLES: u64 = 8 << 20;
pub const FILES: u8 = 2;
/// Pages of each file: mappings reach beyond.
const FILE_PAGES: u64 = 20;
pub const MOST_SPACES: usize = 4;

/// Why a run is not in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The kernel could not do what it was asked for.
    Kernel(Error),
    /// It did something else.
    Wrong(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Kernel(error)
    }
}

impl From<String> for Failure {
    fn from(what: String) -> Self {
        Self::Wrong(what)
    }
}

impl From<&str> for Failure {
    fn from(what: &str) -> Self {
        Self::Wrong(what.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(error) => error.fmt(f),
            Self::Wrong(what) => f.write_str(what),
        }
    }
}

pub struct World<C> {
    pub setup: Setup,
    pub machine: Machine,
    pub kernel: Rc<Kernel>,
    pub safety: Rc<FrameSafety>,
    pub threads: Vec<Thread<C>>,
    pub files: Vec<Rc<File>>,
    pub spaces: BTreeMap<u32, Rc<AddressSpace>>,
    /// The address space that each core runs.
    pub running: Vec<Option<u32>>,
    pub model: Model,
    pub pins: Vec<Pin>,
    pub next_pin: u32,
    /// Pages in use before the first address space.
    pub idle_pages: u64,
}

fn node_bytes(granule: Granule) -> u64 {
    match granule {
        Granule::K4 => 32 << 20,
        Granule::K16 => 64 << 20,
        Granule::K64 => 128 << 20,
    }
}

fn configs(setup: &Setup) -> (BootConfig, MachineConfig, KernelConfig) {
    let bytes = node_bytes(setup.granule);
    let node = |index: u64| NodeConfig {
        base: MEMORY + index * bytes,
        bytes,
        movable_bytes: bytes / 4,
        tier: Tier::Top,
        watermarks: Default::default(),
        zeroed: true,
    };
    let cores = 0..setup.cores;
    let kernel = KernelConfig {
        granule: setup.granule,
        hardware_update: setup.update,
        asids: setup
            .spare_asids
            .map_or(65536, |spare| setup.cores as u32 + spare),
        range_tlbi: setup.range_tlbi,
        contpte: setup.contpte,
        anonymous_orders: setup.orders.clone(),
        nodes: (0..NODES).map(node).collect(),
        core_nodes: cores.map(|core| NodeId((core % 2) as u8)).collect(),
        batched: setup.batched,
        huge: setup.huge,
        swap_slots: setup.swap_slots,
        ..KernelConfig::simple(MEMORY, bytes)
    };
    let boot = BootConfig {
        user: RangeConfig {
            granule: setup.granule,
            va_bits: kernel.va_bits,
        },
        memory_base: MEMORY,
        memory_bytes: NODES * bytes + TABLES,
        tables_base: MEMORY + NODES * bytes,
        tables_bytes: TABLES,
        hardware_update: setup.update,
        ..BootConfig::default()
    };
    let machine = MachineConfig {
        cores: setup.cores,
        contiguous: setup.contiguous,
        ets2: setup.ets2,
        bbm2: setup.bbm2,
    };
    (boot, machine, kernel)
}

/// Pages of a slot of the second window.
const fn stride(granule: Granule) -> u64 {
    match granule {
        Granule::K4 => 32,
        Granule::K16 => 8,
        Granule::K64 => 4,
    }
}

impl<C: Cpu> World<C> {
    /// A world whose cores are what `wrap` makes of them, all in one address space.
    pub fn new(setup: &Setup, wrap: impl Fn(Core) -> C) -> Self {
        let (boot_config, machine_config, kernel_config) = configs(setup);
        let (memory, boot) = image(&boot_config).expect("the configuration boots");
        let machine = Machine::new(machine_config);
        machine.load(&memory, &boot.registers);
        let safety = FrameSafety::new(&machine, Rc::new(NoWitness));
        let kernel = Kernel::new(kernel_config, boot.linear, safety.clone());
        let kernel = kernel.expect("the kernel boots");
        safety.of(&kernel);
        let thread = |core| Thread::new(&kernel, wrap(machine.core(core)), core as u8);
        let mut world = Self {
            setup: setup.clone(),
            threads: (0..setup.cores).map(thread).collect(),
            files: (0..FILES)
                .map(|number| File::new(number.into(), FILE_PAGES))
                .collect(),
            spaces: BTreeMap::new(),
            running: vec![None; setup.cores],
            model: Model::new(setup.granule.shift(), FILE_PAGES),
            pins: Vec::new(),
            next_pin: 0,
            idle_pages: 0,
            machine,
            kernel,
            safety,
        };
        world.idle_pages = world.used();
        for core in 0..setup.cores {
            world.switch(core, 0).expect("an address space");
        }
        if setup.mapped {
            for slot in [0, NEAR] {
                let range = world.range(Range { slot, count: FAR });
                let mapped = world.map(0, range, Protection::READ_WRITE, Share::Anonymous);
                mapped.expect("nothing else is there");
                if setup.huge {
                    let advised = world.advise(0, range, Advice::HugePage);
                    advised.expect("it is mapped");
                }
            }
        }
        world
    }

    /// Pages in use on all nodes.
    pub fn used(&self) -> u64 {
        let memory = &self.kernel.memory;
        (0..memory.nodes() as u8)
            .map(|node| memory.total_pages(NodeId(node)) - memory.free_pages(NodeId(node)))
            .sum()
    }

    pub fn page_bytes(&self) -> u64 {
        self.setup.granule.bytes()
    }

    /// First byte of a slot; its pages.
    pub fn slot(&self, slot: u8) -> (u64, u64) {
        let page = self.page_bytes();
        let table = page * self.setup.granule.entries();
        if slot < NEAR {
            let first = 8 * table - u64::from(NEAR / 2) * page;
            return (first + u64::from(slot) * page, 1);
        }
        let pages = stride(self.setup.granule);
        let slot = u64::from((slot - NEAR) % FAR);
        (16 * table + slot * pages * page, pages)
    }

    /// First byte and bytes.
    pub fn range(&self, range: Range) -> (u64, u64) {
        let (start, pages) = self.slot(range.slot);
        let end = if range.slot < NEAR { NEAR } else { NEAR + FAR };
        let count = range.count.min(end - range.slot);
        (start, u64::from(count) * pages * self.page_bytes())
    }

    fn va(&self, place: Place) -> u64 {
        let (start, pages) = self.slot(place.slot);
        let page = match place.page % 4 {
            0 => 0,
            1 => 1 % pages,
            2 => pages / 2,
            _ => pages - 1,
        };
        let bytes = self.page_bytes();
        let offset = match place.offset % OFFSETS {
            0 => 0,
            1 => 8,
            2 => 1,
            3 => bytes / 2 - 2,
            4 => bytes / 2,
            5 => bytes - 8,
            6 => bytes - 4,
            _ => bytes - 1,
        };
        start + page * bytes + offset
    }

    pub fn pages(&self, (start, bytes): (u64, u64)) -> std::ops::Range<u64> {
        let shift = self.setup.granule.shift();
        start >> shift..(start + bytes) >> shift
    }

    /// Makes `core` run the address space of that number among those that live, or a new one.
    fn switch(&mut self, core: usize, number: u8) -> Result<(), Failure> {
        let thread = &self.threads[core];
        let chosen = usize::from(number).checked_rem(self.spaces.len());
        let space = match chosen.and_then(|index| self.spaces.values().nth(index)) {
            Some(space) => Rc::clone(space),
            None => {
                let space = block_on(AddressSpace::new(thread))?;
                self.spaces.insert(space.number(), Rc::clone(&space));
                self.model.spaces.insert(space.number(), Space::new());
                space
            }
        };
        block_on(thread.switch_to(&space));
        self.running[core] = Some(space.number());
        Ok(())
    }

    /// Does a step.
    pub fn step(&mut self, step: &Step) -> Result<(), Failure> {
        let core = usize::from(step.core) % self.setup.cores;
        match step.op {
            Op::Load(place, size) => self.load(core, self.va(place), size),
            Op::Store(place, size, value) => self.store(core, self.va(place), size, value),
            Op::Swap(place, hit, value) => self.swap(core, self.va(place), hit, value),
            Op::Fetch(place) => self.fetch(core, self.va(place) & !3),
            Op::Speculate(place) => {
                self.machine.speculate(core, self.va(place));
                Ok(())
            }
            Op::Switch(number) => self.switch(core, number),
            Op::Exit(number) => self.exit(core, number),
            Op::Fork => self.fork(core),
            Op::Map(range, protection, share) => {
                self.map(core, self.range(range), protection, share)
            }
            Op::Unmap(range) => self.unmap(core, self.range(range)),
            Op::Protect(range, protection) => self.protect(core, self.range(range), protection),
            Op::DontNeed(range) => self.dont_need(core, self.range(range)),
            Op::Advise(range, advice) => self.advise(core, self.range(range), advice),
            Op::Bind(range, node) => self.bind(core, self.range(range), node),
            Op::Remap(remap) => self.remap(core, remap),
            Op::SwapOut(place) => self.swap_out(core, self.va(place)),
            Op::Reclaim(node, pages) => self.reclaim(core, node, pages),
            Op::Hint(range) => self.hint(core, self.range(range)),
            Op::Age(place, flush) => self.age(core, self.va(place), flush),
            Op::Migrate(place, node) => self.migrate(core, self.va(place), node),
            Op::Pin(place) => self.pin(core, self.va(place)),
            Op::Device(number, value) => self.device(core, number, value),
            Op::Unpin(number) => self.unpin(core, number),
        }
    }

    pub fn judge(
        &mut self,
        core: usize,
        va: u64,
        bytes: u64,
        access: Access,
    ) -> Result<u32, Refused> {
        let space = self.running[core].ok_or((sw_mm::mm::Signal::Segv, va))?;
        self.model.judge(space, va, bytes, access)?;
        Ok(space)
    }

    pub fn load(&mut self, core: usize, va: u64, size: AccessSize) -> Result<(), Failure> {
        let seen = block_on(self.threads[core].user_load(va, size));
        let judged = self.judge(core, va, size.bytes(), Access::Load);
        let expected = judged.map(|space| self.model.read(space, va, size.bytes()));
        compare(seen, expected)
    }

    fn store(&mut self, core: usize, va: u64, size: AccessSize, value: u8) -> Result<(), Failure> {
        let value = (u64::from(value) * 0x0101_0101_0101_0101) ^ va;
        let done = block_on(self.threads[core].user_store(va, size, value));
        let judged = self.judge(core, va, size.bytes(), Access::Store);
        compare(done.map(|()| 0), judged.map(|_| 0))?;
        if let Ok(space) = judged {
            self.model.write(space, va, size.bytes(), value);
        }
        Ok(())
    }

    fn swap(&mut self, core: usize, va: u64, hit: bool, value: u8) -> Result<(), Failure> {
        let value = u64::from(value) << 32 ^ va;
        let judged = self.judge(core, va, 8, Access::Swap);
        let held = judged.map(|space| self.model.read(space, va, 8));
        let expected = held.unwrap_or(0) ^ u64::from(!hit);
        let swap = self.threads[core].user_compare_and_swap(va, expected, value);
        compare(block_on(swap), held)?;
        if let (Ok(space), true) = (judged, hit) {
            self.model.write(space, va, 8, value);
        }
        Ok(())
    }

    fn fetch(&mut self, core: usize, va: u64) -> Result<(), Failure> {
        let seen = block_on(self.threads[core].user_fetch(va));
        let judged = self.judge(core, va, 4, Access::Fetch);
        let expected = judged.map(|space| self.model.read(space, va, 4));
        compare(seen.map(u64::from), expected)
    }
}

pub fn compare(seen: Result<u64, Error>, expected: Result<u64, Refused>) -> Result<(), Failure> {
    let judged = match seen {
        Ok(value) => Ok(value),
        Err(Error::Signal { signal, va }) => Err((signal, va)),
        Err(error) => return Err(error.into()),
    };
    match judged == expected {
        true => Ok(()),
        false => Err(format!("{judged:x?}, expected {expected:x?}").into()),
    }
}

pub fn equal(seen: Result<(), Error>, expected: Result<(), Error>) -> Result<(), Failure> {
    match seen {
        seen if seen == expected => Ok(()),
        Err(error) if expected.is_ok() => Err(error.into()),
        seen => Err(format!("{seen:?}, expected {expected:?}").into()),
    }
}
