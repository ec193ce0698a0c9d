// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One thread: what its registers hold is followed through moves and sums, so that each access is
//! known by the variable it goes to and the values it writes.

use std::collections::{BTreeMap, BTreeSet};

use super::arithmetic::{compute, depends};
use super::initial::{Fields, Initial, Place};
use super::instruction::{Code, Operand, cell};
use super::syntax::Piece;
use super::{ImportError, unsupported};

/// What a register holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A number.
    Number(u64),
    /// The address of a variable.
    Address(String),
    /// The address of the descriptor of a variable.
    DescriptorAddress(String),
    /// A descriptor.
    Descriptor(Fields),
    /// The page number of a variable, as a TLBI names it.
    PageNumber(String),
    /// What the access with that result gave.
    Loaded(String),
    /// 1 if the access with that result gave that value, else 0; or the other way round.
    Same(String, Box<What>, bool),
    /// What the access with that result gave if it was executed, which the guard decides, else the
    /// number that was there before.
    Perhaps(String, Guard, u64),
    /// Something that nothing here can name.
    Computed,
}

/// Executed only if the result is (`true`) or is not (`false`) that number.
pub type Guard = (String, bool, u64);

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The value.
    pub what: What,
    /// The result on which it depends besides.
    pub after: Option<String>,
}

impl From<What> for Held {
    fn from(what: What) -> Self {
        Self { what, after: None }
    }
}

/// A load or a store.
#[derive(Clone, Debug)]
pub struct Access {
    /// Its label in the test.
    pub label: Option<String>,
    /// Its name in the scenario.
    pub result: String,
    /// Where it goes.
    pub place: Place,
    /// What it writes.
    pub written: Option<What>,
    /// It gives a value to a register, which names it.
    pub is_load: bool,
    /// A plain load or store, which can be one of EL0.
    pub is_plain: bool,
}

/// An instruction of the scenario.
#[derive(Clone, Debug)]
pub struct Line {
    /// Line of the test.
    pub line: usize,
    /// The operation with its operands.
    pub text: String,
    /// If it is an access.
    pub access: Option<Access>,
    /// When it is executed, if not always.
    pub guard: Option<Guard>,
}

/// A thread read.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    /// Its instructions.
    pub lines: Vec<Line>,
    /// What its registers hold at the end.
    pub registers: BTreeMap<u8, Held>,
    /// Where results were loaded from.
    pub sources: BTreeMap<String, Place>,
    /// What the register of a result held before.
    pub before: BTreeMap<String, What>,
}

/// Reads the thread whose registers hold `registers` at first, up to and with the access labelled
/// `last` if there is one.
pub fn thread(
    cells: &[Piece<'_>],
    registers: &BTreeMap<u8, Initial>,
    numbers: &BTreeSet<u64>,
    last: Option<&str>,
) -> Result<Thread, ImportError> {
    let mut walk = Walk {
        numbers: numbers.clone(),
        ..Walk::default()
    };
    for (number, value) in registers {
        let what = match value.clone() {
            Initial::Number(number) => What::Number(number),
            Initial::Address(variable) => What::Address(variable),
            Initial::DescriptorAddress(variable) => What::DescriptorAddress(variable),
            Initial::Descriptor(fields) => What::Descriptor(fields),
        };
        walk.thread.registers.insert(*number, what.into());
    }
    for piece in cells {
        walk.line = piece.line;
        let cell = cell(piece.text).map_err(|message| unsupported(piece.line, message))?;
        for label in cell.labels {
            walk.arrive(label);
        }
        if let Some(code) = cell.code {
            walk.code(&code)?;
            let stop = walk
                .thread
                .lines
                .last()
                .and_then(|line| line.access.as_ref());
            let reached = |access: &Access| last == Some(access.name_in_test());
            if stop.is_some_and(reached) {
                return Ok(walk.thread);
            }
        }
    }
    match &walk.guard {
        Some((label, ..)) => Err(unsupported(
            walk.line,
            format!("a branch to `{label}`, which does not follow it"),
        )),
        None => {
            // A branch with nothing behind it decides nothing.
            let lines = &mut walk.thread.lines;
            while lines
                .pop_if(|line| line.text.starts_with("branch"))
                .is_some()
            {}
            Ok(walk.thread)
        }
    }
}

impl Access {
    /// Its label, or its name in the scenario if it has none.
    pub fn name_in_test(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.result)
    }
}

