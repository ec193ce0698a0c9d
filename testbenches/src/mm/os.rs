// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The kernel of `sw-mm` booted on the hardware: one thread of execution on each core, memory of each
//! node where the hardware has it.

use std::cell::Cell;
use std::rc::Rc;

use cosim::dut::memory::node_base;
use cosim::regress::{Bench, Failure};
use cosim::sim::{CoreHandle, SimHandle};
use sw_mm::audit::audit;
use sw_mm::boot::{Bank, BootConfig, HardwareUpdate, RangeConfig, Registers, image_banks};
use sw_mm::contpte;
use sw_mm::file::File;
use sw_mm::folio::Folio;
use sw_mm::kernel::{Kernel, KernelConfig};
use sw_mm::mm::AddressSpace;
use sw_mm::page::{NodeConfig, NodeId, Tier};
use sw_mm::pte::Pte;
use sw_mm::thread::Thread;
use vmsa::{Descriptor, Granule, geometry};

use super::frames::FrameOrder;

/// First byte of memory where nodes have no spans of their own.
const MEMORY: u64 = 0x4000_0000;
/// Memory for the tables of the linear map, below that of the first node.
const TABLES: u64 = 4 << 20;

/// What to boot with, as far as tests choose it.
#[derive(Debug, Clone)]
pub struct OsConfig {
    /// Page size of user tables.
    pub granule: Granule,
    /// User virtual address bits.
    pub va_bits: u32,
    /// Page size of the linear map.
    pub kernel_granule: Granule,
    /// TCR_EL1.HA and HD.
    pub hardware_update: HardwareUpdate,
    /// As in [`KernelConfig`].
    pub asids: u32,
    /// As in [`KernelConfig`].
    pub range_tlbi: bool,
    /// As in [`KernelConfig`].
    pub batched: bool,
    /// As in [`KernelConfig`].
    pub contpte: contpte::Config,
    /// As in [`KernelConfig`].
    pub anonymous_orders: Vec<u8>,
    /// As in [`KernelConfig`].
    pub huge: bool,
    /// Pages of each node.
    pub pages: u64,
    /// What else is to be different.
    pub adjust: fn(&mut KernelConfig),
}

impl Default for OsConfig {
    /// 4K pages, 48 bits, hardware updates, 2048 pages a node.
    fn default() -> Self {
        Self {
            granule: Granule::K4,
            va_bits: 48,
            kernel_granule: Granule::K4,
            hardware_update: HardwareUpdate::AccessFlagAndDirty,
            asids: 65536,
            range_tlbi: true,
            batched: true,
            contpte: contpte::Config::default(),
            anonymous_orders: Vec::new(),
            huge: false,
            pages: 2048,
            adjust: |_| {},
        }
    }
}

impl OsConfig {
    /// Pages of `granule`.
    #[must_use]
    pub fn with_granule(granule: Granule) -> Self {
        Self {
            granule,
            ..Self::default()
        }
    }

    /// Each granule once, and each way of hardware updates.
    #[must_use]
    pub fn few() -> Vec<Self> {
        let with = |granule, hardware_update| Self {
            hardware_update,
            ..Self::with_granule(granule)
        };
        vec![
            with(Granule::K4, HardwareUpdate::AccessFlagAndDirty),
            with(Granule::K4, HardwareUpdate::None),
            with(Granule::K16, HardwareUpdate::AccessFlag),
            with(Granule::K64, HardwareUpdate::AccessFlagAndDirty),
        ]
    }

    fn kernel(&self, nodes: Vec<NodeConfig>, handle: &SimHandle) -> KernelConfig {
        let info = handle.info();
        let distance = &handle.memory_system().distance;
        let between = |from: usize, to: usize| match from == to {
            true => 10,
            false => distance[from][to].max(11),
        };
        let row = |from| (0..nodes.len()).map(|to| between(from, to)).collect();
        let node_of = |core| match nodes.len() {
            1 => NodeId(0),
            _ => NodeId(core / (info.cores / info.cpu_nodes)),
        };
        let mut config = KernelConfig {
            granule: self.granule,
            va_bits: self.va_bits,
            hardware_update: self.hardware_update,
            asids: self.asids,
            range_tlbi: self.range_tlbi,
            batched: self.batched,
            contpte: self.contpte,
            anonymous_orders: self.anonymous_orders.clone(),
            huge: self.huge,
            distances: (0..nodes.len()).map(row).collect(),
            core_nodes: (0..info.cores).map(node_of).collect(),
            nodes,
            ..KernelConfig::simple(0, 0)
        };
        (self.adjust)(&mut config);
        config
    }
}

/// A kernel, and a thread on each core.
pub struct Os {
    /// The simulation.
    pub handle: SimHandle,
    /// The kernel.
    pub kernel: Rc<Kernel>,
    /// By core.
    pub threads: Vec<Rc<Thread<CoreHandle>>>,
    registers: Registers,
    /// Free pages by node before anything ran.
    free: Vec<u64>,
    entered: Cell<bool>,
}

