// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Reads a scenario file: TOML whose strings hold descriptors, instructions and outcomes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::condition::condition;
use super::grammar::{descriptor, instruction, pages, physical, sign, slots, whole};
use super::scenario::{
    Condition, DescriptorSpec, Instruction, Operation, Outcome, Page, Physical, Place, Scenario,
    Setup, Slot, Target, Variable, Verdict,
};

/// What is wrong with a scenario file.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// It is no TOML, or has other keys.
    #[error("{file}: {message}")]
    Format {
        /// Name of the file.
        file: String,
        /// Where and what.
        message: String,
    },
    /// A string in it cannot be understood.
    #[error("{file}: {part}: {message}")]
    Part {
        /// Name of the file.
        file: String,
        /// Which part.
        part: String,
        /// What is wrong.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    #[serde(default)]
    cite: Vec<String>,
    requirements: Vec<String>,
    #[serde(default)]
    breaks_bbm: bool,
    #[serde(default)]
    ha: bool,
    #[serde(default)]
    hd: bool,
    bbml: Option<u8>,
    #[serde(default)]
    a1: bool,
    #[serde(default = "one_space")]
    asids: Vec<u16>,
    #[serde(default)]
    pages: BTreeMap<String, u32>,
    #[serde(default)]
    apart: Vec<String>,
    #[serde(default)]
    init: toml::Table,
    #[serde(default)]
    memory: BTreeMap<String, u64>,
    #[serde(default)]
    untouched: Vec<String>,
    core: Vec<Core>,
    outcome: Vec<Asked>,
}

fn one_space() -> Vec<u16> {
    vec![1]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Core {
    program: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    when: String,
    verdict: String,
    unseen: Option<String>,
    unseen_ets0: Option<String>,
    unseen_ets2: Option<String>,
}

/// Reads the scenario called `name` from `text`.
///
/// # Errors
/// The first thing that is wrong, with the part of the file it is in.
pub fn parse(name: &str, text: &str) -> Result<Scenario, ParseError> {
    let file: File = toml::from_str(text).map_err(|error| ParseError::Format {
        file: name.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    })?;
    Reader { name, file: &file }.scenario()
}

struct Reader<'a> {
    name: &'a str,
    file: &'a File,
}

