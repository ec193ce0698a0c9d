// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One core executing its program: each instruction becomes requests on the socket, in program order,
//! each asked for as soon as the architecture lets the core begin it.
//!
//! An instruction does not wait for the answers of older ones unless it depends on them by register,
//! or a DMB, acquire or release orders it after them. `docs/litmus.md` says what each instruction
//! becomes.

use std::rc::Rc;

use vmsa::El;

use super::given::{Given, Sense};
use super::kinds::{bit, effects, nth, speculative};
use super::layout::Layout;
use super::machine::Machine;
use super::order::{Effects, Order};
use super::variation::Pace;
use crate::dut::ports::CoreRequest;
use crate::litmus::scenario::{Instruction, Operation, Place, Scenario, Slot, Value};
use crate::sim::{CoreHandle, SimHandle};

/// A request without its answer yet.
struct Pending {
    instruction: usize,
    effects: Effects,
    sense: Sense,
    access: crate::sim::Access,
}

/// One core with its program.
pub struct Agent {
    core: CoreHandle,
    handle: SimHandle,
    scenario: Rc<Scenario>,
    program: usize,
    layout: Rc<Layout>,
    machine: Machine,
    pace: Pace,
    /// Pages that the core uses between instructions, so that a prefetcher comes by.
    distractions: Vec<u64>,
    pan: bool,
    order: Order,
    given: Vec<Given>,
    pending: Vec<Pending>,
    idle: Vec<crate::sim::Access>,
    /// Registers that a branch so far has looked at.
    branches: Vec<String>,
}

impl Agent {
    /// Core `core` with program number `program` of `scenario`.
    pub fn new(
        core: CoreHandle,
        handle: SimHandle,
        scenario: &Rc<Scenario>,
        program: usize,
        machine: &Machine,
        pace: Pace,
        distractions: Vec<u64>,
    ) -> Self {
        Self {
            given: vec![Given::NotExecuted; scenario.cores[program].len()],
            core,
            handle,
            scenario: Rc::clone(scenario),
            program,
            layout: Rc::clone(&machine.layout),
            machine: machine.clone(),
            pace,
            distractions,
            pan: false,
            order: Order::default(),
            pending: Vec::new(),
            idle: Vec::new(),
            branches: Vec::new(),
        }
    }

    /// Executes the program; returns what each instruction came to.
    pub async fn run(mut self) -> Vec<Given> {
        self.distract();
        self.handle.sleep(self.pace.start).await;
        let scenario = Rc::clone(&self.scenario);
        for (at, instruction) in scenario.cores[self.program].iter().enumerate() {
            let pause = self.pace.pause();
            if pause > 0 {
                self.handle.sleep(pause).await;
            }
            self.distract();
            self.instruction(at, instruction).await;
        }
        while !self.pending.is_empty() {
            self.settle(0).await;
        }
        for access in self.idle {
            access.await;
        }
        self.given
    }

    /// Uses a page of its own choosing, or not.
    fn distract(&mut self) {
        if let Some(which) = self.pace.distraction(self.distractions.len()) {
            let request = CoreRequest::load(self.distractions[which], 3, El::El1);
            self.idle.push(self.core.issue(request));
        }
    }

    async fn instruction(&mut self, at: usize, instruction: &Instruction) {
        if let Some((register, value)) = &instruction.guard {
            self.branches.push(register.clone());
            if self.register(at, register).await != Some(*value) {
                return;
            }
        }
        if let Some(register) = &instruction.address_of {
            self.register(at, register).await;
        }
        let effects = effects(&instruction.operation);
        if !speculative(&instruction.operation) {
            // What cannot be undone waits for the branches before it to be decided.
            for register in std::mem::take(&mut self.branches) {
                self.register(at, &register).await;
            }
        }
        let release = matches!(
            instruction.operation,
            Operation::Store { release: true, .. }
        );
        self.wait(effects, release).await;
        self.given[at] = Given::Done;
        loop {
            self.operation(at, &instruction.operation, effects).await;
            if !instruction.retry {
                break;
            }
            self.settle_instruction(at).await;
            match self.given[at] {
                Given::Fault(_) => self.given[at] = Given::Done,
                _ => break,
            }
        }
    }

