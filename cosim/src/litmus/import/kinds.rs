// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Lists of published verdicts: a name and `Allowed`, `Forbidden` or `Required` a line.

use std::collections::BTreeMap;

/// Verdicts by the name of the test: `A`, `F` or `R`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds(BTreeMap<String, char>);

/// A line that is not a name and a verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `{text}` is not a name and Allowed, Forbidden or Required")]
pub struct KindsError {
    /// Line, from 1.
    pub line: usize,
    /// What stands there.
    pub text: String,
}

impl Kinds {
    /// Reads a list, and gives the lines beside that have no verdict: a published list has some.
    /// Empty lines and those that begin with `#` are left out; what follows the verdict on a line
    /// too.
    #[must_use]
    pub fn read(text: &str) -> (Self, Vec<KindsError>) {
        let mut kinds = BTreeMap::new();
        let mut wrong = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            let mut words = line.split_whitespace();
            let (name, verdict) = (words.next().unwrap_or_default(), words.next());
            let letter = match verdict {
                Some("Allowed" | "Allow") => 'A',
                Some("Forbidden" | "Forbid") => 'F',
                Some("Required" | "Require") => 'R',
                _ => {
                    wrong.push(KindsError {
                        line: number + 1,
                        text: line.trim().to_owned(),
                    });
                    continue;
                }
            };
            kinds.insert(name.to_owned(), letter);
        }
        (Self(kinds), wrong)
    }

    /// The verdict of the test `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<char> {
        self.0.get(name).copied()
    }
}
