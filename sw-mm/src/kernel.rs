// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The kernel: what it was configured as, and the state that all its threads share.

use crate::asid::AsidAllocator;
use crate::boot::HardwareUpdate;
use crate::clock::Clock;
use crate::contpte;
use crate::event::{OsEvent, Witness};
use crate::folio::Frames;
use crate::hinting;
use crate::linear_map::LinearMap;
use crate::lock::Violations;
use crate::lru::Lru;
use crate::mm::{AddressSpace, Error};
use crate::page::{NodeConfig, NodeId, PageAllocator, Pfn, Request};
use crate::swap::SwapArea;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::{Rc, Weak};
use vmsa::Granule;

/// What a kernel is built and booted with.
#[derive(Clone, Debug)]
pub struct KernelConfig {
    /// Page size of user tables.
    pub granule: Granule,
    /// User virtual address bits, 64 - TCR_EL1.T0SZ.
    pub va_bits: u32,
    /// What hardware does to descriptors by itself.
    pub hardware_update: HardwareUpdate,
    /// Context numbers that there are, 0 (never given out) included: 256 or 65536, or fewer, so that a
    /// short run sees a rollover. At least cores + 2.
    pub asids: u32,
    /// Range forms of TLBI exist (FEAT_TLBIRANGE).
    pub range_tlbi: bool,
    /// Transparent contiguous mappings.
    pub contpte: contpte::Config,
    /// Orders of folios, ascending, that an anonymous fault tries from the largest down; order 0 is
    /// always tried last.
    pub anonymous_orders: Vec<u8>,
    /// Transparent huge pages in areas that ask for them.
    pub huge: bool,
    /// Memory of each node.
    pub nodes: Vec<NodeConfig>,
    /// Distances between nodes as in the SLIT; empty: 10 to itself, 20 to another.
    pub distances: Vec<Vec<u8>>,
    /// Node of each core.
    pub core_nodes: Vec<NodeId>,
    /// Pages that the swap area holds.
    pub swap_slots: u64,
    /// NUMA hinting.
    pub hinting: hinting::Config,
    /// Batched forms of fork and zap (contpte section 7); without, entry by entry.
    pub batched: bool,
}

impl KernelConfig {
    /// 4K pages, 48 bits, hardware updates, contiguous mappings on, one core on one node of `bytes` bytes
    /// at `base`.
    pub fn simple(base: u64, bytes: u64) -> Self {
        Self {
            granule: Granule::K4,
            va_bits: 48,
            hardware_update: HardwareUpdate::AccessFlagAndDirty,
            asids: 65536,
            range_tlbi: true,
            contpte: contpte::Config::default(),
            anonymous_orders: Vec::new(),
            huge: false,
            nodes: vec![NodeConfig {
                base,
                bytes,
                movable_bytes: 0,
                tier: crate::page::Tier::Top,
                watermarks: Default::default(),
                zeroed: true,
            }],
            distances: Vec::new(),
            core_nodes: vec![NodeId(0)],
            swap_slots: 1024,
            hinting: hinting::Config::default(),
            batched: true,
        }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What the kernel did so far, in times.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl Counters {
            /// Every counter by name.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.get()),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Translation faults of user accesses.
    translation_faults,
    /// Access flag faults of user accesses.
    access_flag_faults,
    /// Permission faults of user accesses.
    permission_faults,
    /// Faults that found nothing to do but to flush a stale entry.
    spurious_faults,
    /// Accesses refused for good.
    signals,
    /// Pages copied for a write.
    copies,
    /// Pages reused in place for a write.
    reuses,
    /// Pages cleared by stores.
    clears,
    /// TLBI instructions.
    tlbis,
    /// DSB ISH and DSB NSH instructions that wait for TLBIs.
    dsbs,
    /// Blocks folded into contiguous runs.
    folds,
    /// Contiguous runs unfolded.
    unfolds,
    /// Entries of contiguous runs overwritten by an operation that may not be used there: mistakes of
    /// its callers.
    folded_overwrites,
    /// Rollovers of the ASID allocator.
    rollovers,
    /// Context switches.
    switches,
    /// Folios migrated.
    migrations,
    /// Migrations given up.
    failed_migrations,
    /// Pages written to swap.
    swap_outs,
    /// Pages read back from swap.
    swap_ins,
    /// NUMA hinting faults.
    hinting_faults,
    /// NUMA hinting faults after which the page should be elsewhere.
    misplaced,
    /// Folios promoted to a faster tier.
    promotions,
    /// Faults that waited for user space.
    user_faults,
    /// Large leaves mapped.
    huge_faults,
    /// Large leaves split.
    splits,
    /// Large folios split.
    folio_splits,
    /// Pages that reclaim took out of memory.
    reclaimed,
}

/// A count.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.set(self.0.get() + count);
    }

