// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Every kind of access to every kind of leaf, with the translation from every place that can give it:
//! both TLB levels, a walk from the table base or from the walk cache, the walk of another access.

use cosim::dut::ports::{CoreRequest, CoreResponse, HitPlace, Op};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, SimHandle};
use vmsa::VaRange::{Lower, Upper};
use vmsa::{Descriptor, El, Granule, Tlbi, TlbiScope, VaRange};

use super::leaf::{PA, Scene, Shape, accesses, kernel, user, with_short_sweeps};
use crate::stage1::activity::{of, within};
use crate::stage1::contiguous::invalidate;
use crate::stage1::regime::{Regime, flush};
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "leaf-places",
        purpose: "every access to every kind of leaf, its translation from each place that can give it",
        requirements: &["TLB-20", "TLB-27", "TLB-30", "TLB-02"],
        run: leaves,
    },
    Testbench {
        name: "context-places",
        purpose: "every access of each privilege in either half, its translation from each place",
        requirements: &["TLB-20", "TLB-26", "TLB-31", "VMSA-20"],
        run: contexts,
    },
    Testbench {
        name: "size-places",
        purpose: "loads and stores of every size and alignment, their translation from each place",
        requirements: &["TLB-20", "TLB-27"],
        run: sizes,
    },
];

const ASID: u16 = 5;
/// Byte of the range at which the leaf lies: a multiple of the largest run.
const OFFSET: u64 = 0x40_0000_0000;

/// Where a translation is to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    L1,
    L2,
    WalkCache,
    Walk,
    Joined,
}

impl Place {
    const ALL: [Self; 5] = [
        Self::L1,
        Self::L2,
        Self::WalkCache,
        Self::Walk,
        Self::Joined,
    ];

    fn gives(self, answer: &CoreResponse) -> bool {
        match self {
            Self::L1 => answer.place == HitPlace::L1,
            Self::L2 => answer.place == HitPlace::L2,
            Self::WalkCache | Self::Walk => answer.place == HitPlace::Walk && answer.walked,
            Self::Joined => answer.place == HitPlace::Walk && !answer.walked,
        }
    }
}

/// Whether an access waits, in program order, for those before it.
fn waits(request: &CoreRequest) -> bool {
    matches!(request.op, Op::Store | Op::Cas)
}

/// An access of the same side (`same`) or of the other one to the leaf of `request`.
fn probe(request: &CoreRequest, same: bool) -> CoreRequest {
    let va = request.va & !0xfff | 0xf40;
    match same == (request.op == Op::Fetch) {
        true => CoreRequest::fetch(va, request.el),
        false => CoreRequest {
            pan: request.pan,
            ..CoreRequest::load(va, 3, request.el)
        },
    }
}

/// Makes `request` with its translation from `place`; one that joins does not wait for others.
async fn from(
    core: &CoreHandle,
    handle: &SimHandle,
    request: CoreRequest,
    place: Place,
) -> CoreResponse {
    flush(core).await;
    let same = probe(&request, true);
    match place {
        Place::Walk => {}
        Place::L1 => {
            core.access(same).await;
        }
        Place::L2 => {
            core.access(probe(&request, false)).await;
            // The second level takes its fill a little later.
            handle.sleep(40).await;
        }
        Place::WalkCache => {
            core.access(same).await;
            let scope = TlbiScope::Local;
            invalidate(core, Tlbi::vale1(scope, request.va, ASID, None)).await;
        }
        Place::Joined => {
            let first = core.issue(same);
            let answer = core.access(request).await;
            first.await;
            return answer;
        }
    }
    core.access(request).await
}

/// The ASID comes with the tables.
fn regime(scene: &Scene) -> Regime {
    let mut regime = Regime::default().with(&scene.tree, ASID);
    regime.tcr = regime.tcr.with_a1(scene.tree.range() == Upper);
    regime
}

