// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Rules of software, each broken by a stimulus that breaks no other.

use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Failure};
use cosim::selftest::SoftwareFault;
use cosim::sim::CoreHandle;
use vmsa::{Descriptor, DsbKind, El, Granule, Tlbi, TlbiScope, VaRange};

use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;

const BBM: &str = "break-before-make";
const TABLES: u64 = 0x5000_0000;
const VA: u64 = 0x0040_0000_0000;
const PA: u64 = 0x8000_0000;
/// Where the page tables are seen, as data.
const WINDOW: u64 = 0x0020_0000_0000;
const IS: TlbiScope = TlbiScope::InnerShareable;

/// Every one of them.
pub static FAULTS: &[SoftwareFault] = &[
    SoftwareFault {
        id: "sw-page-moved-in-place",
        fires: "BBM-03",
        sees: BBM,
        also: &[],
        why: "a live page moves without an invalid descriptor in between",
        start: moved_in_place,
    },
    SoftwareFault {
        id: "sw-dsb-before-tlbi-left-out",
        fires: "BBM-03",
        sees: BBM,
        also: &[],
        why: "no DSB stands between the invalid descriptor and its TLBI",
        start: unordered,
    },
    SoftwareFault {
        id: "sw-dsb-after-tlbi-too-weak",
        fires: "TLBI-24",
        sees: BBM,
        also: &[],
        why: "a DSB ISHST stands for the one that completes the TLBI",
        start: incomplete,
    },
    SoftwareFault {
        id: "sw-table-invalidated-as-leaf",
        fires: "BBM-10",
        sees: BBM,
        also: &[],
        why: "a table is replaced after a TLBI of leaf entries only",
        start: leaf_only,
    },
    SoftwareFault {
        id: "sw-run-member-differs",
        fires: "TLB-06",
        sees: "contiguous runs",
        also: &[],
        why: "one page of a contiguous run maps elsewhere",
        start: run_differs,
    },
    SoftwareFault {
        id: "sw-table-on-another-node",
        fires: "UREPL-01",
        sees: "walk nodes",
        also: &[],
        why: "walks that shall stay on their node go through tables of another",
        start: far_tables,
    },
];

/// One mapped page, and its tables as data.
struct Scene {
    tree: Tree,
    regime: Regime,
}

impl Scene {
    fn load(bench: &mut Bench) -> Result<Self, Failure> {
        let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
        tree.map(VA, 3, user_rw(Granule::K4, 3, PA));
        for page in 0..16 {
            let at = page * Granule::K4.bytes();
            tree.map(WINDOW + at, 3, user_rw(Granule::K4, 3, TABLES + at));
        }
        tree.load(bench)?;
        let regime = Regime::default().with(&tree, 1);
        Ok(Self { tree, regime })
    }

    /// Where the descriptor of `VA` at `level` is seen as data.
    fn window(&self, level: u8) -> u64 {
        WINDOW + (self.tree.slot(VA, level) - TABLES)
    }

    fn moved(&self) -> Descriptor {
        user_rw(Granule::K4, 3, PA + 0x4000)
    }

    async fn enter(&self, core: &CoreHandle) {
        self.regime.enter(core).await;
        core.access(CoreRequest::load(VA, 3, El::El0)).await;
    }
}

async fn store(core: &CoreHandle, va: u64, value: Descriptor) {
    core.access(CoreRequest::store(va, 3, El::El1, value.0))
        .await;
}

async fn dsb(core: &CoreHandle, kind: DsbKind) {
    core.access(CoreRequest::dsb(kind)).await;
}

async fn tlbi(core: &CoreHandle, operation: Tlbi) {
    core.access(CoreRequest::tlbi(operation)).await;
}

fn moved_in_place(bench: &mut Bench) -> Result<(), Failure> {
    let (scene, core) = (Scene::load(bench)?, bench.core(0)?);
    bench.simulation()?.spawn(async move {
        scene.enter(&core).await;
        store(&core, scene.window(3), scene.moved()).await;
    });
    Ok(())
}

fn unordered(bench: &mut Bench) -> Result<(), Failure> {
    let (scene, core) = (Scene::load(bench)?, bench.core(0)?);
    bench.simulation()?.spawn(async move {
        scene.enter(&core).await;
        store(&core, scene.window(3), Descriptor::INVALID).await;
        tlbi(&core, Tlbi::vale1(IS, VA, 1, None)).await;
        dsb(&core, DsbKind::ISH).await;
        store(&core, scene.window(3), scene.moved()).await;
    });
    Ok(())
}

fn incomplete(bench: &mut Bench) -> Result<(), Failure> {
    let (scene, core) = (Scene::load(bench)?, bench.core(0)?);
    bench.simulation()?.spawn(async move {
        scene.enter(&core).await;
        store(&core, scene.window(3), Descriptor::INVALID).await;
        dsb(&core, DsbKind::ISHST).await;
        tlbi(&core, Tlbi::vale1(IS, VA, 1, None)).await;
        dsb(&core, DsbKind::ISHST).await;
        store(&core, scene.window(3), scene.moved()).await;
    });
    Ok(())
}

fn leaf_only(bench: &mut Bench) -> Result<(), Failure> {
    let (scene, core) = (Scene::load(bench)?, bench.core(0)?);
    // Another table, where the page of VA, the first one, lies elsewhere.
    let other = TABLES + 0x4_0000;
    bench.load(other, &[scene.moved().0])?;
    bench.simulation()?.spawn(async move {
        scene.enter(&core).await;
        store(&core, scene.window(2), Descriptor::INVALID).await;
        dsb(&core, DsbKind::ISHST).await;
        tlbi(&core, Tlbi::vale1(IS, VA, 1, None)).await;
        dsb(&core, DsbKind::ISH).await;
        store(&core, scene.window(2), Descriptor::table(other)).await;
    });
    Ok(())
}

fn run_differs(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
    for page in 0..16 {
        let at = page * Granule::K4.bytes();
        let elsewhere = if page == 5 { 0x10_0000 } else { 0 };
        let leaf = user_rw(Granule::K4, 3, PA + at + elsewhere).with_contiguous(true);
        tree.map(VA + at, 3, leaf);
    }
    tree.load(bench)?;
    let core = bench.core(0)?;
    bench.simulation()?.spawn(async move {
        Regime::default().with(&tree, 1).enter(&core).await;
        core.access(CoreRequest::load(VA, 3, El::El0)).await;
    });
    Ok(())
}

fn far_tables(bench: &mut Bench) -> Result<(), Failure> {
    let (scene, core) = (Scene::load(bench)?, bench.core(0)?);
    let monitor = bench.checkers()?.walk_nodes;
    monitor.borrow_mut().confine("UREPL-01", VA..=VA + 0xfff, 0);
    bench
        .simulation()?
        .spawn(async move { scene.enter(&core).await });
    Ok(())
}
