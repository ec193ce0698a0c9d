// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Counters of invalidation messages and of the walks that they cancel.

use cosim::dut::ports::{CoreRequest, Counter as C};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, SimHandle};
use vmsa::VaRange::Lower;
use vmsa::{DsbKind, El, Granule, Tlbi, TlbiScope};

use super::reading::Reading;
use crate::invalidation::record::cores;
use crate::stage1::contiguous::invalidate_all;
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "counter-messages",
    purpose: "literal counts of messages sent, received and answered, of walks cancelled, of waits",
    requirements: &["PMU-04", "DVM-11", "DVM-14"],
    run: messages,
}];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;
const VA: u64 = 0x4000_0000;

/// What is done: operations, then barriers; and INVs and SYNCs that the issuer sends, INVs and SYNCs
/// that each core gets.
type Case = (&'static str, Vec<Tlbi>, Vec<DsbKind>, [u64; 4]);

fn messages(bench: &mut Bench) -> Result<(), Failure> {
    bench.setup().memory.latency = 60;
    let mut tree = Tree::new(Lower, Granule::K64, 48, TABLES);
    tree.map(VA, 3, user_rw(Granule::K64, 3, PA));
    tree.load(bench)?;
    let handle = bench.handle()?;
    let regime = Regime::default().with(&tree, 1);
    bench.run(async move |issuer| {
        let all = cores(&handle);
        for core in &all {
            regime.enter(core).await;
            core.access(CoreRequest::load(VA, 3, El::El1))
                .await
                .reaches("DVM-11", PA)?;
        }
        let (broadcast, local) = (TlbiScope::InnerShareable, TlbiScope::Local);
        let cases: [Case; 4] = [
            // INVs sent, SYNCs sent, INVs received by each core, SYNCs answered by each.
            (
                "a broadcast",
                vec![Tlbi::aside1(broadcast, 9)],
                vec![DsbKind::SY],
                [1, 1, 1, 1],
            ),
            (
                "three and two barriers",
                vec![Tlbi::aside1(broadcast, 9); 3],
                vec![DsbKind::ISH, DsbKind::SY],
                [3, 1, 3, 1],
            ),
            (
                "a local one",
                vec![Tlbi::aside1(local, 9)],
                vec![DsbKind::SY],
                [0, 0, 0, 0],
            ),
            (
                "barriers that complete none",
                vec![Tlbi::aside1(broadcast, 9)],
                vec![DsbKind::ISHST, DsbKind::LD, DsbKind::NSH],
                [1, 0, 1, 0],
            ),
        ];
        for (what, operations, barriers, [sent, syncs, received, answered]) in cases {
            let mut readings = Vec::new();
            for core in &all {
                readings.push(Reading::start(&handle, core.index().into()).await);
            }
            for operation in operations {
                issuer.access(CoreRequest::tlbi(operation)).await;
            }
            for barrier in barriers {
                issuer.access(CoreRequest::dsb(barrier)).await;
            }
            handle.sleep(900).await;
            for (core, reading) in all.iter().zip(readings) {
                let own = u64::from(core.index() == 0);
                let expected = [
                    (C::DvmInvSent, own * sent),
                    (C::DvmSyncSent, own * syncs),
                    (C::DvmInvReceived, received),
                    (C::DvmSyncAnswered, answered),
                ];
                let what = format!("{what}, core {}", core.index());
                let counted = reading.exactly("DVM-14", &what, &expected).await?;
                // A DSB waits a cycle or more for its SYNC, and not at all for nothing.
                let waited = counted.get(C::DsbWait);
                expect(
                    "DVM-14",
                    (waited > 0) == (own * syncs > 0) || sent > 0,
                    || format!("{what}: DSB_WAIT counts {waited}"),
                )?;
            }
            // What is owed shall not be owed in the next case.
            issuer.access(CoreRequest::dsb(DsbKind::SY)).await;
        }
        cancelled_walks(&handle, &all).await
    })
}

/// A walk that an operation of another core cancels counts as two, of which one was cancelled.
async fn cancelled_walks(handle: &SimHandle, all: &[CoreHandle]) -> Result<(), Failure> {
    let [issuer, .., far] = all else {
        // One core alone: its operation waits for its walk, which counts once.
        let core = &all[0];
        invalidate_all(core).await;
        let reading = Reading::start(handle, 0).await;
        let access = core.issue(CoreRequest::load(VA, 3, El::El1));
        core.access(CoreRequest::tlbi(Tlbi::aside1(TlbiScope::Local, 9)))
            .await;
        access.await.reaches("PMU-04", PA)?;
        let counted = reading.since().await;
        let came = (
            counted.get(C::DtlbWalkBegun),
            counted.get(C::DtlbWalkCancelled),
        );
        return expect("PMU-04", came == (1, 0), || {
            format!("walks begun, cancelled: {came:?}")
        });
    };
    invalidate_all(far).await;
    // The second level has gone through its sets, and takes the next operation at once.
    handle.sleep(600).await;
    let reading = Reading::start(handle, far.index().into()).await;
    let access = far.issue(CoreRequest::load(VA, 3, El::El1));
    handle.sleep(80).await;
    issuer
        .access(CoreRequest::tlbi(Tlbi::vmalle1(TlbiScope::OuterShareable)))
        .await;
    issuer.access(CoreRequest::dsb(DsbKind::OSH)).await;
    access.await.reaches("PMU-04", PA)?;
    handle.sleep(900).await;
    let counted = reading.since().await;
    let came = [
        C::DtlbWalkBegun,
        C::DtlbWalkCancelled,
        C::DtlbWalkSmall,
        C::DtlbWalk,
    ]
    .map(|counter| counted.get(counter));
    expect("PMU-04", came == [2, 1, 1, 1], || {
        format!("walks begun, cancelled, ended, accesses that walked: {came:?}")
    })
}