    /// So many so far.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// The kernel.
pub struct Kernel {
    config: KernelConfig,
    linear: LinearMap,
    /// Physical memory.
    pub memory: PageAllocator,
    /// Who has which frame.
    pub frames: Frames,
    /// Context numbers.
    pub asids: AsidAllocator,
    /// Pages that are out of memory.
    pub swap: SwapArea,
    /// Folios that reclaim may take.
    pub lru: Lru,
    /// What was done.
    pub counters: Counters,
    /// Time.
    pub clock: Clock,
    /// What hinting faults told.
    pub hinting: hinting::State,
    spaces: RefCell<BTreeMap<u32, Weak<AddressSpace>>>,
    next_space: Cell<u32>,
    next_context: Cell<u32>,
    zero_page: Pfn,
    violations: Violations,
    witness: Rc<dyn Witness>,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel")
            .field("config", &self.config)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Kernel {
    /// A kernel over memory that `linear` shows. The zero page is taken from the first node and has to
    /// hold zeros.
    ///
    /// # Errors
    /// [`Error::Config`] if memory or ASIDs cannot be so, [`Error::OutOfMemory`] without a page.
    pub fn new(
        config: KernelConfig,
        linear: LinearMap,
        witness: Rc<dyn Witness>,
    ) -> Result<Rc<Self>, Error> {
        let memory = PageAllocator::new(config.granule, &config.nodes, &config.distances)
            .map_err(|error| Error::Config(error.to_string()))?;
        let zero = memory
            .allocate(&Request::new(0, NodeId(0)))
            .filter(|block| block.zeroed)
            .ok_or(Error::OutOfMemory)?;
        let asids = AsidAllocator::new(config.asids, config.core_nodes.len())?;
        Ok(Rc::new(Self {
            linear,
            memory,
            frames: Frames::default(),
            asids,
            swap: SwapArea::new(config.swap_slots),
            lru: Lru::default(),
            counters: Counters::default(),
            clock: Clock::default(),
            hinting: hinting::State::default(),
            spaces: RefCell::default(),
            next_space: Cell::new(1),
            next_context: Cell::new(1),
            zero_page: zero.pfn,
            violations: Violations::default(),
            witness,
            config,
        }))
    }

    /// What it was configured as.
    pub fn config(&self) -> &KernelConfig {
        &self.config
    }

    /// Page size of user tables.
    pub fn granule(&self) -> Granule {
        self.config.granule
    }

    /// The window on all memory.
    pub fn linear(&self) -> LinearMap {
        self.linear
    }

    /// Kernel virtual address of physical byte `pa`.
    ///
    /// # Errors
    /// [`Error::OutsideLinearMap`].
    pub fn virt(&self, pa: u64) -> Result<u64, Error> {
        self.linear.virt(pa).ok_or(Error::OutsideLinearMap { pa })
    }

    /// Physical address of the first byte of a frame.
    pub fn pa(&self, pfn: Pfn) -> u64 {
        pfn.0 << self.config.granule.shift()
    }

    /// Node of a core; node 0 for a core that is none.
    pub fn node_of_core(&self, core: u8) -> NodeId {
        let nodes = &self.config.core_nodes;
        nodes.get(usize::from(core)).copied().unwrap_or(NodeId(0))
    }

    /// The page of zeros that reads of untouched anonymous memory see.
    pub fn zero_page(&self) -> Pfn {
        self.zero_page
    }

    /// Rules of locking broken so far (MM-34).
    pub fn lock_violations(&self) -> &Violations {
        &self.violations
    }

    /// Tells the witness.
    pub fn tell(&self, event: &OsEvent) {
        self.witness.os(event);
    }

    /// Every address space that lives, in the order of their making.
    pub fn spaces(&self) -> Vec<Rc<AddressSpace>> {
        let spaces = self.spaces.borrow();
        spaces.values().filter_map(Weak::upgrade).collect()
    }

    /// A number for a new address space.
    pub(crate) fn number_space(&self) -> u32 {
        let number = self.next_space.get();
        self.next_space.set(number + 1);
        number
    }

    /// A number for a new userfaultfd.
    pub(crate) fn number_context(&self) -> u32 {
        let number = self.next_context.get();
        self.next_context.set(number + 1);
        number
    }

    pub(crate) fn add_space(&self, space: &Rc<AddressSpace>) {
        let entry = Rc::downgrade(space);
        self.spaces.borrow_mut().insert(space.number(), entry);
    }

    pub(crate) fn remove_space(&self, number: u32) {
        self.spaces.borrow_mut().remove(&number);
    }
}
