// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which values of a system register may be in force: a write may act at once and must act by the
//! next context synchronisation event (vmsa.md 13.5).

use std::collections::VecDeque;

use vmsa::{Granule, Sctlr, SysReg, Tcr, Ttbr, VaRange};

use crate::dut::ports::Op;
use crate::sim::event::{Event, EventKind};

const COUNT: usize = SysReg::ALL.len();

fn slot(register: SysReg) -> usize {
    SysReg::ALL
        .iter()
        .position(|&other| other == register)
        .unwrap_or(0)
}

/// One core's registers: for each, every value that may be in force now, oldest first.
#[derive(Debug, Clone)]
pub struct Registers {
    values: [Vec<u64>; COUNT],
    /// For each ISB under way, oldest first: how many of `values` were written before it.
    before_isb: VecDeque<[usize; COUNT]>,
}

impl Default for Registers {
    /// As after reset: every register reads zero, so translation is off.
    fn default() -> Self {
        Self {
            values: std::array::from_fn(|_| vec![0]),
            before_isb: VecDeque::new(),
        }
    }
}

impl Registers {
    /// Follows the writes and the context synchronisation events of `core`.
    pub fn event(&mut self, core: u8, event: &Event) {
        match &event.kind {
            EventKind::Issue { core: by, request } if *by == core => match request.op {
                Op::Msr(register) => self.values[slot(register)].push(request.data),
                Op::Isb => {
                    let before = std::array::from_fn(|i| self.values[i].len());
                    self.before_isb.push_back(before);
                }
                _ => {}
            },
            EventKind::Response {
                core: by, request, ..
            } if *by == core && request.op == Op::Isb => {
                // ISBs complete in program order.
                let done = self.before_isb.pop_front().unwrap_or([0; COUNT]);
                for (register, values) in self.values.iter_mut().enumerate() {
                    let replaced = done[register].saturating_sub(1).min(values.len() - 1);
                    values.drain(..replaced);
                    for later in &mut self.before_isb {
                        later[register] -= replaced;
                    }
                }
            }
            _ => {}
        }
    }

    /// Every value of `register` that may be in force.
    #[must_use]
    pub fn candidates(&self, register: SysReg) -> &[u64] {
        &self.values[slot(register)]
    }

    /// Every TCR_EL1 that may be in force.
    pub fn tcr(&self) -> impl Iterator<Item = Tcr> + '_ {
        self.candidates(SysReg::Tcr).iter().map(|&value| Tcr(value))
    }

    /// Every SCTLR_EL1 that may be in force.
    pub fn sctlr(&self) -> impl Iterator<Item = Sctlr> + '_ {
        self.candidates(SysReg::Sctlr)
            .iter()
            .map(|&value| Sctlr(value))
    }

    /// Every base register of `range` that may be in force.
    pub fn ttbr(&self, range: VaRange) -> impl Iterator<Item = Ttbr> + '_ {
        let register = match range {
            VaRange::Lower => SysReg::Ttbr0,
            VaRange::Upper => SysReg::Ttbr1,
        };
        self.candidates(register).iter().map(|&value| Ttbr(value))
    }

    /// Whether translation may be on.
    #[must_use]
    pub fn may_translate(&self) -> bool {
        self.sctlr().any(Sctlr::m)
    }

    /// Every ASID that may be the current one (VMSA-11); `asid8` is hardware with 8-bit ASIDs.
    pub fn asids(&self, asid8: bool) -> impl Iterator<Item = u16> + '_ {
        self.tcr().flat_map(move |tcr| {
            let range = if tcr.a1() {
                VaRange::Upper
            } else {
                VaRange::Lower
            };
            let mask = if asid8 || !tcr.asid16() { 0xff } else { 0xffff };
            self.ttbr(range).map(move |ttbr| ttbr.asid() & mask)
        })
    }

    /// Whether `asid` may be the current one.
    #[must_use]
    pub fn may_be_asid(&self, asid: u16, asid8: bool) -> bool {
        self.asids(asid8).any(|current| current == asid)
    }

    /// Whether an operand that names `operand` surely names the entry tagged `asid`: bits 15:8 of the
    /// operand count only with 16-bit ASIDs (TLBI-13).
    #[must_use]
    pub fn names_asid(&self, operand: u16, asid: u16, asid8: bool) -> bool {
        self.tcr().all(|tcr| {
            let mask = if asid8 || !tcr.asid16() { 0xff } else { 0xffff };
            operand & mask == asid
        })
    }

    /// Every granule that `range` may use. A reserved code selects 4K (section 1.2).
    pub fn granules(&self, range: VaRange) -> impl Iterator<Item = Granule> + '_ {
        self.tcr()
            .map(move |tcr| tcr.granule(range).unwrap_or(Granule::K4))
    }

    /// `value` as software lays it out in memory, under every byte order that may be in force.
    pub fn byte_orders(&self, value: u64) -> impl Iterator<Item = u64> + '_ {
        self.sctlr().map(move |sctlr| {
            if sctlr.ee() {
                value.swap_bytes()
            } else {
                value
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::feed::{issue, response};
    use crate::dut::ports::CoreRequest;

    #[test]
    fn a_write_may_act_at_once_and_must_act_after_the_isb() {
        let mut registers = Registers::default();
        let on = Sctlr(0).with_m(true).0;
        registers.event(0, &issue(1, CoreRequest::msr(SysReg::Sctlr, on)));
        assert_eq!(registers.candidates(SysReg::Sctlr), [0, on]);
        registers.event(0, &issue(2, CoreRequest::isb()));
        registers.event(0, &issue(2, CoreRequest::msr(SysReg::Sctlr, 0)));
        registers.event(0, &response(4, CoreRequest::isb(), |_| ()));
        // The write after the ISB is still in flight, the one before it is in force.
        assert_eq!(registers.candidates(SysReg::Sctlr), [on, 0]);
    }

    #[test]
    fn an_isb_puts_in_force_only_what_was_written_before_it() {
        let mut registers = Registers::default();
        for value in [1, 2] {
            registers.event(0, &issue(1, CoreRequest::msr(SysReg::Ttbr0, value)));
            registers.event(0, &issue(1, CoreRequest::isb()));
        }
        assert_eq!(registers.candidates(SysReg::Ttbr0), [0, 1, 2]);
        registers.event(0, &response(2, CoreRequest::isb(), |_| ()));
        assert_eq!(registers.candidates(SysReg::Ttbr0), [1, 2]);
        registers.event(0, &response(3, CoreRequest::isb(), |_| ()));
        assert_eq!(registers.candidates(SysReg::Ttbr0), [2]);
    }

    #[test]
    fn the_asid_comes_from_the_register_that_a1_names() {
        let mut registers = Registers::default();
        registers.event(
            0,
            &issue(1, CoreRequest::msr(SysReg::Ttbr0, Ttbr::new(3, 0).0)),
        );
        registers.event(
            0,
            &issue(1, CoreRequest::msr(SysReg::Ttbr1, Ttbr::new(0x104, 0).0)),
        );
        registers.event(
            0,
            &issue(1, CoreRequest::msr(SysReg::Tcr, Tcr(0).with_a1(true).0)),
        );
        registers.event(0, &issue(2, CoreRequest::isb()));
        registers.event(0, &response(3, CoreRequest::isb(), |_| ()));
        // VMSA-11: TCR.AS = 0 keeps eight bits.
        assert!(registers.may_be_asid(4, false));
        assert!(!registers.may_be_asid(3, false));
        assert!(!registers.may_be_asid(0x104, false));
    }
}
