// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The grammar of what a scenario names: pages, descriptors and their values. Instructions and
//! outcomes have files of their own.

use winnow::ascii::{dec_uint, hex_uint, multispace0};
use winnow::combinator::{alt, cut_err, eof, fail, opt, preceded, repeat};
use winnow::error::{StrContext, StrContextValue};
use winnow::prelude::*;
use winnow::token::take_while;

use super::scenario::{
    Attribute, DescriptorSpec, Field, Page, Physical, Place, Slot, Target, Value,
};

/// A parser's result.
pub type Parsed<T> = ModalResult<T>;

/// Reads the whole of `text` with `parser`.
///
/// # Errors
/// Where and what was expected instead, in one line.
pub fn whole<'a, T>(
    text: &'a str,
    mut parser: impl FnMut(&mut &'a str) -> Parsed<T>,
) -> Result<T, String> {
    let text = text.trim();
    let read = (
        multispace0,
        |input: &mut &'a str| parser(input),
        multispace0,
        eof,
    );
    read.map(|(_, value, ..)| value)
        .parse(text)
        .map_err(|error| {
            let rest = &text[error.offset()..];
            let place = match rest {
                "" => "at its end".to_owned(),
                _ => format!("at `{rest}`"),
            };
            let why = error.inner().to_string().replace('\n', ", ");
            match why.is_empty() {
                true => format!("`{text}` cannot be read {place}"),
                false => format!("`{text}` cannot be read {place}: {why}"),
            }
        })
}

/// What an error says was expected.
pub fn expected(what: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(what))
}

/// `parser` and the blanks after it.
pub fn token<'a, T>(
    mut parser: impl FnMut(&mut &'a str) -> Parsed<T>,
) -> impl FnMut(&mut &'a str) -> Parsed<T> {
    move |input| {
        let value = parser(input)?;
        multispace0.parse_next(input)?;
        Ok(value)
    }
}

/// The punctuation `text` and the blanks after it.
pub fn sign<'a>(text: &'static str) -> impl FnMut(&mut &'a str) -> Parsed<()> {
    token(move |input: &mut &'a str| {
        text.void()
            .context(StrContext::Expected(StrContextValue::StringLiteral(text)))
            .parse_next(input)
    })
}

/// A name: letters, digits, `_` and `'`.
pub fn name(input: &mut &str) -> Parsed<String> {
    token(|input: &mut &str| {
        take_while(1.., |c: char| {
            c.is_ascii_alphanumeric() || c == '_' || c == '\''
        })
        .verify(|name: &str| !name.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
        .context(expected("a name"))
        .parse_next(input)
    })(input)
}

/// The word `text`, not merely the beginning of a longer one.
pub fn word<'a>(text: &'static str) -> impl FnMut(&mut &'a str) -> Parsed<()> {
    move |input| {
        name.verify(|name: &String| name == text)
            .void()
            .parse_next(input)
    }
}

/// A number, decimal or with `0x`.
pub fn number(input: &mut &str) -> Parsed<u64> {
    token(|input: &mut &str| {
        alt((preceded("0x", hex_uint), dec_uint))
            .context(expected("a number"))
            .parse_next(input)
    })(input)
}

/// A number of 32 bits.
pub fn small(input: &mut &str) -> Parsed<u32> {
    number.try_map(u32::try_from).parse_next(input)
}

/// A bit: 0 or 1.
pub fn bit(input: &mut &str) -> Parsed<bool> {
    let bit = number
        .verify(|bit| *bit < 2)
        .context(expected("0 or 1"))
        .parse_next(input)?;
    Ok(bit == 1)
}

/// Pages that a variable or an area can have: 256 MB.
pub const MOST_PAGES: u32 = 1 << 16;

fn page_number(input: &mut &str) -> Parsed<u32> {
    small
        .verify(|page| *page < MOST_PAGES)
        .context(expected("a number of a page, below 65536"))
        .parse_next(input)
}

/// `[3]`, or nothing for 0.
fn index(input: &mut &str) -> Parsed<u32> {
    let index = opt((sign("["), cut_err(page_number), cut_err(sign("]")))).parse_next(input)?;
    Ok(index.map_or(0, |(_, index, _)| index))
}

/// The name of a variable, which is not that of a physical page.
fn variable(input: &mut &str) -> Parsed<String> {
    name.verify(|name: &String| !name.starts_with("PA_"))
        .context(expected("a variable"))
        .parse_next(input)
}

/// `x` or `x[3]`.
pub fn page(input: &mut &str) -> Parsed<Page> {
    let (variable, page) = (variable, index).parse_next(input)?;
    Ok(Page { variable, page })
}

