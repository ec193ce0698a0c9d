// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! When the waveform file is open: a window of cycles, at whose edges steps break.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::dut::{Dut, DutError, TraceFormat};

/// A waveform asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceRequest {
    /// File to write.
    pub path: PathBuf,
    /// Its format.
    pub format: TraceFormat,
    /// First and last cycle in the file; `None` is the whole run.
    pub window: Option<RangeInclusive<u64>>,
}

/// Opens and closes the waveform as time passes.
pub(crate) struct TraceControl {
    request: TraceRequest,
    first: u64,
    last: u64,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Before,
    Open,
    Closed,
}

impl TraceControl {
    pub(crate) fn new(request: TraceRequest) -> Self {
        let (first, last) = match &request.window {
            // The clock edge of cycle 1 is the first one after reset.
            Some(window) => ((*window.start()).max(1), *window.end()),
            None => (1, u64::MAX),
        };
        Self {
            request,
            first,
            last,
            state: State::Before,
        }
    }

    /// Opens or closes the file, when the outputs of cycle `now` have been seen.
    pub(crate) fn update(&mut self, now: u64, dut: &mut dyn Dut) -> Result<(), DutError> {
        match self.state {
            State::Before if now >= self.last => self.state = State::Closed,
            State::Before if now + 1 >= self.first => {
                dut.open_trace(&self.request.path, self.request.format)?;
                self.state = State::Open;
            }
            State::Open if now >= self.last => self.close(dut)?,
            _ => {}
        }
        Ok(())
    }

    /// The cycle at which a step that starts at `now` must end.
    pub(crate) fn boundary(&self) -> Option<u64> {
        match self.state {
            State::Before => Some(self.first - 1),
            State::Open => Some(self.last),
            State::Closed => None,
        }
    }

    /// Closes the file if it is open.
    pub(crate) fn close(&mut self, dut: &mut dyn Dut) -> Result<(), DutError> {
        if self.state == State::Open {
            self.state = State::Closed;
            dut.close_trace()?;
        }
        Ok(())
    }
}
