// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One state of an exploration: memory, the oracle, and how far each core has come.

use vmsa::{Fsc, SysReg};

use super::memory::Image;
use super::program::{Data, Kind, Register, Step, Where};
use crate::arch::candidate::Candidate;
use crate::arch::enumerate::Instants;
use crate::arch::permitted::Permitted;
use crate::arch::program::Operation;
use crate::arch::walk::{Leaf, Update};
use crate::arch::{Access, Context, Profile, translate};
use crate::litmus::run::given::Given;

/// Cycles between two events, so that what follows at once from one has cycles of its own.
const STRIDE: u64 = 64;

/// What a translation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It reaches that physical address.
    Reaches {
        /// Output address.
        pa: u64,
        /// The hardware update of the leaf that is still to come.
        owes: Option<Update>,
    },
    /// It faults.
    Faults(Fsc),
}

/// How far an instruction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not begun.
    Waiting,
    /// Under way.
    Issued,
    /// Translated at that cycle.
    Bound(Settled, u64),
    /// Done.
    Done,
    /// Not executed: its guard did not hold.
    Skipped,
}

/// One core.
#[derive(Clone, Debug)]
pub struct Core {
    /// By instruction.
    pub stages: Vec<Stage>,
    /// By instruction.
    pub given: Vec<Given>,
    /// The next instruction to begin.
    pub next: usize,
    /// PSTATE.PAN.
    pub pan: bool,
    /// It issued a TLBI that no DSB has completed.
    pub invalidating: bool,
    /// Hardware updates that its accesses have yet to see.
    pub owed: Vec<Update>,
    /// Physical address of the exclusive monitor.
    pub monitor: Option<u64>,
    /// Where accesses that are done went, by instruction.
    pub(super) reached: Vec<(usize, u64)>,
}

/// The state.
#[derive(Clone, Debug)]
pub struct State {
    /// The oracle.
    pub judge: Permitted,
    /// Memory.
    pub memory: Image,
    /// Cycle of the last event.
    pub now: u64,
    /// The cores.
    pub cores: Vec<Core>,
    /// A DSB of that core has just completed: something that waited for it comes next, if anything can.
    pub prompt: Option<usize>,
}

/// The hardware update that `access` through `leaf` asks for.
fn owed(leaf: &Leaf, access: &Access) -> Option<Update> {
    let from = leaf.descriptor;
    let mut to = from.with_af(true);
    if from.dbm() && access.kind.writes() {
        to = to.with_ap_read_only(false);
    }
    // HAF-14, HAF-15: AT makes nothing dirty and may do without the access flag.
    (to != from && !access.at).then_some(Update {
        address: leaf.address,
        from: from.0,
        to: to.0,
    })
}

/// Whether `update` makes a leaf dirty.
#[must_use]
pub const fn dirties(update: &Update) -> bool {
    (update.from ^ update.to) >> vmsa::Descriptor::AP2 & 1 == 1
}

impl State {
    /// The first state: every core with `registers` written and nothing held.
    #[must_use]
    pub fn new(
        mut judge: Permitted,
        memory: Image,
        programs: &[Vec<Step>],
        registers: &[(SysReg, u64)],
    ) -> Self {
        use vmsa::{DsbKind, Tlbi, TlbiScope};
        let mut setup: Vec<Operation> = registers
            .iter()
            .map(|(register, value)| Operation::Msr(*register, *value))
            .collect();
        setup.extend([
            Operation::Isb,
            Operation::Tlbi(Tlbi::vmalle1(TlbiScope::Local)),
            Operation::Dsb(DsbKind::SY),
            Operation::Isb,
        ]);
        let mut now = 0;
        for pe in 0..programs.len() {
            for operation in &setup {
                now += 1;
                judge.issue(pe as u8, now, u16::MAX, *operation);
                judge.complete(pe as u8, now, u16::MAX);
            }
        }
        let core = |program: &Vec<Step>| Core {
            stages: vec![Stage::Waiting; program.len()],
            given: vec![Given::NotExecuted; program.len()],
            next: 0,
            pan: false,
            invalidating: false,
            owed: Vec::new(),
            monitor: None,
            reached: Vec::new(),
        };
        Self {
            judge,
            memory,
            now,
            cores: programs.iter().map(core).collect(),
            prompt: None,
        }
    }

    /// The cycle of the next event.
    #[must_use]
    pub const fn soon(&self) -> u64 {
        (self.now / STRIDE + 1) * STRIDE
    }

    /// What `register` of core `pe` holds; `None` while it is not known.
    #[must_use]
    pub fn register(&self, pe: usize, register: &Register) -> Option<u64> {
        let core = &self.cores[pe];
        for &writer in register {
            match (core.stages[writer], core.given[writer]) {
                (Stage::Skipped, _) => {}
                (Stage::Done, Given::Number(value) | Given::Address(value)) => return Some(value),
                // A faulting load leaves its register as it was.
                (Stage::Done, _) => return Some(0),
                _ => return None,
            }
        }
        Some(0)
    }

    /// What is written to place `i`; `None` while it is not known.
    #[must_use]
    pub fn data(&self, pe: usize, data: &Data, i: usize) -> Option<u64> {
        match data {
            Data::Words(words) => words.get(i).copied(),
            Data::Register(register) => self.register(pe, register),
        }
    }

