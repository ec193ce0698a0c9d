// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Commands on the bus of a memory channel: `command_obs_t` of `rtl/pkg/socket_pkg.sv`, typed.

use std::fmt;

/// Kind of a command (`dram_command_e`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DramCommandKind {
    /// Opens a row of a bank.
    Activate,
    /// Reads a line of the open row.
    Read,
    /// Writes a line of the open row.
    Write,
    /// Closes the open row of a bank.
    Precharge,
    /// Closes the open rows of all banks of a rank.
    PrechargeAll,
    /// Refreshes a rank.
    Refresh,
}

impl fmt::Display for DramCommandKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Activate => "ACTIVATE",
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::Precharge => "PRECHARGE",
            Self::PrechargeAll => "PRECHARGE ALL",
            Self::Refresh => "REFRESH",
        })
    }
}

/// A command. Fields without a meaning for its kind are of no interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DramCommand {
    /// What it does.
    pub kind: DramCommandKind,
    /// Rank of the channel.
    pub rank: u8,
    /// Bank group of the rank.
    pub group: u8,
    /// Bank of the group.
    pub bank: u8,
    /// Row opened, read or written.
    pub row: u64,
    /// Line of the row that is read or written.
    pub column: u8,
}

impl DramCommand {
    /// Reads the lane word; `None` if the lane carries no command.
    #[must_use]
    pub fn decode(word: u64) -> Option<Self> {
        if word & 1 == 0 {
            return None;
        }
        let kind = match word >> 1 & 7 {
            0 => DramCommandKind::Activate,
            1 => DramCommandKind::Precharge,
            2 => DramCommandKind::PrechargeAll,
            3 => DramCommandKind::Read,
            4 => DramCommandKind::Write,
            5 => DramCommandKind::Refresh,
            _ => return None,
        };
        Some(Self {
            kind,
            rank: (word >> 16 & 0xf) as u8,
            group: (word >> 12 & 0xf) as u8,
            bank: (word >> 8 & 0xf) as u8,
            row: word >> 20 & ((1 << 36) - 1),
            column: (word >> 56) as u8,
        })
    }
}

impl fmt::Display for DramCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            rank,
            group,
            bank,
            row,
            column,
        } = self;
        write!(f, "{kind} rank {rank}")?;
        if matches!(
            kind,
            DramCommandKind::PrechargeAll | DramCommandKind::Refresh
        ) {
            return Ok(());
        }
        write!(f, " bank {group}.{bank}")?;
        match kind {
            DramCommandKind::Activate => write!(f, " row {row:#x}"),
            DramCommandKind::Read | DramCommandKind::Write => {
                write!(f, " row {row:#x} line {column}")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_stands_at_its_place() {
        let word = 0xa << 56 | 0x8_1234_5678 << 20 | 1 << 16 | 3 << 12 | 2 << 8 | 4 << 1;
        assert_eq!(DramCommand::decode(word), None);
        let command = DramCommand::decode(word | 1).expect("it is valid");
        let expected = DramCommand {
            kind: DramCommandKind::Write,
            rank: 1,
            group: 3,
            bank: 2,
            row: 0x8_1234_5678,
            column: 0xa,
        };
        assert_eq!(command, expected);
        assert_eq!(
            command.to_string(),
            "WRITE rank 1 bank 3.2 row 0x812345678 line 10"
        );
    }
}