impl Os {
    /// Opens a simulation of `bench` with the kernel loaded, and a listener that holds the kernel to the
    /// order in which frames may be freed. No core has executed anything yet.
    ///
    /// # Errors
    /// When the hardware cannot be opened or the configuration cannot be booted.
    pub fn boot(bench: &mut Bench, config: &OsConfig) -> Result<Rc<Self>, Failure> {
        let handle = bench.handle()?;
        let nodes = nodes(&handle, config);
        let bank = |node: &NodeConfig| Bank {
            base: node.base,
            bytes: node.bytes,
        };
        let (first, more) = nodes
            .split_first()
            .ok_or_else(|| Failure::setup("no memory"))?;
        let more: Vec<Bank> = more.iter().map(bank).collect();
        let range = |granule, va_bits| RangeConfig { granule, va_bits };
        let boot = BootConfig {
            kernel: range(config.kernel_granule, 48),
            user: range(config.granule, config.va_bits),
            memory_base: first.base - TABLES,
            memory_bytes: first.bytes + TABLES,
            tables_base: first.base - TABLES,
            tables_bytes: TABLES,
            asid: 0,
            asid16: config.asids > 256,
            hardware_update: config.hardware_update,
            ..BootConfig::default()
        };
        let (image, boot) =
            image_banks(&boot, &more).map_err(|error| Failure::setup(format!("boot: {error}")))?;
        for (at, words) in &image {
            bench.load(*at, words)?;
        }
        let witness = Rc::new(handle.clone());
        let kernel = Kernel::new(config.kernel(nodes, &handle), boot.linear, witness)?;
        let clock = handle.clone();
        kernel.clock.set_source(move || clock.now());
        bench
            .simulation()?
            .add_monitor(FrameOrder::new(Rc::clone(&kernel)));
        let thread = |core: usize| {
            let cpu = handle.core(core)?;
            Some(Rc::new(Thread::new(&kernel, cpu, core as u8)))
        };
        Ok(Rc::new(Self {
            threads: (0..handle.cores()).filter_map(thread).collect(),
            free: free(&kernel),
            kernel,
            registers: boot.registers,
            handle,
            entered: Cell::new(false),
        }))
    }

    /// Runs `program` with the MMU of every core on, to its end.
    ///
    /// # Errors
    /// What the program returns; a broken requirement, of locking too; a timeout.
    pub fn run<T, Program, Running>(
        self: &Rc<Self>,
        bench: &mut Bench,
        program: Program,
    ) -> Result<T, Failure>
    where
        T: 'static,
        Program: FnOnce(Rc<Self>) -> Running,
        Running: Future<Output = Result<T, Failure>> + 'static,
    {
        let os = Rc::clone(self);
        let running = program(Rc::clone(self));
        let answer = bench.run(async move |_| {
            os.enter().await;
            running.await
        })?;
        self.judge()?;
        Ok(answer)
    }

    /// [`Os::run`] with a budget of `budget` cycles.
    ///
    /// # Errors
    /// As [`Os::run`].
    pub fn run_within<T, Program, Running>(
        self: &Rc<Self>,
        bench: &mut Bench,
        budget: u64,
        program: Program,
    ) -> Result<T, Failure>
    where
        T: 'static,
        Program: FnOnce(Rc<Self>) -> Running,
        Running: Future<Output = Result<T, Failure>> + 'static,
    {
        let os = Rc::clone(self);
        let running = program(Rc::clone(self));
        let program = self.handle.spawn(async move {
            os.enter().await;
            running.await
        });
        bench.run_within(budget)?;
        let unfinished = || Err(Failure::timeout("the program did not end"));
        let answer = program.take().unwrap_or_else(unfinished)?;
        self.judge()?;
        Ok(answer)
    }

    /// Turns the MMU of every core on.
    async fn enter(&self) {
        if self.entered.replace(true) {
            return;
        }
        let load = |thread: &Rc<Thread<CoreHandle>>| {
            let (cpu, registers) = (thread.cpu.clone(), self.registers);
            self.handle.spawn(async move { registers.load(&cpu).await })
        };
        let loading: Vec<_> = self.threads.iter().map(load).collect();
        for done in loading {
            done.await;
        }
    }

    /// A new address space that the first thread runs.
    ///
    /// # Errors
    /// As [`AddressSpace::new`].
    pub async fn space(&self) -> Result<Rc<AddressSpace>, Failure> {
        let thread = &self.threads[0];
        let space = AddressSpace::new(thread).await?;
        thread.switch_to(&space).await;
        Ok(space)
    }

    /// Two threads: the first, and one on the last core. If there is one core only both are on it, and
    /// their accesses take turns.
    #[must_use]
    pub fn pair(&self) -> (Rc<Thread<CoreHandle>>, Rc<Thread<CoreHandle>>) {
        let first = &self.threads[0];
        let other = match self.threads.split_last() {
            Some((last, [_, ..])) => Rc::clone(last),
            _ => Rc::new(Thread::new(&self.kernel, first.cpu.clone(), 0)),
        };
        (Rc::clone(first), other)
    }

