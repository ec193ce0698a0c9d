// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The lanes of the OS on one core: what it is in, one lane a depth, and what has no length.
//!
//! A kernel does much in one cycle: whatever lies between two requests. Changes of a lane in one cycle
//! stand 1 ns apart, as many as the 10 ns of a cycle hold; the last one always shows.

use std::io::{self, Write};

use sw_mm::OsEvent;
use vcd::Writer;

use super::lane::Lane;
use super::time_of;
use crate::sim::{Activities, Running};

/// A lane, and when it changed last, in ns.
#[derive(Debug)]
struct OsLane {
    lane: Lane,
    changed: Option<u64>,
}

impl OsLane {
    /// When a change of this lane in `cycle` is shown; `stamped` is the last time in the file.
    fn time(&mut self, cycle: u64, stamped: u64) -> u64 {
        let begin = time_of(cycle);
        let free = match self.changed {
            Some(changed) if changed >= begin => changed + 1,
            _ => begin,
        };
        let time = free.max(stamped).min(time_of(cycle + 1) - 1);
        self.changed = Some(time);
        time
    }
}

/// Lanes of the OS on one core.
#[derive(Debug)]
pub struct OsLanes {
    depths: Vec<OsLane>,
    instants: OsLane,
    /// Instants in the cycle of the last one.
    count: u64,
    /// Cycle of the last instant.
    cycle: u64,
}

impl OsLanes {
    /// Declares them in the scope of their core.
    pub fn declare<W: Write>(out: &mut Writer<W>) -> io::Result<Self> {
        let numbers = [
            ("activity", 8),
            ("space", 32),
            ("va", 64),
            ("pa", 52),
            ("bytes", 64),
        ];
        let lane = |lane| OsLane {
            lane,
            changed: None,
        };
        let depths = (0..Activities::DEPTHS)
            .map(|depth| Lane::declare(out, &format!("os{depth}"), &numbers).map(lane))
            .collect::<io::Result<_>>()?;
        let instants = [&numbers[..], &[("count", 16)]].concat();
        Ok(Self {
            depths,
            instants: Lane::declare(out, "os_instant", &instants).map(lane)?,
            count: 0,
            cycle: 0,
        })
    }

    /// Every lane.
    pub fn all(&self) -> impl Iterator<Item = &Lane> {
        self.depths
            .iter()
            .chain([&self.instants])
            .map(|lane| &lane.lane)
    }

    /// When a change by `running` in `cycle` is shown, and its lane; `None` if it is nested too deep to
    /// have one.
    pub fn place(&mut self, running: &Running, cycle: u64, stamped: u64) -> Option<(u64, &Lane)> {
        let lane = self.depths.get_mut(running.depth)?;
        Some((lane.time(cycle, stamped), &lane.lane))
    }

    /// When an instant of `cycle` is shown, its lane, and how many instants that cycle has had with it.
    pub fn instant(&mut self, cycle: u64, stamped: u64) -> (u64, &Lane, u64) {
        if self.cycle != cycle {
            (self.cycle, self.count) = (cycle, 0);
        }
        self.count += 1;
        let time = self.instants.time(cycle, stamped);
        (time, &self.instants.lane, self.count)
    }
}

/// The numbers of a lane for `event`; `count` is for instants only.
pub fn numbers(event: &OsEvent, count: u64) -> [u64; 6] {
    let OsEvent {
        activity,
        space,
        va,
        pa,
        bytes,
        ..
    } = *event;
    [activity as u64, u64::from(space), va, pa, bytes, count]
}
