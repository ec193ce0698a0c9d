// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which runs a command is about: the arguments that `run` and `shrink` share.

use clap::Args;

use super::UsageError;
use super::memory;
use super::strap::StrapArguments;
use crate::dut::memory::MemorySystem;
use crate::nearest::nearest;
use crate::regress::Testbench;
use crate::regress::runner::Job;
use crate::regress::testbench::{find, find_plant};

/// What to run: testbenches, configurations, seeds, and what they run with.
#[derive(Debug, Args)]
pub struct Selection {
    /// Testbenches to run (see `mmu-cosim list`)
    #[arg(
        value_name = "NAME",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    pub names: Vec<String>,
    /// Run every registered testbench
    #[arg(long)]
    pub all: bool,
    /// Hardware configuration; several may be given, separated by commas
    #[arg(long, value_name = "C", value_delimiter = ',', default_value = "1x1")]
    pub config: Vec<String>,
    /// Switch on a planted fault of rtl/sva/plants.toml (on configuration `planted`) or a mutant
    /// (`mmu-cosim mutate --list`), to see what the report of a red run looks like
    #[arg(long, value_name = "ID", conflicts_with = "config")]
    pub plant: Option<String>,
    /// First seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Number of seeds: N, N+1, ...
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// Budget of simulated cycles for each run, and length of the random loads, which then finish what
    /// is under way; testbenches have their own default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub cycles: Option<u64>,
    /// Memory system: default, flat, ddr4, ddr5, random, or a file (see `mmu-cosim memory --help`)
    #[arg(long, value_name = "NAME|FILE.toml", default_value_t, value_parser = memory::parse)]
    pub memory: MemorySystem,
    /// Straps
    #[command(flatten)]
    pub straps: StrapArguments,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

impl Selection {
    /// One job for each testbench, configuration and seed.
    ///
    /// # Errors
    /// What of the arguments names nothing, and what is near.
    pub fn jobs<'a>(&self, registry: &'a [Testbench]) -> Result<Vec<Job<'a>>, UsageError> {
        let built: Vec<&str> = cosim_bridge::configs()
            .iter()
            .map(|config| config.name)
            .collect();
        let plant = self.plant.as_deref().map(find_plant).transpose();
        let plant = plant.map_err(UsageError)?;
        let planted = plant.map(|plant| [plant.config.to_owned()]);
        let configs = planted
            .as_ref()
            .map_or(&self.config[..], |planted| &planted[..]);
        for config in configs {
            if !built.contains(&config.as_str()) {
                let names = built.join(", ");
                let hint = hint(nearest(config, built.iter().copied()));
                let message =
                    format!("no configuration is called `{config}`{hint}; there are {names}");
                return Err(UsageError(message));
            }
        }
        let straps = self.straps.straps()?;
        let mut testbenches = Vec::new();
        if self.all {
            testbenches.extend(registry);
        }
        for name in &self.names {
            testbenches.push(find(registry, name).map_err(|near| {
                let hint = hint(near);
                UsageError(format!(
                    "no testbench is called `{name}`{hint}; `mmu-cosim list` names all"
                ))
            })?);
        }
        let last = self.seed.checked_add(self.seeds - 1).ok_or_else(|| {
            UsageError(format!(
                "--seed {} has no {} seeds after it",
                self.seed, self.seeds
            ))
        })?;
        let mut jobs = Vec::new();
        for testbench in testbenches {
            for config in configs {
                for seed in self.seed..=last {
                    let (config, cycles) = (config.clone(), self.cycles);
                    jobs.push(Job {
                        testbench,
                        config,
                        seed,
                        plant,
                        cycles,
                        straps,
                        memory: self.memory.clone(),
                        settings: self.straps.strap.clone(),
                    });
                }
            }
        }
        if jobs.is_empty() {
            return Err(UsageError(
                "no testbench is registered in this binary".to_owned(),
            ));
        }
        Ok(jobs)
    }
}

fn hint(near: Option<&str>) -> String {
    near.map_or(String::new(), |near| format!("; did you mean `{near}`?"))
}
