// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The flat shadow of all user memory: what each page of each address space permits and each of its words
//! holds, as far as that follows from what the threads asked for and were answered, with nothing known
//! of frames, tables or TLBs.
//!
//! Each word has one writer, which has one store of it under way at a time; every thread reads it. What a
//! load brings shall be what a store that was under way put there, or the last one before it; after fork
//! the child has what was there at some time during it.

use std::collections::BTreeMap;
use std::ops::Range;

use sw_mm::mm::Protection;

use super::layout::{Backing, Layout, Value};
use super::log::{Change, Ended, Log};

/// A stretch of time: when something was asked for and when it was answered.
pub type Span = (u64, u64);

/// What a page permits; `None` if nothing is mapped there.
pub type Area = Option<Protection>;

#[derive(Debug, Clone)]
struct Page {
    area: Log<Area>,
    /// Whether a child gets it.
    inherited: Log<bool>,
    words: Vec<Log<u64>>,
    /// Calls under way that take what is there away or bring something else.
    unsettled: u32,
    /// When the last of them was over.
    settled_at: u64,
}

impl Page {
    fn new(area: Log<Area>, inherited: Log<bool>, words: Vec<Log<u64>>) -> Self {
        Self {
            area,
            inherited,
            words,
            unsettled: 0,
            settled_at: 0,
        }
    }
}

/// A change of pages that is under way.
#[derive(Debug, Default)]
pub struct Edit {
    space: u32,
    areas: Vec<(usize, Change)>,
    inherited: Vec<(usize, Change)>,
    words: Vec<(usize, usize, Change)>,
}

/// What is to become of pages.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// What is mapped there.
    pub area: Option<Area>,
    /// Whether a child gets it.
    pub inherited: Option<bool>,
    /// What private words hold is thrown away.
    pub reset: bool,
}

/// Memory of all address spaces.
#[derive(Debug)]
pub struct Shadow {
    layout: Layout,
    spaces: BTreeMap<u32, Vec<Page>>,
    /// Words of the shared file, by page and word.
    shared: BTreeMap<(usize, usize), Log<u64>>,
    /// Since when each thread waits for what it asked for last; nobody is answered from before.
    waiting: Vec<u64>,
    /// Loads compared.
    pub compared: u64,
}

impl Shadow {
    /// No address space yet.
    #[must_use]
    pub fn new(layout: Layout, threads: usize) -> Self {
        let mut shared = BTreeMap::new();
        for region in layout.regions() {
            let pages = region.first..region.first + region.pages;
            for page in pages.filter(|_| region.backing == Backing::Shared) {
                for word in 0..layout.words() {
                    shared.insert((page, word), Log::new(vec![layout.untouched(page, word)]));
                }
            }
        }
        Self {
            layout,
            spaces: BTreeMap::new(),
            shared,
            waiting: vec![u64::MAX; threads],
            compared: 0,
        }
    }

    /// Thread `thread` asks for something.
    pub fn asks(&mut self, thread: usize, now: u64) {
        self.waiting[thread] = now;
    }

    /// It was answered.
    pub fn answered(&mut self, thread: usize) {
        self.waiting[thread] = u64::MAX;
    }

    fn oldest(&self, now: u64) -> u64 {
        self.waiting.iter().copied().min().unwrap_or(now).min(now)
    }

    /// An address space that maps nothing.
    pub fn add(&mut self, space: u32) {
        let layout = &self.layout;
        let words = |page| {
            let words = 0..layout.words();
            let log = |word| Log::new(vec![layout.untouched(page, word)]);
            words.map(log).collect()
        };
        let page = |page| Page::new(Log::new(vec![None]), Log::new(vec![true]), words(page));
        let pages = (0..layout.pages()).map(page).collect();
        self.spaces.insert(space, pages);
    }

    /// Address space `child` is what `parent` was at some time in `span`.
    pub fn fork(&mut self, parent: u32, child: u32, span: Span) {
        let Some(pages) = self.spaces.get(&parent) else {
            return;
        };
        let copy = |(number, page): (usize, &Page)| {
            let inherited = met(&page.inherited, span);
            let mut area = met(&page.area, span);
            let mut words: Vec<_> = page.words.iter().map(|word| met(word, span)).collect();
            if inherited.contains(&false) {
                let only = inherited.len() == 1;
                absent(&mut area, None, only);
                for (word, values) in words.iter_mut().enumerate() {
                    absent(values, self.layout.untouched(number, word), only);
                }
            }
            let mut flags = vec![true, false];
            flags.retain(|flag| inherited.contains(flag));
            let words = words.into_iter().map(Log::new).collect();
            Page::new(Log::new(area), Log::new(flags), words)
        };
        let pages = pages.iter().enumerate().map(copy).collect();
        self.spaces.insert(child, pages);
    }

