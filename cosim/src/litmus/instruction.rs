// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The grammar of instructions: `w0: if r0 = 1 then store.rel x[3], 7, addr r1`.

use vmsa::{DsbKind, TlbiOp, TlbiScope};
use winnow::combinator::{cut_err, fail, opt, preceded, separated, terminated};
use winnow::prelude::*;
use winnow::token::take_while;

use super::grammar::{
    Parsed, bit, expected, field, name, number, page, pages, place, places, sign, slot, small,
    token, value, word,
};
use super::scenario::{Instruction, Invalidate, Operation, Value};

fn barrier(input: &mut &str) -> Parsed<DsbKind> {
    let known = |name: String| {
        (0..16)
            .filter_map(DsbKind::from_crm)
            .find(|kind| kind.to_string().to_lowercase() == format!("dsb {name}"))
    };
    let domain = |input: &mut &str| {
        cut_err(name.verify_map(known).context(expected(
            "sy, st, ld, or ish, nsh, osh with st, ld or nothing after it",
        )))
        .parse_next(input)
    };
    // At the end there is no name: Inner Shareable, all accesses.
    match input.is_empty() {
        true => Ok(DsbKind::ISH),
        false => domain(input),
    }
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
        "epd0" => cut_err(bit).parse_next(input).map(Operation::SetEpd0),
        "pan" => cut_err(bit).parse_next(input).map(Operation::SetPan),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::litmus::grammar::whole;

    #[test]
    fn every_form_of_instruction_is_read() {
        for line in [
            "load.acq r0, x",
            "load.el0 r0, pte(x)",
            "w0: store.rel x[3], 0x10",
            "store pte(x[0..16]), inv",
            "store tab(x)@1, table",
            "store y, r0",
            "swap r1, pte(x), PA_x af0 inv",
            "clear pte(x), dbm",
            "ldxr r0, x",
            "stxr r1, x, 2",
            "at.w r0, x",
            "tlbi vmalle1",
            "tlbi aside1is, asid=3",
            "tlbi rvae1is x[0..192], level=3",
            "tlbi rvae1is x[0..2], granule=16k",
            "dsb ishst",
            "dmb ishld",
            "dmb",
            "if r0 = 0 then load r1, x",
            "retry load r0, x",
            "branch r0",
            "msr ttbr0, space 1",
            "msr ttbr0, space 1, asid=1",
            "msr epd0, 1",
            "msr pan, 0",
        ] {
            let read = whole(line, instruction);
            assert!(read.is_ok(), "{line}: {read:?}");
        }
    }
}
