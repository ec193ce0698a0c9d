// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Reads herd-style AArch64 tests of virtual memory and writes them as scenario files.
//!
//! A test that says something which a scenario cannot is refused, with the first such thing and its
//! line: what is imported means the same as the original. In the original a fault ends its thread
//! (unless `Variant` says otherwise), in a scenario the program goes on; so a thread whose fault the
//! condition asks for is cut off there, and other early faults are excluded from the outcome.

mod access;
mod arithmetic;
mod condition;
mod initial;
mod instruction;
mod kinds;
mod outcome;
mod start;
mod syntax;
#[cfg(test)]
mod tests;
mod thread;
mod translate;
mod write;

pub use kinds::{Kinds, KindsError};

/// What is wrong with a test, or what a scenario cannot say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ImportError {
    /// Line of the test, from 1.
    pub line: usize,
    /// What cannot be imported.
    pub message: String,
}

fn unsupported(line: usize, message: impl Into<String>) -> ImportError {
    ImportError {
        line,
        message: message.into(),
    }
}

/// What a test does not say itself.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The verdict, as a scenario file has it (`A/F`), for every test.
    pub verdict: Option<String>,
    /// Verdicts by name, without FEAT_ETS2 and with it. With the first only, it is that of both.
    pub kinds: [Option<Kinds>; 2],
}

/// A test read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Its declared name, which may differ from that of the file in letter case.
    pub name: String,
    /// The scenario file.
    pub toml: String,
}

/// Turns the test `text` into a scenario file.
///
/// # Errors
/// The first thing that is wrong or that a scenario cannot say, with its line.
pub fn import(text: &str, options: &Options) -> Result<Imported, ImportError> {
    let text = syntax::without_comments(text);
    let test = syntax::cut(&text)?;
    let imported = translate::translate(&test, options)?;
    // What is written has to be read again: the two grammars could differ on a name.
    crate::litmus::parse(&imported.name, &imported.toml)
        .map_err(|error| unsupported(1, format!("as a scenario: {error}")))?;
    Ok(imported)
}