impl Reader<'_> {
    fn wrong(&self, part: impl Into<String>) -> impl FnOnce(String) -> ParseError {
        let (file, part) = (self.name.to_owned(), part.into());
        move |message| ParseError::Part {
            file,
            part,
            message,
        }
    }

    fn scenario(&self) -> Result<Scenario, ParseError> {
        let file = self.file;
        let cores = self.cores()?;
        let outcomes = self.outcomes()?;
        let mut setup = Setup {
            variables: Vec::new(),
            descriptors: self.descriptors()?,
            memory: self.memory()?,
            ha: file.ha,
            hd: file.hd,
            bbml: file.bbml,
            asids: file.asids.clone(),
            a1: file.a1,
            untouched: file.untouched.clone(),
        };
        self.declare(&mut setup, &cores, &outcomes)?;
        Ok(Scenario {
            name: self.name.to_owned(),
            title: file.title.clone(),
            cite: file.cite.clone(),
            requirements: file.requirements.clone(),
            breaks_bbm: file.breaks_bbm,
            setup,
            cores,
            outcomes,
        })
    }

    fn cores(&self) -> Result<Vec<Vec<Instruction>>, ParseError> {
        let mut cores = Vec::new();
        for (number, core) in self.file.core.iter().enumerate() {
            let mut program = Vec::new();
            for line in core.program.iter().flat_map(|line| line.split(';')) {
                let read = whole(line, instruction);
                program.push(read.map_err(self.wrong(format!("core {number}")))?);
            }
            cores.push(program);
        }
        Ok(cores)
    }

    fn descriptors(&self) -> Result<Vec<(Slot, DescriptorSpec)>, ParseError> {
        let mut descriptors = Vec::new();
        for (key, value) in &self.file.init {
            let wrong = || self.wrong(format!("init `{key}`"));
            let Some(value) = value.as_str() else {
                return Err(wrong()(
                    "a string is expected, such as \"PA_x ro\"".to_owned(),
                ));
            };
            let spec = whole(value, descriptor).map_err(wrong())?;
            let places = match whole(key, slots) {
                Ok(slots) => slots,
                Err(_) => whole(key, leaf_slots).map_err(wrong())?,
            };
            let several = self.file.pages.contains_key(key);
            let places = match places.first() {
                // A variable of several pages without index is all of them.
                Some(slot) if several => (0..self.file.pages[key])
                    .map(|page| {
                        let mut slot = slot.clone();
                        slot.page.page = page;
                        slot
                    })
                    .collect(),
                _ => places,
            };
            for (i, slot) in (0..).zip(places) {
                let mut spec = spec.clone();
                if let Target::Leaf(physical) = &mut spec.target {
                    physical.page += i;
                }
                descriptors.push((slot, spec));
            }
        }
        Ok(descriptors)
    }

    fn memory(&self) -> Result<Vec<(Physical, u64)>, ParseError> {
        let read = |(key, value): (&String, &u64)| {
            let page = whole(key, physical).map_err(self.wrong(format!("memory `{key}`")))?;
            Ok((page, *value))
        };
        self.file.memory.iter().map(read).collect()
    }

    fn outcomes(&self) -> Result<Vec<Outcome>, ParseError> {
        let mut outcomes = Vec::new();
        for asked in &self.file.outcome {
            let wrong = || self.wrong(format!("outcome `{}`", asked.when));
            let condition = whole(&asked.when, condition).map_err(wrong())?;
            let verdict = verdicts(&asked.verdict).map_err(wrong())?;
            let reason = |own: &Option<String>| own.clone().or_else(|| asked.unseen.clone());
            outcomes.push(Outcome {
                text: asked.when.clone(),
                condition,
                verdict,
                unseen: [reason(&asked.unseen_ets0), reason(&asked.unseen_ets2)],
            });
        }
        Ok(outcomes)
    }

    /// Finds the variables that the scenario names, and checks that what it names is there.
    fn declare(
        &self,
        setup: &mut Setup,
        cores: &[Vec<Instruction>],
        outcomes: &[Outcome],
    ) -> Result<(), ParseError> {
        let mut named: Vec<Page> = Vec::new();
        let mut spaces = vec![0];
        for (slot, _) in &setup.descriptors {
            named.push(slot.page.clone());
            spaces.push(slot.space);
        }
        for instruction in cores.iter().flatten() {
            for place in instruction.operation.places() {
                match place {
                    Place::Data(page) => named.push(page),
                    Place::Descriptor(slot) => {
                        named.push(slot.page);
                        spaces.push(slot.space);
                    }
                }
            }
            if let Operation::SetSpace { space, .. } = instruction.operation {
                spaces.push(space);
            }
        }
        if let Some(space) = spaces.iter().find(|space| **space >= setup.asids.len()) {
            let message = format!("space {space} has no ASID: give `asids` one more");
            return Err(self.wrong("asids")(message));
        }
        for page in named {
            let known = setup.variables.iter().any(|v| v.name == page.variable);
            if !known {
                let apart = page.variable == "flag" || self.file.apart.contains(&page.variable);
                let pages = self.file.pages.get(&page.variable).copied().unwrap_or(1);
                setup.variables.push(Variable {
                    name: page.variable.clone(),
                    pages,
                    apart,
                });
            }
            let pages = setup.variables.iter().find(|v| v.name == page.variable);
            if pages.is_some_and(|variable| page.page >= variable.pages && variable.pages > 1) {
                let message = format!("{} has no page {}", page.variable, page.page);
                return Err(self.wrong("pages")(message));
            }
        }
        for outcome in outcomes {
            self.check(&outcome.condition, cores)
                .map_err(self.wrong(format!("outcome `{}`", outcome.text)))?;
        }
        Ok(())
    }

    fn check(&self, condition: &Condition, cores: &[Vec<Instruction>]) -> Result<(), String> {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().try_for_each(|part| self.check(part, cores))
            }
            Condition::Not(inner) => self.check(inner, cores),
            Condition::Result { core, name, .. } => {
                let program = cores.get(*core).ok_or(format!("there is no core {core}"))?;
                let known = |i: &Instruction| i.result.as_ref() == Some(name);
                match program.iter().any(known) {
                    true => Ok(()),
                    false => Err(format!("no instruction of core {core} gives `{name}`")),
                }
            }
            Condition::Memory(..) | Condition::Descriptor(..) => Ok(()),
        }
    }
}

/// `x`, `x[3]` or `x[0..16]`, with `@1` for another address space, as level 3 descriptors.
fn leaf_slots(input: &mut &str) -> super::grammar::Parsed<Vec<Slot>> {
    use winnow::Parser;
    use winnow::combinator::{opt, preceded};
    let pages = pages(input)?;
    let space = opt(preceded(sign("@"), super::grammar::number)).parse_next(input)?;
    let slot = |page| Slot {
        page,
        space: space.unwrap_or(0) as usize,
        table: false,
    };
    Ok(pages.into_iter().map(slot).collect())
}

