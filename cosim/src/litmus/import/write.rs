// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Writes the scenario file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::initial::Place;
use super::outcome::{Outcome, Program};
use super::start::Start;
use super::syntax::Test;
use super::thread::{Line, Thread, What};
use crate::litmus::scenario::Physical;

/// The values that `place` may hold.
fn values(
    program: &Program<'_>,
    memory: &BTreeMap<String, u64>,
    place: &Place,
) -> Option<BTreeSet<u64>> {
    let Place::Variable(name) = place else {
        return None;
    };
    let mut values = BTreeSet::from([memory.get(name).copied().unwrap_or(0)]);
    for access in program.accesses().filter(|access| access.place == *place) {
        match &access.written {
            Some(What::Number(number)) => {
                values.insert(*number);
            }
            Some(_) => return None,
            None => {}
        }
    }
    Some(values)
}

/// The guard of a line with the one value for which it is executed.
fn guard(
    program: &Program<'_>,
    memory: &BTreeMap<String, u64>,
    thread: &Thread,
    line: &Line,
) -> Option<Option<(String, u64)>> {
    let Some((result, equal, number)) = &line.guard else {
        return Some(None);
    };
    if *equal {
        return Some(Some((result.clone(), *number)));
    }
    let mut others = values(program, memory, thread.sources.get(result)?)?;
    others.remove(number);
    match others.len() {
        1 => Some(others.pop_first().map(|value| (result.clone(), value))),
        _ => None,
    }
}

/// The line of a guard that no one value stands for, if there is one.
pub fn unequal_guard(program: &Program<'_>, memory: &BTreeMap<String, u64>) -> Option<usize> {
    let lines = |thread: &Thread| {
        let wrong = |line: &&Line| guard(program, memory, thread, line).is_none();
        thread.lines.iter().find(wrong).map(|line| line.line)
    };
    program.threads.iter().find_map(lines)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn key(name: &str) -> String {
    match name.contains('\'') {
        true => quoted(name),
        false => name.to_owned(),
    }
}

/// Writes the scenario file to `out`.
pub fn write(
    out: &mut String,
    test: &Test<'_>,
    start: &Start,
    program: &Program<'_>,
    outcome: &Outcome,
    verdict: &str,
) -> std::fmt::Result {
    writeln!(
        out,
        "# Imported from a herd-style test: {} ({}).",
        test.name, test.quantifier
    )?;
    writeln!(out, "title = {}", quoted(test.name))?;
    writeln!(out, "cite = [{}]", quoted(test.name))?;
    writeln!(out, "requirements = []")?;
    for (is, name) in [
        (program.breaks_bbm(&start.descriptors), "breaks_bbm"),
        (!start.ha.is_empty(), "ha"),
        (!start.hd.is_empty(), "hd"),
    ] {
        if is {
            writeln!(out, "{name} = true")?;
        }
    }
    if !start.descriptors.is_empty() {
        writeln!(out, "\n[init]")?;
    }
    let first: BTreeMap<_, _> = start
        .descriptors
        .iter()
        .map(|(name, f)| (name, f))
        .collect();
    for (name, fields) in first {
        let text = fields.text(Some(name)).unwrap_or_default();
        writeln!(out, "{} = {}", key(name), quoted(&text))?;
    }
    let usual = |name: &String| Physical {
        area: name.clone(),
        page: 0,
    };
    let unusual = start.memory.iter();
    let mut unusual = unusual
        .filter(|(name, v)| **v != usual(name).first_word())
        .peekable();
    if unusual.peek().is_some() {
        writeln!(out, "\n[memory]")?;
    }
    for (name, value) in unusual {
        writeln!(out, "{} = {value}", key(&format!("PA_{name}")))?;
    }
    for (core, thread) in program.threads.iter().enumerate() {
        writeln!(out, "\n[[core]]\nprogram = [")?;
        for line in &thread.lines {
            let mut text = String::new();
            let access = line.access.as_ref();
            // A store has a name only if the outcome asks for its fault.
            let asked = |name: &str| outcome.text.contains(&format!("{core}:{name} "));
            if let Some(access) = access.filter(|a| !a.is_load && asked(&a.result)) {
                write!(text, "{}: ", access.result)?;
            }
            if let Some(Some((register, value))) = guard(program, &start.memory, thread, line) {
                write!(text, "if {register} = {value} then ")?;
            }
            if access.is_some_and(|access| program.retries(access)) {
                text.push_str("retry ");
            }
            match access.is_some_and(|access| access.is_plain) && start.el0.contains(&core) {
                true => {
                    let (verb, rest) = line.text.split_once(' ').unwrap_or((&line.text, ""));
                    write!(text, "{verb}.el0 {rest}")?;
                }
                false => text.push_str(&line.text),
            }
            writeln!(out, "    {},", quoted(&text))?;
        }
        writeln!(out, "]")?;
    }
    writeln!(out, "\n[[outcome]]\nwhen = {}", quoted(&outcome.text))?;
    writeln!(out, "verdict = {}", quoted(verdict))
}
