// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The operating system of the load: several address spaces, edited live through the core's own MMU,
//! and context switches between them. What it knows of its mappings is there for others to compare.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Failure};
use cosim::sim::{CoreHandle, SimHandle};
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use sw_mm::boot::{Boot, BootConfig, image};
use sw_mm::{FramePool, LinearMap, MmError, PageTable, TableFormat, context};
use vmsa::{Granule, Sctlr, Tcr, geometry};

use super::control;
use super::material::{Frames, attributes, permissions};

/// Address spaces.
const SPACES: u16 = 3;
/// Places in each space where leaves come and go, and pieces of memory that they map.
const PLACES: u64 = 5;
const PIECES: u64 = 6;
/// First byte of user memory and distance of its pieces: a multiple of every run.
const USER_MEMORY: u64 = 0x1000_0000_0000;
const PIECE: u64 = 1 << 40;
/// Cycles that a task waits before it looks again whether the other is done.
const POLL: u64 = 20;

/// A leaf or run that the operating system made.
#[derive(Debug, Clone, Copy)]
pub struct Mapping {
    /// First virtual address.
    pub va: u64,
    /// Bytes.
    pub bytes: u64,
    /// First physical address.
    pub pa: u64,
}

/// One address space as the operating system knows it.
#[derive(Debug, Default)]
struct Space {
    root: u64,
    mappings: BTreeMap<u64, Mapping>,
}

/// The operating system.
pub struct Os {
    handle: SimHandle,
    boot: Boot,
    frames: Frames,
    spaces: RefCell<Vec<Space>>,
    current: Cell<usize>,
    tcr: Cell<Tcr>,
    sctlr: Cell<Sctlr>,
    /// Odd while an edit is under way.
    epoch: Cell<u64>,
    hold: Cell<bool>,
    idle: Cell<bool>,
    paused: Cell<bool>,
    end: u64,
    done: Cell<bool>,
    edits: Cell<u64>,
    switches: Cell<u64>,
    failure: RefCell<Option<Failure>>,
}

impl Os {
    /// Loads the boot image. The edits wind up at cycle `end`.
    pub fn new(bench: &mut Bench, config: &BootConfig, end: u64) -> Result<Self, Failure> {
        let (memory, boot) =
            image(config).map_err(|error| Failure::setup(format!("boot: {error}")))?;
        for (at, words) in &memory {
            bench.load(*at, words)?;
        }
        let granule = config.user.granule;
        let base = boot.user_frames.fresh();
        let bytes = config.tables_base + config.tables_bytes - base;
        let pool = FramePool::new(base, bytes, granule.bytes());
        Ok(Self {
            handle: bench.handle()?,
            frames: Frames {
                pool,
                reuse: granule == Granule::K4,
            },
            tcr: Cell::new(boot.registers.tcr),
            sctlr: Cell::new(boot.registers.sctlr),
            boot,
            spaces: RefCell::default(),
            current: Cell::new(0),
            epoch: Cell::new(1),
            hold: Cell::new(false),
            idle: Cell::new(false),
            paused: Cell::new(false),
            end,
            done: Cell::new(false),
            edits: Cell::new(0),
            switches: Cell::new(0),
            failure: RefCell::default(),
        })
    }

    /// Turns the MMU on.
    pub async fn enter(&self, core: &CoreHandle) {
        self.boot.registers.load(core).await;
    }