/// Makes `requests` to the leaf of `scene`, each from every place.
fn visit(bench: &mut Bench, scene: Scene, requests: Vec<CoreRequest>) -> Result<(), Failure> {
    bench.restart()?;
    with_short_sweeps(bench);
    bench.setup().straps.prefetch = false;
    scene.tree.load(bench)?;
    let regime = regime(&scene);
    let handle = bench.handle()?;
    let (own, all) = (scene.clone(), requests.clone());
    bench.run(async move |core| {
        regime.enter(&core).await;
        for request in all {
            for place in Place::ALL {
                if place == Place::Joined && waits(&request) {
                    continue;
                }
                let answer = from(&core, &handle, request, place).await;
                let met = answer.reaches("TLB-02", PA + (request.va - own.va));
                of(&request, &answer, met)?;
                expect("TLB-20", place.gives(&answer), || {
                    format!(
                        "{request} from {place:?}: {answer}, walked {}",
                        answer.walked
                    )
                })?;
            }
        }
        Ok(())
    })?;
    let waiting = requests.into_iter().filter(waits).collect();
    join_prefetch(bench, scene, waiting)
}

/// A store or CAS waits until no access before it misses, so that the only walk which it can join is a
/// prefetch that outlasts the walk it came with.
fn join_prefetch(
    bench: &mut Bench,
    scene: Scene,
    requests: Vec<CoreRequest>,
) -> Result<(), Failure> {
    bench.restart()?;
    with_short_sweeps(bench);
    bench.setup().straps.prefetch = true;
    bench.setup().memory.jitter = 150;
    scene.tree.load(bench)?;
    let regime = regime(&scene);
    let handle = bench.handle()?;
    let joined = bench.run(async move |core| {
        regime.enter(&core).await;
        for request in requests {
            let mut joined = false;
            for _ in 0..100 {
                flush(&core).await;
                let at = |va| CoreRequest::at(va, request.el, false, false);
                core.access(at(scene.warm)).await.succeeds("TLB-20")?;
                // Its prefetch finds nothing, some time later.
                handle.sleep(900).await;
                let leading = core.issue(at(scene.before));
                let answer = core.access(request).await;
                leading.await.succeeds("TLB-20")?;
                let met = answer.reaches("TLB-02", PA + (request.va - scene.va));
                of(&request, &answer, met)?;
                joined = Place::Joined.gives(&answer);
                if joined {
                    break;
                }
            }
            expect("TLB-27", joined, || format!("{request} joined no prefetch"))?;
        }
        Ok(())
    });
    bench.setup().memory.jitter = 0;
    joined
}

fn leaves(bench: &mut Bench) -> Result<(), Failure> {
    for shape in Shape::all() {
        let scene = Scene::new(Lower, 48, shape, OFFSET, user());
        let requests = accesses(scene.va + 0x40, El::El0, false).to_vec();
        visit(bench, scene, requests).map_err(|failure| within(failure, &format!("{shape:?}")))?;
    }
    Ok(())
}

fn page(range: VaRange, like: Descriptor) -> Scene {
    let shape = Shape {
        granule: Granule::K4,
        level: 3,
        run: false,
    };
    Scene::new(range, 48, shape, OFFSET, like)
}

fn contexts(bench: &mut Bench) -> Result<(), Failure> {
    for range in [Lower, Upper] {
        for (el, pan, like) in [
            (El::El0, false, user()),
            (El::El1, false, kernel()),
            (El::El1, true, kernel()),
        ] {
            let scene = page(range, like);
            let requests = accesses(scene.va + 0x40, el, pan).to_vec();
            visit(bench, scene, requests)?;
        }
    }
    Ok(())
}

fn sizes(bench: &mut Bench) -> Result<(), Failure> {
    let scene = page(Lower, user());
    let mut requests = Vec::new();
    for (size, offset) in [
        (0, 0x43),
        (1, 0x42),
        (1, 0x43),
        (2, 0x44),
        (2, 0x41),
        (3, 0x40),
    ] {
        requests.push(CoreRequest::load(scene.va + offset, size, El::El0));
        requests.push(CoreRequest::store(scene.va + offset, size, El::El0, 0x5a));
    }
    visit(bench, scene, requests)
}
