// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a test has before its first instruction: information and initial state.

use std::collections::{BTreeMap, BTreeSet};

use super::initial::{Fields, Initial, Place, entry};
use super::instruction::{Operand, cell};
use super::syntax::Test;
use super::{ImportError, unsupported};

/// What a fault does to its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// Ends it.
    Fatal,
    /// The access is repeated.
    Handled,
    /// It goes on.
    Skip,
}

/// Initial state and information of a test.
pub struct Start {
    /// Registers of each thread.
    pub registers: BTreeMap<usize, BTreeMap<u8, Initial>>,
    /// Descriptors by variable.
    pub descriptors: Vec<(String, Fields)>,
    /// Values of variables.
    pub memory: BTreeMap<String, u64>,
    /// What a fault does.
    pub handling: Handling,
    /// Threads at EL0.
    pub el0: BTreeSet<usize>,
    /// Threads with hardware access flag.
    pub ha: BTreeSet<usize>,
    /// Threads with hardware dirty state.
    pub hd: BTreeSet<usize>,
}

/// Reads both.
pub fn start(test: &Test<'_>) -> Result<Start, ImportError> {
    let mut start = Start {
        registers: BTreeMap::new(),
        descriptors: Vec::new(),
        memory: BTreeMap::new(),
        handling: Handling::Fatal,
        el0: BTreeSet::new(),
        ha: BTreeSet::new(),
        hd: BTreeSet::new(),
    };
    for (key, value) in &test.information {
        let wrong = |what: &str| unsupported(key.line, format!("{} `{what}`", key.text));
        match key.text {
            "Variant" | "variant" => {
                for word in value.split([',', ' ']).filter(|word| !word.is_empty()) {
                    start.handling = match word.to_lowercase().as_str() {
                        "vmsa" | "kvm" => start.handling,
                        "precise" | "fatal" => Handling::Fatal,
                        "imprecise" | "handled" => Handling::Handled,
                        "skip" | "faulttonext" => Handling::Skip,
                        _ => return Err(wrong(word)),
                    };
                }
            }
            "EL0" => {
                for word in value.split([',', ' ']).filter(|word| !word.is_empty()) {
                    let core = word.strip_prefix('P').and_then(|core| core.parse().ok());
                    start.el0.insert(core.ok_or_else(|| wrong(word))?);
                }
            }
            "TTHM" => {
                for word in value.split([',', ' ']).filter(|word| !word.is_empty()) {
                    let (cores, level) = match word.split_once(':') {
                        Some((core, level)) => {
                            let core = core.strip_prefix('P').and_then(|core| core.parse().ok());
                            (vec![core.ok_or_else(|| wrong(word))?], level)
                        }
                        None => ((0..test.threads.len()).collect(), word),
                    };
                    match level {
                        "HA" => start.ha.extend(cores),
                        // Dirty state is managed only with the access flag.
                        "HD" => {
                            start.ha.extend(&cores);
                            start.hd.extend(cores);
                        }
                        "SW" => {}
                        _ => return Err(wrong(word)),
                    }
                }
            }
            // What tools note of where a test came from.
            _ => {}
        }
    }
    for piece in &test.initial {
        let (place, value) =
            entry(piece.text).map_err(|message| unsupported(piece.line, message))?;
        let wrong = || unsupported(piece.line, format!("initial value `{}`", piece.text));
        match (place, value) {
            (Place::Register(core, register), value) => {
                let value = value.unwrap_or(Initial::Number(0));
                start
                    .registers
                    .entry(core)
                    .or_default()
                    .insert(register, value);
            }
            (Place::Variable(name), Some(Initial::Number(number))) => {
                start.memory.insert(name, number);
            }
            (Place::Variable(name), None) => {
                start.memory.entry(name).or_insert(0);
            }
            (Place::Descriptor(name), Some(Initial::Descriptor(fields))) => {
                start.descriptors.push((name, fields));
            }
            _ => return Err(wrong()),
        }
    }
    Ok(start)
}

/// Every number that a test writes down; with 0 and 1 for what instructions give of themselves.
pub fn numbers(test: &Test<'_>, start: &Start) -> BTreeSet<u64> {
    let mut numbers: BTreeSet<u64> = start.memory.values().copied().collect();
    numbers.extend([0, 1]);
    for value in start.registers.values().flat_map(BTreeMap::values) {
        if let Initial::Number(number) = value {
            numbers.insert(*number);
        }
    }
    for cell in test
        .threads
        .iter()
        .flatten()
        .filter_map(|piece| cell(piece.text).ok())
    {
        // A mask is no value.
        let code = cell.code.filter(|code| code.mnemonic == "MOV");
        for operand in code.map(|code| code.operands).unwrap_or_default() {
            if let Operand::Number(number) = operand {
                numbers.insert(number);
            }
        }
    }
    numbers
}
