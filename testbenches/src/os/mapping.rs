// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The smallest kernel with frames: one user page that it maps, unmaps and moves, through its linear
//! map, and tells of what it does.

use cosim::dut::ports::{CoreRequest, CoreResponse};
use cosim::regress::{Bench, Failure};
use cosim::sim::{CoreHandle, SimHandle};
use sw_mm::{Activity, OsEvent, Phase, Witness};
use vmsa::{Descriptor, DsbKind, El, Granule, Tlbi, TlbiScope, VaRange};

use crate::stage1::regime::{NORMAL, Regime, user_rw};
use crate::stage1::tree::Tree;

/// The user page.
pub const VA: u64 = 0x0040_0000_3000;
/// Under this ASID.
pub const ASID: u16 = 1;
/// Frames of user pages, one after the other.
pub const FRAMES: u64 = 0x8000_0000;
/// How many of each kind there are.
pub const COUNT: u64 = 4;
const PAGE: u64 = 0x1000;
/// The tables that the page begins with, then those that it may have at the last level.
const TABLES: u64 = 0x5000_0000;
const SPARE: u64 = TABLES + 0x1_0000;
const KERNEL_TABLES: u64 = 0x5100_0000;
const LINEAR: u64 = 0xffff_8000_0000_0000;
/// Every core of the hardware.
pub const IS: TlbiScope = TlbiScope::InnerShareable;

/// The frame of number `index` for a user page.
#[must_use]
pub fn frame(index: u64) -> u64 {
    FRAMES + index % COUNT * PAGE
}

/// The frame of number `index` for a table of the last level.
#[must_use]
pub fn table(index: u64) -> u64 {
    SPARE + index % COUNT * PAGE
}

/// The descriptor of a user page in `frame`.
#[must_use]
pub fn page(frame: u64) -> Descriptor {
    user_rw(Granule::K4, 3, frame)
}

/// The kernel, which runs on core 0.
pub struct Kernel {
    /// The simulation, witness of what the kernel does.
    pub handle: SimHandle,
    /// Every core.
    pub cores: Vec<CoreHandle>,
    regime: Regime,
    /// Where the entry of the last-level table is.
    link: u64,
}

impl Kernel {
    /// Loads memory with the page in frame 0 and its descriptor in table 0.
    ///
    /// # Errors
    /// As [`Bench::simulation`].
    pub fn load(bench: &mut Bench) -> Result<Self, Failure> {
        let mut user = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
        let link = user.map(VA, 2, Descriptor::table(table(0)));
        user.load(bench)?;
        bench.load(slot(table(0)), &[page(frame(0)).0])?;
        let mut kernel = Tree::new(VaRange::Upper, Granule::K4, 48, KERNEL_TABLES);
        let seen = (0..32).map(|page| TABLES + page * PAGE);
        for pa in seen.chain((0..COUNT).map(frame)) {
            let leaf = Descriptor::leaf(Granule::K4, 3, pa);
            kernel.map(
                LINEAR + pa,
                3,
                leaf.with_attr_index(NORMAL).with_sh(3).with_af(true),
            );
        }
        kernel.load(bench)?;
        let handle = bench.handle()?;
        let cores = (0..handle.cores())
            .map(|core| bench.core(core))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            handle,
            cores,
            regime: Regime::default().with(&user, ASID).with(&kernel, ASID),
            link,
        })
    }

    /// Turns translation on, on every core.
    pub async fn enter(&self) {
        for core in &self.cores {
            self.regime.enter(core).await;
        }
    }

    /// Loads from the user page on every core; returns the answers.
    pub async fn touch(&self) -> Vec<CoreResponse> {
        let mut answers = Vec::new();
        for core in &self.cores {
            answers.push(core.access(CoreRequest::load(VA, 3, El::El0)).await);
        }
        answers
    }

    /// Loads the entry of the last-level table, so that a store to it needs no walk, which would drive
    /// other tables out of a small walk cache.
    pub async fn see_link(&self) {
        let request = CoreRequest::load(LINEAR + self.link, 3, El::El1);
        self.cores[0].access(request).await;
    }

    /// Tells of the begin or the end of `activity`, which is about the user page.
    pub fn tell(&self, phase: Phase, activity: Activity) {
        self.handle.os(&OsEvent {
            core: 0,
            phase,
            activity,
            space: 1,
            va: VA,
            pa: 0,
            bytes: PAGE,
        });
    }

    /// Tells that a frame comes or goes.
    pub fn moved(&self, activity: Activity, frame: u64) {
        self.handle.os(&OsEvent {
            core: 0,
            phase: Phase::Instant,
            activity,
            space: 1,
            va: 0,
            pa: frame,
            bytes: PAGE,
        });
    }

    /// Writes the descriptor of the user page in the table at `table`.
    pub async fn set_page(&self, table: u64, value: Descriptor) {
        self.store(slot(table), value).await;
    }

    /// Writes the entry of the last-level table.
    pub async fn set_link(&self, value: Descriptor) {
        self.store(self.link, value).await;
    }

    async fn store(&self, pa: u64, value: Descriptor) {
        let request = CoreRequest::store(LINEAR + pa, 3, El::El1, value.0);
        self.cores[0].access(request).await;
    }

    /// One barrier.
    pub async fn dsb(&self, kind: DsbKind) {
        self.cores[0].access(CoreRequest::dsb(kind)).await;
    }

    /// A flush by `operation`, from its first barrier to its last.
    pub async fn flush(&self, operation: Tlbi) {
        self.tell(Phase::Begin, Activity::Flush);
        self.dsb(DsbKind::ISHST).await;
        self.cores[0].access(CoreRequest::tlbi(operation)).await;
        self.dsb(DsbKind::ISH).await;
        self.tell(Phase::End, Activity::Flush);
    }
}

/// Where the table at `table` has the descriptor of the user page.
fn slot(table: u64) -> u64 {
    table + 8 * (VA >> 12 & 0x1ff)
}
