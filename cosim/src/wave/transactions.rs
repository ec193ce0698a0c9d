// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The transaction file: a VCD whose signals are accesses, answers, walk steps, TLB changes,
//! invalidations, commits, and what the OS is in the middle of.

use std::io::{self, Write};
use std::ops::RangeInclusive;

use sw_mm::{OsEvent, Phase};
use vcd::{SimulationCommand, TimescaleUnit, Writer};

use super::core_lanes::{CoreLanes, describe};
use super::lane::{Bits, Lane};
use super::os_lanes::numbers;
use super::time_of;
use crate::check::{Violation, Violations};
use crate::sim::event::{Event, EventKind, Monitor};
use crate::sim::{Activities, Memory};

/// Writes a simulation's transactions to a VCD file as they happen.
pub struct TransactionWriter<W: Write> {
    out: Writer<W>,
    window: RangeInclusive<u64>,
    cores: Vec<CoreLanes>,
    commit: Lane,
    /// Valid bits that are high since cycle `raised_at`.
    raised: Vec<Bits>,
    raised_at: u64,
    stamped: u64,
    /// What the OS is in, followed from the first cycle on.
    activities: Activities,
    /// Whether the window has begun.
    opened: bool,
    failure: Option<io::Error>,
}

impl<W: Write> TransactionWriter<W> {
    /// Starts a file for hardware with `cores` cores that holds the cycles of `window`, or all.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn new(out: W, cores: u8, window: Option<RangeInclusive<u64>>) -> io::Result<Self> {
        let mut out = Writer::new(out);
        out.comment("mmu-cosim transactions; time = 10 ns a cycle, as in the RTL waveform")?;
        out.timescale(1, TimescaleUnit::NS)?;
        out.add_module("transactions")?;
        let cores = (0..cores)
            .map(|core| CoreLanes::declare(&mut out, core))
            .collect::<io::Result<Vec<_>>>()?;
        let commit = Lane::declare(
            &mut out,
            "commit",
            &[
                ("kind", 2),
                ("source", 8),
                ("address", 52),
                ("before", 64),
                ("after", 64),
            ],
        )?;
        out.upscope()?;
        out.enddefinitions()?;
        let window = window.unwrap_or(0..=u64::MAX);
        let begin = time_of(*window.start());
        out.timestamp(begin)?;
        out.begin(SimulationCommand::Dumpvars)?;
        for lane in cores.iter().flat_map(CoreLanes::all).chain([&commit]) {
            lane.clear(&mut out)?;
        }
        out.end()?;
        Ok(Self {
            out,
            window,
            cores,
            commit,
            raised: Vec::new(),
            raised_at: 0,
            stamped: begin,
            activities: Activities::default(),
            opened: false,
            failure: None,
        })
    }

    /// Shows what the OS was in when the window begins.
    fn open(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.opened, true) {
            return Ok(());
        }
        let begin = *self.window.start();
        for running in self.activities.all() {
            let Some(lanes) = self.cores.get_mut(usize::from(running.begun.core)) else {
                continue;
            };
            if let Some((time, lane)) = lanes.os.place(running, begin, self.stamped) {
                stamp(&mut self.out, &mut self.stamped, time)?;
                let text = running.begun.to_string();
                lane.set(&mut self.out, &text, &numbers(&running.begun, 0))?;
            }
        }
        Ok(())
    }

    /// Follows the OS, and shows it if `shown`.
    fn write_os(&mut self, cycle: u64, event: &OsEvent, shown: bool) -> io::Result<()> {
        let running = self.activities.follow(cycle, event);
        let Some(lanes) = self
            .cores
            .get_mut(usize::from(event.core))
            .filter(|_| shown)
        else {
            return Ok(());
        };
        if event.phase == Phase::Instant {
            let (time, lane, count) = lanes.os.instant(cycle, self.stamped);
            stamp(&mut self.out, &mut self.stamped, time)?;
            lane.set(&mut self.out, &event.to_string(), &numbers(event, count))?;
            self.raised.push(lane.valid);
            return Ok(());
        }
        let placed = running.and_then(|running| lanes.os.place(&running, cycle, self.stamped));
        let Some((time, lane)) = placed else {
            return Ok(());
        };
        stamp(&mut self.out, &mut self.stamped, time)?;
        match event.phase {
            Phase::Begin => lane.set(&mut self.out, &event.to_string(), &numbers(event, 0)),
            _ => lane.clear(&mut self.out),
        }
    }

    /// Lets the valid bits of an earlier cycle fall before `cycle` begins.
    fn advance(&mut self, cycle: u64) -> io::Result<()> {
        if self.raised_at != cycle {
            lower(
                &mut self.out,
                &mut self.stamped,
                self.raised_at,
                &mut self.raised,
            )?;
            self.raised_at = cycle;
        }
        Ok(())
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        let shown = self.window.contains(&event.cycle);
        if event.cycle >= *self.window.start() {
            self.open()?;
        }
        if shown {
            self.advance(event.cycle)?;
        }
        if let EventKind::Os(told) = &event.kind {
            return self.write_os(event.cycle, told, shown);
        }
        if !shown {
            return Ok(());
        }
        let Some((lane, text, values)) = describe(&self.cores, &self.commit, event) else {
            return Ok(());
        };
        stamp(&mut self.out, &mut self.stamped, time_of(event.cycle))?;
        lane.set(&mut self.out, &text, &values)?;
        self.raised.push(lane.valid);
        Ok(())
    }

    fn close(&mut self, cycle: u64) -> io::Result<()> {
        if cycle >= *self.window.start() {
            self.open()?;
        }
        lower(
            &mut self.out,
            &mut self.stamped,
            self.raised_at,
            &mut self.raised,
        )?;
        let end = time_of(cycle.min(*self.window.end()));
        if end > self.stamped {
            stamp(&mut self.out, &mut self.stamped, end)?;
        }
        self.out.flush()
    }
}

