// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The final condition.

use winnow::combinator::{alt, cut_err, opt, preceded, separated};
use winnow::prelude::*;

use super::initial::{Initial, Place, descriptor_of, register_number, value};
use crate::litmus::grammar::{Parsed, expected, name, number, sign, whole, word};

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Final {
    /// All of them.
    All(Vec<Final>),
    /// One of them at least.
    Any(Vec<Final>),
    /// Not that.
    Not(Box<Final>),
    /// A place holds a value at the end.
    Holds(Place, Initial),
    /// An access faulted.
    Fault(Fault),
}

/// Which access faulted, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its thread.
    pub core: usize,
    /// Its label; without one any of the thread.
    pub label: Option<String>,
    /// What it accessed, if that is told.
    pub place: Option<Place>,
    /// Kind as scenarios have it, if it is told.
    pub kind: Option<&'static str>,
}

/// Reads a condition.
pub fn condition(text: &str) -> Result<Final, String> {
    whole(text, any)
}

fn any(input: &mut &str) -> Parsed<Final> {
    let parts: Vec<Final> = separated(1.., all, sign("\\/")).parse_next(input)?;
    Ok(one_or(parts, Final::Any))
}

fn all(input: &mut &str) -> Parsed<Final> {
    let parts: Vec<Final> = separated(1.., fact, sign("/\\")).parse_next(input)?;
    Ok(one_or(parts, Final::All))
}

fn one_or(mut parts: Vec<Final>, many: fn(Vec<Final>) -> Final) -> Final {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

fn fact(input: &mut &str) -> Parsed<Final> {
    let inside = |input: &mut &str| {
        let (_, inside, _) = (sign("("), cut_err(any), cut_err(sign(")"))).parse_next(input)?;
        Ok(inside)
    };
    let not = alt((sign("~"), word("not")));
    let not = preceded(not, cut_err(fact)).map(|inner| Final::Not(Box::new(inner)));
    let faulted = preceded(alt((word("fault"), word("Fault"))), cut_err(fault)).map(Final::Fault);
    let holds =
        (place, cut_err(sign("=")), cut_err(value)).map(|(place, _, v)| Final::Holds(place, v));
    alt((not, inside, faulted, holds))
        .context(expected(
            "a fact such as 0:X1=1, x=1, PTE(x)=(valid:0) or fault(P0:L0,x)",
        ))
        .parse_next(input)
}

/// `0:X1`, `P0:X1`, `x`, `[x]`, `PTE(x)`, `pte_x` or `[PTE(x)]`.
fn place(input: &mut &str) -> Parsed<Place> {
    let memory = |input: &mut &str| {
        alt((
            descriptor_of.map(Place::Descriptor),
            name.map(Place::Variable),
        ))
        .parse_next(input)
    };
    let register = name.verify_map(|name: String| register_number(&name));
    let prefixed = |name: String| name.strip_prefix('P').and_then(|n| n.parse().ok());
    let core = alt((number, name.verify_map(prefixed)));
    let register = (core, sign(":"), cut_err(register))
        .map(|(core, _, register)| Place::Register(core as usize, register));
    let bracketed = (sign("["), memory, cut_err(sign("]"))).map(|(_, place, _)| place);
    alt((register, bracketed, memory)).parse_next(input)
}

/// `(P0:L0,x)`, `(P0,x)`, `(P0:L0,x,MMU:Permission)`.
fn fault(input: &mut &str) -> Parsed<Fault> {
    let core = |name: String| name.strip_prefix('P').and_then(|n| n.parse().ok());
    let core = name.verify_map(core).context(expected("a thread: P0"));
    let kind = |name: String| {
        Some(match name.as_str() {
            "Translation" => "translation",
            "Permission" => "permission",
            "AccessFlag" => "access",
            _ => return None,
        })
    };
    let kind = name.verify_map(kind).context(expected(
        "MMU:Translation, MMU:Permission or MMU:AccessFlag",
    ));
    let kind = opt(preceded(
        (sign(","), cut_err((word("MMU"), sign(":")))),
        cut_err(kind),
    ));
    let label = opt(preceded(sign(":"), cut_err(name)));
    let at = opt(preceded(sign(","), cut_err(place)));
    let (_, core, label, place, kind, _) = (
        sign("("),
        cut_err(core),
        label,
        at,
        kind,
        cut_err(sign(")")),
    )
        .parse_next(input)?;
    Ok(Fault {
        core,
        label,
        place,
        kind,
    })
}
