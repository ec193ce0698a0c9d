// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Coverage kept in a file: bins by name, how often each came, and one run that reaches it. Records of
//! any runs and any configurations merge, in any order, to the same record.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::group::{Hits, combinations};

/// What a coverage file says that it is.
const FORMAT: &str = "mmu-cosim coverage 1";

/// One run, as far as it takes to do it again. The least of those that reach a bin is kept, so that
/// the order of merging does not matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Run {
    /// Straps given on the command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub straps: Vec<String>,
    /// Seed.
    pub seed: u64,
    /// Configuration.
    pub config: String,
    /// Testbench.
    pub testbench: String,
}

/// One bin that was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// How often.
    pub count: u64,
    /// A run that reaches it: of few straps and a small seed.
    pub run: Run,
}

/// The coverage of a number of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    format: String,
    /// Runs that passed and are counted.
    pub runs: u64,
    /// Simulated cycles of these.
    pub cycles: u64,
    /// Every bin reached, by name.
    pub bins: BTreeMap<String, Reached>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            format: FORMAT.to_owned(),
            runs: 0,
            cycles: 0,
            bins: BTreeMap::new(),
        }
    }
}

/// Why a coverage file cannot be used. The message says which, why, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be read or written.
    #[error("cannot {what} coverage file {path}: {error}")]
    Io {
        /// Read or write.
        what: &'static str,
        /// The file.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// It holds something else.
    #[error("{path} is no coverage file: {why}; `mmu-cosim run ... --coverage FILE` writes one")]
    Format {
        /// The file.
        path: String,
        /// What is wrong, and in which line.
        why: String,
    },
}

impl Record {
    /// The coverage of one run, which took `cycles`.
    #[must_use]
    pub fn of_run(hits: &Hits, run: &Run, cycles: u64) -> Self {
        // A combination that is no bin and came all the same is kept too, for the report.
        let bins = combinations().filter_map(|bin| {
            let count = hits.of(&bin);
            let run = run.clone();
            (count > 0).then_some((bin.name, Reached { count, run }))
        });
        Self {
            runs: 1,
            cycles,
            bins: bins.collect(),
            ..Self::default()
        }
    }

    /// Adds what `other` reached.
    pub fn merge(&mut self, other: &Self) {
        self.runs = self.runs.saturating_add(other.runs);
        self.cycles = self.cycles.saturating_add(other.cycles);
        for (name, more) in &other.bins {
            match self.bins.get_mut(name) {
                None => {
                    self.bins.insert(name.clone(), more.clone());
                }
                Some(reached) => {
                    reached.count = reached.count.saturating_add(more.count);
                    if more.run < reached.run {
                        reached.run = more.run.clone();
                    }
                }
            }
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`RecordError`], if it cannot be read or is no coverage file.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let text = std::fs::read_to_string(path).map_err(|error| failed("read", path, error))?;
        let wrong = |why: String| RecordError::Format {
            path: path.display().to_string(),
            why,
        };
        let record: Self = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if record.format != FORMAT {
            let why = format!("its format is `{}`, not `{FORMAT}`", record.format);
            return Err(wrong(why));
        }
        Ok(record)
    }

    /// Writes a file, in place of what was there, at once or not at all.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), RecordError> {
        let io = |error| failed("write", path, error);
        let mut beside = path.as_os_str().to_owned();
        beside.push(".part");
        let mut text = serde_json::to_string_pretty(self).map_err(|error| io(error.into()))?;
        text.push('\n');
        let mut file = std::fs::File::create(&beside).map_err(io)?;
        file.write_all(text.as_bytes()).map_err(io)?;
        std::fs::rename(&beside, path).map_err(io)
    }
}

fn failed(what: &'static str, path: &Path, error: std::io::Error) -> RecordError {
    RecordError::Io {
        what,
        path: path.display().to_string(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run() -> impl Strategy<Value = Run> {
        let straps = proptest::collection::vec("[ab]=[01]", 0..2);
        (straps, 0..3u64, "tiny|planted", "[ab]").prop_map(|(straps, seed, config, testbench)| {
            Run {
                straps,
                seed,
                config,
                testbench,
            }
        })
    }

    fn record() -> impl Strategy<Value = Record> {
        let count = prop_oneof![1..9u64, Just(u64::MAX)];
        let reached = (count, run()).prop_map(|(count, run)| Reached { count, run });
        let bins = proptest::collection::btree_map("[a-d]", reached, 0..4);
        (0..5u64, 0..9u64, bins).prop_map(|(runs, cycles, bins)| Record {
            runs,
            cycles,
            bins,
            ..Record::default()
        })
    }

    fn merged(records: &[&Record]) -> Record {
        let mut all = Record::default();
        records.iter().for_each(|record| all.merge(record));
        all
    }

    proptest! {
        #[test]
        fn merging_is_commutative(a in record(), b in record()) {
            prop_assert_eq!(merged(&[&a, &b]), merged(&[&b, &a]));
        }

        #[test]
        fn merging_is_associative(a in record(), b in record(), c in record()) {
            let (left, right) = (merged(&[&a, &b]), merged(&[&b, &c]));
            prop_assert_eq!(merged(&[&left, &c]), merged(&[&a, &right]));
        }

        #[test]
        fn merging_loses_no_bin(a in record(), b in record()) {
            let both = merged(&[&a, &b]);
            for (name, reached) in a.bins.iter().chain(&b.bins) {
                prop_assert!(both.bins[name].count >= reached.count);
                prop_assert!(both.bins[name].run <= reached.run);
            }
            prop_assert_eq!(merged(&[&a]), a);
        }

        #[test]
        fn a_record_survives_its_file(a in record()) {
            let text = serde_json::to_string(&a).unwrap();
            prop_assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), a);
        }
    }
}