    /// An address space is gone; returns whether it was there.
    pub fn remove(&mut self, space: u32) -> bool {
        self.spaces.remove(&space).is_some()
    }

    /// Whether page `page` may have permitted, at some time in `span`, what `fits` says.
    #[must_use]
    pub fn may_be(&self, space: u32, page: usize, span: Span, fits: impl Fn(Area) -> bool) -> bool {
        let pages = self.spaces.get(&space);
        let page = pages.and_then(|pages| pages.get(page));
        page.is_some_and(|page| page.area.may_be(None, span, |area| fits(*area)))
    }

    /// Whether each page that `edit` is about may have permitted, before it or at the same time, what
    /// `fits` says; `all` of them, or any.
    #[must_use]
    pub fn may_have_been(
        &self,
        edit: &Edit,
        pages: Range<usize>,
        span: Span,
        all: bool,
        fits: impl Fn(Area) -> bool,
    ) -> bool {
        let Some(held) = self.spaces.get(&edit.space) else {
            return false;
        };
        let one = |page: usize| {
            let mut changes = edit.areas.iter();
            let own = changes
                .find(|(number, _)| *number == page)
                .map(|(_, change)| *change);
            held[page].area.may_be(own, span, |area| fits(*area))
        };
        let mut pages = pages;
        if all { pages.all(one) } else { pages.any(one) }
    }

    fn word(&mut self, space: u32, page: usize, word: usize) -> Option<&mut Log<u64>> {
        match self.layout.region(page).backing {
            Backing::Shared => self.shared.get_mut(&(page, word)),
            Backing::Anonymous | Backing::Private => self
                .spaces
                .get_mut(&space)?
                .get_mut(page)?
                .words
                .get_mut(word),
        }
    }

    /// Whether a load of a word that brought `value` under `mask` fits; says what would have.
    ///
    /// # Errors
    /// What was possible.
    pub fn loaded(
        &mut self,
        (space, page, word): (u32, usize, usize),
        (value, mask): (u64, u64),
        span: Span,
    ) -> Result<(), String> {
        self.compared += 1;
        let Some(log) = self.word(space, page, word) else {
            return Err("nothing".into());
        };
        let met = match mask {
            u64::MAX => log.meet(value, span.0, span.1),
            _ => log.may_be(None, span, |held| held & mask == value),
        };
        if met {
            return Ok(());
        }
        let possible: Vec<_> = log.possible(span.0, span.1).map(Value::text).collect();
        Err(possible.join(", "))
    }

    /// A store of `value` to a word is asked for.
    pub fn stores(
        &mut self,
        (space, page, word): (u32, usize, usize),
        value: u64,
        now: u64,
    ) -> Option<Change> {
        Some(self.word(space, page, word)?.begin(value, now))
    }

    /// That store is over.
    pub fn stored(
        &mut self,
        (space, page, word): (u32, usize, usize),
        change: Option<Change>,
        ended: Ended,
        now: u64,
    ) {
        let oldest = self.oldest(now);
        if let (Some(change), Some(log)) = (change, self.word(space, page, word)) {
            log.end(change, ended, now, oldest);
        }
    }

    /// `pages` of `space` are asked to become what `wish` says.
    pub fn edits(&mut self, space: u32, pages: Range<usize>, wish: Wish, now: u64) -> Edit {
        let mut edit = Edit {
            space,
            ..Edit::default()
        };
        let Some(all) = self.spaces.get_mut(&space) else {
            return edit;
        };
        for number in pages {
            let page = &mut all[number];
            if let Some(area) = wish.area {
                edit.areas.push((number, page.area.begin(area, now)));
            }
            if let Some(inherited) = wish.inherited {
                edit.inherited
                    .push((number, page.inherited.begin(inherited, now)));
            }
            page.unsettled += u32::from(wish.reset);
            for (word, log) in page.words.iter_mut().enumerate().filter(|_| wish.reset) {
                let value = self.layout.untouched(number, word);
                edit.words.push((number, word, log.begin(value, now)));
            }
        }
        edit
    }

