// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a record comes to: the bins of each group that were reached, missed, or argued unreachable.

use std::collections::{BTreeMap, BTreeSet};

use super::group::{Bin, Covergroup, bins};
use super::groups::GROUPS;
use super::record::Record;

/// One group of a report.
#[derive(Debug, Clone)]
pub struct GroupReport {
    /// Its declaration.
    pub group: &'static Covergroup,
    /// Bins declared, the unreachable ones included.
    pub bins: usize,
    /// Of these, reached.
    pub reached: usize,
    /// Of these, argued unreachable.
    pub unreachable: usize,
    /// Names of bins neither reached nor argued unreachable.
    pub missed: Vec<String>,
}

/// A report of some groups.
#[derive(Debug, Clone)]
pub struct Report {
    /// The groups, in the order of declaration.
    pub groups: Vec<GroupReport>,
    /// Names argued unreachable that were reached, with the argument.
    pub refuted: Vec<(String, String)>,
    /// Names argued unreachable and not reached, with the argument.
    pub unreachable: Vec<(String, String)>,
    /// Names in the record that are no bin: of another version, or combinations declared to mean
    /// nothing.
    pub unknown: Vec<String>,
}

static ALL: [Covergroup; super::group::COUNT] = GROUPS;

/// Compares `record` with the declarations, for the group called `only` or for all.
#[must_use]
pub fn report(record: &Record, declared: &BTreeMap<String, String>, only: Option<&str>) -> Report {
    let chosen = |group: &Covergroup| only.is_none_or(|only| only == group.name);
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut report = Report {
        groups: Vec::new(),
        refuted: Vec::new(),
        unreachable: Vec::new(),
        unknown: Vec::new(),
    };
    let mut all: Vec<Bin> = bins().collect();
    for group in &ALL {
        let of_group: Vec<Bin> = all.extract_if(.., |bin| bin.group == group.id).collect();
        known.extend(of_group.iter().map(|bin| bin.name.clone()));
        if !chosen(group) {
            continue;
        }
        let mut line = GroupReport {
            group,
            bins: of_group.len(),
            reached: 0,
            unreachable: 0,
            missed: Vec::new(),
        };
        for Bin { name, .. } in of_group {
            let reached = record.bins.contains_key(&name);
            line.reached += usize::from(reached);
            match declared.get(&name) {
                Some(why) => {
                    line.unreachable += 1;
                    let list = match reached {
                        true => &mut report.refuted,
                        false => &mut report.unreachable,
                    };
                    list.push((name, why.clone()));
                }
                None if !reached => line.missed.push(name),
                None => {}
            }
        }
        report.groups.push(line);
    }
    let in_group = |name: &String| match only {
        None => true,
        Some(only) => name.split('.').next() == Some(only),
    };
    let names = record.bins.keys().filter(|name| in_group(name));
    report.unknown = names
        .filter(|name| !known.contains(*name))
        .cloned()
        .collect();
    report
}

impl Report {
    /// Bins of the report, the unreachable ones included.
    #[must_use]
    pub fn bins(&self) -> usize {
        self.groups.iter().map(|group| group.bins).sum()
    }

    /// Bins reached.
    #[must_use]
    pub fn reached(&self) -> usize {
        self.groups.iter().map(|group| group.reached).sum()
    }

    /// Names of bins neither reached nor argued unreachable.
    pub fn missed(&self) -> impl Iterator<Item = &str> {
        let groups = self.groups.iter();
        groups.flat_map(|group| group.missed.iter().map(String::as_str))
    }
}

/// Reached in hundredths of what can be reached; 100 % only if nothing is missed.
#[must_use]
pub fn percent(reached: usize, missed: usize) -> String {
    let all = reached + missed;
    let tenths = (reached * 1000).checked_div(all).unwrap_or(1000);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::GroupId;
    use crate::coverage::group::Hits;
    use crate::coverage::record::Run;

    fn record(group: GroupId, at: &[usize]) -> Record {
        let mut hits = Hits::default();
        hits.hit(group, at);
        let run = Run {
            straps: Vec::new(),
            seed: 1,
            config: "tiny".to_owned(),
            testbench: "t".to_owned(),
        };
        Record::of_run(&hits, &run, 10)
    }

    #[test]
    fn reached_missed_and_unreachable_bins_add_up() {
        let reached = record(GroupId::Reuse, &[0]);
        let name = "asid-reuse.left-here".to_owned();
        let declared = BTreeMap::from([(name.clone(), "because".to_owned())]);
        let report = report(&reached, &declared, Some("asid-reuse"));
        assert_eq!((report.bins(), report.reached()), (3, 1));
        assert_eq!(report.groups[0].missed, ["asid-reuse.left-elsewhere"]);
        assert_eq!(report.unreachable, [(name, "because".to_owned())]);
        assert!(report.refuted.is_empty() && report.unknown.is_empty());
    }

    #[test]
    fn an_unreachable_bin_that_is_reached_is_refuted() {
        let name = "asid-reuse.left-here".to_owned();
        let declared = BTreeMap::from([(name.clone(), "because".to_owned())]);
        let report = report(&record(GroupId::Reuse, &[1]), &declared, None);
        assert_eq!(report.refuted, [(name, "because".to_owned())]);
    }

    #[test]
    fn names_that_are_no_bin_are_told() {
        // A fetch that honours PAN is declared to mean nothing.
        let mut record = record(GroupId::Context, &[0, 2, 3, 0]);
        let old = record.bins.values().next().cloned().unwrap();
        record.bins.insert("gone.bin".to_owned(), old);
        let report = report(&record, &BTreeMap::new(), None);
        assert_eq!(
            report.unknown,
            ["context.ttbr0.el1-pan.fetch.l1", "gone.bin"]
        );
    }

    #[test]
    fn only_all_is_a_hundred_percent() {
        assert_eq!(percent(1999, 1), "99.9 %");
        assert_eq!(percent(7, 0), "100.0 %");
        assert_eq!(percent(0, 0), "100.0 %");
    }
}
