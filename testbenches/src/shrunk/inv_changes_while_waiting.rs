// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! DVM-08, by what `mmu-cosim shrink` left of
//! `mmu-cosim run stress --plant inv-changes-while-waiting --seed 1 --cycles 60000`.

use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Failure, Testbench};
use cosim::stimulus::{Step, When, play};
use vmsa::{El, SysReg, Tlbi, TlbiOp, TlbiScope};

/// The testbench of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "shrunk-stress-inv-changes-while-waiting-1",
    purpose: "DVM-08: 15 steps found by shrinking",
    requirements: &["DVM-08"],
    run: shrunk_stress_inv_changes_while_waiting_1,
}];

fn shrunk_stress_inv_changes_while_waiting_1(bench: &mut Bench) -> Result<(), Failure> {
    // As a descriptor: table or page, address 0x4000001000.
    bench.load(0x40_0000_0000, &[0x40_0000_1003])?;
    // As a descriptor: table or page, address 0x4000002000.
    bench.load(0x40_0000_1000, &[0x40_0000_2003])?;
    // As a descriptor: block, address 0x110001600000.
    bench.load(0x40_0000_20d8, &[0x3f0_1100_0160_0f19])?;
    play(
        bench,
        &[
            Step::serial(0, CoreRequest::msr(SysReg::Ttbr0, 0x102_0040_0000_0000)),
            Step::serial(0, CoreRequest::msr(SysReg::Tcr, 0x355_c012_0012)),
            Step::serial(0, CoreRequest::msr(SysReg::Sctlr, 0x200_0000_0000_1005)),
            Step::serial(0, CoreRequest::cas(0x37f_f000, El::El0, 0x0, 0x0)),
            Step::serial(
                0,
                CoreRequest::tlbi(Tlbi {
                    op: TlbiOp::Rvaae1,
                    scope: TlbiScope::InnerShareable,
                    operand: 0xff9f_c400_0000,
                }),
            ),
            Step::serial(
                0,
                CoreRequest::tlbi(Tlbi {
                    op: TlbiOp::Rvaae1,
                    scope: TlbiScope::InnerShareable,
                    operand: 0xff9f_c420_0000,
                }),
            ),
            Step::serial(
                0,
                CoreRequest::tlbi(Tlbi {
                    op: TlbiOp::Rvaae1,
                    scope: TlbiScope::InnerShareable,
                    operand: 0xff9f_c440_0000,
                }),
            ),
            Step::serial(
                0,
                CoreRequest::tlbi(Tlbi {
                    op: TlbiOp::Rvaae1,
                    scope: TlbiScope::InnerShareable,
                    operand: 0xff9f_c460_0000,
                }),
            ),
            Step::serial(
                0,
                CoreRequest::tlbi(Tlbi {
                    op: TlbiOp::Rvaae1,
                    scope: TlbiScope::InnerShareable,
                    operand: 0xff9f_c480_0000,
                }),
            ),
            Step::serial(
                0,
                CoreRequest::tlbi(Tlbi {
                    op: TlbiOp::Rvaae1,
                    scope: TlbiScope::InnerShareable,
                    operand: 0xff9f_c4a0_0000,
                }),
            ),
            Step::serial(
                0,
                CoreRequest::tlbi(Tlbi {
                    op: TlbiOp::Rvaae1,
                    scope: TlbiScope::InnerShareable,
                    operand: 0xff9f_c4c0_0000,
                }),
            ),
            Step::serial(
                0,
                CoreRequest::tlbi(Tlbi {
                    op: TlbiOp::Rvaae1,
                    scope: TlbiScope::InnerShareable,
                    operand: 0xff9f_c4e0_0000,
                }),
            )
            .when(When::Behind),
            Step::serial(
                0,
                CoreRequest::tlbi(Tlbi {
                    op: TlbiOp::Rvaae1,
                    scope: TlbiScope::InnerShareable,
                    operand: 0xff9f_c500_0000,
                }),
            )
            .when(When::Behind),
            Step::serial(
                0,
                CoreRequest::tlbi(Tlbi {
                    op: TlbiOp::Rvaae1,
                    scope: TlbiScope::InnerShareable,
                    operand: 0xff9f_c520_0000,
                }),
            )
            .when(When::Behind),
            Step::serial(
                0,
                CoreRequest::tlbi(Tlbi {
                    op: TlbiOp::Rvaae1,
                    scope: TlbiScope::InnerShareable,
                    operand: 0xff9f_c540_0000,
                }),
            ),
        ],
    )
}
