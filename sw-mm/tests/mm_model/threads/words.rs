// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What readers may find in a word while others run: each word has one writer, who counts up.

use std::cell::{Cell, RefCell};

/// How an access that runs beside others has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is permitted.
    Open,
    /// It is refused.
    Closed,
    /// A call that decides that is under way.
    Changing,
}

/// A word.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    /// The last version whose store began and did not fail.
    started: u64,
    /// The last version whose store came to its end.
    finished: u64,
    /// No older version may be seen any more.
    floor: u64,
    /// It may have been zeroed since.
    zero: bool,
}

/// A page: the words of its writers, and what is done to it as a whole.
#[derive(Debug)]
pub struct Page {
    name: u64,
    words: RefCell<Vec<Word>>,
    /// Whether stores, and, where `hides`, loads too, are permitted.
    state: Cell<State>,
    hides: bool,
    /// Counts changes of the state.
    epoch: Cell<u64>,
    /// Counts beginnings and ends of calls that throw the contents away.
    resets: Cell<u64>,
}

/// What an access saw of a page when it began.
#[derive(Clone, Debug)]
pub struct Seen {
    state: State,
    epoch: u64,
    resets: u64,
    word: Word,
}

impl Seen {
    /// Whether the page was in that state.
    pub fn is(&self, state: State) -> bool {
        self.state == state
    }
}

fn encode(page: u64, writer: usize, version: u64) -> u64 {
    version << 24 | page << 8 | (writer as u64 + 1)
}

impl Page {
    /// A page of zeros. `hides`: where stores are refused, loads are too.
    pub fn new(name: u64, writers: usize, state: State, hides: bool) -> Self {
        let zero = Word {
            zero: true,
            ..Word::default()
        };
        Self {
            name,
            words: RefCell::new(vec![zero; writers]),
            state: Cell::new(state),
            hides,
            epoch: Cell::new(0),
            resets: Cell::new(0),
        }
    }

    /// How many words it has.
    pub fn writers(&self) -> usize {
        self.words.borrow().len()
    }

    /// An access to the word of `writer` begins.
    pub fn look(&self, writer: usize) -> Seen {
        Seen {
            state: self.state.get(),
            epoch: self.epoch.get(),
            resets: self.resets.get(),
            word: self.words.borrow()[writer],
        }
    }

    /// Whether an access that began at `seen` and ends now may be `permitted`.
    pub fn judge(&self, seen: &Seen, store: bool, permitted: bool) -> Result<(), String> {
        if !store && !self.hides {
            return match permitted {
                true => Ok(()),
                false => Err("a load is refused".into()),
            };
        }
        let certain = seen.epoch == self.epoch.get();
        match (certain, seen.state, permitted) {
            (true, State::Open, false) => Err("refused, although it is permitted".into()),
            (true, State::Closed, true) => Err("permitted, although it is refused".into()),
            _ => Ok(()),
        }
    }

    /// Whether a load that began at `seen` and ends now may find `value`.
    pub fn check(&self, writer: usize, seen: &Seen, value: u64) -> Result<(), String> {
        let now = self.words.borrow()[writer];
        let version = value >> 24;
        let ok = if value == 0 {
            seen.word.zero || now.zero || seen.resets != self.resets.get()
        } else {
            value == encode(self.name, writer, version)
                && (seen.word.floor..=now.started).contains(&version)
        };
        match ok {
            true => Ok(()),
            false => Err(format!(
                "page {} word {writer}: {value:#x}, before {:?}, after {now:?}",
                self.name, seen.word
            )),
        }
    }

    /// Whether a copy made between the two may hold `value`.
    pub fn check_between(
        &self,
        writer: usize,
        before: &Seen,
        after: &Seen,
        value: u64,
    ) -> Result<(), String> {
        let version = value >> 24;
        let ok = match value {
            0 => before.word.zero,
            _ => {
                value == encode(self.name, writer, version)
                    && (before.word.floor..=after.word.started).contains(&version)
            }
        };
        match ok {
            true => Ok(()),
            false => Err(format!(
                "page {} word {writer}: {value:#x}, before {:?}, after {:?}",
                self.name, before.word, after.word
            )),
        }
    }

    /// The value that the next store of `writer` writes; it begins now.
    pub fn begin_store(&self, writer: usize) -> u64 {
        let word = &mut self.words.borrow_mut()[writer];
        word.started += 1;
        encode(self.name, writer, word.started)
    }

    /// The store that began at `seen` is `done`, or had no effect.
    pub fn end_store(&self, writer: usize, seen: &Seen, done: bool) {
        let word = &mut self.words.borrow_mut()[writer];
        if !done {
            word.started -= 1;
            return;
        }
        word.finished = word.started;
        // A reset under way may come after it.
        let resets = self.resets.get();
        if seen.resets == resets && resets.is_multiple_of(2) {
            word.floor = word.finished;
            word.zero = false;
        }
    }

    /// What the word holds for certain, if nobody throws it away.
    pub fn last(&self, writer: usize) -> u64 {
        let word = self.words.borrow()[writer];
        match word.finished {
            0 => 0,
            _ if word.zero => 0,
            version => encode(self.name, writer, version),
        }
    }

    /// Sets what accesses are to expect.
    pub fn set_state(&self, state: State) {
        self.state.set(state);
        self.epoch.set(self.epoch.get() + 1);
    }

    /// A call that throws the contents away begins.
    pub fn begin_reset(&self) {
        self.resets.set(self.resets.get() + 1);
        for word in self.words.borrow_mut().iter_mut() {
            word.zero = true;
        }
    }

    /// It is over. Stores that ended before it began are gone; those since may not be.
    pub fn end_reset(&self, began: &[u64]) {
        self.resets.set(self.resets.get() + 1);
        for (word, &finished) in self.words.borrow_mut().iter_mut().zip(began) {
            word.floor = word.floor.max(finished + 1);
        }
    }

    /// Versions finished, by writer.
    pub fn finished(&self) -> Vec<u64> {
        let words = self.words.borrow();
        words.iter().map(|word| word.finished).collect()
    }
}