    /// Whether `step` is executed, as far as is known.
    #[must_use]
    pub fn executed(&self, pe: usize, step: &Step) -> Option<bool> {
        match &step.guard {
            None => Some(true),
            Some((register, value)) => Some(self.register(pe, register)? == *value),
        }
    }

    /// Whether every branch of `program` before instruction `at` is decided, its own guard included.
    #[must_use]
    pub fn decided(&self, pe: usize, program: &[Step], at: usize) -> bool {
        let before = program[..at].iter().all(|step| match &step.kind {
            Kind::Branch(register) => self.register(pe, register).is_some(),
            _ => self.executed(pe, step).is_some(),
        });
        before && self.executed(pe, &program[at]) == Some(true)
    }

    /// Whether every access before instruction `at` has its translation.
    #[must_use]
    pub fn translated(&self, pe: usize, program: &[Step], at: usize) -> bool {
        let stages = &self.cores[pe].stages;
        (0..at).all(|older| match program[older].touch() {
            Some(touch) => {
                let open = matches!(stages[older], Stage::Waiting | Stage::Issued);
                let address = &program[older].address_of;
                let known =
                    (address.as_ref()).is_none_or(|known| self.register(pe, known).is_some());
                // What nothing changes is translated as soon as its address is known.
                !open || known && matches!(touch.place, Where::Fixed(_))
            }
            None => true,
        })
    }

    /// What the oracle permits to access `at` of core `pe`, translated at `used` and done at `done`.
    /// With `now` only leaves whose hardware update can still be made count as usable before it.
    #[must_use]
    pub fn permitted(
        &self,
        pe: usize,
        at: usize,
        access: &Access,
        instants: Instants,
        now: bool,
    ) -> Vec<Settled> {
        let id = at as u16;
        let mut settled = Vec::new();
        let candidates = self
            .judge
            .candidates(pe as u8, &self.memory, instants, id, true);
        for candidate in candidates {
            let found = match candidate {
                Candidate::Fault(fault) => Settled::Faults(fault.fsc),
                Candidate::Held(_) => continue,
                Candidate::Translation(translation) => {
                    let owes = translation.leaf.and_then(|leaf| owed(&leaf, access));
                    let stale = |update: Update| self.memory.get(update.address) != update.from;
                    if now && owes.is_some_and(stale) {
                        continue;
                    }
                    Settled::Reaches {
                        pa: translation.pa,
                        owes,
                    }
                }
            };
            if !settled.contains(&found) {
                settled.push(found);
            }
        }
        settled
    }

    /// What a walk with the newest registers of core `pe` gives now.
    #[must_use]
    pub fn walked(&self, pe: usize, access: &Access, profile: Profile) -> Option<Settled> {
        let registers = *self.judge.program(pe as u8)?.latest_at(u64::MAX)?;
        let context = Context { registers, profile };
        Some(match translate(&self.memory, &context, access).outcome {
            Ok(translation) => Settled::Reaches {
                pa: translation.pa,
                owes: translation.leaf.and_then(|leaf| owed(&leaf, access)),
            },
            Err(fault) => Settled::Faults(fault.fsc),
        })
    }

    /// Writes `value` to the word at `address` for core `pe`. Returns whether that can be: an access
    /// that owes a leaf an update does not see it replaced before (HAF-04).
    pub fn commit(&mut self, pe: usize, address: u64, value: u64, hardware: bool) -> bool {
        let before = self.memory.get(address);
        self.memory.set(address, value);
        if self.memory.is_table(address) {
            self.judge.commit(self.now, address, before, value);
        }
        for (number, core) in self.cores.iter_mut().enumerate() {
            if number != pe && core.monitor == Some(address) {
                core.monitor = None;
            }
            for update in core.owed.iter_mut().filter(|owed| owed.address == address) {
                // Another update by hardware makes a part of this one, or all of it.
                if !hardware || (value ^ before) & !(update.from ^ update.to) != 0 {
                    return false;
                }
                update.from = value;
            }
            core.owed.retain(|update| update.from != update.to);
        }
        true
    }

    /// Where access `at` of core `pe`, which is done, went.
    #[must_use]
    pub fn reached(&self, pe: usize, at: usize) -> Option<u64> {
        let mut reached = self.cores[pe].reached.iter();
        reached.find(|(other, _)| *other == at).map(|(_, pa)| *pa)
    }

    /// Access `at` of core `pe` went to `pa`.
    pub fn reach(&mut self, pe: usize, at: usize, pa: u64) {
        let reached = &mut self.cores[pe].reached;
        let place = reached.partition_point(|(other, _)| *other < at);
        reached.insert(place, (at, pa));
    }

    /// Whether nothing to come changes memory or invalidates: accesses then commute.
    #[must_use]
    pub fn quiet(&self, programs: &[Vec<Step>]) -> bool {
        self.cores.iter().zip(programs).all(|(core, program)| {
            let mut to_come = core.stages.iter().zip(program);
            core.owed.is_empty()
                && to_come.all(|(stage, step)| {
                    matches!(stage, Stage::Done | Stage::Skipped)
                        || match &step.kind {
                            Kind::Touch(touch) => !touch.effect.writes(),
                            Kind::Tlbi(_) => false,
                            Kind::Dsb(_) => !core.invalidating,
                            _ => true,
                        }
                })
        })
    }

    /// Whether the scenario has ended.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.cores.iter().all(|core| {
            let over = |stage: &Stage| matches!(stage, Stage::Done | Stage::Skipped);
            core.owed.is_empty() && core.stages.iter().all(over)
        })
    }
}
