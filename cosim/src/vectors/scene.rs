// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One scene: registers, tables, and queries with the answers of the reference.

use std::fmt;

use vmsa::{El, Fsc};

use crate::arch::{Access, AccessKind, Registers};

/// Consecutive 64-bit words of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Physical byte address of the first word, a multiple of 8.
    pub address: u64,
    /// The words.
    pub words: Vec<u64>,
}

impl Run {
    /// Address and value of each word.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.words
            .iter()
            .zip(0u64..)
            .map(|(&word, i)| (self.address + 8 * i, word))
    }
}

/// What a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueryOp {
    /// `r`.
    Read,
    /// `w`.
    Write,
    /// `x`.
    Execute,
}

impl QueryOp {
    /// The kind of access.
    #[must_use]
    pub const fn kind(self) -> AccessKind {
        match self {
            QueryOp::Read => AccessKind::Read,
            QueryOp::Write => AccessKind::Write,
            QueryOp::Execute => AccessKind::Execute,
        }
    }

    /// Letter in files and on the command line.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            QueryOp::Read => 'r',
            QueryOp::Write => 'w',
            QueryOp::Execute => 'x',
        }
    }

    /// Operation of that letter.
    #[must_use]
    pub fn from_letter(letter: &str) -> Option<Self> {
        match letter {
            "r" => Some(QueryOp::Read),
            "w" => Some(QueryOp::Write),
            "x" => Some(QueryOp::Execute),
            _ => None,
        }
    }
}

/// An answer to a query, expected or given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Success.
    Translated {
        /// Output address, page offset included.
        pa: u64,
        /// Attribute byte as PAR_EL1.ATTR.
        attr: u8,
        /// Shareability as PAR_EL1.SH.
        sh: u8,
    },
    /// Fault with this status.
    Fault(Fsc),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Translated { pa, attr, sh } => {
                write!(f, "PA {pa:#x}, attributes {attr:#04x}, SH {sh}")
            }
            Answer::Fault(fsc) => write!(f, "{fsc}"),
        }
    }
}

/// One query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Address as issued.
    pub va: u64,
    /// Privilege.
    pub el: El,
    /// Operation.
    pub op: QueryOp,
    /// Answer of the reference.
    pub expected: Answer,
}

impl Query {
    /// The access that the reference made: a real one in scenes with hardware updates, else AT for
    /// reads and writes.
    #[must_use]
    pub const fn access(&self, scene: &Scene) -> Access {
        let access = Access::new(self.op.kind(), self.el, self.va);
        match self.op {
            QueryOp::Execute => access,
            _ if scene.real_accesses() => access,
            _ => access.as_at(),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:#018x}", self.el, self.op.letter(), self.va)
    }
}

/// One scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scene {
    /// Name.
    pub name: String,
    /// Line in its file, from 1.
    pub line: usize,
    /// System registers.
    pub registers: Registers,
    /// Memory before the first query; zero elsewhere.
    pub memory: Vec<Run>,
    /// Queries, in the order in which they run.
    pub queries: Vec<Query>,
    /// Memory after the last query, where the reference recorded it.
    pub after: Option<Vec<Run>>,
}

impl Scene {
    /// Whether reads and writes are loads and stores, which may change descriptors, instead of AT:
    /// scenes that record the memory afterwards.
    #[must_use]
    pub const fn real_accesses(&self) -> bool {
        self.after.is_some()
    }
}