/// A thread being read, up to the instruction at hand.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) thread: Thread,
    line: usize,
    /// Labels since the last instruction.
    pub(super) labels: Vec<String>,
    /// A result and the value that it was compared with.
    flags: Option<(String, What)>,
    /// Up to that label the lines have that guard.
    guard: Option<(String, Guard)>,
    /// What registers held that were written since the guard began.
    before_guard: BTreeMap<u8, Held>,
    /// Every number of the test: a value loaded from a variable is one of them.
    numbers: BTreeSet<u64>,
    /// Stores so far.
    pub(super) stores: usize,
}

impl Walk {
    pub(super) fn wrong<T>(&self, message: impl Into<String>) -> Result<T, ImportError> {
        Err(unsupported(self.line, message))
    }

    fn arrive(&mut self, label: String) {
        if let Some((_, guard)) = self.guard.take_if(|(to, _)| *to == label) {
            for (register, before) in std::mem::take(&mut self.before_guard) {
                let now = match (self.get(register).what, before.what) {
                    (What::Loaded(result), What::Number(number)) => {
                        What::Perhaps(result, guard.clone(), number)
                    }
                    _ => What::Computed,
                };
                self.thread.registers.insert(register, now.into());
            }
            // What comes after the label depends on the branch too.
            self.push(format!("branch {}", guard.0), None);
        }
        self.labels.push(label);
    }

    pub(super) fn push(&mut self, text: String, access: Option<Access>) {
        self.thread.lines.push(Line {
            line: self.line,
            text,
            access,
            guard: self.guard.as_ref().map(|(_, guard)| guard.clone()),
        });
    }

    pub(super) fn get(&self, register: u8) -> Held {
        let held = self.thread.registers.get(&register).cloned();
        held.filter(|_| register != 31)
            .unwrap_or(What::Number(0).into())
    }

    fn operand(&self, operand: &Operand) -> Result<Held, ImportError> {
        match operand {
            Operand::Register(register) => Ok(self.get(*register)),
            Operand::Number(number) => Ok(What::Number(*number).into()),
            _ => self.wrong("a register or a number is expected"),
        }
    }

    pub(super) fn set(&mut self, register: u8, held: Held) {
        if self.guard.is_some() {
            let before = self.get(register);
            self.before_guard.entry(register).or_insert(before);
        }
        self.thread.registers.insert(register, held);
    }

