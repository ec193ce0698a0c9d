// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the rules alone say of a scenario, without hardware: every execution is tried, the oracle of
//! `arch` saying what each translation may come to, and every ending collected.
//!
//! An access is one event, its effect, at which the oracle is asked; where something waits for its
//! translation but not for its effect, two. Stores reach memory at one instant for every observer.
//! Program order keeps what the architecture keeps: accesses to one location, what barriers, acquire,
//! release and dependencies order, and a store or ISB after the translations of all that is older.
//! Everything else may pass. A TLBI takes effect as early as it may and its DSB completes at every
//! instant at which it may, because that permits most. Hardware sets access flags of reachable leaves
//! at any instant, speculatively or late (HAF-07, HAF-19), and marks leaves dirty for stores that are
//! executed for sure (HAF-08). A load does not read a store of its own core before all see it.

mod advance;
mod key;
pub mod memory;
pub mod moves;
pub mod program;
pub mod state;

use std::collections::BTreeMap;
use std::fmt;

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use rustc_hash::FxHashSet;
use vmsa::{Mair, Sctlr, SysReg, Ttbr};

use super::run::evaluate::{Ending, Judge};
use super::run::layout::{Layout, PAGE};
use super::run::machine::Machine;
use super::scenario::{Scenario, Verdict};
use crate::arch::permitted::Permitted;
use crate::arch::{Profile, Registers};
use memory::Image;
use moves::Scene;
use state::State;

/// States after which an exploration gives up.
const STATES_MAX: u64 = 1_000_000;

/// One outcome asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// As the file has it.
    pub outcome: String,
    /// The verdict of the file.
    pub expected: Verdict,
    /// Some execution ends so.
    pub reached: bool,
    /// Every execution ends so.
    pub always: bool,
}

impl Row {
    /// What the rules say.
    #[must_use]
    pub const fn found(&self) -> Verdict {
        match (self.reached, self.always) {
            (true, true) => Verdict::Required,
            (true, false) => Verdict::Allowed,
            _ => Verdict::Forbidden,
        }
    }

    /// Whether file and rules agree. What comes in every execution is allowed, too.
    #[must_use]
    pub fn agrees(&self) -> bool {
        match self.expected {
            Verdict::Allowed => self.reached,
            verdict => verdict == self.found(),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (found, expected) = (name(self.found()), name(self.expected));
        let mark = if self.agrees() { "" } else { "  DIFFERS" };
        let outcome = &self.outcome;
        write!(f, "rules {found:<9} file {expected:<9}{mark}  {outcome}")
    }
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allowed => "allowed",
        Verdict::Forbidden => "forbidden",
        Verdict::Required => "required",
    }
}

/// All that the rules say of a scenario.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// Name of the scenario.
    pub name: String,
    /// 0 without FEAT_ETS2, 2 with it.
    pub ets: u8,
    /// States visited.
    pub states: u64,
    /// Every ending, one line each.
    pub endings: Vec<String>,
    /// One row an outcome, in the order of the file.
    pub rows: Vec<Row>,
}

impl Exploration {
    /// Whether every row agrees with its file.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.rows.iter().all(Row::agrees)
    }
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            writeln!(f, "{} ETS {}: {row}", self.name, self.ets)?;
        }
        Ok(())
    }
}

