// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Stimulus files: one JSON object, numbers in hex, one line a step.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::request_text::{RequestText, hex, number};
use super::{Action, Broken, Setup, Step, Stimulus, When};
use crate::dut::memory::MemorySystem;
use crate::dut::ports::Straps;
use crate::dut::strap_setting;
use crate::sim::{ErrorOn, MemoryTiming};

/// Version of the format.
const VERSION: u32 = 1;

/// Why a stimulus file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StimulusError {
    /// The file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Its path.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is no stimulus.
    #[error("{path}: {problem}")]
    Content {
        /// Its path.
        path: String,
        /// What is wrong, where, and how to mend it.
        problem: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    stimulus: u32,
    origin: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checker: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requirement: Option<String>,
    config: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plant: Option<String>,
    #[serde(default)]
    straps: Vec<String>,
    seed: String,
    #[serde(default)]
    memory_system: MemorySystem,
    latency: u64,
    jitter: u64,
    watchdog: u64,
    end: u64,
    /// First address of each stretch of words.
    memory: BTreeMap<String, Vec<String>>,
    steps: Vec<StepText>,
}

#[derive(Default, Serialize, Deserialize)]
struct StepText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    core: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<RequestText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    poke: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    errors_on: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
}

const ERRORS: [(&str, ErrorOn); 3] = [
    ("reads", ErrorOn::Reads),
    ("writes", ErrorOn::Writes),
    ("both", ErrorOn::Both),
];
const TIMES: [(&str, When); 3] = [
    ("serial", When::Serial),
    ("own", When::Own),
    ("behind", When::Behind),
];

impl StepText {
    fn of(step: &Step) -> Self {
        let mut text = Self::default();
        match step.when {
            When::At(cycle) => text.at = Some(cycle),
            other => {
                let name = TIMES.iter().find(|(_, when)| *when == other);
                text.when = name.map(|(name, _)| (*name).to_owned());
            }
        }
        match step.action {
            Action::Request { core, request } => {
                text.core = Some(core);
                text.request = Some(RequestText::of(&request));
            }
            Action::Poke { address, value } => {
                (text.poke, text.value) = (Some(hex(address)), Some(hex(value)));
            }
            Action::Mark { address, on, times } => {
                let name = ERRORS.iter().find(|(_, known)| *known == on);
                text.errors_on = name.map(|(name, _)| (*name).to_owned());
                (text.address, text.times) = (Some(hex(address)), times);
            }
            Action::Clear { address } => {
                text.errors_on = Some("none".to_owned());
                text.address = Some(hex(address));
            }
        }
        text
    }

    fn step(&self) -> Result<Step, String> {
        let when = match (self.at, self.when.as_deref()) {
            (Some(cycle), None) => When::At(cycle),
            (None, Some(name)) => TIMES
                .iter()
                .find(|(known, _)| *known == name)
                .map(|&(_, when)| when)
                .ok_or_else(|| format!("when {name:?}: write serial, own or behind"))?,
            _ => return Err("give \"at\" or \"when\", and not both".to_owned()),
        };
        let address = || number(self.address.as_deref().unwrap_or(""));
        let action = match (&self.request, &self.poke, self.errors_on.as_deref()) {
            (Some(request), None, None) => Action::Request {
                core: self.core.ok_or("a request needs \"core\"")?,
                request: request.request()?,
            },
            (None, Some(poke), None) => Action::Poke {
                address: number(poke)?,
                value: number(self.value.as_deref().unwrap_or(""))?,
            },
            (None, None, Some("none")) => Action::Clear {
                address: address()?,
            },
            (None, None, Some(name)) => Action::Mark {
                address: address()?,
                on: ERRORS
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|&(_, on)| on)
                    .ok_or_else(|| {
                        format!("errors_on {name:?}: write reads, writes, both or none")
                    })?,
                times: self.times,
            },
            _ => return Err("give one of \"request\", \"poke\" and \"errors_on\"".to_owned()),
        };
        Ok(Step { when, action })
    }
}

/// Stretches of words that follow one another.
pub(super) fn stretches(memory: &BTreeMap<u64, u64>) -> Vec<(u64, Vec<u64>)> {
    let mut stretches: Vec<(u64, Vec<u64>)> = Vec::new();
    for (&address, &word) in memory {
        match stretches.last_mut() {
            Some((first, words)) if *first + 8 * words.len() as u64 == address => words.push(word),
            _ => stretches.push((address, vec![word])),
        }
    }
    stretches
}