/// `x`, `x[3]` or `x[0..16]`.
pub fn pages(input: &mut &str) -> Parsed<Vec<Page>> {
    let variable = variable(input)?;
    let mut range = opt((
        sign("["),
        cut_err(page_number),
        opt((sign(".."), cut_err(page_number))),
        cut_err(sign("]")),
    ));
    let (first, end) = match range.parse_next(input)? {
        None => (0, 1),
        Some((_, first, None, _)) => (first, first + 1),
        Some((_, first, Some((_, end)), _)) => (first, end),
    };
    let page = |page| Page {
        variable: variable.clone(),
        page,
    };
    match first < end {
        true => Ok((first..end).map(page).collect()),
        false => cut_err(fail.context(expected("a range that is not empty"))).parse_next(input),
    }
}

/// `PA_x` or `PA_x[3]`.
pub fn physical(input: &mut &str) -> Parsed<Physical> {
    let area = name.verify_map(|name: String| name.strip_prefix("PA_").map(str::to_owned));
    let (area, page) = (area, index)
        .context(expected("a physical page such as PA_x"))
        .parse_next(input)?;
    Ok(Physical { area, page })
}

fn space(input: &mut &str) -> Parsed<usize> {
    let space = opt(preceded(sign("@"), cut_err(small))).parse_next(input)?;
    Ok(space.unwrap_or(0) as usize)
}

/// `pte(x)`, `pte(x[0..16])` or `tab(x)`, each with `@1` for another address space.
pub fn slots(input: &mut &str) -> Parsed<Vec<Slot>> {
    let table = alt((word("pte").value(false), word("tab").value(true))).parse_next(input)?;
    let (_, pages, _, space) =
        (sign("("), cut_err(pages), cut_err(sign(")")), space).parse_next(input)?;
    let slot = |page| Slot { page, space, table };
    Ok(pages.into_iter().map(slot).collect())
}

/// `x`, `x[3]` or `x[0..16]`, with `@1` for another address space, as level 3 descriptors.
pub fn leaf_slots(input: &mut &str) -> Parsed<Vec<Slot>> {
    let (pages, space) = (pages, space).parse_next(input)?;
    let slot = |page| Slot {
        page,
        space,
        table: false,
    };
    Ok(pages.into_iter().map(slot).collect())
}

/// One descriptor in memory.
pub fn slot(input: &mut &str) -> Parsed<Slot> {
    let mut slots = slots
        .verify(|slots: &Vec<Slot>| slots.len() == 1)
        .parse_next(input)?;
    Ok(slots.remove(0))
}

/// Pages or descriptors of pages: `x`, `x[0..16]`, `pte(x[0..16])`.
pub fn places(input: &mut &str) -> Parsed<Vec<Place>> {
    let descriptors = slots.map(|slots| slots.into_iter().map(Place::Descriptor).collect());
    alt((
        descriptors,
        pages.map(|pages| pages.into_iter().map(Place::Data).collect()),
    ))
    .parse_next(input)
}

/// A page or a descriptor.
pub fn place(input: &mut &str) -> Parsed<Place> {
    alt((slot.map(Place::Descriptor), page.map(Place::Data))).parse_next(input)
}

fn attribute(input: &mut &str) -> Parsed<Attribute> {
    let known = |name: String| {
        Some(match name.as_str() {
            "inv" => Attribute::Invalid,
            "ro" => Attribute::ReadOnly,
            "dbm" => Attribute::Dbm,
            "clean" => Attribute::Clean,
            "af0" => Attribute::Af0,
            "global" => Attribute::Global,
            "el1" => Attribute::El1Only,
            "cont" => Attribute::Contiguous,
            "nt" => Attribute::Nt,
            _ => return None,
        })
    };
    name.verify_map(known)
        .context(expected(
            "inv, ro, dbm, clean, af0, global, el1, cont or nt",
        ))
        .parse_next(input)
}

/// `inv`, `table`, or `PA_x` and what differs from the default: `PA_x ro af0`.
pub fn descriptor(input: &mut &str) -> Parsed<DescriptorSpec> {
    let target = alt((
        physical.map(Target::Leaf),
        word("table").value(Target::Table),
        word("inv").value(Target::Nothing),
    ))
    .context(expected(
        "a descriptor: inv, table, or PA_x with attributes",
    ))
    .parse_next(input)?;
    let attributes = match target {
        Target::Nothing => Vec::new(),
        _ => repeat(0.., attribute).parse_next(input)?,
    };
    Ok(DescriptorSpec { target, attributes })
}

/// A number, a descriptor or a register.
pub fn value(input: &mut &str) -> Parsed<Value> {
    alt((
        number.map(Value::Number),
        descriptor.map(Value::Descriptor),
        name.map(Value::Register),
    ))
    .parse_next(input)
}

/// A field of a descriptor by its name.
pub fn field(input: &mut &str) -> Parsed<Field> {
    let known = |name: String| {
        Some(match name.as_str() {
            "valid" => Field::Valid,
            "af" => Field::Af,
            "ap2" => Field::Ap2,
            "dbm" => Field::Dbm,
            "cont" => Field::Contiguous,
            _ => return None,
        })
    };
    name.verify_map(known)
        .context(expected("a field: valid, af, ap2, dbm or cont"))
        .parse_next(input)
}
