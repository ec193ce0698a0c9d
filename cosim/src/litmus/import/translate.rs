// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! From the pieces of a test to the text of a scenario file.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{Fault, Final, condition};
use super::initial::{Fields, Place};
use super::outcome::{Outcome, Program};
use super::start::{Handling, Start, numbers, start};
use super::syntax::{Piece, Test};
use super::thread::{Thread, What, thread};
use super::write::{unequal_guard, write};
use super::{ImportError, Imported, Options, unsupported};

/// Reads the pieces of `test` and writes the scenario.
pub fn translate(test: &Test<'_>, options: &Options) -> Result<Imported, ImportError> {
    let mut start = start(test)?;
    let wanted = test.condition;
    let wanted_line = |message: String| unsupported(wanted.line, message);
    let asked = condition(wanted.text).map_err(wanted_line)?;
    let numbers = numbers(test, &start);
    let read = |last: &BTreeMap<usize, String>| {
        let threads = test.threads.iter().enumerate();
        let thread = |(number, cells): (usize, &Vec<Piece<'_>>)| {
            let none = BTreeMap::new();
            let registers = start.registers.get(&number).unwrap_or(&none);
            let last = last.get(&number).map(String::as_str);
            thread(cells, registers, &numbers, last)
        };
        threads.map(thread).collect::<Result<Vec<_>, _>>()
    };
    let mut last = BTreeMap::new();
    let mut threads = read(&last)?;
    if start.handling == Handling::Fatal {
        for fault in faults_wanted(&asked) {
            let name = the_access(fault, &threads).map_err(&wanted_line)?;
            last.insert(fault.core, name);
        }
        threads = read(&last)?;
    }
    let special = special(&start.descriptors, &threads);
    let program = Program {
        threads: &threads,
        special: &special,
        handling: start.handling,
    };
    let forall = test.quantifier == "forall";
    let outcome = Outcome::new(&program, &asked, forall).map_err(wanted_line)?;
    check_management(&start, &threads, &special)?;
    for name in names(&start, &threads) {
        start.memory.entry(name).or_insert(0);
    }
    let verdict = verdict(test, options)?;
    let mut toml = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut toml, test, &start, &program, &outcome, &verdict);
    if let Some(line) = unequal_guard(&program, &start.memory) {
        return Err(unsupported(
            line,
            "a branch taken for one value and not for several others",
        ));
    }
    Ok(Imported {
        name: test.name.to_owned(),
        toml,
    })
}

/// The faults that a condition cannot do without.
fn faults_wanted(asked: &Final) -> Vec<&Fault> {
    match asked {
        Final::All(parts) => parts.iter().flat_map(faults_wanted).collect(),
        Final::Fault(fault) => vec![fault],
        _ => Vec::new(),
    }
}

/// The access of `fault` by its name in the test.
fn the_access(fault: &Fault, threads: &[Thread]) -> Result<String, String> {
    let thread = threads.get(fault.core);
    let thread = thread.ok_or_else(|| format!("there is no thread P{}", fault.core))?;
    let accesses = thread.lines.iter().filter_map(|line| line.access.as_ref());
    let meant: Vec<_> = accesses.filter(|access| fault.means(access)).collect();
    match &meant[..] {
        [] => Err(format!(
            "no access of P{} is the one that shall fault",
            fault.core
        )),
        [one] => Ok(one.name_in_test().to_owned()),
        _ => Err(format!(
            "several accesses of P{} may be the one that shall fault",
            fault.core
        )),
    }
}

/// Variables whose accesses may fault or change a descriptor.
fn special(descriptors: &[(String, Fields)], threads: &[Thread]) -> BTreeSet<String> {
    let first = descriptors.iter().filter(|(_, fields)| fields.is_special());
    let mut special: BTreeSet<String> = first.map(|(name, _)| name.clone()).collect();
    for access in threads
        .iter()
        .flat_map(|t| &t.lines)
        .filter_map(|l| l.access.as_ref())
    {
        if let (Place::Descriptor(name), Some(_)) = (&access.place, &access.written) {
            special.insert(name.clone());
        }
    }
    special
}

/// A scenario has hardware management on every core or on none: a core without may not meet
/// descriptors that it would manage.
fn check_management(
    start: &Start,
    threads: &[Thread],
    special: &BTreeSet<String>,
) -> Result<(), ImportError> {
    for managed in [&start.ha, &start.hd] {
        let others = threads
            .iter()
            .enumerate()
            .filter(|(n, _)| !managed.contains(n));
        for line in others.flat_map(|(_, thread)| &thread.lines) {
            let place = line.access.as_ref().map(|access| &access.place);
            if let Some(Place::Variable(name)) = place
                && !managed.is_empty()
                && special.contains(name)
            {
                let message = "TTHM of one thread, where another accesses the same page";
                return Err(unsupported(line.line, message));
            }
        }
    }
    Ok(())
}

/// Every name of a page.
fn names(start: &Start, threads: &[Thread]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut outputs = Vec::new();
    for (name, fields) in &start.descriptors {
        names.insert(name.clone());
        outputs.push(fields);
    }
    for access in threads
        .iter()
        .flat_map(|t| &t.lines)
        .filter_map(|l| l.access.as_ref())
    {
        if let Place::Variable(name) | Place::Descriptor(name) = &access.place {
            names.insert(name.clone());
        }
        if let Some(What::Descriptor(fields)) = &access.written {
            outputs.push(fields);
        }
    }
    names.extend(
        outputs
            .into_iter()
            .filter_map(|fields| fields.output.clone()),
    );
    names
}

fn verdict(test: &Test<'_>, options: &Options) -> Result<String, ImportError> {
    let published = |kinds: &Option<super::Kinds>| {
        let kinds = kinds.as_ref()?;
        kinds.get(test.name)
    };
    let [without, with] = [published(&options.kinds[0]), published(&options.kinds[1])];
    let known = match (&options.verdict, without.or(with), with.or(without)) {
        (Some(verdict), ..) => Some(verdict.clone()),
        (None, Some(without), Some(with)) if without == with => Some(without.to_string()),
        (None, Some(without), Some(with)) => Some(format!("{without}/{with}")),
        _ => None,
    };
    match (test.quantifier, known) {
        ("forall", Some(verdict)) if verdict != "R" => Err(unsupported(
            test.condition.line,
            format!("forall with the verdict `{verdict}`"),
        )),
        ("forall", _) => Ok("R".to_owned()),
        (_, Some(verdict)) => Ok(verdict),
        ("exists", None) => Ok("A".to_owned()),
        (_, None) => Ok("F".to_owned()),
    }
}
