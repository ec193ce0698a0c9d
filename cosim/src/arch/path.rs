// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The table values that an explored walk went through.

use super::history::Span;
use super::invalidation::Held;
use super::permission::Limits;

/// Table values on the way to a descriptor, upper levels first.
#[derive(Clone, Copy, Default)]
pub struct Path {
    /// Entry and span of each, by level.
    pub tables: [Option<(Held, Span)>; 3],
    /// Their limits together.
    pub limits: Limits,
}

impl Path {
    /// The path with one table value more.
    #[must_use]
    pub fn through(mut self, level: u8, held: Held, span: Span, limits: Limits) -> Self {
        if let Some(slot) = self.tables.get_mut(usize::from(level)) {
            *slot = Some((held, span));
        }
        Self { limits, ..self }
    }

    /// Whether it goes through no table.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(Option::is_none)
    }

    /// Whether the tables may have been read one after the other at all.
    #[must_use]
    pub fn in_order(&self) -> bool {
        let mut tau = 0;
        self.tables.iter().flatten().all(|(_, span)| {
            tau = tau.max(span.begin);
            tau < span.end
        })
    }
}