    fn code(&mut self, code: &Code) -> Result<(), ImportError> {
        use Operand::{Memory, Number, Register, Word};
        let result = match (code.mnemonic.as_str(), &code.operands[..]) {
            ("NOP", []) => Ok(()),
            ("ISB", []) => {
                self.push("isb".to_owned(), None);
                Ok(())
            }
            (barrier @ ("DSB" | "DMB"), [Word(kind)]) => {
                let text = format!("{} {}", barrier.to_lowercase(), kind.to_lowercase());
                self.push(text, None);
                Ok(())
            }
            ("TLBI", [Word(operation)]) => self.invalidate(operation, None),
            ("TLBI", [Word(operation), Register(page)]) => self.invalidate(operation, Some(*page)),
            ("LDR" | "LDAR" | "LDXR", [Register(to), Memory(base, index)]) => {
                self.load(&code.mnemonic, *to, *base, *index)
            }
            ("STR" | "STLR", [Register(from), Memory(base, index)]) => {
                self.store(&code.mnemonic, *from, *base, *index)
            }
            ("SWP", [Register(from), Register(to), Memory(base, None)]) => {
                self.exchange("swap", *to, *from, *base)
            }
            ("STXR", [Register(status), Register(from), Memory(base, None)]) => {
                self.exchange("stxr", *status, *from, *base)
            }
            ("MOV", [Register(to), from @ (Register(_) | Number(_))]) => {
                let held = self.operand(from)?;
                self.set(*to, held);
                Ok(())
            }
            (
                "EOR" | "AND" | "ADD" | "LSR" | "LSL" | "ORR" | "BIC" | "SUB",
                [Register(to), a, b],
            ) => {
                let (left, right) = (self.operand(a)?, self.operand(b)?);
                let held = match self.masked_out(&code.mnemonic, &left, &right) {
                    true => Held {
                        what: What::Number(0),
                        after: depends(&left),
                    },
                    false => compute(&code.mnemonic, a == b, &left, &right),
                };
                self.set(*to, held);
                Ok(())
            }
            ("CSET", [Register(to), Word(when)]) if when == "EQ" || when == "NE" => {
                let flags = self.flags.clone();
                let same = |(result, with)| What::Same(result, Box::new(with), when == "EQ");
                self.set(*to, flags.map_or(What::Computed, same).into());
                Ok(())
            }
            ("STCLR", [Register(from), Memory(base, None)]) => self.clear(*from, *base),
            ("CSEL" | "CSET" | "UBFX" | "BFI" | "MRS", [Register(to), ..]) => {
                self.set(*to, What::Computed.into());
                Ok(())
            }
            ("CMP", [a, b]) => {
                let (left, right) = (self.operand(a)?.what, self.operand(b)?.what);
                self.flags = match (left, right) {
                    (What::Loaded(result), with @ (What::Number(_) | What::Descriptor(_)))
                    | (with @ (What::Number(_) | What::Descriptor(_)), What::Loaded(result)) => {
                        Some((result, with))
                    }
                    _ => None,
                };
                Ok(())
            }
            ("CBZ", [Register(from), Word(to)]) => self.branch(self.tested(*from), false, to),
            ("CBNZ", [Register(from), Word(to)]) => match self.get(*from) {
                Held {
                    what: What::Number(0),
                    after: Some(result),
                } => {
                    // Never taken, yet what follows depends on it.
                    self.push(format!("branch {result}"), None);
                    Ok(())
                }
                _ => self.branch(self.tested(*from), true, to),
            },
            ("B.EQ", [Word(to)]) => self.branch(self.compared(), false, to),
            ("B.NE", [Word(to)]) => self.branch(self.compared(), true, to),
            (mnemonic, _) => {
                let message = match code.operands.first() {
                    Some(Word(word)) => format!("instruction `{mnemonic} {word}`"),
                    _ => format!("instruction `{mnemonic}` with these operands"),
                };
                self.wrong(message)
            }
        };
        self.labels.clear();
        result
    }

    /// A value loaded from a variable has none of the bits of a mask.
    fn masked_out(&self, operation: &str, left: &Held, right: &Held) -> bool {
        match (operation, &left.what, &right.what) {
            ("AND", What::Loaded(result), What::Number(mask)) => {
                matches!(self.thread.sources.get(result), Some(Place::Variable(_)))
                    && self.numbers.iter().all(|number| number & mask == 0)
            }
            _ => false,
        }
    }

    /// The number that a result was compared with.
    fn compared(&self) -> Option<(String, u64)> {
        match self.flags.clone()? {
            (result, What::Number(number)) => Some((result, number)),
            _ => None,
        }
    }

    fn tested(&self, register: u8) -> Option<(String, u64)> {
        match self.get(register).what {
            What::Loaded(result) => Some((result, 0)),
            _ => None,
        }
    }

    /// A branch not taken if what was tested is (`equal`) that number.
    fn branch(
        &mut self,
        tested: Option<(String, u64)>,
        equal: bool,
        to: &str,
    ) -> Result<(), ImportError> {
        let Some((result, number)) = tested else {
            return self.wrong("a branch on something other than a value loaded");
        };
        if self.guard.is_some() {
            return self.wrong("a branch under another");
        }
        self.guard = Some((to.to_owned(), (result, equal, number)));
        Ok(())
    }
}