fn verdicts(text: &str) -> Result<[Verdict; 2], String> {
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

impl Operation {
    /// The places that the operation names.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        match self {
            Operation::Load { place, .. }
            | Operation::Swap { place, .. }
            | Operation::LoadExclusive { place }
            | Operation::StoreExclusive { place, .. } => vec![place.clone()],
            Operation::Store { places, .. } => places.clone(),
            Operation::Clear { slot, .. } => vec![Place::Descriptor(slot.clone())],
            Operation::Translate { page, .. } => vec![Place::Data(page.clone())],
            Operation::Tlbi(invalidate) => {
                invalidate.page.iter().cloned().map(Place::Data).collect()
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::litmus::scenario::{Attribute, Seen, Value};
    use vmsa::{DsbKind, FaultKind, TlbiOp, TlbiScope};

    const SHOOTDOWN: &str = r#"
        title = "remap without break, read after the flag"
        cite = ["MP+shoot+DSB-ISB"]
        requirements = ["ORD-03"]
        breaks_bbm = true
        [[core]]
        program = ["store pte(x), PA_y ro; dsb; tlbi vae1is x; dsb", "store flag, 1"]
        [[core]]
        program = ["load r0, flag", "dsb", "isb", "load r1, x, addr r0"]
        [[outcome]]
        when = "1:r0 = 1 & 1:r1 = 0"
        verdict = "F"
        [[outcome]]
        when = "1:r1 = flt(translation, 3) | !(pte(x).af = 1)"
        verdict = "A/F"
        unseen_ets0 = "for a reason"
    "#;

    #[test]
    fn a_scenario_is_read_as_it_stands() {
        let scenario = parse("L24", SHOOTDOWN).unwrap();
        assert!(scenario.breaks_bbm);
        let names: Vec<_> = scenario
            .setup
            .variables
            .iter()
            .map(|v| (v.name.as_str(), v.apart))
            .collect();
        assert_eq!(names, [("x", false), ("flag", true)]);
        let [writer, reader] = &scenario.cores[..] else {
            panic!("two cores")
        };
        assert_eq!(writer.len(), 5);
        let Operation::Store {
            value: Value::Descriptor(spec),
            ..
        } = &writer[0].operation
        else {
            panic!("{:?}", writer[0])
        };
        assert_eq!(spec.attributes, [Attribute::ReadOnly]);
        let Operation::Tlbi(tlbi) = &writer[2].operation else {
            panic!("{:?}", writer[2])
        };
        assert_eq!(
            (tlbi.op, tlbi.scope),
            (TlbiOp::Vae1, TlbiScope::InnerShareable)
        );
        assert_eq!(writer[1].operation, Operation::Dsb(DsbKind::ISH));
        assert_eq!(reader[3].address_of.as_deref(), Some("r0"));
        assert_eq!(reader[3].result.as_deref(), Some("r1"));
        assert_eq!(scenario.outcomes[0].verdict, [Verdict::Forbidden; 2]);
        assert_eq!(
            scenario.outcomes[1].verdict,
            [Verdict::Allowed, Verdict::Forbidden]
        );
        let Condition::Any(parts) = &scenario.outcomes[1].condition else {
            panic!("alternatives")
        };
        let fault = Seen::Fault(Some(FaultKind::Translation), Some(3));
        assert!(matches!(&parts[0], Condition::Result { is, .. } if *is == fault));
        assert_eq!(
            scenario.outcomes[1].unseen,
            [Some("for a reason".to_owned()), None]
        );
    }

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

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (from, to, says) in [
            (
                "dsb; tlbi",
                "dsb; tlbj",
                "core 0: ` tlbj vae1is x` cannot be read",
            ),
            ("PA_y ro", "PA_y rw", "`rw`"),
            ("load r1, x", "load r1 x", "expected `,`"),
            (
                "verdict = \"F\"",
                "verdict = \"X\"",
                "verdict `X` is none of",
            ),
            (
                "1:r0 = 1 &",
                "1:r9 = 1 &",
                "no instruction of core 1 gives `r9`",
            ),
            ("1:r0 = 1 &", "4:r0 = 1 &", "there is no core 4"),
            ("breaks_bbm", "break_bbm", "unknown field `break_bbm`"),
            ("store pte(x)", "store pte(x)@2", "space 2 has no ASID"),
        ] {
            let text = SHOOTDOWN.replace(from, to);
            let error = parse("L24", &text).unwrap_err().to_string();
            assert!(
                error.starts_with("L24: ") && error.contains(says),
                "{error}"
            );
        }
    }
}
