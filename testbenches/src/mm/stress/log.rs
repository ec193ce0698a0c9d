// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What something was set to, by whom is of no matter, when one knows of each change only that it took
//! effect between two points in time: which values may one meet?
//!
//! A change begins when it is asked for and is over when that is answered. Two that overlap may have
//! taken effect in either order. One that was over before another began came before it, and once the
//! other is over too the first is gone for good. What is met says more: a change that was met had taken
//! effect by then, and what was met before it does not come back.

/// Names a change while it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change(u64);

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It took effect.
    Done,
    /// It took no effect.
    Refused,
}

#[derive(Debug, Clone)]
struct Version<V> {
    change: Change,
    /// What it may have set; one value unless somebody copied what was not known, none while that is
    /// still to be said: it fits everything then.
    values: Vec<V>,
    begin: u64,
    /// By when it had taken effect.
    end: u64,
    /// By when something else had taken its place.
    dead: u64,
}

/// The changes that may still be met.
#[derive(Debug, Clone)]
pub struct Log<V> {
    versions: Vec<Version<V>>,
    next: u64,
    /// What was met last, and when at the latest.
    met: Option<(Change, u64)>,
}

impl<V: Copy + PartialEq> Log<V> {
    /// One of `values` from the beginning.
    #[must_use]
    pub fn new(values: Vec<V>) -> Self {
        let first = Version {
            change: Change(0),
            values,
            begin: 0,
            end: 0,
            dead: u64::MAX,
        };
        Self {
            versions: vec![first],
            next: 1,
            met: None,
        }
    }

    /// A change to `value` is asked for.
    pub fn begin(&mut self, value: V, now: u64) -> Change {
        self.begin_one_of(vec![value], now)
    }

    /// A change is asked for of which one can say only when it is over to what; see [`Log::became`].
    pub fn begin_unknown(&mut self, now: u64) -> Change {
        self.begin_one_of(Vec::new(), now)
    }

    fn begin_one_of(&mut self, values: Vec<V>, now: u64) -> Change {
        let change = Change(self.next);
        self.next += 1;
        self.versions.push(Version {
            change,
            values,
            begin: now,
            end: u64::MAX,
            dead: u64::MAX,
        });
        change
    }

    /// The change is over. What cannot be met by who asks at `oldest` or later is forgotten.
    pub fn end(&mut self, change: Change, ended: Ended, now: u64, oldest: u64) {
        match ended {
            Ended::Refused => self.versions.retain(|version| version.change != change),
            Ended::Done => {
                if let Some(version) = self.version(change) {
                    version.end = version.end.min(now);
                }
                self.bury();
                self.versions.retain(|version| version.dead > oldest);
            }
        }
    }

    /// What the change set, one of `values`.
    pub fn became(&mut self, change: Change, values: Vec<V>) {
        if let Some(version) = self.version(change) {
            version.values = values;
        }
    }

    /// Every value that who asked at `from` and was answered at `to` may have met, but for what `except`
    /// set.
    pub fn possible_before(&self, except: Change, from: u64, to: u64) -> Vec<V> {
        let there = |version: &&Version<V>| {
            version.begin <= to && version.dead > from && version.change != except
        };
        let mut values = Vec::new();
        for version in self.versions.iter().filter(there) {
            for &value in &version.values {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        }
        values
    }

    /// Whether who asked at `from` and was answered at `to` may have met something that `fits`, but for
    /// what `except` set.
    pub fn may_be(
        &self,
        except: Option<Change>,
        (from, to): (u64, u64),
        fits: impl Fn(&V) -> bool,
    ) -> bool {
        let there = |version: &&Version<V>| {
            version.begin <= to && version.dead > from && Some(version.change) != except
        };
        let mut there = self.versions.iter().filter(there);
        there.any(|version| version.values.is_empty() || version.values.iter().any(&fits))
    }

    /// Every value that who asked at `from` and was answered at `to` may have met.
    pub fn possible(&self, from: u64, to: u64) -> impl Iterator<Item = V> + '_ {
        let there = move |version: &&Version<V>| version.begin <= to && version.dead > from;
        let versions = self.versions.iter().filter(there);
        versions.flat_map(|version| version.values.iter().copied())
    }

    /// Who asked at `from` and was answered at `to` met `value`. Returns whether that can be.
    pub fn meet(&mut self, value: V, from: u64, to: u64) -> bool {
        let fits = |version: &Version<V>| {
            let there = version.begin <= to && version.dead > from;
            there && (version.values.is_empty() || version.values.contains(&value))
        };
        let mut found = self.versions.iter_mut().filter(|version| fits(version));
        let Some(version) = found.next() else {
            return false;
        };
        // Of several alike it is not known which one it was.
        if version.values.is_empty() || found.next().is_some() {
            return true;
        }
        let change = version.change;
        version.values = vec![value];
        version.end = version.end.min(to);
        match self.met.filter(|(before, _)| *before != change) {
            Some((before, until)) if from > until => {
                if let Some(before) = self.version(before) {
                    before.dead = before.dead.min(to);
                }
                self.met = Some((change, to));
            }
            // Met at the same time as another: nothing is known of their order.
            Some(_) => {}
            None => {
                let until = self.met.map_or(to, |(_, until)| until.min(to));
                self.met = Some((change, until));
            }
        }
        self.bury();
        true
    }

