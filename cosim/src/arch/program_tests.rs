// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Tests of program order: contexts and recency.

use super::*;
use crate::arch::access::{Access, AccessKind};
use vmsa::El;

fn load() -> Operation {
    Operation::Access(Access::new(AccessKind::Read, El::El1, 0))
}

fn mairs(program: &Program, id: u16) -> Vec<u64> {
    let pending = program.pending(id).unwrap();
    let mut seen = Vec::new();
    program.for_each_context(pending.isb, pending.order, &mut |registers| {
        seen.push(registers.mair.0);
        false
    });
    seen
}

#[test]
fn a_register_write_is_old_or_new_until_the_isb() {
    // Section 13.5.
    let mut program = Program::default();
    program.issue(1, 1, Operation::Msr(SysReg::Mair, 7));
    program.issue(2, 2, load());
    program.issue(3, 3, Operation::Isb);
    program.issue(4, 4, load());
    program.issue(5, 5, Operation::Msr(SysReg::Mair, 8));
    program.issue(6, 6, load());
    assert_eq!(mairs(&program, 2), [7, 0]);
    assert_eq!(mairs(&program, 4), [7]);
    assert_eq!(mairs(&program, 6), [8, 7]);
    program.complete(10, 1);
    program.complete(11, 2);
    program.complete(12, 3);
    assert_eq!(mairs(&program, 4), [7]);
    assert_eq!(mairs(&program, 6), [8, 7]);
}

#[test]
fn recency_follows_the_older_accesses_only() {
    // Section 13.3 with ETS = 2.
    let store = Operation::Access(Access::new(AccessKind::Write, El::El1, 0));
    let mut program = Program::default();
    program.issue(1, 1, store);
    program.issue(2, 2, load());
    program.issue(3, 3, load());
    program.complete(50, 3);
    assert_eq!(program.pending(2).unwrap().recent, 2);
    assert!(program.older_store_pending(program.pending(2).unwrap().order));
    program.complete(60, 1);
    assert_eq!(program.pending(2).unwrap().recent, 60);
    assert!(!program.older_store_pending(program.pending(2).unwrap().order));
}

#[test]
fn a_visible_store_is_done_before_its_answer() {
    let store = Operation::Access(Access::new(AccessKind::Write, El::El1, 0x1238));
    let mut program = Program::default();
    program.issue(1, 1, store);
    program.issue(2, 2, load());
    program.became_visible(30, 0x9_5678, true);
    assert!(program.older_store_pending(program.pending(2).unwrap().order));
    program.became_visible(40, 0x9_5238, true);
    assert!(!program.older_store_pending(program.pending(2).unwrap().order));
    assert_eq!(program.pending(2).unwrap().recent, 40);
}
