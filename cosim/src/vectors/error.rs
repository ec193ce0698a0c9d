// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What can be wrong with a vector file, said so that the reader can mend it.

use std::path::{Path, PathBuf};

/// A vector file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VectorError {
    /// The file cannot be opened, read or unpacked.
    #[error("{}: {source}{}", path.display(), hint(source))]
    Unreadable {
        /// File as named by the user.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is not a scene.
    #[error("{}:{line}: {field}: {problem}; {mend}", path.display())]
    Malformed {
        /// File as named by the user.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Field, such as `queries[3].va`.
        field: String,
        /// What is wrong.
        problem: String,
        /// How to mend it.
        mend: String,
    },
}

fn hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::NotFound => "; check the name, relative to the current directory",
        std::io::ErrorKind::UnexpectedEof => "; the gzip data ends early, fetch the file again",
        std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput => {
            "; expected JSON lines as UTF-8 text, plain or gzip"
        }
        _ => "",
    }
}

/// A defect of one field, before file and line are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// Field, such as `queries[3].va`.
    pub field: String,
    /// What is wrong.
    pub problem: String,
    /// How to mend it.
    pub mend: String,
}

impl Defect {
    /// A defect of `field`.
    pub fn new(
        field: impl Into<String>,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
            mend: mend.into(),
        }
    }

    /// The error that names the place.
    #[must_use]
    pub fn at(self, path: &Path, line: usize) -> VectorError {
        let Self {
            field,
            problem,
            mend,
        } = self;
        VectorError::Malformed {
            path: path.to_owned(),
            line,
            field,
            problem,
            mend,
        }
    }
}
