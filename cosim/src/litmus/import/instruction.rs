// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One cell of the table: labels, a mnemonic and operands.

use winnow::combinator::{alt, cut_err, opt, preceded, repeat, separated, terminated};
use winnow::prelude::*;
use winnow::token::take_while;

use super::initial::register_number;
use crate::litmus::grammar::{Parsed, expected, name, number, sign, token, whole};

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Labels before the instruction.
    pub labels: Vec<String>,
    /// The instruction, if there is one.
    pub code: Option<Code>,
}

/// An instruction as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// In capitals, with its suffix: `B.EQ`.
    pub mnemonic: String,
    /// In order.
    pub operands: Vec<Operand>,
}

/// An operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// Register by number, 31 for the zero register.
    Register(u8),
    /// `#1`.
    Number(u64),
    /// `[X1]`, or `[X1,W2,SXTW]` with the register added.
    Memory(u8, Option<u8>),
    /// Anything else: a label, a kind of barrier, an operation.
    Word(String),
}

/// Reads a cell.
pub fn cell(text: &str) -> Result<Cell, String> {
    whole(text, |input: &mut &str| {
        let labels = repeat(0.., terminated(name, sign(":"))).parse_next(input)?;
        let code = opt(code).parse_next(input)?;
        Ok(Cell { labels, code })
    })
}

fn code(input: &mut &str) -> Parsed<Code> {
    let mnemonic = token(|input: &mut &str| {
        take_while(1.., |c: char| c.is_ascii_alphanumeric() || c == '.')
            .map(|text: &str| text.to_ascii_uppercase())
            .parse_next(input)
    })(input)?;
    // The operation of a TLBI, or the kind of a barrier, is followed by a comma or nothing.
    let operands = separated(0.., operand, sign(",")).parse_next(input)?;
    Ok(Code { mnemonic, operands })
}

fn register(input: &mut &str) -> Parsed<u8> {
    name.verify_map(|name: String| register_number(&name))
        .context(expected("a register"))
        .parse_next(input)
}

fn literal(input: &mut &str) -> Parsed<u64> {
    (opt(sign("#")), number)
        .map(|(_, number)| number)
        .parse_next(input)
}

fn operand(input: &mut &str) -> Parsed<Operand> {
    alt((
        memory,
        register.map(Operand::Register),
        literal.map(Operand::Number),
        name.map(Operand::Word),
    ))
    .parse_next(input)
}

/// `[X1]`, `[X1,#0]`, `[X1,X2]` or `[X1,W2,SXTW]`.
fn memory(input: &mut &str) -> Parsed<Operand> {
    let extension = name.verify(|name: &String| name == "SXTW" || name == "UXTW");
    let added =
        (register, opt(preceded(sign(","), cut_err(extension)))).map(|(added, _)| Some(added));
    let nothing = literal
        .verify(|number| *number == 0)
        .context(expected("no offset"))
        .value(None);
    let index = opt(preceded(sign(","), cut_err(alt((added, nothing)))));
    let (_, base, index, _) =
        (sign("["), cut_err(register), index, cut_err(sign("]"))).parse_next(input)?;
    Ok(Operand::Memory(base, index.flatten()))
}
