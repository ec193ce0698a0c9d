// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim list`: what can be run, on what, and what it proves.

use clap::Args;
use serde_json::json;

use super::{CommandResult, Suite, say};
use crate::dut::ports::COUNTERS;
use crate::regress::Testbench;

/// Arguments of `list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    mmu-cosim list --json | tail -1 | jq '.testbenches[] | select(.requirements | index(\"HAF-06\")) | .name'")]
pub struct Arguments {
    /// List the event counters that `run --stats` prints, instead of testbenches
    #[arg(long)]
    pub counters: bool,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// Lists testbenches, experiments and configurations.
pub fn execute(arguments: &Arguments, suite: Suite<'_>) -> CommandResult {
    let registry = suite.testbenches;
    if arguments.counters {
        list_counters(arguments.json);
        return Ok(true);
    }
    let configs = cosim_bridge::configs();
    if arguments.json {
        let testbenches: Vec<_> = registry
            .iter()
            .map(|testbench| {
                let Testbench {
                    name,
                    purpose,
                    requirements,
                    ..
                } = testbench;
                json!({"name": name, "purpose": purpose, "requirements": requirements})
            })
            .collect();
        let configs: Vec<_> = configs
            .iter()
            .map(|config| json!({"name": config.name, "purpose": config.purpose}))
            .collect();
        let experiments: Vec<_> = suite
            .experiments
            .iter()
            .map(|experiment| json!({"name": experiment.name, "purpose": experiment.purpose}))
            .collect();
        let all = json!({
            "pass": true, "testbenches": testbenches, "experiments": experiments, "configs": configs,
        });
        say(&all.to_string());
        return Ok(true);
    }
    say("testbenches");
    let width = registry
        .iter()
        .map(|testbench| testbench.name.len())
        .max()
        .unwrap_or(0);
    for Testbench {
        name,
        purpose,
        requirements,
        ..
    } in registry
    {
        say(&format!("  {name:width$}  {purpose}"));
        for line in wrap(requirements, 88 - width) {
            say(&format!("  {:width$}  {line}", ""));
        }
    }
    if !suite.experiments.is_empty() {
        say("\nexperiments (mmu-cosim experiment NAME)");
    }
    let names = suite.experiments.iter().map(|experiment| experiment.name);
    let width = names.map(str::len).max().unwrap_or(0);
    for experiment in suite.experiments {
        say(&format!(
            "  {:width$}  {}",
            experiment.name, experiment.purpose
        ));
    }
    say("\nconfigurations (--config)");
    let width = configs
        .iter()
        .map(|config| config.name.len())
        .max()
        .unwrap_or(0);
    for config in configs {
        say(&format!("  {:width$}  {}", config.name, config.purpose));
    }
    Ok(true)
}

fn list_counters(as_json: bool) {
    if as_json {
        let counters: Vec<_> = COUNTERS
            .iter()
            .map(|counter| {
                let code = format!("{:#x}", counter.code());
                json!({"name": counter.name(), "code": code, "description": counter.description()})
            })
            .collect();
        say(&json!({"pass": true, "counters": counters}).to_string());
        return;
    }
    say("event counters of each core (code, name)");
    let names = COUNTERS.iter().map(|counter| counter.name().len());
    let width = names.max().unwrap_or(0);
    for counter in COUNTERS {
        let (name, code) = (counter.name(), counter.code());
        say(&format!(
            "  {code:#06x}  {name:width$}  {}",
            counter.description()
        ));
    }
}

/// `words` in lines of at most `width` characters.
fn wrap(words: &[&str], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push((*word).to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn words_are_wrapped_at_the_width() {
        assert_eq!(
            wrap(&["HAF-01", "HAF-02", "HAF-03"], 13),
            ["HAF-01 HAF-02", "HAF-03"]
        );
        assert!(wrap(&[], 13).is_empty());
    }
}
