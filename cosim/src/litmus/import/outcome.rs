// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The condition of a test as an outcome of the scenario.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{Fault, Final};
use super::initial::{Fields, Initial, Place};
use super::start::Handling;
use super::thread::{Access, Thread, What};

/// All threads, with what is known of faults.
pub struct Program<'a> {
    /// The threads.
    pub threads: &'a [Thread],
    /// Variables whose accesses may fault.
    pub special: &'a BTreeSet<String>,
    /// What a fault does.
    pub handling: Handling,
}

impl Program<'_> {
    /// All accesses, thread by thread.
    pub fn accesses(&self) -> impl Iterator<Item = &Access> {
        let lines = self.threads.iter().flat_map(|thread| &thread.lines);
        lines.filter_map(|line| line.access.as_ref())
    }

    fn may_fault(&self, access: &Access) -> bool {
        matches!(&access.place, Place::Variable(name) if self.special.contains(name))
    }

    /// Whether the scenario repeats the access until it does not fault.
    pub fn retries(&self, access: &Access) -> bool {
        self.handling == Handling::Handled && self.may_fault(access)
    }

    /// Whether a valid descriptor is given another page with no invalid one between in its thread.
    pub fn breaks_bbm(&self, first: &[(String, Fields)]) -> bool {
        self.threads.iter().any(|thread| {
            let mut mapped: BTreeMap<&str, Option<&str>> = BTreeMap::new();
            for (name, fields) in first {
                let output = fields.output.as_deref().unwrap_or(name);
                mapped.insert(name, fields.valid.then_some(output));
            }
            thread
                .lines
                .iter()
                .filter_map(|l| l.access.as_ref())
                .any(|access| {
                    let Place::Descriptor(name) = &access.place else {
                        return false;
                    };
                    let new = match &access.written {
                        None => return false,
                        Some(What::Descriptor(fields)) if fields.valid => {
                            Some(fields.output.as_deref().unwrap_or(name))
                        }
                        Some(What::Loaded(_)) => Some(""),
                        Some(_) => None,
                    };
                    let old = mapped.insert(name, new).unwrap_or(Some(name));
                    old.is_some() && new.is_some() && old != new
                })
        })
    }
}

impl Fault {
    /// Whether `access` is the one meant, or one of them.
    pub fn means(&self, access: &Access) -> bool {
        let label = self.label.as_ref();
        label.is_none_or(|label| access.label.as_ref() == Some(label))
            && self
                .place
                .as_ref()
                .is_none_or(|place| access.place == *place)
    }
}

/// An outcome.
pub struct Outcome {
    /// As a scenario file has it.
    pub text: String,
}

/// A condition with what is known already taken out of it.
enum Known {
    Always,
    Never,
    Is(String),
}

impl Outcome {
    /// The outcome that `asked` asks about; for `forall` one that every run has.
    pub fn new(program: &Program<'_>, asked: &Final, forall: bool) -> Result<Self, String> {
        let text = match known(program, asked)? {
            Known::Is(text) => text,
            Known::Always => return Err("the condition holds in every run".to_owned()),
            Known::Never => return Err("the condition can hold in no run".to_owned()),
        };
        let early = early(program, asked)?;
        let text = match (early.is_empty(), forall) {
            (true, _) => text,
            (false, true) => format!("{} | ({text})", early.join(" | ")),
            (false, false) => {
                let none: Vec<_> = early.iter().map(|fault| format!("!({fault})")).collect();
                let text = match matches!(asked, Final::Any(_)) {
                    true => format!("({text})"),
                    false => text,
                };
                format!("{text} & {}", none.join(" & "))
            }
        };
        Ok(Self { text })
    }
}

