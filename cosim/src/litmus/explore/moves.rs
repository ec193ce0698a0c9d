// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What can happen next in a state, and what it does.

use vmsa::Descriptor;
use vmsa::VaRange::Lower;

use super::program::{Effect, Kind, Step, Touch, Where};
use super::state::{Settled, Stage, State, dirties};
use crate::arch::enumerate::Instants;
use crate::arch::walk::Update;
use crate::arch::{Access, AccessKind, Context, Profile, Registers, translate};
use crate::litmus::run::given::Given;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Instruction `1` of core `0` is translated and waits for its effect.
    Translate(usize, usize, Settled),
    /// It has its effect, or takes its fault.
    Perform(usize, usize, Settled),
    /// A store-exclusive fails although it need not.
    Fail(usize, usize),
    /// Its walk makes the leaf dirty, and it is translated through it to that address.
    Dirty(usize, usize, Update, u64),
    /// The walk of an access that is translated makes the hardware update of that number.
    Update(usize, usize),
    /// A walk, of whoever, sets the access flag of the leaf at that address.
    Flag(u64),
    /// The next instruction of a core, a DSB or ISB, completes.
    Barrier(usize),
}

/// What does not change while a scenario is explored.
pub struct Scene<'a> {
    /// The programs.
    pub programs: &'a [Vec<Step>],
    /// Implementation choices, FEAT_ETS2 among them.
    pub profile: Profile,
    /// Registers as at first.
    pub registers: Registers,
    /// Pages whose leaves hardware may mark as accessed, by virtual address.
    pub pages: Vec<u64>,
    /// Pages that no TLB holds at first, and that nothing but the programs makes it hold.
    pub cold: Vec<u64>,
    /// An ISB is an event of its own even if nothing older is under way.
    pub contexts: bool,
}

