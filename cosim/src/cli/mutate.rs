// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim mutate`: single faults of the RTL, one at a time, until something notices.

use std::io::{IsTerminal, Write};

use clap::Args;
use cosim_bridge::{MutantInfo, mutants};
use serde_json::{Value, json};

use super::{CommandResult, UsageError, on_ctrl_c, say};
use crate::mutation::tally::Tally;
use crate::mutation::{Options, Outcome, Progress, campaign, regression};
use crate::nearest::nearest;
use crate::regress::Testbench;
use crate::regress::testbench::MUTATED;

/// Arguments of `mutate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    mmu-cosim mutate --jobs 2                    every mutant of rtl/sva/mutants.toml\n  \
    mmu-cosim mutate --category squash           those of one category\n  \
    mmu-cosim mutate --sample 1/8 --jobs 2       every eighth, beginning with the first\n  \
    mmu-cosim mutate walker/equality-5           one\n  \
    mmu-cosim run exercise --plant walker/equality-5\n                                               \
    what one run makes of it, with waveform\n\n\
    Each mutant runs the standard regression until a run is red. Exit status 0 says that none survived:\n\
    each was killed, or rtl/sva/equivalent.toml argues that none could notice. docs/mutation.md says\n\
    how to read the table and how the list is made.")]
pub struct Arguments {
    /// Mutants to run (see --list); all unless some are named
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Only mutants of this category; may be repeated
    #[arg(long, value_name = "C")]
    pub category: Vec<String>,
    /// Only every M-th mutant, beginning with the N-th
    #[arg(long, value_name = "N/M", value_parser = parse_sample)]
    pub sample: Option<(usize, usize)>,
    /// Run mutants argued to be equivalent too: one that is killed refutes its argument
    #[arg(long)]
    pub equivalent: bool,
    /// Only the first, short part of the regression: what survives it may yet fall to the rest
    #[arg(long)]
    pub short: bool,
    /// List mutants instead of running them
    #[arg(long)]
    pub list: bool,
    /// Mutants at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// Runs or lists what the arguments choose.
pub fn execute(arguments: &Arguments, registry: &[Testbench]) -> CommandResult {
    let chosen = choose(arguments)?;
    if arguments.list {
        return Ok(list(&chosen, arguments.json));
    }
    if !cosim_bridge::configs().iter().any(|c| c.name == MUTATED) {
        return Err(UsageError(format!(
            "this program was built without configuration `{MUTATED}`: name it in MMU_COSIM_CONFIGS, or leave that unset"
        )));
    }
    let runs = regression::standard(registry, arguments.short)?;
    let interrupt = on_ctrl_c()?;
    let options = Options {
        workers: usize::from(arguments.jobs),
        equivalent: arguments.equivalent,
        interrupt,
    };
    let mut printer = Printer {
        mutants: chosen.len(),
        live: std::io::stderr().is_terminal(),
    };
    let outcomes = campaign(&chosen, &runs, &options, &mut printer);
    printer.clear();
    let outcomes = match outcomes {
        Ok(outcomes) => outcomes,
        Err(red) => {
            say(&red.to_string());
            if arguments.json {
                say(&json!({"pass": false, "error": red.to_string()}).to_string());
            }
            return Ok(false);
        }
    };
    let mut tally = Tally::default();
    for (mutant, outcome) in chosen.iter().zip(&outcomes) {
        tally.add(mutant, outcome);
    }
    say(&format!("\n{}\n", tally.table()));
    let all = tally.all;
    let refuted = chosen
        .iter()
        .zip(&outcomes)
        .filter(|(mutant, outcome)| {
            mutant.equivalent.is_some() && matches!(outcome, Outcome::Killed(_))
        })
        .count();
    let pass = all.survived == 0 && all.not_run == 0 && refuted == 0;
    say(&format!(
        "mutants={} killed={} equivalent={} survived={} not_run={} refuted={refuted}",
        all.mutants, all.killed, all.equivalent, all.survived, all.not_run
    ));
    if arguments.json {
        let mut whole = tally.json();
        whole["pass"] = json!(pass);
        whole["refuted"] = json!(refuted);
        whole["list"] = chosen
            .iter()
            .zip(&outcomes)
            .map(|(mutant, outcome)| describe(mutant, Some(outcome)))
            .collect();
        say(&whole.to_string());
    }
    Ok(pass)
}

fn choose(arguments: &Arguments) -> Result<Vec<&'static MutantInfo>, UsageError> {
    let all = mutants();
    if all.is_empty() {
        return Err(UsageError(
            "the RTL in this program has no mutants: sva/mutants.toml beside its files.f would list them"
                .to_owned(),
        ));
    }
    for category in &arguments.category {
        if !all.iter().any(|mutant| mutant.category == category) {
            let near = nearest(category, all.iter().map(|mutant| mutant.category));
            return Err(unknown("category", category, near));
        }
    }
    let named = |mutant: &&MutantInfo| {
        arguments.names.is_empty() || arguments.names.iter().any(|name| name == mutant.plant.id)
    };
    for name in &arguments.names {
        if !all.iter().any(|mutant| mutant.plant.id == name) {
            let near = nearest(name, all.iter().map(|mutant| mutant.plant.id));
            return Err(unknown("mutant", name, near));
        }
    }
    let (first, step) = arguments.sample.unwrap_or((1, 1));
    let chosen: Vec<_> = all
        .iter()
        .filter(named)
        .filter(|mutant| {
            arguments.category.is_empty()
                || arguments
                    .category
                    .iter()
                    .any(|name| name == mutant.category)
        })
        .skip(first - 1)
        .step_by(step)
        .collect();
    if chosen.is_empty() {
        return Err(UsageError(
            "no mutant is all that was asked for: see `mmu-cosim mutate --list`".to_owned(),
        ));
    }
    Ok(chosen)
}

