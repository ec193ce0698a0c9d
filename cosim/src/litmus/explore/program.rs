// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The programs of a scenario as the explorer executes them: places resolved, and worked out once
//! which effects program order keeps in order.

use vmsa::{DsbKind, DsbTypes, El, SysReg, Tlbi};

use crate::arch::{Access, AccessKind};
use crate::litmus::run::kinds::bit;
use crate::litmus::run::layout::Layout;
use crate::litmus::run::machine::Machine;
use crate::litmus::run::order::{Effects, Order};
use crate::litmus::scenario::{
    Instruction, Operation, Page, Physical, Place, Scenario, Slot, Target, Value,
};

/// Where an access goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// Through this virtual address.
    Virtual(u64),
    /// To these words, through a mapping that nothing changes.
    Fixed(Vec<u64>),
}

/// A register as an instruction reads it: the instructions that may have written it, latest first.
pub type Register = Vec<usize>;

/// What is written.
#[derive(Clone, Debug)]
pub enum Data {
    /// One word for each place.
    Words(Vec<u64>),
    /// What a register holds.
    Register(Register),
}

/// What an access does.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Reads.
    Load,
    /// Writes.
    Store(Data),
    /// Writes, and gives the word before.
    Swap(Data),
    /// Clears these bits, and gives the word before.
    Clear(u64),
    /// Reads, and sets the monitor.
    LoadExclusive,
    /// Writes if the monitor is still set.
    StoreExclusive(Data),
    /// AT.
    Translate,
}

impl Effect {
    /// Whether memory changes.
    #[must_use]
    pub const fn writes(&self) -> bool {
        matches!(
            self,
            Effect::Store(_) | Effect::Swap(_) | Effect::Clear(_) | Effect::StoreExclusive(_)
        )
    }
}

/// An instruction that accesses memory, or AT.
#[derive(Clone, Debug)]
pub struct Touch {
    /// Where.
    pub place: Where,
    /// How the oracle knows it; PAN is that of the instant.
    pub access: Access,
    /// What it does.
    pub effect: Effect,
}

/// What an instruction is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// An access or AT.
    Touch(Touch),
    /// A branch that the register decides.
    Branch(Register),
    /// TLBI.
    Tlbi(Tlbi),
    /// DSB.
    Dsb(DsbKind),
    /// DMB: [`Step::after`] says what it orders.
    Dmb,
    /// ISB.
    Isb,
    /// A system register write.
    Msr(SysReg, u64),
    /// PSTATE.PAN.
    Pan(bool),
}

/// One instruction.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it is.
    pub kind: Kind,
    /// Executed only if the register holds the value.
    pub guard: Option<(Register, u64)>,
    /// Its address depends on that register.
    pub address_of: Option<Register>,
    /// Repeated until it does not fault.
    pub retry: bool,
    /// Older instructions, a bit each, whose effects come before its own.
    pub after: u64,
    /// Those of them that come before it even if it faults: the effects that a barrier or an acquire
    /// between the two orders. A release that faults releases nothing.
    pub fenced: u64,
    /// It may be translated long before its effect, and something waits for the one but not for the
    /// other: its translation is an event of its own.
    pub split: bool,
    /// The explicit effects.
    pub effects: Effects,
}

impl Step {
    /// The access, if it is one.
    #[must_use]
    pub const fn touch(&self) -> Option<&Touch> {
        match &self.kind {
            Kind::Touch(touch) => Some(touch),
            _ => None,
        }
    }
}

/// Whether a DSB of `kind` waits for accesses with `effects`.
#[must_use]
pub fn waits(kind: DsbKind, effects: Effects) -> bool {
    match kind.types {
        DsbTypes::Loads => effects.loads,
        DsbTypes::Stores => effects.stores,
        DsbTypes::All => true,
    }
}

/// The programs of `scenario` on `machine`.
#[must_use]
pub fn compile(scenario: &Scenario, machine: &Machine) -> Vec<Vec<Step>> {
    let one = |program: &Vec<Instruction>| {
        let compiler = Compiler {
            scenario,
            machine,
            layout: &machine.layout,
            program,
        };
        let mut steps: Vec<Step> = (0..program.len()).map(|at| compiler.step(at)).collect();
        order(program, &mut steps);
        split(&mut steps);
        steps
    };
    scenario.cores.iter().map(one).collect()
}

