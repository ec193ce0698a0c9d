// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `memory`: the memory systems that have a name, and each as a file to start one's own from.

use std::path::Path;

use clap::Args;

use super::{CommandResult, UsageError, say};
use crate::dut::configs;
use crate::dut::memory::{MemoryConfig, MemorySystem};
use crate::dut::ports::Info;

/// What `memory` is asked.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    mmu-cosim memory                                list the memory systems that have a name\n  \
    mmu-cosim memory ddr5 --config numa > own.toml  write one as a file, in picoseconds\n  \
    mmu-cosim run stress --config numa --memory own.toml")]
pub struct Arguments {
    /// Memory system to write; without, all are listed
    pub name: Option<MemorySystem>,
    /// Hardware that it is for
    #[arg(long, value_name = "NAME", default_value = "numa")]
    pub config: String,
    /// Seed of `random`
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// Lists, or writes what is asked for.
pub fn execute(arguments: &Arguments) -> CommandResult {
    let Some(system) = &arguments.name else {
        for (name, _, purpose) in MemorySystem::NAMED {
            say(&format!("{name:<8} {purpose}"));
        }
        return Ok(true);
    };
    let known = configs()
        .iter()
        .find(|config| config.name == arguments.config);
    let info = known.map(Info::of_config).ok_or_else(|| {
        let names: Vec<&str> = configs().iter().map(|config| config.name).collect();
        UsageError(format!(
            "no configuration is called `{}`; there are {}",
            arguments.config,
            names.join(", ")
        ))
    })?;
    let text = toml::to_string(&system.resolve(&info, arguments.seed));
    say(text
        .map_err(|error| UsageError(error.to_string()))?
        .trim_end());
    Ok(true)
}

/// The value of `--memory`: a name, or the path of a file that ends in `.toml`.
///
/// # Errors
/// An unknown name, or what is wrong with the file.
pub fn parse(text: &str) -> Result<MemorySystem, String> {
    if Path::new(text).extension().is_none_or(|end| end != "toml") {
        return text
            .parse()
            .map_err(|error| format!("{error}, or a file `NAME.toml`"));
    }
    let content = std::fs::read_to_string(text).map_err(|error| error.to_string())?;
    let config: MemoryConfig = toml::from_str(&content).map_err(|error| error.to_string())?;
    config.encode().map_err(|error| error.to_string())?;
    Ok(MemorySystem::File(text.to_owned(), Box::new(config)))
}