    fn version(&mut self, change: Change) -> Option<&mut Version<V>> {
        self.versions
            .iter_mut()
            .find(|version| version.change == change)
    }

    /// Whatever had taken effect before another change began is gone once that has.
    fn bury(&mut self) {
        for later in 0..self.versions.len() {
            let (begin, end) = (self.versions[later].begin, self.versions[later].end);
            for version in &mut self.versions {
                if version.end <= begin && version.begin < begin {
                    version.dead = version.dead.min(end);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn possible(log: &Log<u64>, from: u64, to: u64) -> Vec<u64> {
        log.possible(from, to).collect()
    }

    fn set(log: &mut Log<u64>, value: u64, begin: u64, end: u64) {
        let change = log.begin(value, begin);
        log.end(change, Ended::Done, end, 0);
    }

    #[test]
    fn a_change_is_met_while_it_is_under_way_and_nothing_else_when_it_is_over() {
        let mut log = Log::new(vec![0]);
        let change = log.begin(1, 10);
        assert_eq!(possible(&log, 5, 9), [0], "nothing early");
        assert_eq!(possible(&log, 5, 10), [0, 1]);
        log.end(change, Ended::Done, 20, 0);
        assert_eq!(possible(&log, 19, 30), [0, 1]);
        assert_eq!(possible(&log, 20, 30), [1], "nothing lost");
        assert!(!log.meet(0, 21, 22));
        assert!(!log.meet(7, 21, 22));
    }

    #[test]
    fn changes_that_overlap_may_have_come_in_either_order() {
        let mut log = Log::new(vec![0]);
        let first = log.begin(1, 10);
        let second = log.begin(2, 15);
        log.end(first, Ended::Done, 20, 0);
        log.end(second, Ended::Done, 25, 0);
        assert_eq!(possible(&log, 30, 31), [1, 2]);
        set(&mut log, 3, 32, 33);
        assert_eq!(possible(&log, 40, 41), [3]);
    }

    #[test]
    fn what_was_met_before_something_else_does_not_come_back() {
        let mut log = Log::new(vec![0]);
        set(&mut log, 1, 10, 30);
        set(&mut log, 2, 20, 40);
        assert!(log.meet(1, 50, 51));
        assert!(log.meet(2, 52, 53));
        assert!(!log.meet(1, 54, 55));
        assert!(log.meet(2, 54, 55));
    }

    #[test]
    fn what_was_met_had_taken_effect() {
        let mut log = Log::new(vec![0]);
        log.begin(1, 10);
        assert!(log.meet(1, 12, 14));
        assert!(!log.meet(0, 14, 16), "it was over by 14");
        assert!(log.meet(0, 11, 13), "this one asked before");
    }

    #[test]
    fn who_met_both_at_the_same_time_knows_nothing_of_their_order() {
        let mut log = Log::new(vec![0]);
        set(&mut log, 1, 10, 30);
        set(&mut log, 2, 20, 40);
        assert!(log.meet(1, 50, 60));
        assert!(log.meet(2, 55, 65));
        assert!(log.meet(1, 56, 66));
    }

    #[test]
    fn a_refused_change_was_never_there() {
        let mut log = Log::new(vec![0]);
        let change = log.begin(1, 10);
        log.end(change, Ended::Refused, 20, 0);
        assert_eq!(possible(&log, 10, 30), [0]);
    }

    #[test]
    fn a_copy_of_something_unknown_is_one_of_it_for_good() {
        let mut log = Log::new(vec![4, 5]);
        assert!(log.meet(5, 10, 11));
        assert!(!log.meet(4, 12, 13));
    }

    #[test]
    fn while_it_cannot_be_said_what_a_change_sets_everything_fits() {
        let mut log = Log::new(vec![0]);
        let change = log.begin_unknown(10);
        assert!(log.meet(77, 12, 13));
        assert!(!log.may_be(None, (5, 9), |value| *value == 3));
        log.became(change, vec![3, 4]);
        log.end(change, Ended::Done, 20, 0);
        assert!(!log.meet(77, 21, 22));
        assert!(log.meet(3, 21, 22));
        assert_eq!(log.possible_before(change, 12, 20), [0]);
    }

    #[test]
    fn what_nobody_can_meet_any_more_is_forgotten() {
        let mut log = Log::new(vec![0]);
        for round in 1..100 {
            let change = log.begin(round, 10 * round);
            log.end(
                change,
                Ended::Done,
                10 * round + 5,
                (10 * round).saturating_sub(20),
            );
        }
        assert!(log.versions.len() < 6, "{}", log.versions.len());
    }
}
