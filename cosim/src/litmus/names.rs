// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the strings of a scenario name has to be there: pages of variables, address spaces, registers,
//! physical areas. A slip of the pen would otherwise ask for an outcome that never comes.

use std::collections::{BTreeMap, BTreeSet};

use super::grammar::MOST_PAGES;
use super::scenario::{
    Condition, DescriptorSpec, Instruction, Invalidate, Operation, Outcome, Page, Place, Program,
    Seen, Setup, Slot, Target, Value, Variable,
};

/// What is wrong: in which part, and what.
pub type Wrong = (String, String);

/// What a file declares of its variables.
pub struct Names<'a> {
    /// Number of pages where it is not one.
    pub pages: &'a BTreeMap<String, u32>,
    /// Those under a table of their own.
    pub apart: &'a [String],
}

impl Names<'_> {
    /// Fills the variables of `setup` in, and checks that everything that is named is there.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn resolve(
        &self,
        setup: &mut Setup,
        cores: &[Program],
        outcomes: &[Outcome],
    ) -> Result<(), Wrong> {
        self.counts()?;
        for (slot, spec) in &setup.descriptors.clone() {
            let wrong = |message| ("init".to_owned(), message);
            self.slot(setup, slot).map_err(wrong)?;
            fits(slot, spec).map_err(wrong)?;
        }
        for (number, program) in cores.iter().enumerate() {
            let mut given = BTreeSet::new();
            for instruction in program {
                self.instruction(setup, instruction, &mut given)
                    .map_err(|message| {
                        let part = format!("core {number}, `{}`", instruction.text);
                        (part, message)
                    })?;
            }
        }
        self.declared(setup)?;
        let areas = areas(setup, cores);
        for outcome in outcomes {
            check(&outcome.condition, setup, cores, &areas)
                .map_err(|message| (format!("outcome `{}`", outcome.text), message))?;
        }
        Ok(())
    }

    fn counts(&self) -> Result<(), Wrong> {
        let wrong = |(_, pages): &(&String, &u32)| **pages == 0 || **pages > MOST_PAGES;
        match self.pages.iter().find(wrong) {
            Some((name, _)) => {
                let message = format!("{name} can have 1 to {MOST_PAGES} pages");
                Err(("pages".to_owned(), message))
            }
            None => Ok(()),
        }
    }

    /// What is declared has to be used: anything else is a name spelt wrong.
    fn declared(&self, setup: &Setup) -> Result<(), Wrong> {
        let known = |name: &String| setup.variables.iter().any(|v| v.name == *name);
        let lists = [
            ("pages", self.pages.keys().collect::<Vec<_>>()),
            ("apart", self.apart.iter().collect()),
            ("untouched", setup.untouched.iter().collect()),
        ];
        for (key, names) in lists {
            if let Some(name) = names.into_iter().find(|name| !known(name)) {
                let message = format!("nothing in the scenario uses the variable `{name}`");
                return Err((key.to_owned(), message));
            }
        }
        Ok(())
    }

    fn page(&self, setup: &mut Setup, page: &Page) -> Result<(), String> {
        let pages = self.pages.get(&page.variable).copied().unwrap_or(1);
        if page.page >= pages {
            return Err(format!(
                "{} has no page {}: give it more in `pages`",
                page.variable, page.page
            ));
        }
        if !setup.variables.iter().any(|v| v.name == page.variable) {
            setup.variables.push(Variable {
                name: page.variable.clone(),
                pages,
                apart: page.variable == "flag" || self.apart.contains(&page.variable),
            });
        }
        Ok(())
    }

    fn slot(&self, setup: &mut Setup, slot: &Slot) -> Result<(), String> {
        space(setup, slot.space)?;
        self.page(setup, &slot.page)
    }

    fn instruction(
        &self,
        setup: &mut Setup,
        instruction: &Instruction,
        given: &mut BTreeSet<String>,
    ) -> Result<(), String> {
        let operation = &instruction.operation;
        for place in operation.places() {
            match &place {
                Place::Data(page) => self.page(setup, page)?,
                Place::Descriptor(slot) => self.slot(setup, slot)?,
            }
            if let (Some(Value::Descriptor(spec)), Place::Descriptor(slot)) =
                (operation.value(), &place)
            {
                fits(slot, spec)?;
            }
        }
        if let Operation::SetSpace { space: number, .. } = operation {
            space(setup, *number)?;
        }
        if let Operation::Tlbi(invalidate) = operation {
            self.invalidate(setup, invalidate)?;
        }
        if instruction.retry && !operation.accesses_memory() {
            return Err("only an access can be retried".to_owned());
        }
        if instruction.address_of.is_some() && !operation.accesses_memory() {
            return Err("only an access has an address".to_owned());
        }
        let guard = instruction.guard.as_ref().map(|(register, _)| register);
        let read = guard.into_iter().chain(&instruction.address_of);
        for register in read.chain(operation.register()) {
            if !given.contains(register) {
                return Err(format!("nothing before it gives `{register}`"));
            }
        }
        match &instruction.result {
            Some(result) if !given.insert(result.clone()) => Err(format!(
                "`{result}` is given twice: an outcome could not tell which is meant"
            )),
            _ => Ok(()),
        }
    }

    fn invalidate(&self, setup: &mut Setup, invalidate: &Invalidate) -> Result<(), String> {
        let pages = invalidate.pages;
        let granule = if invalidate.other_granule { 4 } else { 1 };
        match invalidate.op.is_range() {
            true if !range_says(pages, granule) => {
                return Err(format!("no SCALE and NUM say {pages} pages exactly"));
            }
            false if pages > 1 => return Err("it names one page only".to_owned()),
            _ => {}
        }
        match &invalidate.page {
            Some(first) => self.page(
                setup,
                &Page {
                    page: first.page + pages - 1,
                    ..first.clone()
                },
            ),
            None => Ok(()),
        }
    }
}