/// Faults that end a thread before its last instruction and that `asked` says nothing about.
fn early(program: &Program<'_>, asked: &Final) -> Result<Vec<String>, String> {
    if program.handling != Handling::Fatal {
        return Ok(Vec::new());
    }
    let mut early = Vec::new();
    for (core, thread) in program.threads.iter().enumerate() {
        let accesses = thread.lines.iter().enumerate();
        let accesses = accesses.filter_map(|(at, line)| Some((at, line.access.as_ref()?)));
        for (_, access) in
            accesses.filter(|(at, access)| at + 1 < thread.lines.len() && program.may_fault(access))
        {
            match said_of(asked, core, access) {
                Said::Nothing => early.push(format!("{core}:{} = flt", access.result)),
                Said::NoFault => {}
                Said::Other => {
                    let name = access.label.as_deref().unwrap_or(&access.result);
                    return Err(format!(
                        "a fault of P{core}:{name}, which would end the thread early, within an alternative"
                    ));
                }
            }
        }
    }
    Ok(early)
}

/// What a condition says of an access.
enum Said {
    Nothing,
    NoFault,
    Other,
}

fn said_of(asked: &Final, core: usize, access: &Access) -> Said {
    let meant = |fault: &Fault| fault.core == core && fault.means(access);
    let parts = match asked {
        Final::All(parts) => &parts[..],
        other => std::slice::from_ref(other),
    };
    let mut said = Said::Nothing;
    for part in parts {
        match part {
            Final::Not(inner) if matches!(&**inner, Final::Fault(fault) if meant(fault)) => {
                said = Said::NoFault;
            }
            part if mentions(part, &meant) => return Said::Other,
            _ => {}
        }
    }
    said
}

fn mentions(asked: &Final, meant: &impl Fn(&Fault) -> bool) -> bool {
    match asked {
        Final::All(parts) | Final::Any(parts) => parts.iter().any(|part| mentions(part, meant)),
        Final::Not(inner) => mentions(inner, meant),
        Final::Fault(fault) => meant(fault),
        Final::Holds(..) => false,
    }
}

fn known(program: &Program<'_>, asked: &Final) -> Result<Known, String> {
    Ok(match asked {
        Final::All(parts) => {
            let mut texts = Vec::new();
            for part in parts {
                match known(program, part)? {
                    Known::Always => {}
                    Known::Never => return Ok(Known::Never),
                    Known::Is(text) if matches!(part, Final::Any(_)) => {
                        texts.push(format!("({text})"));
                    }
                    Known::Is(text) => texts.push(text),
                }
            }
            match texts.is_empty() {
                true => Known::Always,
                false => Known::Is(texts.join(" & ")),
            }
        }
        Final::Any(parts) => {
            let mut texts = Vec::new();
            for part in parts {
                match known(program, part)? {
                    Known::Always => return Ok(Known::Always),
                    Known::Never => {}
                    Known::Is(text) => texts.push(text),
                }
            }
            match texts.is_empty() {
                true => Known::Never,
                false => Known::Is(texts.join(" | ")),
            }
        }
        Final::Not(inner) => match known(program, inner)? {
            Known::Always => Known::Never,
            Known::Never => Known::Always,
            Known::Is(text) => Known::Is(format!("!({text})")),
        },
        Final::Holds(place, value) => holds(program, place, value)?,
        Final::Fault(fault) => faulted(program, fault)?,
    })
}