impl Stimulus {
    /// The text of the file that holds this stimulus.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Setup {
            config,
            plant,
            straps,
            seed,
            memory_system,
            memory,
            watchdog,
        } = &self.setup;
        let broken = self.broken.clone();
        let text = FileText {
            stimulus: VERSION,
            origin: self.origin.clone(),
            checker: broken.as_ref().map(|broken| broken.checker.clone()),
            requirement: broken.map(|broken| broken.requirement),
            config: config.clone(),
            plant: plant.clone(),
            straps: strap_setting::settings(straps),
            seed: hex(*seed),
            memory_system: memory_system.clone(),
            latency: memory.latency,
            jitter: memory.jitter,
            watchdog: *watchdog,
            end: self.end,
            memory: stretches(&self.memory)
                .into_iter()
                .map(|(first, words)| {
                    (
                        format!("{first:#014x}"),
                        words.into_iter().map(hex).collect(),
                    )
                })
                .collect(),
            steps: Vec::new(),
        };
        // One line a step, so that two files can be compared.
        let line = |step: &Step| serde_json::to_string(&StepText::of(step)).unwrap_or_default();
        let steps: Vec<String> = self.steps.iter().map(line).collect();
        let head = serde_json::to_string_pretty(&text).unwrap_or_default();
        let head = head.trim_end().trim_end_matches('}').trim_end();
        let head = head.strip_suffix("\"steps\": []").unwrap_or(head);
        format!(
            "{head}\"steps\": [\n    {}\n  ]\n}}\n",
            steps.join(",\n    ")
        )
    }

    /// Reads the text of a stimulus file.
    ///
    /// # Errors
    /// What is wrong, where, and how to mend it.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let file: FileText =
            serde_json::from_str(text).map_err(|error| format!("not a stimulus file: {error}"))?;
        if file.stimulus != VERSION {
            return Err(format!(
                "stimulus format {}, this program reads {VERSION}: shrink the run again",
                file.stimulus
            ));
        }
        let mut memory = BTreeMap::new();
        for (first, words) in &file.memory {
            let first = number(first).map_err(|problem| format!("memory: {problem}"))?;
            for (address, word) in (first..).step_by(8).zip(words) {
                let word = number(word).map_err(|problem| format!("memory: {problem}"))?;
                memory.insert(address, word);
            }
        }
        let mut steps = Vec::with_capacity(file.steps.len());
        for (index, step) in file.steps.iter().enumerate() {
            let step = step.step();
            steps.push(step.map_err(|problem| format!("steps[{index}]: {problem}"))?);
        }
        let broken = match (file.checker, file.requirement) {
            (Some(checker), Some(requirement)) => Some(Broken {
                checker,
                requirement,
            }),
            _ => None,
        };
        Ok(Self {
            origin: file.origin,
            broken,
            setup: Setup {
                config: file.config,
                plant: file.plant,
                straps: strap_setting::apply(Straps::default(), &file.straps)?,
                seed: number(&file.seed).map_err(|problem| format!("seed: {problem}"))?,
                memory_system: file.memory_system,
                memory: MemoryTiming {
                    latency: file.latency,
                    jitter: file.jitter,
                },
                watchdog: file.watchdog,
            },
            memory,
            steps,
            end: file.end,
        })
    }

    /// Reads the stimulus file at `path`.
    ///
    /// # Errors
    /// [`StimulusError`] says what is wrong, where, and how to mend it.
    pub fn read(path: &Path) -> Result<Self, StimulusError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| StimulusError::File {
            path: name.clone(),
            error,
        })?;
        Self::from_text(&text).map_err(|problem| StimulusError::Content {
            path: name,
            problem,
        })
    }

    /// Writes the stimulus file at `path`.
    ///
    /// # Errors
    /// [`StimulusError::File`] if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), StimulusError> {
        std::fs::write(path, self.to_text()).map_err(|error| StimulusError::File {
            path: path.display().to_string(),
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dut::ports::CoreRequest;
    use vmsa::El;

    fn stimulus() -> Stimulus {
        let step = |when, action| Step { when, action };
        let load = CoreRequest::load(0x4000, 3, El::El0);
        Stimulus {
            origin: "mmu-cosim run random --seed 1".into(),
            broken: Some(Broken {
                checker: "scoreboard".into(),
                requirement: "VMSA-01".into(),
            }),
            setup: Setup {
                config: "tiny".into(),
                plant: None,
                straps: Straps {
                    prefetch: true,
                    l2_ways: Some(1),
                    ..Straps::default()
                },
                seed: 99,
                memory_system: MemorySystem::Random,
                memory: MemoryTiming {
                    latency: 5,
                    jitter: 3,
                },
                watchdog: 1000,
            },
            memory: [(0x1000, 1), (0x1008, 2), (0x2000, u64::MAX)].into(),
            steps: vec![
                Step::serial(1, load),
                Step::serial(0, load).when(When::Behind),
                step(
                    When::At(70),
                    Action::Poke {
                        address: 8,
                        value: 9,
                    },
                ),
                step(
                    When::Own,
                    Action::Mark {
                        address: 8,
                        on: ErrorOn::Writes,
                        times: Some(2),
                    },
                ),
                step(When::Serial, Action::Clear { address: 8 }),
            ],
            end: 500,
        }
    }

    #[test]
    fn a_file_holds_all_of_a_stimulus() {
        let text = stimulus().to_text();
        assert_eq!(Stimulus::from_text(&text), Ok(stimulus()), "{text}");
        let empty = Stimulus {
            steps: Vec::new(),
            broken: None,
            memory: BTreeMap::new(),
            ..stimulus()
        };
        assert_eq!(Stimulus::from_text(&empty.to_text()), Ok(empty));
    }

    #[test]
    fn a_bad_file_says_what_is_wrong_and_where() {
        let good = stimulus().to_text();
        for (from, to, part) in [
            ("\"stimulus\": 1", "\"stimulus\": 7", "format 7"),
            ("\"load\"", "\"lod\"", "steps[0]"),
            ("\"serial\"", "\"some day\"", "serial, own or behind"),
            ("prefetch=on", "prefetsch=on", "no strap is called"),
            ("\"0x63\"", "\"99\"", "seed"),
            ("{", "[", "not a stimulus file"),
        ] {
            assert!(good.contains(from), "{from} is not in {good}");
            let error = Stimulus::from_text(&good.replacen(from, to, 1)).expect_err(to);
            assert!(error.contains(part), "{error}");
        }
    }
}
