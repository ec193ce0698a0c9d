// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Reads a scenario file: TOML whose strings hold descriptors, instructions and outcomes.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::condition::{condition, verdicts};
use super::grammar::{MOST_PAGES, descriptor, leaf_slots, physical, slots, whole};
use super::instruction::instruction;
use super::names::Names;
use super::scenario::{
    DescriptorSpec, Instruction, Outcome, Physical, Scenario, Setup, Slot, Target,
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
    program: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    when: Spanned<String>,
    verdict: Spanned<String>,
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
    Reader {
        name,
        text,
        file: &file,
    }
    .scenario()
}

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
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

    /// Number of the line on which `string` begins, as a part of the file.
    fn line(&self, string: &Spanned<String>) -> String {
        let before = self.text.get(..string.span().start).unwrap_or_default();
        format!("line {}", before.matches('\n').count() + 1)
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
        let names = Names {
            pages: &file.pages,
            apart: &file.apart,
        };
        names
            .resolve(&mut setup, &cores, &outcomes)
            .map_err(|(part, message)| self.wrong(part)(message))?;
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
            for line in &core.program {
                let part = format!("{}, core {number}", self.line(line));
                for text in line.get_ref().split(';') {
                    let read = whole(text, instruction).map_err(self.wrong(&part));
                    program.push(read?);
                }
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
                Some(slot) if several => (0..self.file.pages[key].min(MOST_PAGES))
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
            let when = asked.when.get_ref();
            let condition = whole(when, condition);
            let condition =
                condition.map_err(self.wrong(format!("{}, outcome", self.line(&asked.when))))?;
            let verdict = verdicts(asked.verdict.get_ref());
            let verdict =
                verdict.map_err(self.wrong(format!("{}, outcome", self.line(&asked.verdict))))?;
            let reason = |own: &Option<String>| own.clone().or_else(|| asked.unseen.clone());
            outcomes.push(Outcome {
                text: when.clone(),
                condition,
                verdict,
                unseen: [reason(&asked.unseen_ets0), reason(&asked.unseen_ets2)],
            });
        }
        Ok(outcomes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::litmus::scenario::{Attribute, Condition, Operation, Seen, Value, Verdict};
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
    fn what_is_wrong_is_named_with_its_place() {
        for (from, to, says) in [
            (
                "dsb; tlbi",
                "dsb; tlbj",
                "line 7, core 0: `tlbj vae1is x` cannot be read",
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
            (
                "store pte(x)",
                "store pte(x)@2",
                "core 0, `store pte(x)@2, PA_y ro`: space 2 has no ASID",
            ),
            (
                "pte(x).af = 1",
                "pte(x).af = 2",
                "line 14, outcome: `1:r1 = flt",
            ),
            ("pte(x).af = 1", "pte(x).af = 2", "expected 0 or 1"),
            ("pte(x).af", "pte(w).af", "w has no page 0"),
            ("!(pte(x).af = 1)", "PA_w = 1", "nothing maps `PA_w`"),
            ("addr r0", "addr r7", "nothing before it gives `r7`"),
            ("load r1, x", "load r0, x", "`r0` is given twice"),
            ("vae1is x", "rvae1is x[0..2]", "x has no page 1"),
            ("vae1is x", "vae1is x[0..2]", "it names one page only"),
            ("vae1is x", "rvae1is x", "no SCALE and NUM say 1 pages"),
            (
                "dsb\", \"isb",
                "dsb isx\", \"isb",
                "at `isx`: expected sy, st",
            ),
            (
                "store flag, 1",
                "retry dsb",
                "only an access can be retried",
            ),
            ("PA_y ro", "table", "only a level 2 descriptor"),
            (
                "breaks_bbm",
                "apart = [\"u\"]\nbreaks_bbm",
                "uses the variable `u`",
            ),
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
