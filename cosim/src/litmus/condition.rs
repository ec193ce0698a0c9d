// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The grammar of outcomes, such as
//! `1:r0 = 1 & 1:r1 = flt(translation, 3) & !(PA_x = 2 | pte(x).af = 0)`, and of verdicts.

use vmsa::FaultKind;
use winnow::combinator::{alt, cut_err, opt, preceded, separated};
use winnow::prelude::*;

use super::grammar::{
    Parsed, bit, descriptor, expected, field, name, number, physical, sign, slot, word,
};
use super::scenario::{Condition, Seen, Verdict};

/// An outcome: alternatives of conjunctions of facts.
pub fn condition(input: &mut &str) -> Parsed<Condition> {
    let any: Vec<Condition> = separated(1.., all, sign("|")).parse_next(input)?;
    Ok(one_or(any, Condition::Any))
}

fn all(input: &mut &str) -> Parsed<Condition> {
    let all: Vec<Condition> = separated(1.., fact, sign("&")).parse_next(input)?;
    Ok(one_or(all, Condition::All))
}

fn one_or(mut parts: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

fn fact(input: &mut &str) -> Parsed<Condition> {
    let inside = |input: &mut &str| {
        let (_, inside, _) =
            (sign("("), cut_err(condition), cut_err(sign(")"))).parse_next(input)?;
        Ok(inside)
    };
    let not = preceded(sign("!"), cut_err(fact)).map(|inner| Condition::Not(Box::new(inner)));
    alt((not, inside, result, of_descriptor, memory))
        .context(expected(
            "a fact such as 1:r0 = 1, pte(x).af = 1 or PA_x = 1",
        ))
        .parse_next(input)
}

fn result(input: &mut &str) -> Parsed<Condition> {
    let (core, _) = (number, sign(":")).parse_next(input)?;
    let (name, is) = cut_err((name, seen)).parse_next(input)?;
    Ok(Condition::Result {
        core: core as usize,
        name,
        is,
    })
}

fn of_descriptor(input: &mut &str) -> Parsed<Condition> {
    let (slot, is) = (slot, cut_err(seen)).parse_next(input)?;
    Ok(Condition::Descriptor(slot, is))
}

fn memory(input: &mut &str) -> Parsed<Condition> {
    let (page, _, value) = (physical, cut_err(sign("=")), cut_err(number)).parse_next(input)?;
    Ok(Condition::Memory(page, value))
}

/// `= value`, `.field = bit` or `.out = PA_x`.
fn seen(input: &mut &str) -> Parsed<Seen> {
    let output = preceded(
        (sign("."), word("out"), cut_err(sign("="))),
        cut_err(physical),
    );
    let field_of = (
        preceded(sign("."), cut_err(field)),
        cut_err(sign("=")),
        cut_err(bit),
    )
        .map(|(field, _, bit)| Seen::Field(field, bit));
    let value = alt((
        fault,
        number.map(Seen::Number),
        descriptor.map(Seen::Descriptor),
    ));
    alt((
        output.map(Seen::Output),
        field_of,
        preceded(sign("="), cut_err(value)),
    ))
    .parse_next(input)
}

/// `flt`, `flt(translation)` or `flt(translation, 3)`.
fn fault(input: &mut &str) -> Parsed<Seen> {
    let known = |name: String| {
        Some(match name.as_str() {
            "translation" => FaultKind::Translation,
            "access" => FaultKind::AccessFlag,
            "permission" => FaultKind::Permission,
            "size" => FaultKind::AddressSize,
            "conflict" => FaultKind::TlbConflict,
            "alignment" => FaultKind::Alignment,
            _ => return None,
        })
    };
    let kind = name.verify_map(known).context(expected(
        "translation, access, permission, size, conflict or alignment",
    ));
    let level = opt(preceded(sign(","), number.try_map(u8::try_from)));
    let inside = opt((sign("("), cut_err(kind), level, cut_err(sign(")"))));
    let (_, inside) = (word("flt"), inside).parse_next(input)?;
    Ok(match inside {
        Some((_, kind, level, _)) => Seen::Fault(Some(kind), level),
        None => Seen::Fault(None, None),
    })
}

/// Verdicts without FEAT_ETS2 and with it: `F`, or `A/F` where they differ.
///
/// # Errors
/// What is no verdict.
pub fn verdicts(text: &str) -> Result<[Verdict; 2], String> {
    let one = |letter: &str| match letter.trim() {
        "A" | "allowed" => Ok(Verdict::Allowed),
        "F" | "forbidden" => Ok(Verdict::Forbidden),
        "R" | "required" => Ok(Verdict::Required),
        other => Err(format!(
            "verdict `{other}` is none of allowed, forbidden, required (or A, F, R)"
        )),
    };
    match text.split_once('/') {
        Some((without, with)) => Ok([one(without)?, one(with)?]),
        None => one(text).map(|verdict| [verdict; 2]),
    }
}
