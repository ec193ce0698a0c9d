// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Reads a whole tree and checks it against what the kernel remembers of it.

use super::descend::is_table;
use super::{MmError, PageTable, TablePage};
use crate::cpu::Cpu;
use std::collections::BTreeSet;
use thiserror::Error;
use vmsa::geometry;

/// What a sound tree consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Table pages, the root among them.
    pub tables: u64,
    /// Valid leaf descriptors.
    pub leaves: u64,
    /// Bytes that they map.
    pub bytes: u64,
}

/// What an audit found wrong.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AuditError {
    /// A table entry leads to a frame that is no table page for that place.
    #[error(
        "entry {index} of the level {level} table at {table:#x} leads to {next:#x}, which is no table page of that place"
    )]
    StrayTable {
        /// Table that holds the entry.
        table: u64,
        /// Level of that table.
        level: u8,
        /// Index of the entry.
        index: u64,
        /// Where it leads.
        next: u64,
    },
    /// A table page that no entry leads to.
    #[error("table page {table:#x} is not linked")]
    Unlinked {
        /// Table page.
        table: u64,
    },
    /// A table below the root without a valid entry.
    #[error("table page {table:#x} is empty")]
    Empty {
        /// Table page.
        table: u64,
    },
    /// The number of valid entries is not what the kernel counted.
    #[error("table page {table:#x} has {found} valid entries, {counted} were counted")]
    Count {
        /// Table page.
        table: u64,
        /// Valid entries read.
        found: u64,
        /// Valid entries counted.
        counted: u64,
    },
    /// A valid entry where the format has no such leaf.
    #[error("entry {index} of the level {level} table at {table:#x} is a block that cannot be")]
    NoSuchLeaf {
        /// Table that holds the entry.
        table: u64,
        /// Level of that table.
        level: u8,
        /// Index of the entry.
        index: u64,
    },
    /// The tables could not be read.
    #[error(transparent)]
    Access(#[from] MmError),
}

impl PageTable {
    /// Reads every entry of every table page and checks that the tree is whole: each page linked
    /// exactly once at its place, none empty, counts right.
    ///
    /// # Errors
    /// The first thing wrong.
    pub async fn audit(&self, cpu: &impl Cpu) -> Result<Audit, AuditError> {
        let pages: Vec<(u64, TablePage)> = {
            let pages = self.pages.borrow();
            pages.iter().map(|(&pa, &page)| (pa, page)).collect()
        };
        let mut audit = Audit::default();
        let mut linked = BTreeSet::from([self.root]);
        for (table, page) in pages {
            audit.tables += 1;
            let found = self
                .audit_page(cpu, table, page, &mut audit, &mut linked)
                .await?;
            if found != page.live {
                return Err(AuditError::Count {
                    table,
                    found,
                    counted: page.live,
                });
            }
            if found == 0 && table != self.root {
                return Err(AuditError::Empty { table });
            }
        }
        match self.table_pages().into_iter().find(|t| !linked.contains(t)) {
            Some(table) => Err(AuditError::Unlinked { table }),
            None => Ok(audit),
        }
    }

    async fn audit_page(
        &self,
        cpu: &impl Cpu,
        table: u64,
        page: TablePage,
        audit: &mut Audit,
        linked: &mut BTreeSet<u64>,
    ) -> Result<u64, AuditError> {
        let TablePage { level, offset, .. } = page;
        let granule = self.format.granule;
        let bytes = self.level_bytes(level);
        let entries = granule.entries().min(self.span().div_ceil(bytes));
        let mut found = 0;
        for index in 0..entries {
            let at = offset + index * bytes;
            let entry = self.read(cpu, self.slot(table, level, at)?).await?;
            if !entry.valid() {
                continue;
            }
            found += 1;
            if is_table(entry, level) {
                let next = entry.next_table(granule);
                let fits = self
                    .pages
                    .borrow()
                    .get(&next)
                    .is_some_and(|p| p.level == level + 1 && p.offset == at);
                if !fits || !linked.insert(next) {
                    return Err(AuditError::StrayTable {
                        table,
                        level,
                        index,
                        next,
                    });
                }
            } else if geometry::leaf_allowed(granule, level) && (level < 3 || entry.is_table_bit())
            {
                audit.leaves += 1;
                audit.bytes += bytes;
            } else {
                return Err(AuditError::NoSuchLeaf {
                    table,
                    level,
                    index,
                });
            }
        }
        Ok(found)
    }
}