impl Scene<'_> {
    /// Everything that can happen next in `state`.
    #[must_use]
    pub fn moves(&self, state: &State) -> Vec<Move> {
        if let Some(pe) = state.prompt {
            let own = self.of_core(state, pe);
            if !own.is_empty() {
                return own;
            }
        }
        let mut flags = Vec::new();
        self.flags(state, &mut flags);
        if flags.is_empty() && state.quiet(self.programs) {
            // The first that can go on goes on: the others would find the same later.
            let first = (0..self.programs.len()).map(|pe| self.of_core(state, pe));
            let mut moves = first
                .into_iter()
                .find(|own| !own.is_empty())
                .unwrap_or_default();
            let performed = moves.iter().find_map(|event| match event {
                Move::Perform(_, at, _) => Some(*at),
                _ => None,
            });
            if let Some(at) = performed {
                moves.retain(|event| matches!(event, Move::Perform(_, other, _) if *other == at));
            }
            return moves;
        }
        let of_cores = (0..self.programs.len()).flat_map(|pe| self.of_core(state, pe));
        of_cores.chain(flags).collect()
    }

    fn of_core(&self, state: &State, pe: usize) -> Vec<Move> {
        let program = &self.programs[pe];
        let mut moves = Vec::new();
        for (at, step) in program.iter().enumerate() {
            let Some(touch) = step.touch() else { continue };
            match state.cores[pe].stages[at] {
                Stage::Issued => self.translating(state, pe, at, touch, &mut moves),
                Stage::Bound(settled, used) => {
                    let instants = Instants {
                        used,
                        done: state.soon(),
                    };
                    let same = |other: &Settled| match (*other, settled) {
                        (Settled::Reaches { pa: a, .. }, Settled::Reaches { pa: b, .. }) => a == b,
                        (a, b) => a == b,
                    };
                    // The access is done before what would forbid its translation completes.
                    if self.performs(state, pe, at, &settled)
                        && state
                            .permitted(pe, at, &touch.access, instants, false)
                            .iter()
                            .any(same)
                    {
                        moves.push(Move::Perform(pe, at, settled));
                        self.fails(state, pe, at, touch, &mut moves);
                    }
                }
                _ => {}
            }
        }
        moves.extend((0..state.cores[pe].owed.len()).map(|number| Move::Update(pe, number)));
        if state.barrier_ready(pe, program) {
            moves.push(Move::Barrier(pe));
        }
        moves
    }

    /// What can become of an access that has no translation yet.
    fn translating(
        &self,
        state: &State,
        pe: usize,
        at: usize,
        touch: &Touch,
        moves: &mut Vec<Move>,
    ) {
        let step = &self.programs[pe][at];
        if let Some(register) = &step.address_of
            && state.register(pe, register).is_none()
        {
            return;
        }
        if let Where::Fixed(words) = &touch.place {
            let settled = Settled::Reaches {
                pa: words[0],
                owes: None,
            };
            if self.performs(state, pe, at, &settled) {
                moves.push(Move::Perform(pe, at, settled));
                self.fails(state, pe, at, touch, moves);
            }
            return;
        }
        let now = Instants {
            used: state.soon(),
            done: state.soon(),
        };
        let certain = state.decided(pe, &self.programs[pe], at)
            && state.translated(pe, &self.programs[pe], at);
        let mut outcomes = state.permitted(pe, at, &touch.access, now, true);
        if self.cold.contains(&touch.access.va) {
            outcomes
                .retain(|settled| state.walked(pe, &touch.access, self.profile) == Some(*settled));
        }
        for settled in outcomes {
            let fault = matches!(settled, Settled::Faults(_));
            if fault && step.retry {
                continue;
            }
            if let Settled::Reaches {
                pa,
                owes: Some(update),
            } = settled
                && dirties(&update)
            {
                // HAF-08.
                if !certain {
                    continue;
                }
                moves.push(Move::Dirty(pe, at, update, pa));
            }
            if step.split {
                moves.push(Move::Translate(pe, at, settled));
            }
            if self.performs(state, pe, at, &settled) {
                moves.push(Move::Perform(pe, at, settled));
                if !fault {
                    self.fails(state, pe, at, touch, moves);
                }
            }
        }
    }

    /// Whether access `at` may have its effect now, as far as program order is concerned.
    fn performs(&self, state: &State, pe: usize, at: usize, settled: &Settled) -> bool {
        let (program, core) = (&self.programs[pe], &state.cores[pe]);
        let step = &program[at];
        let over = |older: usize| matches!(core.stages[older], Stage::Done | Stage::Skipped);
        let before = match settled {
            Settled::Faults(_) => step.fenced,
            Settled::Reaches { .. } => step.after,
        };
        let ordered = (0..at).all(|older| before >> older & 1 == 0 || over(older));
        if !ordered {
            return false;
        }
        let (Some(touch), Settled::Reaches { pa, .. }) = (step.touch(), settled) else {
            // A fault may be found before the branches and accesses that it is behind are decided.
            return true;
        };
        // Accesses to one location stay in order, whatever addresses they went through.
        let crossed = (0..at).any(|older| match core.stages[older] {
            Stage::Bound(Settled::Reaches { pa: other, .. }, _) => other == *pa,
            Stage::Issued => match program[older].touch().map(|touch| &touch.place) {
                Some(Where::Fixed(words)) => words.contains(pa),
                _ => false,
            },
            _ => false,
        });
        let known = match &touch.effect {
            Effect::Store(data) | Effect::Swap(data) | Effect::StoreExclusive(data) => {
                state.data(pe, data, 0).is_some()
            }
            _ => true,
        };
        // A store is visible only once nothing older can fault and no branch is open.
        let certain = !touch.effect.writes()
            || state.decided(pe, program, at) && state.translated(pe, program, at);
        !crossed && known && certain
    }

    fn fails(&self, state: &State, pe: usize, at: usize, touch: &Touch, moves: &mut Vec<Move>) {
        let set = state.cores[pe].monitor.is_some();
        if matches!(touch.effect, Effect::StoreExclusive(_)) && set {
            moves.push(Move::Fail(pe, at));
        }
    }

    /// The leaves whose access flag a walk may set now, for an access or for none (HAF-07).
    fn flags(&self, state: &State, moves: &mut Vec<Move>) {
        if !self.registers.tcr.ha() || self.registers.tcr.epd(Lower) {
            return;
        }
        let context = Context {
            registers: self.registers,
            profile: self.profile,
        };
        for va in &self.pages {
            let access = Access::new(AccessKind::Read, vmsa::El::El0, *va);
            let walk = translate(&state.memory, &context, &access);
            if let Some(update) = walk.update
                && !moves.contains(&Move::Flag(update.address))
            {
                moves.push(Move::Flag(update.address));
            }
        }
    }

    /// Makes `state` what it is after `event`. Returns whether that can be.
    #[must_use]
    pub fn make(&self, state: &mut State, event: Move) -> bool {
        state.now = state.soon();
        state.prompt = None;
        let possible = match event {
            Move::Translate(pe, at, settled) => {
                self.owe(state, pe, &settled);
                state.cores[pe].stages[at] = Stage::Bound(settled, state.now);
                true
            }
            Move::Perform(pe, at, settled) => {
                if state.cores[pe].stages[at] == Stage::Issued {
                    self.owe(state, pe, &settled);
                }
                self.perform(state, pe, at, &settled)
            }
            Move::Fail(pe, at) => {
                state.cores[pe].monitor = None;
                done(state, pe, at, Given::Number(1));
                true
            }
            Move::Update(pe, number) => {
                let update = state.cores[pe].owed[number];
                state.commit(pe, update.address, update.to, true)
            }
            Move::Dirty(pe, at, update, pa) => {
                let possible = state.commit(pe, update.address, update.to, true);
                let settled = Settled::Reaches { pa, owes: None };
                state.cores[pe].stages[at] = Stage::Bound(settled, state.now);
                possible
            }
            Move::Flag(address) => {
                let value = Descriptor(state.memory.get(address)).with_af(true);
                state.commit(usize::MAX, address, value.0, true)
            }
            Move::Barrier(pe) => {
                state.pass_barrier(pe, &self.programs[pe]);
                true
            }
        };
        possible && state.advance(self.programs, !self.contexts)
    }

    /// Notes the hardware update that an access translated so has yet to see.
    fn owe(&self, state: &mut State, pe: usize, settled: &Settled) {
        if let Settled::Reaches {
            owes: Some(owed), ..
        } = settled
        {
            state.cores[pe].owed.push(*owed);
        }
    }

    fn perform(&self, state: &mut State, pe: usize, at: usize, settled: &Settled) -> bool {
        let Some(touch) = self.programs[pe][at].touch() else {
            return false;
        };
        let pa = match settled {
            Settled::Faults(fsc) => {
                done(state, pe, at, Given::Fault(*fsc));
                return true;
            }
            Settled::Reaches { pa, .. } => *pa,
        };
        // A younger access to the location was done first: not in this order (coherence).
        let program = &self.programs[pe];
        let overtaken = (at + 1..program.len()).any(|younger| {
            let Some(Kind::Touch(other)) = program.get(younger).map(|step| &step.kind) else {
                return false;
            };
            let there = match &other.place {
                Where::Fixed(words) => words.contains(&pa),
                Where::Virtual(_) => state.reached(pe, younger) == Some(pa),
            };
            there && state.cores[pe].stages[younger] == Stage::Done && !other.access.at
        });
        if overtaken && !touch.access.at {
            return false;
        }
        let places: &[u64] = match &touch.place {
            Where::Fixed(words) => words,
            Where::Virtual(_) => &[pa],
        };
        let before = state.memory.get(pa);
        let given = match &touch.effect {
            Effect::Load => Given::Number(before),
            Effect::LoadExclusive => {
                state.cores[pe].monitor = Some(pa);
                Given::Number(before)
            }
            Effect::Translate => Given::Address(pa),
            Effect::Swap(_) | Effect::Clear(_) => Given::Number(before),
            Effect::Store(_) => Given::Done,
            Effect::StoreExclusive(_) => {
                let passed = state.cores[pe].monitor == Some(pa);
                state.cores[pe].monitor = None;
                Given::Number(u64::from(!passed))
            }
        };
        let written = match &touch.effect {
            Effect::Store(data) | Effect::Swap(data) => Some(data),
            Effect::StoreExclusive(data) if given == Given::Number(0) => Some(data),
            _ => None,
        };
        let mut possible = true;
        if let Effect::Clear(bits) = touch.effect {
            possible = state.commit(pe, pa, before & !bits, false);
        }
        if let Some(data) = written {
            for (i, place) in places.iter().enumerate() {
                let value = state.data(pe, data, i).unwrap_or(0);
                possible &= state.commit(pe, *place, value, false);
            }
        }
        state.reach(pe, at, pa);
        done(state, pe, at, given);
        possible
    }
}

fn done(state: &mut State, pe: usize, at: usize, given: Given) {
    state.judge.complete(pe as u8, state.now, at as u16);
    state.cores[pe].given[at] = given;
    state.cores[pe].stages[at] = Stage::Done;
}
