// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Rules of software, each broken by a stimulus that breaks no other.

use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Failure};
use cosim::selftest::SoftwareFault;
use cosim::sim::{CoreHandle, SimHandle};
use sw_mm::{Activity, OsEvent, Phase};
use vmsa::{Descriptor, DsbKind, El, Granule, Tlbi, TlbiScope, VaRange};

use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;

const BBM: &str = "break-before-make";
const FRAMES: &str = "frames";
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
    SoftwareFault {
        id: "sw-frame-freed-while-cached",
        fires: "MM-06",
        sees: FRAMES,
        also: &[],
        why: "a frame is given back while TLBs hold a page in it",
        start: freed_while_cached,
    },
    SoftwareFault {
        id: "sw-frame-handed-out-while-cached",
        fires: "MM-02",
        sees: FRAMES,
        also: &[],
        why: "a frame is handed out while TLBs hold a page in it",
        start: handed_out_while_cached,
    },
    SoftwareFault {
        id: "sw-table-freed-after-leaf-flush",
        fires: "MM-05",
        sees: FRAMES,
        also: &[],
        why: "a table is unlinked and given back after a TLBI of leaf entries only",
        start: table_freed,
    },
    SoftwareFault {
        id: "sw-free-frame-mapped",
        fires: "MM-06",
        sees: FRAMES,
        also: &[],
        why: "a page is still mapped when its frame is given back, and then used",
        start: free_frame_mapped,
    },
    SoftwareFault {
        id: "sw-free-table-linked",
        fires: "MM-05",
        sees: FRAMES,
        also: &[],
        why: "a table is still linked when it is given back, and then walked",
        start: free_table_linked,
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

    /// The table that holds the descriptor of `VA`.
    fn last_table(&self) -> u64 {
        self.tree.slot(VA, 3) & !(Granule::K4.bytes() - 1)
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

/// The kernel says that the frame at `pa` came or went.
fn tell(handle: &SimHandle, activity: Activity, pa: u64) {
    handle.os_event(OsEvent {
        core: 0,
        phase: Phase::Instant,
        activity,
        space: 1,
        va: 0,
        pa,
        bytes: Granule::K4.bytes(),
    });
}

fn freed_while_cached(bench: &mut Bench) -> Result<(), Failure> {
    told_while_cached(bench, Activity::FrameFreed)
}

fn handed_out_while_cached(bench: &mut Bench) -> Result<(), Failure> {
    told_while_cached(bench, Activity::FrameAllocated)
}

fn told_while_cached(bench: &mut Bench, activity: Activity) -> Result<(), Failure> {
    let (scene, core, handle) = (Scene::load(bench)?, bench.core(0)?, bench.handle()?);
    bench.simulation()?.spawn(async move {
        scene.enter(&core).await;
        tell(&handle, activity, PA);
    });
    Ok(())
}

fn table_freed(bench: &mut Bench) -> Result<(), Failure> {
    let (scene, core, handle) = (Scene::load(bench)?, bench.core(0)?, bench.handle()?);
    bench.simulation()?.spawn(async move {
        scene.regime.enter(&core).await;
        // The store shall need no walk, which would drive the table out of a small walk cache.
        core.access(CoreRequest::load(scene.window(2), 3, El::El1))
            .await;
        core.access(CoreRequest::load(VA, 3, El::El0)).await;
        store(&core, scene.window(2), Descriptor::INVALID).await;
        dsb(&core, DsbKind::ISHST).await;
        tlbi(&core, Tlbi::vale1(IS, VA, 1, None)).await;
        dsb(&core, DsbKind::ISH).await;
        tell(&handle, Activity::FrameFreed, scene.last_table());
    });
    Ok(())
}

fn free_frame_mapped(bench: &mut Bench) -> Result<(), Failure> {
    let (scene, core, handle) = (Scene::load(bench)?, bench.core(0)?, bench.handle()?);
    bench.simulation()?.spawn(async move {
        tell(&handle, Activity::FrameFreed, PA);
        scene.enter(&core).await;
    });
    Ok(())
}

fn free_table_linked(bench: &mut Bench) -> Result<(), Failure> {
    let (scene, core, handle) = (Scene::load(bench)?, bench.core(0)?, bench.handle()?);
    bench.simulation()?.spawn(async move {
        tell(&handle, Activity::FrameFreed, scene.last_table());
        scene.enter(&core).await;
    });
    Ok(())
}