fn unknown(what: &str, name: &str, near: Option<&str>) -> UsageError {
    let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    UsageError(format!(
        "no {what} is called `{name}`{hint}; `mmu-cosim mutate --list` shows all"
    ))
}

fn list(chosen: &[&MutantInfo], as_json: bool) -> bool {
    for mutant in chosen {
        let MutantInfo {
            plant, category, ..
        } = mutant;
        say(&format!(
            "{}  ({category})  {}:{}",
            plant.id, plant.file, mutant.line
        ));
        say(&format!("    {}", change(mutant)));
        if let Some(why) = mutant.equivalent {
            say(&format!("    equivalent: {}", one_line(why)));
        }
    }
    if as_json {
        let list: Vec<Value> = chosen.iter().map(|mutant| describe(mutant, None)).collect();
        say(&json!({"pass": true, "mutants": chosen.len(), "list": list}).to_string());
    }
    true
}

/// What the mutant does to the text of the RTL.
fn change(mutant: &MutantInfo) -> String {
    let original = one_line(mutant.original);
    match mutant.mutated {
        "" => format!("{original}  ->  (nothing)"),
        mutated => format!("{original}  ->  {}", one_line(mutated)),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn describe(mutant: &MutantInfo, outcome: Option<&Outcome>) -> Value {
    let mut value = json!({
        "id": mutant.plant.id,
        "category": mutant.category,
        "operator": mutant.operator,
        "file": mutant.plant.file,
        "line": mutant.line,
        "original": mutant.original,
        "mutated": mutant.mutated,
        "argument": mutant.equivalent,
    });
    let Some(outcome) = outcome else { return value };
    value["outcome"] = json!(word(outcome));
    match outcome {
        Outcome::Killed(kill) => {
            value["detector"] = json!(kill.detector);
            value["requirements"] = json!(kill.requirements);
            value["testbench"] = json!(kill.testbench);
            value["cycle"] = json!(kill.cycle);
            value["cycles"] = json!(kill.cycles);
            value["what"] = json!(kill.what);
            value["reproduce"] = json!(kill.command);
        }
        Outcome::Survived { cycles } => value["cycles"] = json!(cycles),
        Outcome::Equivalent | Outcome::NotRun => {}
    }
    value
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Killed(_) => "killed",
        Outcome::Equivalent => "equivalent",
        Outcome::Survived { .. } => "survived",
        Outcome::NotRun => "not run",
    }
}

fn parse_sample(text: &str) -> Result<(usize, usize), String> {
    let wrong = || format!("`{text}` is not N/M with 1 <= N <= M, such as 1/8");
    let (first, step) = text.split_once('/').ok_or_else(wrong)?;
    let number = |part: &str| part.parse::<usize>().map_err(|_| wrong());
    match (number(first)?, number(step)?) {
        (first, step) if (1..=step).contains(&first) => Ok((first, step)),
        _ => Err(wrong()),
    }
}

/// Prints one line a mutant, in order, and a sign of life on a terminal.
struct Printer {
    mutants: usize,
    live: bool,
}

impl Printer {
    fn clear(&self) {
        if self.live {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Progress for Printer {
    fn outcome(&mut self, index: usize, mutant: &MutantInfo, outcome: &Outcome) {
        self.clear();
        let width = self.mutants.to_string().len();
        let id = mutant.plant.id;
        let line = match outcome {
            Outcome::Killed(kill) => {
                let requirements = match &kill.requirements[..] {
                    [] => String::new(),
                    all => format!(" [{}]", all.join(", ")),
                };
                let wrong = match mutant.equivalent {
                    Some(_) => "  but is argued to be equivalent",
                    None => "",
                };
                format!(
                    "killed      {id}  by {}{requirements} in {} after {} cycles{wrong}",
                    kill.detector, kill.testbench, kill.cycles
                )
            }
            Outcome::Survived { cycles } => format!(
                "SURVIVED    {id}  {cycles} cycles\n    {}:{}: {}",
                mutant.plant.file,
                mutant.line,
                change(mutant)
            ),
            Outcome::Equivalent | Outcome::NotRun => format!("{:10}  {id}", word(outcome)),
        };
        say(&format!("[{:>width$}/{}] {line}", index + 1, self.mutants));
    }

    fn alive(&mut self, done: usize) {
        if self.live {
            let _ = write!(
                std::io::stderr(),
                "\r\x1b[K{done} of {} mutants done",
                self.mutants
            );
            let _ = std::io::stderr().flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_fraction() {
        assert_eq!(parse_sample("3/8"), Ok((3, 8)));
        for bad in ["0/8", "9/8", "3", "a/b", "1/0"] {
            assert!(parse_sample(bad).is_err_and(|text| text.contains("such as 1/8")));
        }
    }
}
