// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The grammar of the parts of a scenario: places, descriptors, and instructions. Conditions have
//! their own file.

use vmsa::{DsbKind, TlbiOp, TlbiScope};
use winnow::ascii::{dec_uint, hex_uint, multispace0};
use winnow::combinator::{alt, cut_err, eof, fail, opt, preceded, repeat, separated, terminated};
use winnow::error::{StrContext, StrContextValue};
use winnow::prelude::*;
use winnow::token::take_while;

use super::scenario::{
    Attribute, DescriptorSpec, Field, Instruction, Invalidate, Operation, Page, Physical, Place,
    Slot, Target, Value,
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

fn expected(what: &'static str) -> StrContext {
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

fn small(input: &mut &str) -> Parsed<u32> {
    number.try_map(u32::try_from).parse_next(input)
}

/// `[3]`, or nothing for 0.
fn index(input: &mut &str) -> Parsed<u32> {
    let index = opt((sign("["), cut_err(small), cut_err(sign("]")))).parse_next(input)?;
    Ok(index.map_or(0, |(_, index, _)| index))
}

/// `x` or `x[3]`.
pub fn page(input: &mut &str) -> Parsed<Page> {
    let (variable, page) = (name, index).parse_next(input)?;
    Ok(Page { variable, page })
}

/// `x`, `x[3]` or `x[0..16]`.
pub fn pages(input: &mut &str) -> Parsed<Vec<Page>> {
    let variable = name(input)?;
    let mut range = opt((
        sign("["),
        small,
        opt((sign(".."), cut_err(small))),
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

/// One descriptor in memory.
pub fn slot(input: &mut &str) -> Parsed<Slot> {
    let mut slots = slots
        .verify(|slots: &Vec<Slot>| slots.len() == 1)
        .parse_next(input)?;
    Ok(slots.remove(0))
}

fn places(input: &mut &str) -> Parsed<Vec<Place>> {
    let descriptors = slots.map(|slots| slots.into_iter().map(Place::Descriptor).collect());
    alt((
        descriptors,
        pages.map(|pages| pages.into_iter().map(Place::Data).collect()),
    ))
    .parse_next(input)
}

fn place(input: &mut &str) -> Parsed<Place> {
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

fn value(input: &mut &str) -> Parsed<Value> {
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

fn barrier(input: &mut &str) -> Parsed<DsbKind> {
    let known = |name: String| {
        (0..16)
            .filter_map(DsbKind::from_crm)
            .find(|kind| kind.to_string().to_lowercase() == format!("dsb {name}"))
    };
    let kind = opt(name.verify_map(known)).parse_next(input)?;
    Ok(kind.unwrap_or(DsbKind::ISH))
}

fn tlbi(input: &mut &str) -> Parsed<Operation> {
    let form = |name: String| {
        let (base, scope) = match name.as_str() {
            form if form.ends_with("is") => (&form[..form.len() - 2], TlbiScope::InnerShareable),
            form if form.ends_with("os") => (&form[..form.len() - 2], TlbiScope::OuterShareable),
            form => (form, TlbiScope::Local),
        };
        let op = TlbiOp::ALL
            .into_iter()
            .find(|op| format!("{op:?}").eq_ignore_ascii_case(base))?;
        Some((op, scope))
    };
    let (op, scope) = name
        .verify_map(form)
        .context(expected("a TLBI operation such as vae1is"))
        .parse_next(input)?;
    let mut named = match op.by_va() {
        true => cut_err(pages).parse_next(input)?,
        false => Vec::new(),
    };
    let mut invalidate = Invalidate {
        op,
        scope,
        pages: named.len() as u32,
        page: (!named.is_empty()).then(|| named.remove(0)),
        asid: None,
        level: None,
        other_granule: false,
    };
    while opt(sign(",")).parse_next(input)?.is_some() {
        let key = cut_err(name).parse_next(input)?;
        cut_err(sign("=")).parse_next(input)?;
        match key.as_str() {
            "asid" => {
                invalidate.asid = Some(cut_err(number.try_map(u16::try_from)).parse_next(input)?)
            }
            "level" => {
                invalidate.level = Some(cut_err(number.try_map(u8::try_from)).parse_next(input)?)
            }
            "granule" => {
                cut_err(sign("16k")).parse_next(input)?;
                invalidate.other_granule = true;
            }
            _ => {
                return cut_err(fail.context(expected("asid, level or granule"))).parse_next(input);
            }
        }
    }
    Ok(Operation::Tlbi(invalidate))
}

fn msr(input: &mut &str) -> Parsed<Operation> {
    let flag = |input: &mut &str| {
        number
            .verify(|bit| *bit < 2)
            .map(|bit| bit == 1)
            .parse_next(input)
    };
    let register = name(input)?;
    sign(",").parse_next(input)?;
    match register.as_str() {
        "ttbr0" => {
            let (_, space) = (word("space"), small).parse_next(input)?;
            let asid = opt(preceded(
                (sign(","), word("asid"), sign("=")),
                number.try_map(u16::try_from),
            ))
            .parse_next(input)?;
            Ok(Operation::SetSpace {
                space: space as usize,
                asid,
            })
        }
        "epd0" => flag(input).map(Operation::SetEpd0),
        "pan" => flag(input).map(Operation::SetPan),
        _ => cut_err(fail.context(expected("ttbr0, epd0 or pan"))).parse_next(input),
    }
}

/// Result register, if the operation has one, and the operation.
type Effect = (Option<String>, Operation);

fn into_register<'a, T>(
    mut rest: impl FnMut(&mut &'a str) -> Parsed<T>,
    made: impl Fn(T) -> Operation,
) -> impl FnMut(&mut &'a str) -> Parsed<Effect> {
    move |input| {
        let register = name(input)?;
        sign(",").parse_next(input)?;
        Ok((Some(register), made(rest(input)?)))
    }
}

fn to_value<T>(
    mut target: impl FnMut(&mut &str) -> Parsed<T>,
) -> impl FnMut(&mut &str) -> Parsed<(T, Value)> {
    move |input| {
        let target = target(input)?;
        sign(",").parse_next(input)?;
        Ok((target, value(input)?))
    }
}

/// Mnemonic with its suffixes: `load.acq.el0`.
fn mnemonic(input: &mut &str) -> Parsed<(String, Vec<String>)> {
    token(|input: &mut &str| {
        let part = |input: &mut &str| {
            take_while(1.., |c: char| c.is_ascii_alphanumeric())
                .map(str::to_owned)
                .parse_next(input)
        };
        let parts: Vec<String> = separated(1.., part, ".").parse_next(input)?;
        let mut parts = parts.into_iter();
        Ok((parts.next().unwrap_or_default(), parts.collect()))
    })(input)
}

fn operation(input: &mut &str) -> Parsed<Effect> {
    let (verb, suffixes) = mnemonic
        .context(expected("an instruction"))
        .parse_next(input)?;
    let has = |suffix: &str| suffixes.iter().any(|s| s == suffix);
    let allowed: &[&str] = match verb.as_str() {
        "load" => &["acq", "el0"],
        "store" => &["rel", "el0"],
        "at" => &["w"],
        _ => &[],
    };
    if suffixes.iter().any(|s| !allowed.contains(&s.as_str())) {
        return cut_err(fail.context(expected("load[.acq][.el0], store[.rel][.el0] or at[.w]")))
            .parse_next(input);
    }
    let (acquire, release, el0, write) = (has("acq"), has("rel"), has("el0"), has("w"));
    let plain = |operation| Ok((None, operation));
    match verb.as_str() {
        "load" => cut_err(into_register(place, |place| Operation::Load {
            place,
            acquire,
            el0,
        }))
        .parse_next(input),
        "store" => {
            let (places, value) = cut_err(to_value(places)).parse_next(input)?;
            plain(Operation::Store {
                places,
                value,
                release,
                el0,
            })
        }
        "swap" => cut_err(into_register(to_value(place), |(place, value)| {
            Operation::Swap { place, value }
        }))
        .parse_next(input),
        "clear" => {
            let (slot, _, field) = cut_err((slot, sign(","), field)).parse_next(input)?;
            plain(Operation::Clear { slot, field })
        }
        "ldxr" => cut_err(into_register(place, |place| Operation::LoadExclusive {
            place,
        }))
        .parse_next(input),
        "stxr" => cut_err(into_register(to_value(place), |(place, value)| {
            Operation::StoreExclusive { place, value }
        }))
        .parse_next(input),
        "at" => cut_err(into_register(page, |page| Operation::Translate {
            page,
            write,
        }))
        .parse_next(input),
        "tlbi" => plain(cut_err(tlbi).parse_next(input)?),
        "dsb" => plain(Operation::Dsb(barrier(input)?)),
        "dmb" => plain(Operation::Dmb(barrier(input)?)),
        "isb" => plain(Operation::Isb),
        "branch" => plain(Operation::Branch(cut_err(name).parse_next(input)?)),
        "msr" => plain(cut_err(msr).parse_next(input)?),
        _ => cut_err(fail.context(expected(
            "load, store, swap, clear, ldxr, stxr, at, tlbi, dsb, dmb, isb, branch or msr",
        )))
        .parse_next(input),
    }
}

/// One instruction: `[label:] [if r0 = 1 then] [retry] operation [, addr r0]`.
pub fn instruction(input: &mut &str) -> Parsed<Instruction> {
    let text = input.trim().to_owned();
    let label = opt(terminated(name, sign(":"))).parse_next(input)?;
    let guard = opt((
        word("if"),
        cut_err(name),
        cut_err(sign("=")),
        cut_err(number),
        cut_err(word("then")),
    ))
    .parse_next(input)?
    .map(|(_, register, _, value, _)| (register, value));
    let retry = opt(word("retry")).parse_next(input)?.is_some();
    let (register, operation) = operation(input)?;
    let address_of = opt(preceded((sign(","), word("addr")), cut_err(name))).parse_next(input)?;
    Ok(Instruction {
        text,
        result: label.or(register),
        guard,
        address_of,
        retry,
        operation,
    })
}
