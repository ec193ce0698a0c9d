// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The part of the load that meets everything which invalidates: every form of TLBI, and bursts that
//! several cores send to each other.

use cosim::dut::ports::CoreRequest;
use cosim::sim::CoreHandle;
use vmsa::{DsbKind, El, Tlbi, TlbiOp, TlbiScope};

use super::exercise::{all, remove_all, tlbi};
use super::place::{KINDS, Place};

impl Place {
    /// Bursts of invalidations for every core, behind accesses that miss and that take long.
    pub async fn broadcasts(&self, core: &CoreHandle) {
        self.regime.enter(core).await;
        let is = TlbiScope::InnerShareable;
        for round in 0..12 {
            let load = |n: u64| CoreRequest::load(self.page(n) + 8 * n, 3, El::El0);
            let fetch = |n: u64| CoreRequest::fetch(self.page(n) + 64 + 8 * n, El::El0);
            // More misses than wait at once; across words, faulting behind an access under way.
            all(core, (0..7).map(load).chain((0..3).map(fetch))).await;
            let store = CoreRequest::store(self.page(0), 3, El::El0, round);
            let across = CoreRequest::load(self.page(KINDS + 3) + 5, 3, El::El0);
            all(core, [store, across]).await;
            let operations = [
                Tlbi::vmalle1(is),
                Tlbi::vae1(is, self.page(0), 1, None),
                Tlbi::aside1(is, 1),
                Tlbi::vaale1(is, self.page(3), None),
                Tlbi::rvae1(is, self.granule, self.page(0), 0, 3, None, 1),
                Tlbi::vmalle1(is),
            ];
            let burst = [load(1), load(2)].into_iter();
            let burst = burst.chain(operations.into_iter().skip(round as usize % 3).map(tlbi));
            let kind = [DsbKind::SY, DsbKind::ISH, DsbKind::NSH][round as usize % 3];
            all(
                core,
                burst.chain([load(4), CoreRequest::dsb(kind), load(5)]),
            )
            .await;
        }
        all(core, remove_all()).await;
    }

    /// Every form of every operation, on pages of all kinds.
    pub async fn invalidations(&self, core: &CoreHandle) {
        for op in TlbiOp::ALL {
            for scope in [
                TlbiScope::Local,
                TlbiScope::InnerShareable,
                TlbiScope::OuterShareable,
            ] {
                for n in [0, 1, 12] {
                    let pages = [0, 1, 12].map(|n| CoreRequest::load(self.page(n), 3, El::El0));
                    all(core, pages).await;
                    all(
                        core,
                        [0, 1].map(|n| CoreRequest::fetch(self.page(n), El::El0)),
                    )
                    .await;
                    let operand = self.page(n) >> 12 | 1 << 48;
                    let operation = tlbi(Tlbi { op, scope, operand });
                    all(
                        core,
                        [operation, CoreRequest::dsb(DsbKind::SY), CoreRequest::isb()],
                    )
                    .await;
                }
            }
        }
    }
}