struct Compiler<'a> {
    scenario: &'a Scenario,
    machine: &'a Machine,
    layout: &'a Layout,
    program: &'a [Instruction],
}

impl Compiler<'_> {
    fn step(&self, at: usize) -> Step {
        let instruction = &self.program[at];
        let register = |name: &String| self.register(at, name);
        let kind = self.kind(at, &instruction.operation);
        let effects = match &kind {
            Kind::Touch(touch) => match (&touch.effect, touch.effect.writes()) {
                (Effect::Translate, _) => Effects::NONE,
                (Effect::Store(_), _) => Effects::STORE,
                (_, true) => Effects::BOTH,
                _ => Effects::LOAD,
            },
            _ => Effects::NONE,
        };
        Step {
            kind,
            guard: (instruction.guard.as_ref()).map(|(name, value)| (register(name), *value)),
            address_of: instruction.address_of.as_ref().map(register),
            retry: instruction.retry,
            after: 0,
            fenced: 0,
            split: false,
            effects,
        }
    }

    fn register(&self, at: usize, name: &str) -> Register {
        let writes = |writer: &usize| self.program[*writer].result.as_deref() == Some(name);
        (0..at).rev().filter(writes).collect()
    }

    fn kind(&self, at: usize, operation: &Operation) -> Kind {
        let access = |kind, el0| {
            let el = if el0 { El::El0 } else { El::El1 };
            Access::new(kind, el, 0).sized(3)
        };
        use AccessKind::{Cas, Read, Write};
        let data = |value: &Value, places: &[Place]| self.data(at, value, places);
        let (places, access, effect) = match operation {
            Operation::Load { place, el0, .. } => {
                (vec![place.clone()], access(Read, *el0), Effect::Load)
            }
            Operation::Store {
                places, value, el0, ..
            } => {
                let effect = Effect::Store(data(value, places));
                (places.clone(), access(Write, *el0), effect)
            }
            Operation::Swap { place, value } => {
                let places = vec![place.clone()];
                let effect = Effect::Swap(data(value, &places));
                (places, access(Cas, false), effect)
            }
            Operation::Clear { slot, field } => {
                let effect = Effect::Clear(1 << bit(*field));
                (
                    vec![Place::Descriptor(slot.clone())],
                    access(Cas, false),
                    effect,
                )
            }
            Operation::LoadExclusive { place } => (
                vec![place.clone()],
                access(Read, false),
                Effect::LoadExclusive,
            ),
            Operation::StoreExclusive { place, value } => {
                let places = vec![place.clone()];
                let effect = Effect::StoreExclusive(data(value, &places));
                (places, access(Write, false), effect)
            }
            Operation::Translate { page, write } => {
                let kind = if *write { Write } else { Read };
                let place = Place::Data(page.clone());
                (vec![place], access(kind, false).as_at(), Effect::Translate)
            }
            Operation::Tlbi(invalidate) => return Kind::Tlbi(self.machine.tlbi(invalidate)),
            Operation::Dsb(kind) => return Kind::Dsb(*kind),
            Operation::Dmb(_) => return Kind::Dmb,
            Operation::Isb => return Kind::Isb,
            Operation::Branch(name) => return Kind::Branch(self.register(at, name)),
            Operation::SetSpace { space, asid } => {
                let (register, value) = self.machine.space(*space, *asid);
                return Kind::Msr(register, value);
            }
            Operation::SetEpd0(disabled) => {
                let (register, value) = self.machine.epd0(*disabled);
                return Kind::Msr(register, value);
            }
            Operation::SetPan(pan) => return Kind::Pan(*pan),
        };
        let place = match &places[..] {
            [Place::Data(page)] if effect.is_translate() || !self.constant(page) => {
                Where::Virtual(self.layout.va(page))
            }
            places => Where::Fixed(places.iter().map(|place| self.word(place)).collect()),
        };
        let va = match &place {
            Where::Virtual(va) => *va,
            // Of no meaning, but a different one for each word.
            Where::Fixed(words) => self.layout.linear(words[0]),
        };
        Kind::Touch(Touch {
            place,
            access: Access { va, ..access },
            effect,
        })
    }

    fn word(&self, place: &Place) -> u64 {
        match place {
            Place::Descriptor(slot) => self.layout.slot(slot),
            Place::Data(page) => self.layout.physical(&Physical {
                area: page.variable.clone(),
                page: page.page,
            }),
        }
    }

    fn data(&self, at: usize, value: &Value, places: &[Place]) -> Data {
        match value {
            Value::Number(number) => Data::Words(vec![*number; places.len()]),
            Value::Register(name) => Data::Register(self.register(at, name)),
            Value::Descriptor(spec) => {
                let words = (0..).zip(places).map(|(i, place)| {
                    let mut spec = spec.clone();
                    if let Target::Leaf(physical) = &mut spec.target {
                        physical.page += i;
                    }
                    match place {
                        Place::Descriptor(slot) => self.layout.encode(slot, &spec).0,
                        Place::Data(_) => 0,
                    }
                });
                Data::Words(words.collect())
            }
        }
    }

    /// Whether nothing in the scenario changes how `page` is translated, and it is mapped to its own
    /// area with every right.
    fn constant(&self, page: &Page) -> bool {
        let setup = &self.scenario.setup;
        let apart = |name: &String| setup.variables.iter().any(|v| v.name == *name && v.apart);
        let concerns = |slot: &Slot| {
            slot.page.variable == page.variable
                || slot.table && !apart(&page.variable) && !apart(&slot.page.variable)
        };
        let edits = |instruction: &Instruction| match &instruction.operation {
            Operation::SetEpd0(_) | Operation::SetPan(_) | Operation::SetSpace { .. } => true,
            operation => operation.places().iter().any(|place| match place {
                Place::Descriptor(slot) => concerns(slot),
                Place::Data(_) => false,
            }),
        };
        !setup.descriptors.iter().any(|(slot, _)| concerns(slot))
            && !self.scenario.cores.iter().flatten().any(edits)
    }
}

