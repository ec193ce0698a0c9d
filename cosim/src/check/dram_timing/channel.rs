// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! One channel as its commands describe it, and the rules that each command has to keep.

use super::clocks::Clocks;
use crate::dut::ports::{DramCommand, DramCommandKind};

/// Ranks of a channel, bank groups of a rank, banks of a group (section 4.2).
const RANKS: usize = 2;
const GROUPS: usize = 4;
const BANKS: usize = 4;

/// Refreshes of a rank that may be postponed (MEM-08).
const POSTPONED: u64 = 8;

/// A rule that a command broke.
#[derive(Debug, Clone, Copy)]
pub(super) struct Breach {
    pub requirement: &'static str,
    pub rule: &'static str,
    /// Cycle from which on the command would have kept the rule.
    pub earliest: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bank {
    open: Option<u64>,
    activated: Option<u64>,
    precharged: Option<u64>,
    read: Option<u64>,
    /// End of the data of the last write.
    written: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Group {
    banks: [Bank; BANKS],
    activated: Option<u64>,
    column: Option<u64>,
    written: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Rank {
    groups: [Group; GROUPS],
    /// The last four ACTIVATEs, the oldest at `oldest`.
    activated: [Option<u64>; 4],
    oldest: usize,
    written: Option<u64>,
    refreshed: Option<u64>,
    refreshes: u64,
}

/// What has happened on a channel.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Channel {
    ranks: [Rank; RANKS],
    column: Option<u64>,
    /// End of the last data on the bus.
    data_end: u64,
}

/// Whoever is told of breaches, at one cycle.
struct Judge<'a, R> {
    now: u64,
    report: &'a mut R,
}

impl<R: FnMut(Breach)> Judge<'_, R> {
    /// The command has to come at least `clocks` after `since`, if that ever was.
    fn after(&mut self, since: Option<u64>, clocks: u64, rule: &'static str) {
        if let Some(since) = since {
            self.from(since + clocks, rule);
        }
    }

    /// The command has to come at `earliest` or later.
    fn from(&mut self, earliest: u64, rule: &'static str) {
        if self.now < earliest {
            (self.report)(Breach {
                requirement: "MEM-01",
                rule,
                earliest: Some(earliest),
            });
        }
    }

    /// The state of a bank forbids the command unless `holds`.
    fn state(&mut self, holds: bool, requirement: &'static str, rule: &'static str) {
        if !holds {
            (self.report)(Breach {
                requirement,
                rule,
                earliest: None,
            });
        }
    }

    fn precharge(&mut self, bank: &mut Bank, clocks: &Clocks) {
        if bank.open.take().is_some() {
            self.after(bank.activated, clocks.ras, "tRAS");
            self.after(bank.read, clocks.rtp, "tRTP");
            self.after(bank.written, clocks.wr, "tWR");
            bank.precharged = Some(self.now);
        }
    }
}

impl Channel {
    /// The rank whose next REFRESH is due first, and the first cycle without it that is too late.
    pub(super) fn refresh_deadline(&self, clocks: &Clocks) -> (usize, u64) {
        let (rank, state) = match self.ranks[0].refreshes <= self.ranks[1].refreshes {
            true => (0, &self.ranks[0]),
            false => (1, &self.ranks[1]),
        };
        // One is due at the end of each interval, and the ninth may not be owing as well.
        let intervals = state.refreshes + POSTPONED + 1;
        (rank, intervals.saturating_mul(clocks.refi.max(1)))
    }

    pub(super) fn forgive_refresh(&mut self, rank: usize) {
        self.ranks[rank].refreshes += 1;
    }

    /// Judges `command` at cycle `now`, then takes its effect.
    pub(super) fn command(
        &mut self,
        now: u64,
        command: &DramCommand,
        clocks: &Clocks,
        report: &mut impl FnMut(Breach),
    ) {
        let mut judge = Judge { now, report };
        let (group, bank) = (usize::from(command.group), usize::from(command.bank));
        let Some(rank) = self.ranks.get_mut(usize::from(command.rank)) else {
            return judge.state(false, "MEM-01", "there is no such rank");
        };
        if group >= GROUPS || bank >= BANKS {
            return judge.state(false, "MEM-01", "there is no such bank");
        }
        judge.after(rank.refreshed, clocks.rfc, "tRFC");
        match command.kind {
            DramCommandKind::Activate => {
                judge.after(rank.activated[rank.oldest], clocks.faw, "tFAW");
                let last = rank.activated[(rank.oldest + 3) % 4];
                judge.after(last, clocks.rrd_s, "tRRD_S");
                rank.activated[rank.oldest] = Some(now);
                rank.oldest = (rank.oldest + 1) % 4;
                let group = &mut rank.groups[group];
                judge.after(group.activated, clocks.rrd_l, "tRRD_L");
                group.activated = Some(now);
                let bank = &mut group.banks[bank];
                judge.state(bank.open.is_none(), "MEM-02", "its bank is open");
                judge.after(bank.precharged, clocks.rp, "tRP");
                judge.after(bank.activated, clocks.rc, "tRC");
                bank.activated = Some(now);
                bank.open = Some(command.row);
            }
            DramCommandKind::Read | DramCommandKind::Write => {
                let read = command.kind == DramCommandKind::Read;
                let start = now + if read { clocks.cl } else { clocks.cwl };
                let end = start + clocks.burst;
                judge.after(self.column, clocks.ccd_s, "tCCD_S");
                self.column = Some(now);
                let wait = self.data_end.saturating_sub(start);
                judge.from(now + wait, "its data meet others on the bus");
                self.data_end = self.data_end.max(end);
                let in_rank = rank.written;
                let group = &mut rank.groups[group];
                judge.after(group.column, clocks.ccd_l, "tCCD_L");
                group.column = Some(now);
                if read {
                    judge.after(in_rank, clocks.wtr_s, "tWTR_S");
                    judge.after(group.written, clocks.wtr_l, "tWTR_L");
                } else {
                    group.written = Some(end);
                    rank.written = Some(end);
                }
                let bank = &mut group.banks[bank];
                judge.state(
                    bank.open == Some(command.row),
                    "MEM-02",
                    "its row is not open",
                );
                judge.after(bank.activated, clocks.rcd, "tRCD");
                match read {
                    true => bank.read = Some(now),
                    false => bank.written = Some(end),
                }
            }
            DramCommandKind::Precharge => {
                judge.precharge(&mut rank.groups[group].banks[bank], clocks);
            }
            DramCommandKind::PrechargeAll => {
                for bank in rank.groups.iter_mut().flat_map(|group| &mut group.banks) {
                    judge.precharge(bank, clocks);
                }
            }
            DramCommandKind::Refresh => {
                for bank in rank.groups.iter().flat_map(|group| &group.banks) {
                    judge.state(bank.open.is_none(), "MEM-01", "a row of its rank is open");
                    judge.after(bank.precharged, clocks.rp, "tRP");
                }
                rank.refreshed = Some(now);
                rank.refreshes += 1;
            }
        }
    }
}