    /// `pages` of `space` are asked to become what other pages are: one cannot say what before that is
    /// over.
    pub fn receives(&mut self, space: u32, pages: Range<usize>, now: u64) -> Edit {
        let mut edit = Edit {
            space,
            ..Edit::default()
        };
        let Some(all) = self.spaces.get_mut(&space) else {
            return edit;
        };
        for number in pages {
            let page = &mut all[number];
            edit.areas.push((number, page.area.begin_unknown(now)));
            edit.inherited
                .push((number, page.inherited.begin_unknown(now)));
            page.unsettled += 1;
            for (word, log) in page.words.iter_mut().enumerate() {
                edit.words.push((number, word, log.begin_unknown(now)));
            }
        }
        edit
    }

    /// What `receiver` was asked to become is what `giver` was in `span`, before it was asked to change.
    /// Returns whether there was something everywhere.
    pub fn moved(&mut self, giver: &Edit, receiver: &Edit, (from, to): Span) -> bool {
        let Some(all) = self.spaces.get_mut(&giver.space) else {
            return false;
        };
        let mut there = true;
        for ((source, change), (target, into)) in giver.areas.iter().zip(&receiver.areas) {
            let mut values = all[*source].area.possible_before(*change, from, to);
            values.retain(Option::is_some);
            there &= !values.is_empty();
            all[*target].area.became(*into, values);
        }
        for ((source, _), (target, into)) in giver.areas.iter().zip(&receiver.inherited) {
            let values = met(&all[*source].inherited, (from, to));
            all[*target].inherited.became(*into, values);
        }
        for ((source, word, change), (target, _, into)) in giver.words.iter().zip(&receiver.words) {
            let values = all[*source].words[*word].possible_before(*change, from, to);
            all[*target].words[*word].became(*into, values);
        }
        there
    }

    /// What `receiver` was asked to become is nothing.
    pub fn emptied(&mut self, receiver: &Edit) {
        let Some(all) = self.spaces.get_mut(&receiver.space) else {
            return;
        };
        for (page, change) in &receiver.areas {
            all[*page].area.became(*change, vec![None]);
        }
        for (page, change) in &receiver.inherited {
            all[*page].inherited.became(*change, vec![true]);
        }
        for (page, word, change) in &receiver.words {
            let value = self.layout.untouched(*page, *word);
            all[*page].words[*word].became(*change, vec![value]);
        }
    }

    /// This change is over.
    pub fn edited(&mut self, edit: &Edit, ended: Ended, now: u64) {
        let oldest = self.oldest(now);
        let Some(all) = self.spaces.get_mut(&edit.space) else {
            return;
        };
        for (page, change) in &edit.areas {
            all[*page].area.end(*change, ended, now, oldest);
        }
        for (page, change) in &edit.inherited {
            all[*page].inherited.end(*change, ended, now, oldest);
        }
        for (page, word, change) in &edit.words {
            all[*page].words[*word].end(*change, ended, now, oldest);
            // Once for all of its words.
            if *word == 0 {
                let page = &mut all[*page];
                page.unsettled = page.unsettled.saturating_sub(1);
                page.settled_at = now;
            }
        }
    }

    /// Whether nobody has taken what a page holds away, or brought something else, since `from`. What a
    /// shared file holds stays.
    #[must_use]
    pub fn is_settled(&self, space: u32, page: usize, from: u64) -> bool {
        let pages = self.spaces.get(&space);
        let held = pages.and_then(|pages| pages.get(page));
        let settled = |held: &Page| held.unsettled == 0 && held.settled_at < from;
        self.layout.region(page).backing == Backing::Shared || held.is_some_and(settled)
    }
}

/// `nothing` is possible too, or nothing else.
fn absent<V: Copy + PartialEq>(values: &mut Vec<V>, nothing: V, only: bool) {
    if only {
        values.clear();
    }
    if !values.contains(&nothing) {
        values.push(nothing);
    }
}

/// Whatever `log` had at some time in `span`.
fn met<V: Copy + PartialEq>(log: &Log<V>, (from, to): Span) -> Vec<V> {
    let mut values: Vec<V> = Vec::new();
    for value in log.possible(from, to) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}