    async fn operation(&mut self, at: usize, operation: &Operation, effects: Effects) {
        match operation {
            Operation::Load {
                place,
                acquire,
                el0,
            } => {
                let request = self.privileged(CoreRequest::load(self.va(place), 3, El::El1), *el0);
                self.ask(at, effects, Sense::Load, request);
                if *acquire {
                    self.order.acquire(at);
                }
            }
            Operation::Store {
                places, value, el0, ..
            } => {
                for (i, place) in (0..).zip(places) {
                    let word = self.value(at, place, value, i).await;
                    let request = CoreRequest::store(self.va(place), 3, El::El1, word);
                    self.ask(at, effects, Sense::Done, self.privileged(request, *el0));
                }
            }
            Operation::Swap { place, value } => {
                let word = self.value(at, place, value, 0).await;
                self.read_modify_write(at, place, |_| word).await;
            }
            Operation::Clear { slot, field } => {
                let place = Place::Descriptor(slot.clone());
                let bit = bit(*field);
                self.read_modify_write(at, &place, |old| old & !(1 << bit))
                    .await;
            }
            Operation::LoadExclusive { place } => {
                let request = self.privileged(CoreRequest::load(self.va(place), 3, El::El1), false);
                self.ask(at, effects, Sense::Load, request);
            }
            Operation::StoreExclusive { place, value } => {
                let word = self.value(at, place, value, 0).await;
                let expected = self.exclusive(at).await;
                let request = CoreRequest::cas(self.va(place), El::El1, expected, word);
                let request = self.privileged(request, false);
                self.ask(at, effects, Sense::Exclusive(expected), request);
            }
            Operation::Translate { page, write } => {
                let request = CoreRequest::at(self.layout.va(page), El::El1, *write, false);
                self.ask(at, effects, Sense::Translate, request);
            }
            Operation::Tlbi(invalidate) => {
                let tlbi = self.machine.tlbi(invalidate);
                self.ask(at, effects, Sense::Done, CoreRequest::tlbi(tlbi));
            }
            Operation::Dsb(kind) => {
                self.ask(at, effects, Sense::Done, CoreRequest::dsb(*kind));
            }
            Operation::Dmb(kind) => self.order.dmb(at, *kind),
            Operation::Isb => self.ask(at, effects, Sense::Done, CoreRequest::isb()),
            Operation::Branch(register) => self.branches.push(register.clone()),
            Operation::SetSpace { space, asid } => {
                let (register, value) = self.machine.space(*space, *asid);
                self.ask(at, effects, Sense::Done, CoreRequest::msr(register, value));
            }
            Operation::SetEpd0(disabled) => {
                let (register, value) = self.machine.epd0(*disabled);
                self.ask(at, effects, Sense::Done, CoreRequest::msr(register, value));
            }
            Operation::SetPan(pan) => self.pan = *pan,
        }
    }

    fn va(&self, place: &Place) -> u64 {
        match place {
            Place::Data(page) => self.layout.va(page),
            Place::Descriptor(slot) => self.layout.linear(self.layout.slot(slot)),
        }
    }

    fn privileged(&self, request: CoreRequest, el0: bool) -> CoreRequest {
        match el0 {
            true => CoreRequest {
                el: El::El0,
                ..request
            },
            false => CoreRequest {
                pan: self.pan,
                ..request
            },
        }
    }

    /// The word that is written to `place`, the one of number `i` in a list of places.
    async fn value(&mut self, at: usize, place: &Place, value: &Value, i: u32) -> u64 {
        match value {
            Value::Number(number) => *number,
            Value::Register(register) => self.register(at, register).await.unwrap_or(0),
            Value::Descriptor(spec) => match place {
                Place::Descriptor(slot) => self.layout.encode(slot, &nth(spec, i)).0,
                Place::Data(page) => {
                    let slot = Slot {
                        page: page.clone(),
                        space: 0,
                        table: false,
                    };
                    self.layout.encode(&slot, &nth(spec, i)).0
                }
            },
        }
    }

    /// An atomic update as compare-and-swaps, beginning with what memory holds at first.
    async fn read_modify_write(&mut self, at: usize, place: &Place, change: impl Fn(u64) -> u64) {
        let va = self.va(place);
        let mut expected = self.machine.first_word(place);
        self.given[at] = loop {
            let request = CoreRequest::cas(va, El::El1, expected, change(expected));
            let answer = self.core.access(self.privileged(request, false)).await;
            match Sense::Load.of(answer) {
                Given::Number(found) if found != expected => expected = found,
                given => break given,
            }
        };
    }

    /// The value that the load-exclusive before instruction `at` found.
    async fn exclusive(&mut self, at: usize) -> u64 {
        let program = &self.scenario.cores[self.program][..at];
        let load = program
            .iter()
            .rposition(|i| matches!(i.operation, Operation::LoadExclusive { .. }));
        let Some(load) = load else { return 0 };
        self.settle_instruction(load).await;
        self.given[load].value().unwrap_or(0)
    }

    /// What `register` holds before instruction `at`: 0 if nothing wrote it.
    async fn register(&mut self, at: usize, register: &str) -> Option<u64> {
        let scenario = Rc::clone(&self.scenario);
        let program = &scenario.cores[self.program];
        for writer in (0..at).rev() {
            if program[writer].result.as_deref() == Some(register) {
                self.settle_instruction(writer).await;
                if let Some(value) = self.given[writer].value() {
                    return Some(value);
                }
            }
        }
        Some(0)
    }

    fn ask(&mut self, instruction: usize, effects: Effects, sense: Sense, request: CoreRequest) {
        let access = self.core.issue(request);
        self.pending.push(Pending {
            instruction,
            effects,
            sense,
            access,
        });
    }

    /// Waits for the older accesses that order asks for.
    async fn wait(&mut self, effects: Effects, release: bool) {
        if effects == Effects::NONE {
            return;
        }
        let mut next = 0;
        while let Some(pending) = self.pending.get(next) {
            let waits = pending.effects != Effects::NONE
                && self
                    .order
                    .waits(effects, release, pending.instruction, pending.effects);
            match waits {
                true => self.settle(next).await,
                false => next += 1,
            }
        }
    }

    async fn settle_instruction(&mut self, instruction: usize) {
        while let Some(i) = self
            .pending
            .iter()
            .position(|pending| pending.instruction == instruction)
        {
            self.settle(i).await;
        }
    }

    async fn settle(&mut self, i: usize) {
        let pending = self.pending.remove(i);
        let given = pending.sense.of(pending.access.await);
        let slot = &mut self.given[pending.instruction];
        // One of several stores of an instruction that faults is a fault of the instruction.
        if !matches!(slot, Given::Fault(_)) {
            *slot = given;
        }
    }
}
