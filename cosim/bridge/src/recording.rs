// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A recorded input stream, for replaying a run without the harness around it.

use crate::{CoreReq, DramRsp};

/// Everything that was driven into a socket, step by step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// One record a step: cycles run, then the words of every core_req and dram_rsp lane.
    pub(crate) words: Vec<u64>,
    pub(crate) record_words: usize,
}

impl Recording {
    pub(crate) fn new(cores: usize, nodes: usize) -> Self {
        let lanes = cores * size_of::<CoreReq>() + nodes * size_of::<DramRsp>();
        Recording {
            words: Vec::new(),
            record_words: 1 + lanes / size_of::<u64>(),
        }
    }

    pub(crate) fn push(&mut self, cycles: u64, core_req: &[CoreReq], dram_rsp: &[DramRsp]) {
        self.words.push(cycles);
        self.words.extend(core_req.iter().flat_map(|lane| lane.w));
        self.words.extend(dram_rsp.iter().flat_map(|lane| lane.w));
    }

    /// Steps recorded.
    pub fn steps(&self) -> usize {
        self.words.len() / self.record_words.max(1)
    }

    /// Cycles recorded.
    pub fn cycles(&self) -> u64 {
        self.words.iter().step_by(self.record_words.max(1)).sum()
    }
}
