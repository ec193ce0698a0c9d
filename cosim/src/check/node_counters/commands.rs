// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What the commands on the bus of a memory channel come to.

use std::ops::AddAssign;

use crate::dut::ports::{DramCommand, DramCommandKind};

/// Commands by what a node counts of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Commands {
    /// READs and WRITEs of a row opened for an earlier one.
    pub hits: u64,
    /// The first READ or WRITE of each row that was opened.
    pub firsts: u64,
    /// ACTIVATEs.
    pub activates: u64,
    /// REFRESHes.
    pub refreshes: u64,
    /// Changes between READs and WRITEs; a channel begins with READs.
    pub turnarounds: u64,
}

impl AddAssign for Commands {
    fn add_assign(&mut self, other: Self) {
        self.hits += other.hits;
        self.firsts += other.firsts;
        self.activates += other.activates;
        self.refreshes += other.refreshes;
        self.turnarounds += other.turnarounds;
    }
}

/// One channel.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChannelSeen {
    /// What came so far.
    pub commands: Commands,
    /// Banks whose row nothing was read from or written to since it was opened: a word a rank, a bit
    /// for each of up to 8 groups of 8 banks. More ranks than 4 share a word.
    fresh: [u64; 4],
    writing: bool,
}

impl ChannelSeen {
    /// Follows a command.
    pub fn command(&mut self, command: &DramCommand) {
        let fresh = &mut self.fresh[usize::from(command.rank) % 4];
        let bank = 1 << ((command.group & 7) << 3 | command.bank & 7);
        let counts = &mut self.commands;
        match command.kind {
            DramCommandKind::Activate => {
                counts.activates += 1;
                *fresh |= bank;
            }
            DramCommandKind::Refresh => counts.refreshes += 1,
            DramCommandKind::Read | DramCommandKind::Write => {
                match *fresh & bank {
                    0 => counts.hits += 1,
                    _ => counts.firsts += 1,
                }
                *fresh &= !bank;
                let writes = command.kind == DramCommandKind::Write;
                counts.turnarounds += u64::from(writes != self.writing);
                self.writing = writes;
            }
            DramCommandKind::Precharge | DramCommandKind::PrechargeAll => {}
        }
    }
}
