// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Whether an access may have ended as it did: by what the page permits, and by what the word held.

use cosim::regress::Failure;
use sw_mm::mm::{Error, Protection, Signal};

use super::layout::Value;
use super::log::{Change, Ended};
use super::worker::Worker;

/// What an access needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A load.
    Read,
    /// A store or compare-and-swap.
    Write,
    /// An instruction fetch.
    Execute,
}

impl Need {
    /// Whether a page that permits `protection` permits it.
    #[must_use]
    pub fn met_by(self, protection: Protection) -> bool {
        match self {
            Self::Read => protection.any(),
            Self::Write => protection.write,
            Self::Execute => protection.execute,
        }
    }
}

/// A word of an address space.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    /// The address space.
    pub space: u32,
    /// Its page.
    pub page: usize,
    /// Which word of the page.
    pub word: usize,
    /// Its address.
    pub va: u64,
}

impl Word {
    /// Where the shadow has it.
    #[must_use]
    pub fn place(&self) -> (u32, usize, usize) {
        (self.space, self.page, self.word)
    }
}

impl Worker {
    /// Judges how a load ended, and what it brought, under a mask.
    pub(super) fn judge_load(
        &self,
        word: &Word,
        loaded: Result<(u64, u64), Error>,
        need: Need,
        from: u64,
    ) -> Result<(), Failure> {
        if !self.permitted(word, loaded.as_ref().err(), need, from)? {
            return Ok(());
        }
        loaded.map_or(Ok(()), |loaded| self.judge_value(word, loaded, from))
    }

    /// Fails unless the word may have held `value` under `mask`.
    pub(super) fn judge_value(
        &self,
        word: &Word,
        (value, mask): (u64, u64),
        from: u64,
    ) -> Result<(), Failure> {
        let to = self.world.now();
        let mut shadow = self.world.shadow.borrow_mut();
        let fits = shadow.loaded(word.place(), (value, mask), (from, to));
        fits.map_err(|possible| {
            self.world.noticed.set(true);
            Failure::expectation(format!(
                "core {} loaded from mm{} page {} word {} at {:#x}, asked for at {from}: {}; \
                 possible was {possible}",
                self.number,
                word.space,
                word.page,
                word.word,
                word.va,
                Value::text(value),
            ))
        })
    }

    /// Whether an access that ended so was one; fails if it could not end so.
    pub(super) fn permitted(
        &self,
        word: &Word,
        error: Option<&Error>,
        need: Need,
        from: u64,
    ) -> Result<bool, Failure> {
        let span = (from, self.world.now());
        let permits = |area: Option<Protection>| area.is_some_and(|area| need.met_by(area));
        let shadow = self.world.shadow.borrow();
        let (done, fits) = match error {
            None => (true, shadow.may_be(word.space, word.page, span, permits)),
            Some(Error::Signal {
                signal: Signal::Segv,
                ..
            }) => {
                let refused = shadow.may_be(word.space, word.page, span, |area| !permits(area));
                (false, refused)
            }
            Some(Error::OutOfMemory) => {
                self.world.count("out of memory");
                self.short.set(true);
                (false, true)
            }
            Some(_) => (false, false),
        };
        let what = || {
            let came = error.map_or_else(|| "done".to_owned(), ToString::to_string);
            let Word {
                space, page, va, ..
            } = word;
            format!(
                "core {} asked at {from} to {need:?} mm{space} page {page} at {va:#x}: {came}",
                self.number
            )
        };
        if !fits {
            return Err(Failure::expectation(what()));
        }
        Ok(done)
    }

    /// Judges how a store ended.
    pub(super) fn judge_store(
        &self,
        word: &Word,
        change: Option<Change>,
        error: Option<Error>,
        from: u64,
    ) -> Result<(), Failure> {
        let done = self.permitted(word, error.as_ref(), Need::Write, from)?;
        let ended = if done { Ended::Done } else { Ended::Refused };
        let now = self.world.now();
        let mut shadow = self.world.shadow.borrow_mut();
        shadow.stored(word.place(), change, ended, now);
        Ok(())
    }
}