fn holds(program: &Program<'_>, place: &Place, value: &Initial) -> Result<Known, String> {
    let text = match (place, value) {
        (Place::Variable(name), Initial::Number(number)) => format!("PA_{name} = {number}"),
        (Place::Descriptor(name), Initial::Descriptor(fields)) => {
            let value = fields.text(Some(name)).unwrap_or_default();
            format!("pte({name}) = {value}")
        }
        (Place::Register(core, register), value) => {
            let thread = program.threads.get(*core);
            let thread = thread.ok_or_else(|| format!("there is no thread P{core}"))?;
            let held = thread.registers.get(register).map(|held| held.what.clone());
            match (held.unwrap_or(What::Number(0)), value) {
                (What::Number(held), Initial::Number(number)) => {
                    return Ok(match held == *number {
                        true => Known::Always,
                        false => Known::Never,
                    });
                }
                (What::Loaded(result), value) => {
                    let is = gave(thread, *core, &result, value)?;
                    or_before(program, thread, *core, &result, value, is)?
                }
                (What::Perhaps(result, (on, equal, guard), before), value) => {
                    let is = gave(thread, *core, &result, value)?;
                    let skipped = match equal {
                        true => format!("!({core}:{on} = {guard})"),
                        false => format!("{core}:{on} = {guard}"),
                    };
                    match *value == Initial::Number(before) {
                        true => format!("({is} | {skipped})"),
                        false => is,
                    }
                }
                (What::Same(result, with, equal), Initial::Number(number)) if *number < 2 => {
                    let with = match *with {
                        What::Descriptor(fields) => Initial::Descriptor(fields),
                        What::Number(number) => Initial::Number(number),
                        _ => return Err("a comparison with something computed".to_owned()),
                    };
                    let is = gave(thread, *core, &result, &with)?;
                    match (*number == 1) == equal {
                        true => is,
                        false => format!("!({is})"),
                    }
                }
                _ => {
                    return Err(format!(
                        "{core}:X{register}, which holds something computed"
                    ));
                }
            }
        }
        _ => return Err("a place compared with a value of another kind".to_owned()),
    };
    Ok(Known::Is(text))
}

/// The access with that result gave `value`.
fn gave(thread: &Thread, core: usize, result: &str, value: &Initial) -> Result<String, String> {
    let of_descriptor = matches!(thread.sources.get(result), Some(Place::Descriptor(_)));
    match value {
        Initial::Number(number) if !of_descriptor => Ok(format!("{core}:{result} = {number}")),
        Initial::Descriptor(fields) if of_descriptor => {
            let text = fields.text(None);
            let text = text.ok_or("a descriptor without `oa` in the condition")?;
            Ok(format!("{core}:{result} = {text}"))
        }
        _ => Err(format!(
            "{core}:{result} compared with a value of another kind"
        )),
    }
}

/// A register keeps its value if the load faults, which may be the one asked about.
fn or_before(
    program: &Program<'_>,
    thread: &Thread,
    core: usize,
    result: &str,
    value: &Initial,
    is: String,
) -> Result<String, String> {
    let mut accesses = thread.lines.iter().filter_map(|line| line.access.as_ref());
    let faults = |access: &Access| access.result == result && program.may_fault(access);
    if program.handling == Handling::Handled || !accesses.any(faults) {
        return Ok(is);
    }
    match (thread.before.get(result), value) {
        (Some(What::Number(before)), Initial::Number(number)) if before == number => {
            Ok(format!("({is} | {core}:{result} = flt)"))
        }
        (Some(What::Number(_)), _) => Ok(is),
        _ => Err(format!(
            "{core}:{result}, whose register held a value loaded before"
        )),
    }
}

fn faulted(program: &Program<'_>, fault: &Fault) -> Result<Known, String> {
    if program.handling == Handling::Handled {
        return Err("a fault where Variant has accesses repeated".to_owned());
    }
    let thread = program.threads.get(fault.core);
    let thread = thread.ok_or_else(|| format!("there is no thread P{}", fault.core))?;
    let accesses = thread.lines.iter().filter_map(|line| line.access.as_ref());
    let kind = fault.kind.map(|kind| format!("({kind})"));
    let kind = kind.unwrap_or_default();
    let meant = accesses.filter(|access| fault.means(access) && program.may_fault(access));
    let texts: Vec<_> = meant
        .map(|access| format!("{}:{} = flt{kind}", fault.core, access.result))
        .collect();
    Ok(match &texts[..] {
        [] => Known::Never,
        [one] => Known::Is(one.clone()),
        _ => Known::Is(format!("({})", texts.join(" | "))),
    })
}
