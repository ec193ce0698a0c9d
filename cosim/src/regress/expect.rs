// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Literal expectations of a testbench about one answer, each under the requirement it proves.

use vmsa::Fsc;

use super::failure::Failure;
use crate::check::Violation;
use crate::dut::ports::{CoreResponse, HitPlace};

/// Expectations about an answer. Each names the requirement that it proves, and returns a
/// [`Failure`] with that name if it is not met.
pub trait Expect {
    /// The access reached output address `pa`.
    ///
    /// # Errors
    /// When it faulted or reached another address.
    fn reaches(&self, requirement: &str, pa: u64) -> Result<(), Failure>;

    /// The access was answered with the value `data`.
    ///
    /// # Errors
    /// When it faulted or brought another value.
    fn reads(&self, requirement: &str, data: u64) -> Result<(), Failure>;

    /// The access faulted with `fsc`.
    ///
    /// # Errors
    /// When it did not fault, or otherwise.
    fn faults(&self, requirement: &str, fsc: Fsc) -> Result<(), Failure>;

    /// The access did not fault.
    ///
    /// # Errors
    /// When it did.
    fn succeeds(&self, requirement: &str) -> Result<(), Failure>;

    /// The access reported these memory attributes, in the form of PAR_EL1.ATTR and PAR_EL1.SH.
    ///
    /// # Errors
    /// When it faulted or reported others.
    fn has_attributes(&self, requirement: &str, attr: u8, sh: u8) -> Result<(), Failure>;

    /// The translation came from `place`.
    ///
    /// # Errors
    /// When it came from elsewhere.
    fn comes_from(&self, requirement: &str, place: HitPlace) -> Result<(), Failure>;
}

impl Expect for CoreResponse {
    fn reaches(&self, requirement: &str, pa: u64) -> Result<(), Failure> {
        let met = self.fault.is_none() && self.pa == pa;
        judge(self, requirement, met, || format!("PA={pa:#014x}"))
    }

    fn reads(&self, requirement: &str, data: u64) -> Result<(), Failure> {
        let met = self.fault.is_none() && self.data == data;
        judge(self, requirement, met, || format!("data={data:#x}"))
    }

    fn faults(&self, requirement: &str, fsc: Fsc) -> Result<(), Failure> {
        judge(self, requirement, self.fault == Some(fsc), || {
            fsc.to_string()
        })
    }

    fn succeeds(&self, requirement: &str) -> Result<(), Failure> {
        judge(
            self,
            requirement,
            self.fault.is_none() && !self.undef,
            || "no fault".to_owned(),
        )
    }

    fn has_attributes(&self, requirement: &str, attr: u8, sh: u8) -> Result<(), Failure> {
        let met = self.fault.is_none() && self.attr == attr && self.sh == sh;
        judge(self, requirement, met, || {
            format!("ATTR={attr:#04x} SH={sh}")
        })
    }

    fn comes_from(&self, requirement: &str, place: HitPlace) -> Result<(), Failure> {
        judge(self, requirement, self.place == place, || {
            format!("a translation from {place:?}")
        })
    }
}

fn judge(
    answer: &CoreResponse,
    requirement: &str,
    met: bool,
    permitted: impl FnOnce() -> String,
) -> Result<(), Failure> {
    if met {
        return Ok(());
    }
    let violation = Violation::new(0, "expectation", &[requirement], answer.to_string())
        .at_va(answer.va)
        .permitting(permitted());
    Err(Failure {
        cycle: None,
        ..Failure::unmet(violation)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dut::ports::OpCode;

    fn answer(fault: Option<Fsc>) -> CoreResponse {
        CoreResponse {
            id: 0,
            op: Some(OpCode::Load),
            va: 0x1000,
            fault,
            wnr: false,
            cm: false,
            s1ptw: false,
            pa: if fault.is_none() { 0x8000_1000 } else { 0 },
            attr: 0xff,
            sh: 3,
            data: 0x2a,
            place: HitPlace::Walk,
            undef: false,
            lookup: false,
            walked: false,
        }
    }

    #[test]
    fn what_came_as_stated_passes() {
        let good = answer(None);
        assert_eq!(good.reaches("VMSA-14", 0x8000_1000), Ok(()));
        assert_eq!(good.reads("VMSA-14", 0x2a), Ok(()));
        assert_eq!(good.succeeds("VMSA-14"), Ok(()));
        assert_eq!(good.has_attributes("VMSA-60", 0xff, 3), Ok(()));
        assert_eq!(good.comes_from("TLB-20", HitPlace::Walk), Ok(()));
        assert_eq!(answer(Some(Fsc(7))).faults("VMSA-40", Fsc(7)), Ok(()));
    }

    #[test]
    fn what_came_otherwise_fails_under_its_requirement() {
        let good = answer(None);
        let missed = [
            good.reaches("X-1", 0x8000_2000),
            good.reads("X-1", 0x2b),
            good.faults("X-1", Fsc(7)),
            good.has_attributes("X-1", 0x44, 3),
            good.comes_from("X-1", HitPlace::L1),
            answer(Some(Fsc(7))).succeeds("X-1"),
            answer(Some(Fsc(7))).reaches("X-1", 0),
            answer(Some(Fsc(6))).faults("X-1", Fsc(7)),
        ];
        for outcome in missed {
            assert!(outcome.is_err_and(|failure| failure.violations[0].breaks("X-1")));
        }
    }
}