    /// Every thread, two at least, as [`Os::pair`] makes them.
    #[must_use]
    pub fn several(&self) -> Vec<Rc<Thread<CoreHandle>>> {
        let (_, other) = self.pair();
        let last = self.threads.len().max(2) - 1;
        let threads = self.threads.iter().take(last).cloned();
        threads.chain([other]).collect()
    }

    /// Fails if locks were taken wrongly.
    fn judge(&self) -> Result<(), Failure> {
        match self.kernel.lock_violations().borrow().first() {
            Some(violation) => Err(Failure::expectation(violation.to_string())),
            None => Ok(()),
        }
    }

    /// Fails unless the kernel's books agree with what its tables say. No operation is under way.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), Failure> {
        let audit = audit(&self.kernel, |pa| self.handle.peek(pa));
        let what = |wrong| format!("the kernel's books are wrong: {wrong}");
        audit
            .map(|_| ())
            .map_err(|wrong| Failure::expectation(what(wrong)).at_cycle(self.handle.now()))
    }

    /// Fails unless every frame of every node is back, after every address space has exited (MM-30).
    ///
    /// # Errors
    /// Which node misses how many.
    pub fn all_freed(&self) -> Result<(), Failure> {
        self.audit()?;
        let now = free(&self.kernel);
        if now == self.free {
            return Ok(());
        }
        let what = format!(
            "[MM-30] pages free by node: {:?} at first, {now:?} now",
            self.free
        );
        Err(Failure::expectation(what).at_cycle(self.handle.now()))
    }

    /// The leaf entry that translates `va` in `space`, and its physical address; `None` if a table is
    /// missing. Reads memory without the hardware taking notice.
    #[must_use]
    pub fn leaf(&self, space: &AddressSpace, va: u64) -> Option<(u64, Descriptor)> {
        let (granule, va_bits) = (self.kernel.granule(), self.kernel.config().va_bits);
        let mut table = space.root.pa;
        for level in geometry::start_level(granule, va_bits)..=geometry::FINAL_LEVEL {
            let slot = table + 8 * geometry::index(granule, va_bits, level, va);
            let entry = Descriptor(self.handle.peek(slot));
            let deeper = level < geometry::FINAL_LEVEL && entry.valid() && entry.is_table_bit();
            if !deeper {
                let reached = level == geometry::FINAL_LEVEL || entry.valid();
                return reached.then_some((slot, entry));
            }
            table = entry.next_table(granule);
        }
        None
    }
}

/// The folio that `space` has at `va`.
///
/// # Errors
/// If there is none.
pub fn folio_at(os: &Os, space: &AddressSpace, va: u64) -> Result<Rc<Folio>, Failure> {
    let entry = os
        .leaf(space, va)
        .map_or(Pte::NONE, |(_, leaf)| Pte(leaf.0));
    let folio = os.kernel.frames.folio(entry.pfn(os.kernel.granule()));
    let present = entry.present() && !entry.special();
    folio
        .filter(|_| present)
        .ok_or_else(|| Failure::setup(format!("{entry:?} at {va:#x}")))
}

/// Has `thread` run in `space`, as one more user of it.
pub async fn join(thread: &Thread<CoreHandle>, space: &Rc<AddressSpace>) {
    space.users.set(space.users.get() + 1);
    thread.switch_to(space).await;
}

/// Gives back what the page cache of `file` holds.
pub fn drop_cache(kernel: &Kernel, file: &File) {
    for folio in file.pages() {
        if file.remove(folio.index()).is_some() {
            kernel.put_folio(0, &folio, 1);
        }
    }
}

/// The memory of each node, or of all as one if no node has a span of its own. Tables of the linear
/// map lie below the first.
fn nodes(handle: &SimHandle, config: &OsConfig) -> Vec<NodeConfig> {
    let info = handle.info();
    let bytes = config.pages * config.granule.bytes();
    let node = |base, tier| NodeConfig {
        base,
        bytes,
        movable_bytes: 0,
        tier,
        watermarks: Default::default(),
        zeroed: true,
    };
    let spans = (0..info.nodes).all(|node| handle.home(node_base(node)) == Some(node));
    if info.nodes == 1 || !spans {
        return vec![node(MEMORY, Tier::Top)];
    }
    let tier = |number| match number < info.cpu_nodes {
        true => Tier::Top,
        false => Tier::Slow,
    };
    (0..info.nodes)
        .map(|number| node(node_base(number) + TABLES, tier(number)))
        .collect()
}

fn free(kernel: &Kernel) -> Vec<u64> {
    let nodes = 0..kernel.memory.nodes() as u8;
    nodes
        .map(|node| kernel.memory.free_pages(NodeId(node)))
        .collect()
}
