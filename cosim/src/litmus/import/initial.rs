// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The initial state: registers, variables and descriptors.

use winnow::combinator::{alt, cut_err, opt, preceded, separated};
use winnow::prelude::*;

use crate::litmus::grammar::{Parsed, expected, name, number, sign, whole, word};

/// What has a value at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Register `.1` of thread `.0`.
    Register(usize, u8),
    /// A variable.
    Variable(String),
    /// The descriptor of a variable.
    Descriptor(String),
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Initial {
    /// A number.
    Number(u64),
    /// The address of a variable.
    Address(String),
    /// The address of the descriptor of a variable.
    DescriptorAddress(String),
    /// A descriptor.
    Descriptor(Fields),
}

/// The fields of a descriptor; the default is valid, accessed, writable, for EL0 too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// The variable whose page it maps, if it says one.
    pub output: Option<String>,
    /// Bit 0.
    pub valid: bool,
    af: bool,
    /// Writable, or dirty: AP\[2\] = 0.
    db: bool,
    dbm: bool,
    el0: bool,
}

impl Fields {
    /// The default, mapping the page of `output`.
    pub fn of(output: &str) -> Self {
        Self {
            output: Some(output.to_owned()),
            valid: true,
            af: true,
            db: true,
            dbm: false,
            el0: true,
        }
    }

    /// Accesses through it may fault or change it.
    pub fn is_special(&self) -> bool {
        !self.valid || !self.af || !self.db || !self.el0
    }

    /// As a scenario has it; `own` is the variable whose page it maps if it does not say one.
    pub fn text(&self, own: Option<&str>) -> Option<String> {
        let Some(output) = self.output.as_deref().or(own) else {
            return (!self.valid).then(|| "inv".to_owned());
        };
        let writable = match (self.db, self.dbm) {
            (true, false) => "",
            (true, true) => " dbm",
            (false, false) => " ro",
            (false, true) => " clean",
        };
        let mut text = format!("PA_{output}{writable}");
        for (is_default, attribute) in [(self.af, " af0"), (self.el0, " el1"), (self.valid, " inv")]
        {
            text.push_str(if is_default { "" } else { attribute });
        }
        Some(text)
    }
}

/// An entry: `0:X1=x`, `int x=1`, `[PTE(x)]=(valid:0)`, `int y`.
pub fn entry(text: &str) -> Result<(Place, Option<Initial>), String> {
    whole(text, |input: &mut &str| {
        let typed = preceded(type_name, place_or_bracketed);
        let place = alt((typed, place_or_bracketed)).parse_next(input)?;
        let value = opt(preceded(sign("="), cut_err(value))).parse_next(input)?;
        Ok((place, value))
    })
}

fn type_name(input: &mut &str) -> Parsed<()> {
    name.verify(|name: &String| {
        [
            "int", "int32_t", "uint32_t", "int64_t", "uint64_t", "pteval_t",
        ]
        .contains(&name.as_str())
    })
    .void()
    .parse_next(input)
}

fn place_or_bracketed(input: &mut &str) -> Parsed<Place> {
    let bracketed = (sign("["), cut_err(memory), cut_err(sign("]"))).map(|(_, place, _)| place);
    alt((bracketed, register, memory)).parse_next(input)
}

fn register(input: &mut &str) -> Parsed<Place> {
    let (core, _) = (number, sign(":")).parse_next(input)?;
    let register = name
        .verify_map(|name: String| register_number(&name))
        .context(expected("a register X0 to X30 or W0 to W30"));
    let register = cut_err(register).parse_next(input)?;
    Ok(Place::Register(core as usize, register))
}

/// Number of a register by its name; 31 is the zero register.
pub fn register_number(name: &str) -> Option<u8> {
    match name {
        "XZR" | "WZR" => Some(31),
        _ => {
            let digits = name.strip_prefix(['X', 'W'])?;
            digits.parse().ok().filter(|number| *number < 31)
        }
    }
}

/// A variable or the descriptor of one.
fn memory(input: &mut &str) -> Parsed<Place> {
    alt((
        descriptor_of.map(Place::Descriptor),
        name.map(Place::Variable),
    ))
    .parse_next(input)
}

/// `PTE(x)`, `TTD(x)` or `pte_x`.
pub fn descriptor_of(input: &mut &str) -> Parsed<String> {
    let called = (
        alt((word("PTE"), word("TTD"))),
        sign("("),
        cut_err(name),
        cut_err(sign(")")),
    )
        .map(|(_, _, x, _)| x);
    let prefixed = name.verify_map(|name: String| name.strip_prefix("pte_").map(str::to_owned));
    alt((called, prefixed)).parse_next(input)
}

/// `PA(x)` or `phy_x`.
fn page_of(input: &mut &str) -> Parsed<String> {
    let called = (word("PA"), sign("("), cut_err(name), cut_err(sign(")"))).map(|(_, _, x, _)| x);
    let prefixed = name.verify_map(|name: String| name.strip_prefix("phy_").map(str::to_owned));
    alt((called, prefixed))
        .context(expected("a physical page: PA(x) or phy_x"))
        .parse_next(input)
}

/// A number, an address or a descriptor.
pub fn value(input: &mut &str) -> Parsed<Initial> {
    alt((
        number.map(Initial::Number),
        fields.map(Initial::Descriptor),
        descriptor_of.map(Initial::DescriptorAddress),
        name.verify(|name: &String| !name.starts_with("phy_") && name != "PA")
            .map(Initial::Address),
    ))
    .context(expected("a number, a variable, PTE(x) or (oa:PA(x))"))
    .parse_next(input)
}

/// One field.
enum Field {
    Output(String),
    Bit(String, bool),
}

fn fields(input: &mut &str) -> Parsed<Fields> {
    let known = |name: &String| ["valid", "af", "db", "dbm", "el0"].contains(&name.as_str());
    let output = preceded((word("oa"), cut_err(sign(":"))), cut_err(page_of)).map(Field::Output);
    let bit = number.verify(|bit| *bit < 2).context(expected("0 or 1"));
    let bit = (name.verify(known), cut_err(sign(":")), cut_err(bit))
        .map(|(name, _, bit)| Field::Bit(name, bit == 1));
    let field = alt((output, bit)).context(expected("a field: oa, valid, af, db, dbm or el0"));
    let list = separated(1.., cut_err(field), sign(","));
    let (_, list, _): (_, Vec<Field>, _) =
        (sign("("), cut_err(list), cut_err(sign(")"))).parse_next(input)?;
    let mut fields = Fields {
        output: None,
        ..Fields::of("")
    };
    for field in list {
        match field {
            Field::Output(page) => fields.output = Some(page),
            Field::Bit(name, bit) => match name.as_str() {
                "valid" => fields.valid = bit,
                "af" => fields.af = bit,
                "db" => fields.db = bit,
                "dbm" => fields.dbm = bit,
                _ => fields.el0 = bit,
            },
        }
    }
    Ok(fields)
}