impl Effect {
    const fn is_translate(&self) -> bool {
        matches!(self, Effect::Translate)
    }
}

/// Effects ordered by barriers, acquire and release, and by going to the same place.
fn order(program: &[Instruction], steps: &mut [Step]) {
    let mut fences = Order::default();
    for at in 0..steps.len() {
        let operation = &program[at].operation;
        if let Operation::Dmb(kind) = operation {
            fences.dmb(at, *kind);
        }
        let release = matches!(operation, Operation::Store { release: true, .. });
        let touch = steps[at].touch();
        let effects = steps[at].effects;
        let (mut after, mut barred) = (0, 0);
        for (older, step) in steps[..at].iter().enumerate() {
            let Some(other) = step.touch() else {
                continue;
            };
            // AT is no access.
            if effects == Effects::NONE || step.effects == Effects::NONE {
                continue;
            }
            let waits = |release| fences.waits(effects, release, older, step.effects);
            let same = touch.is_some_and(|touch| match (&touch.place, &other.place) {
                (Where::Virtual(a), Where::Virtual(b)) => a == b,
                (Where::Fixed(a), Where::Fixed(b)) => a.iter().any(|word| b.contains(word)),
                _ => false,
            });
            after |= u64::from(waits(release) || same) << older;
            barred |= u64::from(waits(false)) << older;
        }
        (steps[at].after, steps[at].fenced) = (after, barred);
        if matches!(operation, Operation::Load { acquire: true, .. }) {
            fences.acquire(at);
        }
    }
}

/// Finds the accesses whose translation something waits for that does not wait for their effect.
fn split(steps: &mut [Step]) {
    for at in 0..steps.len() {
        if !matches!(steps[at].touch(), Some(touch) if matches!(touch.place, Where::Virtual(_))) {
            continue;
        }
        let effects = steps[at].effects;
        let mut split = false;
        for younger in &steps[at + 1..] {
            let ordered = younger.after >> at & 1 == 1;
            match &younger.kind {
                Kind::Dsb(kind) if waits(*kind, effects) => break,
                Kind::Isb => split = true,
                Kind::Touch(touch) if !ordered => split |= touch.effect.writes(),
                _ => {}
            }
        }
        steps[at].split = split;
    }
}
