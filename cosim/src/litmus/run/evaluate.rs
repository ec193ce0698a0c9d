// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The end of one run of a scenario, and whether an outcome has come.

use std::collections::BTreeMap;

use vmsa::{Descriptor, Granule};

use super::given::Given;
use super::kinds::bit;
use super::layout::{Layout, PAGE};
use crate::litmus::scenario::{Condition, Operation, Place, Scenario, Seen, Slot};

/// What one run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// What each instruction of each core came to.
    pub given: Vec<Vec<Given>>,
    /// The words at the end that outcomes ask about, by physical address.
    pub words: BTreeMap<u64, u64>,
    /// Cycle of the end.
    pub cycle: u64,
}

/// An ending seen against its scenario.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// Where it lies.
    pub layout: &'a Layout,
}

impl Judge<'_> {
    /// Physical addresses of the words that outcomes ask about.
    #[must_use]
    pub fn asked(&self) -> Vec<u64> {
        let mut asked = Vec::new();
        for outcome in &self.scenario.outcomes {
            facts(&outcome.condition, &mut |fact| match fact {
                Condition::Memory(physical, _) => asked.push(self.layout.word_at(physical)),
                Condition::Descriptor(slot, _) => asked.push(self.layout.slot(slot)),
                _ => {}
            });
        }
        asked
    }

    /// Whether `condition` holds at `ending`.
    #[must_use]
    pub fn holds(&self, condition: &Condition, ending: &Ending) -> bool {
        match condition {
            Condition::All(parts) => parts.iter().all(|part| self.holds(part, ending)),
            Condition::Any(parts) => parts.iter().any(|part| self.holds(part, ending)),
            Condition::Not(inner) => !self.holds(inner, ending),
            Condition::Result { core, name, is } => self
                .result(*core, name, ending)
                .is_some_and(|(given, slot)| self.is(given, slot, is)),
            Condition::Memory(physical, value) => {
                ending.words.get(&self.layout.word_at(physical)) == Some(value)
            }
            Condition::Descriptor(slot, is) => ending
                .words
                .get(&self.layout.slot(slot))
                .is_some_and(|&word| self.is(Given::Number(word), Some(slot), is)),
        }
    }

    /// What the last executed instruction called `name` came to, and the descriptor that it names.
    fn result(&self, core: usize, name: &str, ending: &Ending) -> Option<(Given, Option<&Slot>)> {
        let program = self.scenario.cores[core].iter();
        let found = program
            .zip(&ending.given[core])
            .filter(|(instruction, _)| instruction.result.as_deref() == Some(name))
            .rfind(|(_, given)| **given != Given::NotExecuted)?;
        let (instruction, given) = found;
        Some((*given, slot_of(&instruction.operation)))
    }

    fn is(&self, given: Given, slot: Option<&Slot>, is: &Seen) -> bool {
        match (given, is) {
            (Given::Fault(fsc), Seen::Fault(kind, level)) => {
                kind.is_none_or(|kind| fsc.kind() == Some(kind))
                    && level.is_none_or(|level| fsc.level() == Some(level))
            }
            (Given::Number(value), Seen::Number(number)) => value == *number,
            (Given::Number(value), Seen::Descriptor(spec)) => {
                slot.is_some_and(|slot| self.layout.encode(slot, spec).0 == value)
            }
            (Given::Number(value), Seen::Field(field, set)) => {
                (value >> bit(*field) & 1 == 1) == *set
            }
            (Given::Number(value), Seen::Output(physical)) => {
                let level = if slot.is_some_and(|slot| slot.table) {
                    2
                } else {
                    3
                };
                let output = Descriptor(value).output_address(Granule::K4, level);
                output == self.layout.physical(physical)
            }
            (Given::Address(pa), Seen::Output(physical)) => {
                pa & !(PAGE - 1) == self.layout.physical(physical)
            }
            _ => false,
        }
    }

    /// The ending in one line: every result, and the words that outcomes ask about.
    #[must_use]
    pub fn describe(&self, ending: &Ending) -> String {
        let mut parts = Vec::new();
        for (core, (program, given)) in self.scenario.cores.iter().zip(&ending.given).enumerate() {
            for (instruction, given) in program.iter().zip(given) {
                let (Some(name), false) = (&instruction.result, *given == Given::NotExecuted)
                else {
                    continue;
                };
                let slot = slot_of(&instruction.operation);
                parts.push(format!("{core}:{name}={}", self.name(*given, slot)));
            }
        }
        let mut words = BTreeMap::new();
        for outcome in &self.scenario.outcomes {
            facts(&outcome.condition, &mut |fact| {
                let (text, address, slot) = match fact {
                    Condition::Memory(physical, _) => {
                        let name = self.layout.name_of(self.layout.physical(physical));
                        let (name, address) =
                            (name.unwrap_or_default(), self.layout.word_at(physical));
                        (name, address, None)
                    }
                    Condition::Descriptor(slot, _) => {
                        (slot.to_string(), self.layout.slot(slot), Some(slot))
                    }
                    _ => return,
                };
                if let Some(&word) = ending.words.get(&address) {
                    words.insert(text, self.name(Given::Number(word), slot));
                }
            });
        }
        parts.extend(
            words
                .into_iter()
                .map(|(text, word)| format!("{text}={word}")),
        );
        parts.join(" ")
    }

    fn name(&self, given: Given, slot: Option<&Slot>) -> String {
        match (given, slot) {
            (Given::NotExecuted, _) => "-".to_owned(),
            (Given::Done, _) => "done".to_owned(),
            (Given::Fault(fsc), _) => match fsc.decode() {
                Some((kind, Some(level))) => format!("flt({kind:?}, {level})"),
                Some((kind, None)) => format!("flt({kind:?})"),
                None => format!("flt({:#x})", fsc.0),
            },
            (Given::Address(pa), _) => self
                .layout
                .name_of(pa & !(PAGE - 1))
                .unwrap_or_else(|| format!("{pa:#x}")),
            (Given::Number(word), Some(slot)) => self.descriptor(Descriptor(word), slot.table),
            (Given::Number(value @ 0..=9), None) => value.to_string(),
            (Given::Number(value), None) => format!("{value:#x}"),
        }
    }

    fn descriptor(&self, word: Descriptor, table: bool) -> String {
        if word.0 == 0 {
            return "inv".to_owned();
        }
        let mut text = if table && word.is_table_bit() {
            "table".to_owned()
        } else {
            let output = word.output_address(Granule::K4, if table { 2 } else { 3 });
            let name = self.layout.name_of(output);
            name.unwrap_or_else(|| format!("{output:#x}"))
        };
        let changes = [
            (!word.valid(), " inv"),
            (word.ap_read_only() && word.dbm(), " clean"),
            (word.ap_read_only() && !word.dbm(), " ro"),
            (!word.ap_read_only() && word.dbm(), " dbm"),
            (!word.af(), " af0"),
            (!word.ng(), " global"),
            (!word.ap_el0(), " el1"),
            (word.contiguous(), " cont"),
        ];
        if text != "table" {
            changes
                .iter()
                .filter(|(is, _)| *is)
                .for_each(|(_, word)| text.push_str(word));
        }
        text
    }
}

/// Tells `tell` every condition inside `condition` that is not made of others.
fn facts<'a>(condition: &'a Condition, tell: &mut impl FnMut(&'a Condition)) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter().for_each(|part| facts(part, tell));
        }
        Condition::Not(inner) => facts(inner, tell),
        fact => tell(fact),
    }
}

/// The descriptor that an instruction reads.
fn slot_of(operation: &Operation) -> Option<&Slot> {
    match operation {
        Operation::Load { place, .. }
        | Operation::Swap { place, .. }
        | Operation::LoadExclusive { place } => match place {
            Place::Descriptor(slot) => Some(slot),
            Place::Data(_) => None,
        },
        Operation::Clear { slot, .. } => Some(slot),
        _ => None,
    }
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