/// Explores `scenario` without FEAT_ETS2 (`ets` 0) or with it (2), on hardware that never raises a
/// conflict abort.
///
/// # Errors
/// What the scenario asks that cannot be laid out, or that it has too many executions.
pub fn explore(scenario: &Scenario, ets: u8) -> Result<Exploration, String> {
    let layout = Layout::new(scenario, &mut Pcg64Mcg::seed_from_u64(0))?;
    let machine = Machine::new(scenario, layout)?;
    let layout = &*machine.layout;
    if scenario.cores.iter().any(|program| program.len() > 64) {
        return Err("a program has more than 64 instructions".to_owned());
    }
    let profile = Profile {
        ets,
        bbml: scenario.setup.bbml.unwrap_or(2),
        ..Profile::default()
    };
    let programs = program::compile(scenario, &machine);
    let a1 = scenario.setup.a1.then(|| scenario.setup.asids[0]);
    let writes = [
        machine.space(0, None),
        (
            SysReg::Ttbr1,
            Ttbr::new(a1.unwrap_or(0), layout.upper_root()).0,
        ),
        machine.epd0(false),
        (SysReg::Mair, Mair(0).with_attr(0, Mair::NORMAL_WB).0),
        (
            SysReg::Sctlr,
            Sctlr(0).with_m(true).with_c(true).with_i(true).0,
        ),
    ];
    let mut registers = Registers::default();
    for (register, value) in writes {
        registers.set(register, value);
    }
    let contexts = programs
        .iter()
        .flatten()
        .any(|step| matches!(step.kind, program::Kind::Msr(..)));
    let scene = Scene {
        programs: &programs,
        profile,
        registers,
        pages: pages(scenario, layout, &|_| true),
        cold: pages(scenario, layout, &|name| {
            scenario.setup.untouched.contains(name)
        }),
        contexts,
    };
    let judge = Judge { scenario, layout };
    let mut search = Walk {
        scene: &scene,
        asked: judge.asked(),
        states: 0,
        endings: BTreeMap::new(),
        seen: FxHashSet::default(),
    };
    let named = |pa: &u64| layout.name_of(*pa).is_some();
    let data = layout.words().keys().copied().filter(named).collect();
    let image = Image::new(layout.words().clone(), data);
    let mut state = State::new(Permitted::new(profile), image, &programs, &writes);
    if state.advance(&programs, !contexts) {
        search.visit(&state)?;
    }
    let endings: Vec<Ending> = search.endings.into_values().collect();
    let row = |outcome: &super::scenario::Outcome| {
        let holds = |ending: &Ending| judge.holds(&outcome.condition, ending);
        Row {
            outcome: outcome.text.clone(),
            expected: outcome.verdict[usize::from(ets == 2)],
            reached: endings.iter().any(holds),
            always: endings.iter().all(holds),
        }
    };
    Ok(Exploration {
        name: scenario.name.clone(),
        ets,
        states: search.states,
        rows: scenario.outcomes.iter().map(row).collect(),
        endings: endings.iter().map(|end| judge.describe(end)).collect(),
    })
}

/// Pages of some variables, by virtual address.
fn pages(scenario: &Scenario, layout: &Layout, which: &dyn Fn(&String) -> bool) -> Vec<u64> {
    let variables = scenario.setup.variables.iter().filter(|v| which(&v.name));
    let of = |variable: &super::scenario::Variable| {
        let first = layout.va(&super::scenario::Page {
            variable: variable.name.clone(),
            page: 0,
        });
        (0..u64::from(variable.pages)).map(move |page| first + page * PAGE)
    };
    variables.flat_map(of).collect()
}

struct Walk<'a> {
    scene: &'a Scene<'a>,
    asked: Vec<u64>,
    states: u64,
    endings: BTreeMap<String, Ending>,
    seen: FxHashSet<Vec<u64>>,
}

impl Walk<'_> {
    fn visit(&mut self, state: &State) -> Result<(), String> {
        self.states += 1;
        if self.states > STATES_MAX {
            return Err(format!("it has more than {STATES_MAX} states"));
        }
        if state.ended() {
            let words = self.asked.iter().map(|&pa| (pa, state.memory.get(pa)));
            let ending = Ending {
                given: state.cores.iter().map(|core| core.given.clone()).collect(),
                words: words.collect(),
                cycle: 0,
            };
            let key = format!("{ending:?}");
            self.endings.insert(key, ending);
        }
        for event in self.scene.moves(state) {
            let mut next = state.clone();
            if self.scene.make(&mut next, event) && self.seen.insert(next.key()) {
                self.visit(&next)?;
            }
        }
        Ok(())
    }
}
