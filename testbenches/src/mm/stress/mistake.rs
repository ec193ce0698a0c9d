// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Mistakes that a kernel could make with the contents of pages, made behind its back: the shadow has to
//! notice each.

use std::rc::Rc;

use cosim::regress::{Bench, Failure};
use sw_mm::folio::Folio;

use super::worker::Worker;
use super::{OsConfig, flat_nodes, load};
use crate::memory::setting::info;
use crate::stage1::watch::expect;

/// Cycles in which a mistake has to be noticed.
const CYCLES: u64 = 4_000_000;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// A folio is copied before the last core has ceased to write it, not after (MM-26).
    CopiedEarly,
    /// What a page held is not what is written to swap (MM-24).
    LostOnTheWayOut,
}

/// Every mistake, and the requirement that it breaks.
const MISTAKES: [(Mistake, &str); 2] = [
    (Mistake::CopiedEarly, "MM-26"),
    (Mistake::LostOnTheWayOut, "MM-24"),
];

/// A folio to be moved.
pub struct Copied {
    /// The folio.
    pub folio: Rc<Folio>,
    /// What each of its words that the load uses held when it was copied; empty if that is yet to come.
    contents: Vec<u64>,
}

impl Copied {
    fn at_last(folio: Rc<Folio>) -> Self {
        Self {
            folio,
            contents: Vec::new(),
        }
    }
}

impl Worker {
    /// Address of each word of `folio` that the load uses.
    fn words_of(&self, folio: &Folio) -> impl Iterator<Item = u64> {
        let (kernel, layout) = (&self.world.os.kernel, &self.world.layout);
        let (base, bytes) = (kernel.pa(folio.pfn()), kernel.granule().bytes());
        (0..folio.pages()).flat_map(move |page| {
            let words = 0..layout.words();
            words.map(move |word| base + page * bytes + layout.offset(word))
        })
    }

    /// `folio` was chosen to be moved. With pages copied early it is copied now, and the one that was
    /// chosen before is moved instead.
    pub(super) fn copied(&self, folio: Rc<Folio>) -> Option<Copied> {
        let contents = match self.world.mistake {
            Some(Mistake::CopiedEarly) => {
                let peek = |at| self.world.os.handle.peek(at);
                self.words_of(&folio).map(peek).collect()
            }
            _ => return Some(Copied::at_last(folio)),
        };
        let copied = Copied { folio, contents };
        self.world.copied.replace(Some(copied))
    }

    /// What was copied was moved to `new`.
    pub(super) fn moved(&self, copied: &Copied, new: &Folio) {
        for (at, word) in self.words_of(new).zip(&copied.contents) {
            if self.world.os.handle.peek(at) != *word {
                self.world.os.handle.poke(at, *word);
            }
        }
    }

    /// `folio` is about to leave memory.
    pub(super) fn before_swap(&self, folio: &Rc<Folio>) {
        if self.world.mistake == Some(Mistake::LostOnTheWayOut) && folio.is_anon() {
            for at in self.words_of(folio) {
                self.world.os.handle.poke(at, 0);
            }
        }
    }
}

/// Runs the load with each mistake that the hardware gives occasion to: not one goes unnoticed.
pub fn noticed(bench: &mut Bench) -> Result<(), Failure> {
    let cycles = bench.cycles_or(CYCLES);
    let moves = info(bench)?.nodes > 1;
    let possible = |mistake| moves || mistake != Mistake::CopiedEarly;
    for (mistake, requirement) in MISTAKES.into_iter().filter(|(known, _)| possible(*known)) {
        bench.restart()?;
        bench.setup().memory_system = flat_nodes(bench)?;
        let config = OsConfig {
            pages: 1536,
            ..OsConfig::default()
        };
        let (done, world) = load(bench, &config, cycles, Some(mistake))?;
        expect(requirement, done.is_err() && world.noticed.get(), || {
            let came = done.map_or_else(|failure| failure.to_string(), |()| "nothing".into());
            format!("{mistake:?} went unnoticed: {came}")
        })?;
        bench.count(
            &format!("cycles until {mistake:?} was noticed"),
            world.now(),
        );
    }
    Ok(())
}