/// Lets the valid bits raised at cycle `raised_at` fall at its end.
fn lower<W: Write>(
    out: &mut Writer<W>,
    stamped: &mut u64,
    raised_at: u64,
    raised: &mut Vec<Bits>,
) -> io::Result<()> {
    if !raised.is_empty() {
        stamp(out, stamped, time_of(raised_at + 1))?;
    }
    raised.drain(..).try_for_each(|valid| valid.set(out, 0))
}

/// Writes a time stamp unless the file has come as far: the OS may be shown some ns into a cycle.
fn stamp<W: Write>(out: &mut Writer<W>, stamped: &mut u64, time: u64) -> io::Result<()> {
    if time > *stamped {
        *stamped = time;
        out.timestamp(time)?;
    }
    Ok(())
}

impl<W: Write> Monitor for TransactionWriter<W> {
    fn name(&self) -> &'static str {
        "transactions"
    }

    fn event(&mut self, event: &Event, _memory: &Memory, _out: &mut Violations) {
        if self.failure.is_none() {
            self.failure = self.write(event).err();
        }
    }

    fn finish(&mut self, cycle: u64, _memory: &Memory, out: &mut Violations) {
        let closed = self.failure.take().map_or_else(|| self.close(cycle), Err);
        if let Err(error) = closed {
            let came = format!("the transaction file cannot be written: {error}");
            out.push(Violation::new(cycle, "transactions", &["FILE"], came));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::feed::{commit, issue, response, walk};
    use crate::dut::ports::{CommitKind, CoreRequest, WalkKind};
    use vmsa::{El, Fsc};

    fn written(window: Option<RangeInclusive<u64>>) -> String {
        let mut file = Vec::new();
        let mut writer = TransactionWriter::new(&mut file, 1, window).unwrap();
        let memory = Memory::default();
        let mut out = Violations::new();
        let load = CoreRequest::load(0x1000, 3, El::El0);
        for event in [
            issue(4, load),
            walk(6, 0, 0x1000, WalkKind::Step, 2, 0x8000, 0x9003),
            commit(7, CommitKind::Update, 0x8000, 1, 3),
            response(9, load, |answer| answer.fault = Some(Fsc(0x07))),
        ] {
            writer.event(&event, &memory, &mut out);
        }
        writer.finish(12, &memory, &mut out);
        assert!(out.is_empty());
        drop(writer);
        String::from_utf8(file).unwrap()
    }

    #[test]
    fn transactions_stand_at_ten_nanoseconds_a_cycle() {
        let text = written(None);
        let times: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(
            times,
            [
                "#0", "#40", "#50", "#60", "#70", "#80", "#90", "#100", "#120"
            ]
        );
        assert!(text.contains("sLDR8_EL0_0x0000000000001000 "));
        assert!(text.contains("sL2_[0x8000]_=_0x9003 "));
        assert!(text.contains("b0000111 "), "the fault code of the answer");
    }

    #[test]
    fn a_reader_of_vcd_understands_the_file() {
        let text = written(None);
        let mut parser = vcd::Parser::new(text.as_bytes());
        let header = parser.parse_header().unwrap();
        assert!(
            header
                .find_var(&["transactions", "core0", "walk0", "descriptor"])
                .is_some()
        );
        assert!(parser.all(|command| command.is_ok()));
    }

    #[test]
    fn events_outside_the_window_are_left_out() {
        let text = written(Some(6..=7));
        let times: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(times, ["#60", "#70", "#80"]);
        assert!(!text.contains("LDR8"));
    }
}