    /// Edits until the end. An edit under way then is dropped where it stands.
    pub async fn run(&self, core: &CoreHandle, mut rng: Pcg64Mcg) {
        let mut edit = pin!(self.edit(core, &mut rng));
        let mut end = pin!(self.handle.sleep_until(self.end));
        let done = poll_fn(|context| match edit.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => end.as_mut().poll(context).map(|()| None),
        })
        .await;
        if let Some(Err(error)) = done {
            let failure = Failure::expectation(format!("the operating system failed: {error}"));
            *self.failure.borrow_mut() = Some(failure);
        }
        self.epoch.set(self.epoch.get() | 1);
        self.done.set(true);
        self.hold.set(false);
        core.access(CoreRequest::dsb()).await;
    }

    async fn edit(&self, core: &CoreHandle, rng: &mut Pcg64Mcg) -> Result<(), MmError> {
        let mut tables = Vec::new();
        for i in 0..SPACES {
            // Neighbours in ASID: bit 0, then the upper byte.
            let asid = Some(if i == 2 && self.tcr.get().asid16() {
                0x101
            } else {
                1 + i
            });
            let format = TableFormat {
                asid,
                ..self.boot.user.format()
            };
            let table = PageTable::new(core, &self.frames, format, self.boot.linear).await?;
            self.spaces.borrow_mut().push(Space {
                root: table.root(),
                ..Space::default()
            });
            tables.push(table);
        }
        context::switch_to(core, &tables[0]).await;
        for (space, table) in tables.iter().enumerate() {
            for _ in 0..3 {
                self.map(core, rng, table, space).await?;
            }
        }
        self.epoch.set(2);
        while self.handle.now() < self.end {
            self.handle.sleep(rng.random_range(0..600)).await;
            if self.paused.get() {
                continue;
            }
            self.begin();
            let space = rng.random_range(0..tables.len());
            match rng.random_range(0..12) {
                0..4 => self.map(core, rng, &tables[space], space).await?,
                4..6 => self.unmap(core, rng, &tables[space], space).await?,
                6..8 => self.protect(core, rng, &tables[space], space).await?,
                8..11 => {
                    context::switch_to(core, &tables[space]).await;
                    self.current.set(space);
                    self.switches.set(self.switches.get() + 1);
                }
                _ => self.change_registers(core, rng).await,
            }
            self.edits.set(self.edits.get() + 1);
            self.epoch.set(self.epoch.get() + 1);
        }
        Ok(())
    }

    fn begin(&self) {
        self.epoch.set(self.epoch.get() + 1);
    }

    async fn map(
        &self,
        core: &CoreHandle,
        rng: &mut Pcg64Mcg,
        table: &PageTable,
        space: usize,
    ) -> Result<(), MmError> {
        let TableFormat {
            granule, va_bits, ..
        } = table.format();
        let start = geometry::start_level(granule, va_bits);
        let levels: Vec<u8> = (start..=3)
            .filter(|&level| geometry::leaf_allowed(granule, level))
            .collect();
        let level = levels[rng.random_range(0..levels.len())];
        let leaf = geometry::level_bytes(granule, level);
        // Long runs take long to write: they are rarer.
        let members = geometry::contiguous_run(granule, level).map_or(1, u64::from);
        let run = members > 1
            && members * leaf <= 1 << va_bits
            && rng.random_ratio(1, members as u32 / 4);
        let bytes = if run { members * leaf } else { leaf };
        let mask = (1u64 << va_bits) - 1;
        let va = (self.place(rng.random_range(0..PLACES), va_bits) + rng.random_range(0..4) * leaf)
            & mask
            & !(bytes - 1);
        let pa = USER_MEMORY + rng.random_range(0..PIECES) * PIECE + rng.random_range(0..3) * bytes;
        // A table in the way is taken down leaf by leaf; a larger leaf is split into a table.
        let crowded = self
            .overlapping(space, va, bytes)
            .into_iter()
            .any(|other| other.bytes != bytes);
        if crowded && granule != Granule::K4 {
            return Ok(());
        }
        let attributes = attributes(rng);
        self.forget(space, va, bytes);
        if run {
            table
                .map_contiguous(core, &self.frames, va, pa, level, &attributes)
                .await?;
        } else {
            table
                .map(core, &self.frames, va, pa, level, &attributes)
                .await?;
        }
        self.spaces.borrow_mut()[space]
            .mappings
            .insert(va, Mapping { va, bytes, pa });
        Ok(())
    }

    async fn unmap(
        &self,
        core: &CoreHandle,
        rng: &mut Pcg64Mcg,
        table: &PageTable,
        space: usize,
    ) -> Result<(), MmError> {
        let Some(mapping) = self.pick(rng, space) else {
            return Ok(());
        };
        self.forget(space, mapping.va, mapping.bytes);
        table
            .unmap(core, &self.frames, mapping.va, mapping.bytes)
            .await?;
        Ok(())
    }

    async fn protect(
        &self,
        core: &CoreHandle,
        rng: &mut Pcg64Mcg,
        table: &PageTable,
        space: usize,
    ) -> Result<(), MmError> {
        let Some(Mapping { va, bytes, .. }) = self.pick(rng, space) else {
            return Ok(());
        };
        let (permissions, track) = (permissions(rng), rng.random_bool(0.5));
        table
            .protect(core, &self.frames, va, bytes, permissions, track)
            .await
    }

    /// New control bits, and everything cached under the old ones removed, while the accesses pause.
    async fn change_registers(&self, core: &CoreHandle, rng: &mut Pcg64Mcg) {
        self.hold.set(true);
        while !self.idle.get() && !self.winding_up() {
            self.handle.sleep(POLL).await;
        }
        let (tcr, sctlr) = control::draw(rng, self.tcr.get(), self.sctlr.get());
        control::change(core, tcr, sctlr).await;
        self.tcr.set(tcr);
        self.sctlr.set(sctlr);
        self.hold.set(false);
    }

    fn place(&self, place: u64, va_bits: u32) -> u64 {
        // Spread over the range: bottom, top, and between.
        let span = 1u64 << va_bits;
        (span / PLACES * place) & !0xffff
    }

    fn pick(&self, rng: &mut Pcg64Mcg, space: usize) -> Option<Mapping> {
        let spaces = self.spaces.borrow();
        let mappings = &spaces[space].mappings;
        mappings
            .values()
            .nth(rng.random_range(0..mappings.len().max(1)))
            .copied()
    }

    fn overlapping(&self, space: usize, va: u64, bytes: u64) -> Vec<Mapping> {
        let spaces = self.spaces.borrow();
        let all = spaces[space].mappings.values();
        all.filter(|other| other.va < va + bytes && va < other.va + other.bytes)
            .copied()
            .collect()
    }

    /// Drops what is known of [va, va + bytes), and of leaves that reach into it.
    fn forget(&self, space: usize, va: u64, bytes: u64) {
        for other in self.overlapping(space, va, bytes) {
            self.spaces.borrow_mut()[space].mappings.remove(&other.va);
        }
    }

    /// Whether the accesses shall pause, asked when none is in flight.
    pub fn held(&self) -> bool {
        self.idle.set(self.hold.get());
        self.hold.get()
    }

    /// Keeps the operating system from editing, or lets it go on. Answers whether no edit is under
    /// way.
    pub fn pause(&self, paused: bool) -> bool {
        self.paused.set(paused);
        self.epoch.get().is_multiple_of(2)
    }

    /// Whether the load winds up.
    pub fn winding_up(&self) -> bool {
        self.done.get() || self.handle.now() >= self.end
    }

    /// A number that stays the same while nothing is edited; odd during an edit.
    pub fn epoch(&self) -> u64 {
        self.epoch.get()
    }

    /// A mapping of the current space to aim at, if it has any.
    pub fn aim(&self, rng: &mut Pcg64Mcg) -> Option<Mapping> {
        let space = self.current.get();
        if space < self.spaces.borrow().len() {
            self.pick(rng, space)
        } else {
            None
        }
    }

    /// Where the current space maps `va`, as far as one of its own leaves is known to.
    pub fn expected(&self, va: u64) -> Option<u64> {
        let spaces = self.spaces.borrow();
        let space = spaces.get(self.current.get())?;
        let (_, mapping) = space.mappings.range(..=va).next_back()?;
        (va - mapping.va < mapping.bytes).then(|| mapping.pa + (va - mapping.va))
    }

    /// Root and format of the current tree.
    pub fn tree(&self) -> (u64, TableFormat) {
        let root = self
            .spaces
            .borrow()
            .get(self.current.get())
            .map_or(0, |space| space.root);
        (root, self.boot.user.format())
    }

    /// TCR_EL1.
    pub fn tcr(&self) -> Tcr {
        self.tcr.get()
    }

    /// The window on all table pages.
    pub fn linear(&self) -> LinearMap {
        self.boot.linear
    }

    /// The simulation.
    pub fn handle(&self) -> &SimHandle {
        &self.handle
    }

    /// What was done.
    pub fn figures(&self) -> [(&'static str, u64); 2] {
        [
            ("edits", self.edits.get()),
            ("context switches", self.switches.get()),
        ]
    }

    /// Why the operating system gave up, if it did.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.borrow().clone()
    }
}
