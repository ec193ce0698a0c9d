// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the MMU did between two looks: walks begun, descriptors read, TLB entries made, words read
//! from DRAM. For expectations about the whole of it, and about what shall not happen.

use std::cell::RefCell;
use std::rc::Rc;

use cosim::check::{Violation, Violations};
use cosim::dut::ports::{CoreRequest, CoreResponse, TlbFill, TlbStructure, WalkKind};
use cosim::regress::{Bench, Failure};
use cosim::sim::event::{Event, EventKind, Monitor};
use cosim::sim::memory::Memory;

/// What happened since the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    /// Walks begun.
    pub walks: u32,
    /// Level and physical address of every descriptor read, in order.
    pub steps: Vec<(u8, u64)>,
    /// TLB entries made.
    pub fills: Vec<TlbFill>,
    /// Physical address of every word read from DRAM, in order.
    pub reads: Vec<u64>,
    /// Physical address of every word written to DRAM, in order.
    pub writes: Vec<u64>,
}

impl Activity {
    /// No walk began, no descriptor was read and no TLB entry was made; the words read from DRAM are
    /// those at `data`.
    ///
    /// # Errors
    /// Under `requirement`, when any of that happened.
    pub fn no_walk(&self, requirement: &str, data: &[u64]) -> Result<(), Failure> {
        let quiet = self.walks == 0 && self.steps.is_empty() && self.fills.is_empty();
        expect(requirement, quiet && self.reads == data, || {
            (
                format!("{self:x?}"),
                format!("no walk, no TLB entry, DRAM reads {data:x?}"),
            )
        })
    }

    /// The descriptors read are `steps`, and DRAM was read there and at `data` only.
    ///
    /// # Errors
    /// Under `requirement`, when other words were read, or in another order.
    pub fn walked(
        &self,
        requirement: &str,
        steps: &[(u8, u64)],
        data: &[u64],
    ) -> Result<(), Failure> {
        let reads: Vec<u64> = steps
            .iter()
            .map(|&(_, at)| at)
            .chain(data.iter().copied())
            .collect();
        expect(
            requirement,
            self.steps == steps && self.reads == reads,
            || {
                (
                    format!("{self:x?}"),
                    format!("descriptor reads {steps:x?}, data reads {data:x?}"),
                )
            },
        )
    }

    /// Exactly `count` TLB entries were made.
    ///
    /// # Errors
    /// Under `requirement`, when there were more or fewer.
    pub fn filled(&self, requirement: &str, count: usize) -> Result<(), Failure> {
        expect(requirement, self.fills.len() == count, || {
            (
                format!("TLB entries made: {:x?}", self.fills),
                format!("{count} TLB entries made"),
            )
        })
    }
}

/// A monitor of one simulation that the testbench keeps to look at. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Probe(Rc<RefCell<Activity>>);

impl Probe {
    /// Watches the current simulation of `bench`, from now on until its next restart.
    ///
    /// # Errors
    /// As [`Bench::simulation`].
    pub fn on(bench: &mut Bench) -> Result<Self, Failure> {
        let probe = Self::default();
        bench.simulation()?.add_monitor(probe.clone());
        Ok(probe)
    }

    /// What happened since the last look.
    #[must_use]
    pub fn look(&self) -> Activity {
        self.0.take()
    }

    /// Forgets what happened so far.
    pub fn clear(&self) {
        self.0.take();
    }
}

impl Monitor for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn event(&mut self, event: &Event, _: &Memory, _: &mut Violations) {
        let mut seen = self.0.borrow_mut();
        match &event.kind {
            EventKind::Walk { step, .. } => match step.kind {
                WalkKind::Begin => seen.walks += 1,
                WalkKind::Step if step.error => {}
                WalkKind::Step => seen.steps.push((step.level, step.address)),
                WalkKind::Swap | WalkKind::End => {}
            },
            EventKind::Fill { change, .. }
                if matches!(change.structure, TlbStructure::Itlb | TlbStructure::Dtlb) =>
            {
                seen.fills.push(*change);
            }
            EventKind::DramRead { address, .. } => seen.reads.push(*address),
            EventKind::DramWrite { address, .. } => seen.writes.push(*address),
            _ => {}
        }
    }
}

/// The literal expectation that `met` holds; otherwise `told` gives what came and what was permitted.
///
/// # Errors
/// Under `requirement`, when `met` is false.
pub fn expect(
    requirement: &str,
    met: bool,
    told: impl FnOnce() -> (String, String),
) -> Result<(), Failure> {
    if met {
        return Ok(());
    }
    let (came, permitted) = told();
    let violation = Violation::new(0, "expectation", &[requirement], came).permitting(permitted);
    Err(Failure {
        cycle: None,
        ..Failure::unmet(violation)
    })
}

/// Names `request` in the failure of an expectation about its answer.
///
/// # Errors
/// Those of `outcome`, with the request named.
pub fn of(
    request: &CoreRequest,
    answer: &CoreResponse,
    outcome: Result<(), Failure>,
) -> Result<(), Failure> {
    outcome.map_err(|failure| within(failure, &format!("{request} => {answer}")))
}

/// Says of `failure` in which situation it came.
#[must_use]
pub fn within(mut failure: Failure, situation: &str) -> Failure {
    for violation in &mut failure.violations {
        violation.came = format!("{situation}: {}", violation.came);
    }
    failure.what = failure
        .violations
        .first()
        .map_or(failure.what, ToString::to_string);
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_read_is_not_no_walk() {
        let quiet = Activity {
            reads: vec![0x8000],
            ..Activity::default()
        };
        assert_eq!(quiet.no_walk("VMSA-01", &[0x8000]), Ok(()));
        let noisy = [
            Activity {
                walks: 1,
                ..quiet.clone()
            },
            Activity {
                steps: vec![(3, 0x8000)],
                ..quiet.clone()
            },
            Activity {
                reads: vec![0x8000, 0x9000],
                ..quiet
            },
        ];
        for seen in noisy {
            let outcome = seen.no_walk("VMSA-01", &[0x8000]);
            assert!(outcome.is_err_and(|failure| failure.violations[0].breaks("VMSA-01")));
        }
    }

    #[test]
    fn a_walk_reads_its_descriptors_in_order_and_then_the_data() {
        let (steps, reads) = (vec![(2, 8), (3, 16)], vec![8, 16, 64]);
        let seen = Activity {
            walks: 1,
            steps,
            reads,
            ..Activity::default()
        };
        assert_eq!(seen.walked("WALK-01", &[(2, 8), (3, 16)], &[64]), Ok(()));
        assert!(seen.walked("WALK-01", &[(3, 16), (2, 8)], &[64]).is_err());
        assert!(seen.walked("WALK-01", &[(2, 8), (3, 16)], &[]).is_err());
    }
}
