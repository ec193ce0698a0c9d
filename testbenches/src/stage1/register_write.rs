// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! An access right behind a register write, with no synchronisation between: it goes by the old value
//! or by the new one, never by one for its checks and by the other for its walk (section 13.5).

use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use vmsa::VaRange::Lower;
use vmsa::{El, Fsc, Granule, SysReg};

use super::regime::{Regime, user_rw};
use super::tree::Tree;
use super::watch::expect;

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "register-write-order",
    purpose: "an access right behind a write of TCR or SCTLR is wholly by the old value or wholly by the new one",
    requirements: &["VMSA-09", "WALK-21", "ORD-01"],
    run: one_snapshot,
}];

const TABLES: u64 = 0x5000_0000;
/// Beyond 39 bits, so that a range of that size does not hold it.
const VA: u64 = 0x0180_4000_3000;
const PA: u64 = 0x8000_0000;

fn one_snapshot(bench: &mut Bench) -> Result<(), Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
    tree.map(VA, 3, user_rw(Granule::K4, 3, PA));
    // What a walk of 39 bits from the same root would find.
    tree.map(VA & 0x7f_ffff_ffff, 3, user_rw(Granule::K4, 3, PA + 0x1000));
    tree.load(bench)?;
    let old = Regime::default().with(&tree, 1);
    let changes = [
        (SysReg::Tcr, old.tcr.with_epd(Lower, true).0),
        (SysReg::Tcr, old.tcr.with_tsz(Lower, 25).0),
        (SysReg::Tcr, old.tcr.with_e0pd(Lower, true).0),
        (
            SysReg::Tcr,
            old.tcr.with_tsz(Lower, 25).with_epd(Lower, true).0,
        ),
        (SysReg::Sctlr, old.sctlr.with_m(false).0),
    ];
    let by_new = bench.run(async move |core| {
        let mut by_new = 0u64;
        for (register, value) in changes {
            for behind in 0..4 {
                old.switch(&core).await;
                let write = core.issue(CoreRequest::msr(register, value));
                // The write is in front of the access by so many requests.
                let between: Vec<_> = (0..behind)
                    .map(|_| core.issue(CoreRequest::dsb(vmsa::DsbKind::NSHLD)))
                    .collect();
                let request = CoreRequest::load(VA, 3, El::El0);
                let answer = core.issue(request);
                write.await;
                for barrier in between {
                    barrier.await;
                }
                let answer = answer.await;
                let translated = answer.fault.is_none();
                if translated && register == SysReg::Sctlr && answer.pa == VA {
                    by_new += 1;
                } else if translated {
                    answer.reaches("ORD-01", PA)?;
                } else {
                    answer.faults("VMSA-09", Fsc(0x04))?;
                    by_new += 1;
                }
            }
        }
        Ok(by_new)
    })?;
    bench.count("by the new value", by_new);
    expect("ORD-01", by_new > 0, || {
        "no access saw a new value".to_owned()
    })
}
