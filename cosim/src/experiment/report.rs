// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What an experiment comes to: tables, charts, checks, and figures for machines.

use std::fmt;

use serde_json::{Map, Value, json};

use super::{Chart, Parameters};

/// The outcome of an experiment.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How it was measured, a paragraph each.
    pub notes: Vec<String>,
    /// For people, and as CSV.
    pub tables: Vec<Table>,
    /// As SVG.
    pub charts: Vec<Chart>,
    /// What has to hold.
    pub checks: Vec<Check>,
    /// Keys of the JSON object, under names of the experiment's own.
    pub figures: Map<String, Value>,
    /// Ctrl-C came first: this is what had been measured by then.
    pub interrupted: bool,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Heads of the columns, with units.
    pub columns: Vec<String>,
    /// The first that many columns say what a row is about; the others are values.
    pub keys: usize,
    /// Cells, row by row.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows, whose first `keys` columns say what a row is about.
    #[must_use]
    pub fn new(title: &str, keys: usize, columns: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            columns: columns.iter().map(|&head| head.to_owned()).collect(),
            keys,
            rows: Vec::new(),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        table.set_header(&self.columns);
        table.add_rows(&self.rows);
        // Numbers stand under each other, sentences do not.
        for (index, column) in table.column_iter_mut().enumerate() {
            let number = |row: &Vec<String>| row.get(index).is_none_or(|cell| is_number(cell));
            if index >= self.keys && self.rows.iter().all(number) {
                column.set_cell_alignment(comfy_table::CellAlignment::Right);
            }
        }
        write!(f, "{}\n{table}", self.title)
    }
}

fn is_number(cell: &str) -> bool {
    cell == "-" || cell.parse::<f64>().is_ok()
}

/// Something that has to hold of what was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The requirement.
    pub requirement: &'static str,
    /// Whether it holds.
    pub pass: bool,
    /// What was compared, and how it came out.
    pub text: String,
}

impl Report {
    /// Whether all was measured and every check holds. A report without checks has nothing to fail.
    #[must_use]
    pub fn pass(&self) -> bool {
        !self.interrupted && self.checks.iter().all(|check| check.pass)
    }

    /// All of it as one object, with what it is a function of.
    #[must_use]
    pub fn json(&self, experiment: &str, parameters: &Parameters) -> Value {
        let checks: Vec<Value> = self
            .checks
            .iter()
            .map(|check| {
                json!({"requirement": check.requirement, "pass": check.pass, "text": check.text})
            })
            .collect();
        let mut whole = json!({
            "pass": self.pass(), "experiment": experiment, "config": parameters.config,
            "memory": parameters.memory.to_string(), "seed": parameters.seed,
            "quick": parameters.quick, "interrupted": self.interrupted, "checks": checks,
        });
        for (key, value) in &self.figures {
            whole[key] = value.clone();
        }
        whole
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "{note}\n")?;
        }
        for table in &self.tables {
            writeln!(f, "{table}\n")?;
        }
        for check in &self.checks {
            let word = if check.pass { "pass" } else { "FAIL" };
            writeln!(f, "{word}  {}  {}", check.requirement, check.text)?;
        }
        if self.interrupted {
            writeln!(f, "interrupted: this is what had been measured by then")?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::dut::memory::MemorySystem;

    pub(crate) fn table() -> Table {
        Table {
            rows: vec![
                vec!["node 0".to_owned(), "90.0".to_owned(), "153.5".to_owned()],
                vec![
                    "node 1, \"far\"".to_owned(),
                    "7.0".to_owned(),
                    "-".to_owned(),
                ],
            ],
            ..Table::new("latency", 1, &["from", "to 0 (ns)", "to 1 (ns)"])
        }
    }

    fn report(pass: bool) -> Report {
        Report {
            tables: vec![table()],
            checks: vec![Check {
                requirement: "NOC-01",
                pass,
                text: "so it is".to_owned(),
            }],
            figures: [("matrix_ns".to_owned(), json!([[90.0]]))]
                .into_iter()
                .collect(),
            ..Report::default()
        }
    }

    #[test]
    fn numbers_stand_under_each_other() {
        let text = table().to_string();
        let end = |number: &str| {
            let line = text.lines().find(|line| line.contains(number)).unwrap();
            line.split_at(line.find(number).unwrap()).0.chars().count() + number.len()
        };
        assert_eq!(end("90.0"), end("7.0"), "{text}");
    }

    #[test]
    fn a_check_that_does_not_hold_or_an_interrupt_fails_the_report() {
        assert!(report(true).pass());
        let failed = report(false);
        assert!(!failed.pass());
        assert!(failed.to_string().contains("FAIL  NOC-01"));
        let interrupted = Report {
            interrupted: true,
            ..report(true)
        };
        assert!(!interrupted.pass());
        assert!(interrupted.to_string().contains("interrupted"));
    }

    #[test]
    fn the_object_holds_parameters_checks_and_figures() {
        let parameters = Parameters {
            config: "numa".to_owned(),
            memory: MemorySystem::Ddr5,
            seed: 7,
            quick: true,
        };
        let whole = report(true).json("memory-latency", &parameters);
        assert_eq!(whole["pass"], true);
        assert_eq!(whole["seed"], 7);
        assert_eq!(whole["memory"], "ddr5");
        assert_eq!(whole["matrix_ns"][0][0], 90.0);
        assert_eq!(whole["checks"][0]["requirement"], "NOC-01");
    }
}