fn space(setup: &Setup, space: usize) -> Result<(), String> {
    match space < setup.asids.len() {
        true => Ok(()),
        false => Err(format!(
            "space {space} has no ASID: give `asids` one for each space"
        )),
    }
}

/// Whether NUM and SCALE can say `pages` of 4 KB in units of `granule` of them.
fn range_says(pages: u32, granule: u32) -> bool {
    (0..4).any(|scale| {
        let unit = granule << (5 * scale + 1);
        pages.is_multiple_of(unit) && (1..=32).contains(&(pages / unit))
    })
}

/// Whether a descriptor of `slot` may be `spec`: only level 2 descriptors lead to a table.
fn fits(slot: &Slot, spec: &DescriptorSpec) -> Result<(), String> {
    match spec.target == Target::Table && !slot.table {
        true => Err("only a level 2 descriptor, `tab`, leads to a table".to_owned()),
        false => Ok(()),
    }
}

/// The physical areas that variables have, descriptors lead to, or `memory` fills.
fn areas(setup: &Setup, cores: &[Program]) -> BTreeSet<String> {
    let mut areas: BTreeSet<String> = setup.variables.iter().map(|v| v.name.clone()).collect();
    areas.extend(setup.memory.iter().map(|(page, _)| page.area.clone()));
    let stored = cores.iter().flatten().filter_map(|i| i.operation.value());
    let stored = stored.filter_map(|value| match value {
        Value::Descriptor(spec) => Some(spec),
        _ => None,
    });
    let specs = setup.descriptors.iter().map(|(_, spec)| spec);
    for spec in specs.chain(stored) {
        if let Target::Leaf(page) = &spec.target {
            areas.insert(page.area.clone());
        }
    }
    areas
}

fn check(
    condition: &Condition,
    setup: &Setup,
    cores: &[Program],
    areas: &BTreeSet<String>,
) -> Result<(), String> {
    let area = |name: &String| match areas.contains(name) {
        true => Ok(()),
        false => Err(format!("nothing maps `PA_{name}`")),
    };
    let seen = |is: &Seen| match is {
        Seen::Output(page) => area(&page.area),
        Seen::Descriptor(spec) => match &spec.target {
            Target::Leaf(page) => area(&page.area),
            _ => Ok(()),
        },
        _ => Ok(()),
    };
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts
            .iter()
            .try_for_each(|part| check(part, setup, cores, areas)),
        Condition::Not(inner) => check(inner, setup, cores, areas),
        Condition::Result { core, name, is } => {
            let program = cores.get(*core).ok_or(format!("there is no core {core}"))?;
            let known = |i: &Instruction| i.result.as_ref() == Some(name);
            match program.iter().any(known) {
                true => seen(is),
                false => Err(format!("no instruction of core {core} gives `{name}`")),
            }
        }
        Condition::Memory(page, _) => area(&page.area),
        Condition::Descriptor(slot, is) => {
            space(setup, slot.space)?;
            let variable = |v: &Variable| v.name == slot.page.variable && slot.page.page < v.pages;
            match setup.variables.iter().any(variable) {
                true => seen(is),
                false => Err(format!(
                    "{} has no page {}",
                    slot.page.variable, slot.page.page
                )),
            }
        }
    }
}

impl Operation {
    /// The places that the operation names.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        match self {
            Operation::Load { place, .. }
            | Operation::Swap { place, .. }
            | Operation::LoadExclusive { place }
            | Operation::StoreExclusive { place, .. } => vec![place.clone()],
            Operation::Store { places, .. } => places.clone(),
            Operation::Clear { slot, .. } => vec![Place::Descriptor(slot.clone())],
            Operation::Translate { page, .. } => vec![Place::Data(page.clone())],
            Operation::Tlbi(invalidate) => {
                invalidate.page.iter().cloned().map(Place::Data).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What it writes, if the program says what.
    #[must_use]
    pub fn value(&self) -> Option<&Value> {
        match self {
            Operation::Store { value, .. }
            | Operation::Swap { value, .. }
            | Operation::StoreExclusive { value, .. } => Some(value),
            _ => None,
        }
    }

    /// The register that it reads, apart from those of its guard and its address.
    #[must_use]
    pub fn register(&self) -> Option<&String> {
        match (self, self.value()) {
            (Operation::Branch(register), _) | (_, Some(Value::Register(register))) => {
                Some(register)
            }
            _ => None,
        }
    }

    /// It is a load, a store or both.
    #[must_use]
    pub fn accesses_memory(&self) -> bool {
        matches!(
            self,
            Operation::Load { .. }
                | Operation::Store { .. }
                | Operation::Swap { .. }
                | Operation::Clear { .. }
                | Operation::LoadExclusive { .. }
                | Operation::StoreExclusive { .. }
        )
    }
}
