// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The operating system of the load: several address spaces, edited live through the MMU of core 0,
//! context switches between them, and changes of control bits, on every core.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
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
use super::spaces::{Mapping, Spaces};

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

/// What is in force on one core.
struct InForce {
    space: Cell<usize>,
    tcr: Cell<Tcr>,
    sctlr: Cell<Sctlr>,
}

/// The operating system.
pub struct Os {
    handle: SimHandle,
    boot: Boot,
    frames: Frames,
    spaces: Spaces,
    tables: RefCell<Vec<Rc<PageTable>>>,
    cores: Vec<InForce>,
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
        let handle = bench.handle()?;
        let in_force = || InForce {
            space: Cell::new(0),
            tcr: Cell::new(boot.registers.tcr),
            sctlr: Cell::new(boot.registers.sctlr),
        };
        Ok(Self {
            cores: (0..handle.cores()).map(|_| in_force()).collect(),
            handle,
            frames: Frames {
                pool,
                reuse: granule == Granule::K4,
            },
            boot,
            spaces: Spaces::default(),
            tables: RefCell::default(),
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

    /// Turns the MMU of a core on.
    pub async fn enter(&self, core: &CoreHandle) {
        self.boot.registers.load(core).await;
    }

    /// Has a core go on in one of the address spaces; waits until there is one.
    pub async fn switch(&self, core: &CoreHandle, rng: &mut Pcg64Mcg) {
        while self.tables.borrow().is_empty() && !self.winding_up() {
            self.handle.sleep(POLL).await;
        }
        let space = rng.random_range(0..self.tables.borrow().len().max(1));
        let table = self.tables.borrow().get(space).cloned();
        if let Some(table) = table {
            context::switch_to(core, &table).await;
            self.cores[usize::from(core.index())].space.set(space);
            self.switches.set(self.switches.get() + 1);
        }
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
        core.access(CoreRequest::dsb(vmsa::DsbKind::SY)).await;
    }

    async fn edit(&self, core: &CoreHandle, rng: &mut Pcg64Mcg) -> Result<(), MmError> {
        let mut tables = Vec::new();
        for i in 0..SPACES {
            // Neighbours in ASID: bit 0, then the upper byte.
            let asid = Some(if i == 2 && self.boot.registers.tcr.asid16() {
                0x101
            } else {
                1 + i
            });
            let format = TableFormat {
                asid,
                ..self.boot.user.format()
            };
            let table = PageTable::new(core, &self.frames, format, self.boot.linear).await?;
            self.spaces.add();
            tables.push(Rc::new(table));
        }
        context::switch_to(core, &tables[0]).await;
        self.tables.borrow_mut().clone_from(&tables);
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
                8..11 => self.switch(core, rng).await,
                _ => {
                    self.quiet().await;
                    self.change_registers(core, rng).await;
                    self.hold.set(false);
                }
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
            .spaces
            .overlapping(space, va, bytes)
            .into_iter()
            .any(|other| other.bytes != bytes);
        if crowded && granule != Granule::K4 {
            return Ok(());
        }
        let attributes = attributes(rng);
        self.spaces.forget(space, va, bytes);
        if run {
            table
                .map_contiguous(core, &self.frames, va, pa, level, &attributes)
                .await?;
        } else {
            table
                .map(core, &self.frames, va, pa, level, &attributes)
                .await?;
        }
        self.spaces.insert(space, Mapping { va, bytes, pa });
        Ok(())
    }

    async fn unmap(
        &self,
        core: &CoreHandle,
        rng: &mut Pcg64Mcg,
        table: &PageTable,
        space: usize,
    ) -> Result<(), MmError> {
        let Some(mapping) = self.spaces.pick(rng, space) else {
            return Ok(());
        };
        self.spaces.forget(space, mapping.va, mapping.bytes);
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
        let Some(Mapping { va, bytes, .. }) = self.spaces.pick(rng, space) else {
            return Ok(());
        };
        let (permissions, track) = (permissions(rng), rng.random_bool(0.5));
        table
            .protect(core, &self.frames, va, bytes, permissions, track)
            .await
    }

    /// Waits until the accesses of core 0 pause.
    async fn quiet(&self) {
        self.hold.set(true);
        while !self.idle.get() && !self.winding_up() {
            self.handle.sleep(POLL).await;
        }
    }

    /// New control bits of a core that makes no access meanwhile, and everything cached under the old
    /// ones removed.
    pub async fn change_registers(&self, core: &CoreHandle, rng: &mut Pcg64Mcg) {
        let in_force = &self.cores[usize::from(core.index())];
        let (tcr, sctlr) = control::draw(rng, in_force.tcr.get(), in_force.sctlr.get());
        control::change(core, tcr, sctlr).await;
        in_force.tcr.set(tcr);
        in_force.sctlr.set(sctlr);
    }

    fn place(&self, place: u64, va_bits: u32) -> u64 {
        // Spread over the range: bottom, top, and between.
        let span = 1u64 << va_bits;
        (span / PLACES * place) & !0xffff
    }

    /// Whether the accesses of core 0 shall pause, asked when none is in flight.
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

    /// A mapping to aim at from `core`, if its address space has any.
    pub fn aim(&self, core: usize, rng: &mut Pcg64Mcg) -> Option<Mapping> {
        self.spaces.pick(rng, self.cores[core].space.get())
    }

    /// Where the address space of `core` maps `va`, as far as one of its own leaves is known to.
    pub fn expected(&self, core: usize, va: u64) -> Option<u64> {
        self.spaces.expected(self.cores[core].space.get(), va)
    }

    /// Root and format of the tree that `core` is in.
    pub fn tree(&self, core: usize) -> (u64, TableFormat) {
        let space = self.cores[core].space.get();
        let root = self.tables.borrow().get(space).map(|table| table.root());
        (root.unwrap_or(0), self.boot.user.format())
    }

    /// TCR_EL1 of `core`.
    pub fn tcr(&self, core: usize) -> Tcr {
        self.cores[core].tcr.get()
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
