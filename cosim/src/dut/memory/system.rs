// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The memory systems that a run can choose by name, and how each fits hardware of any shape.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::topology;
use super::{DramTiming, MemoryConfig};
use crate::dut::ports::Info;
use crate::nearest::nearest;

/// A memory system, before it is known which hardware and which seed it is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemorySystem {
    /// [`MemorySystem::Ddr5`] on hardware with nodes of slow memory, else [`MemorySystem::Flat`].
    #[default]
    Default,
    /// No links, no controllers: every access takes what the DRAM port takes.
    Flat,
    /// DDR4-2666 at the nodes with cores, slow memory at the others, distances of section 3.
    Ddr4,
    /// DDR5-4800 at the nodes with cores, slow memory at the others, distances of section 3.
    Ddr5,
    /// All timings, policies, distances and limits drawn from the seed (MEM-14).
    Random,
    /// The same, of this seed instead of the run's: `random:N`.
    RandomOf(u64),
    /// The one in the file of this path.
    File(String, Box<MemoryConfig>),
    /// This one, made by a test.
    Custom(Box<MemoryConfig>),
}

impl MemorySystem {
    /// The systems that have a name, and what each is.
    pub const NAMED: &'static [(&'static str, MemorySystem, &'static str)] = &[
        (
            "default",
            Self::Default,
            "ddr5 if the hardware has nodes of slow memory, else flat",
        ),
        (
            "flat",
            Self::Flat,
            "no links and no controllers: one latency for all",
        ),
        (
            "ddr4",
            Self::Ddr4,
            "DDR4-2666, links by distance, slow memory at nodes without cores",
        ),
        (
            "ddr5",
            Self::Ddr5,
            "DDR5-4800, links by distance, slow memory at nodes without cores",
        ),
        (
            "random",
            Self::Random,
            "every timing, policy, distance and limit drawn from the seed; random:N from seed N",
        ),
    ];

    /// What chooses it on a command line, with a space before it; nothing for the default.
    #[must_use]
    pub fn argument(&self) -> String {
        match self {
            Self::Default => String::new(),
            named => format!(" --memory {named}"),
        }
    }

    /// What it is for hardware of the shape `info` and a run of `seed`.
    #[must_use]
    pub fn resolve(&self, info: &Info, seed: u64) -> MemoryConfig {
        let nodes = usize::from(info.nodes);
        match self {
            Self::Default if info.cpu_nodes < info.nodes => Self::Ddr5.resolve(info, seed),
            Self::Default | Self::Flat => MemoryConfig::flat(nodes),
            Self::Ddr4 => topology::timed(info, DramTiming::DDR4_2666),
            Self::Ddr5 => topology::timed(info, DramTiming::DDR5_4800),
            Self::Random => topology::random(info, seed),
            Self::RandomOf(seed) => topology::random(info, *seed),
            Self::File(_, config) | Self::Custom(config) => (**config).clone(),
        }
    }
}

impl fmt::Display for MemorySystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, _) => return f.write_str(path),
            Self::RandomOf(seed) => return write!(f, "random:{seed}"),
            _ => (),
        }
        let named = Self::NAMED.iter().find(|(_, system, _)| system == self);
        f.write_str(named.map_or("custom", |(name, ..)| name))
    }
}

/// No memory system has that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no memory system `{name}`: {hint}")]
pub struct UnknownMemorySystem {
    name: String,
    hint: String,
}

impl FromStr for MemorySystem {
    type Err = UnknownMemorySystem;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if let Some(seed) = name
            .strip_prefix("random:")
            .and_then(|seed| seed.parse().ok())
        {
            return Ok(Self::RandomOf(seed));
        }
        let named = Self::NAMED.iter().find(|(known, ..)| *known == name);
        named.map(|(_, system, _)| system.clone()).ok_or_else(|| {
            let names = || Self::NAMED.iter().map(|(name, ..)| *name);
            let known = names().collect::<Vec<_>>().join(", ");
            let near = nearest(name, names()).map(|near| format!(" (did you mean `{near}`?)"));
            UnknownMemorySystem {
                name: name.to_owned(),
                hint: format!("known are {known}{}", near.unwrap_or_default()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dut::configs;

    #[test]
    fn every_system_fits_every_configuration() {
        for config in configs() {
            let info = Info::of_config(config);
            for (name, system, _) in MemorySystem::NAMED {
                for seed in 0..200 {
                    let resolved = system.resolve(&info, seed).encode();
                    assert!(resolved.is_ok(), "{name} on {}: {resolved:?}", config.name);
                }
                assert_eq!(name.parse::<MemorySystem>().as_ref(), Ok(system));
                assert_eq!(system.to_string(), *name);
            }
        }
    }

    #[test]
    fn a_random_system_may_have_a_seed_of_its_own() {
        let info = Info::of_config(&configs()[0]);
        let named: MemorySystem = "random:7".parse().unwrap();
        assert_eq!(named.to_string(), "random:7");
        assert_eq!(
            named.resolve(&info, 1),
            MemorySystem::Random.resolve(&info, 7)
        );
        assert!("random:x".parse::<MemorySystem>().is_err());
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_one() {
        let error = "dd5".parse::<MemorySystem>().unwrap_err().to_string();
        assert!(error.contains("dd5") && error.contains("`ddr5`"), "{error}");
    }
}
