// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Covergroups as data: a group is a cross of axes without the combinations that mean nothing, and a
//! bin is one combination, named `group.value.value`. Counts lie in one array.

use super::axis::Axis;
use super::groups::GROUPS;

/// A cross of axes.
#[derive(Debug, Clone, Copy)]
pub struct Covergroup {
    /// Which group it is; its place in [`GROUPS`].
    pub id: GroupId,
    /// First part of the names of its bins.
    pub name: &'static str,
    /// What its bins tell, for reports.
    pub about: &'static str,
    /// The dimensions, in the order of the parts of a name.
    pub axes: &'static [Axis],
    /// Whether a combination is a bin. One that is not and comes all the same is reported.
    pub declares: fn(&[usize]) -> bool,
}

macro_rules! group_ids {
    ($($(#[$doc:meta])* $id:ident,)*) => {
        /// The covergroups.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum GroupId {
            $($(#[$doc])* $id,)*
        }

        /// Number of covergroups.
        pub const COUNT: usize = [$(GroupId::$id),*].len();
    };
}

group_ids! {
    /// Good answers by leaf.
    Answer,
    /// Good answers by context.
    Context,
    /// Good answers by size and alignment.
    Size,
    /// Accesses across a boundary.
    Crossing,
    /// Accesses without translation.
    Untranslated,
    /// Faults with a level.
    Fault,
    /// Faults by where the translation came from.
    FaultPlace,
    /// Faults without a level, by access.
    PlainFault,
    /// Alignment faults by size.
    AlignmentFault,
    /// Begins of walks.
    WalkStart,
    /// Concurrency of walks.
    WalkCompany,
    /// Walks that begin again.
    WalkAgain,
    /// Ends of prefetch walks.
    PrefetchEnd,
    /// First-level fills.
    FillL1,
    /// Second-level fills.
    FillL2,
    /// Walk-cache fills.
    FillTable,
    /// First-level entries displaced by one that overlaps.
    Displaced,
    /// Hardware updates.
    Update,
    /// Writes to descriptors that a walk has read.
    Race,
    /// Effects of invalidations on entries.
    Tlbi,
    /// Level hints.
    Hint,
    /// Operands of ranges.
    Range,
    /// Entries with respect to a range.
    RangePlace,
    /// Special operands of ranges.
    RangeForm,
    /// Cancelled walks.
    Cancel,
    /// Edits of descriptors.
    Edit,
    /// Writes of TTBRs.
    Switch,
    /// ASIDs used for other tables.
    Reuse,
    /// Barriers behind invalidations.
    Barrier,
    /// Synchronising operations with walks under way.
    BarrierWalk,
    /// Messages between cores.
    Dvm,
}

impl Covergroup {
    /// Combinations of the cross, bins or not.
    #[must_use]
    pub const fn size(&self) -> usize {
        let (mut size, mut i) = (1, 0);
        while i < self.axes.len() {
            size *= self.axes[i].values.len();
            i += 1;
        }
        size
    }

    /// The coordinates of combination `place`.
    fn coordinates(&self, mut place: usize) -> Vec<usize> {
        let mut at = vec![0; self.axes.len()];
        for (value, axis) in at.iter_mut().zip(self.axes).rev() {
            *value = place % axis.values.len();
            place /= axis.values.len();
        }
        at
    }

    /// The name of the combination at `at`.
    fn bin_name(&self, at: &[usize]) -> String {
        let values = at.iter().zip(self.axes).map(|(&v, axis)| axis.values[v]);
        std::iter::once(self.name)
            .chain(values)
            .collect::<Vec<_>>()
            .join(".")
    }
}

/// Where the counts of each group begin, and the number of all.
const BASES: [usize; COUNT + 1] = {
    let mut bases = [0; COUNT + 1];
    let mut i = 0;
    while i < COUNT {
        bases[i + 1] = bases[i] + GROUPS[i].size();
        i += 1;
    }
    bases
};

/// One combination, with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bin {
    /// Group that it belongs to.
    pub group: GroupId,
    /// Stable name.
    pub name: String,
    /// Whether it is declared a bin.
    pub declared: bool,
    place: usize,
}

/// Every combination of every group, bins or not, in the order of their declaration.
pub fn combinations() -> impl Iterator<Item = Bin> {
    GROUPS.iter().flat_map(|group| {
        (0..group.size()).map(|place| {
            let at = group.coordinates(place);
            Bin {
                group: group.id,
                name: group.bin_name(&at),
                declared: (group.declares)(&at),
                place: BASES[group.id as usize] + place,
            }
        })
    })
}

/// Every bin, in the order of declaration.
pub fn bins() -> impl Iterator<Item = Bin> {
    combinations().filter(|bin| bin.declared)
}

/// How often each combination came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hits(Box<[u64]>);

impl Default for Hits {
    fn default() -> Self {
        Self(vec![0; BASES[COUNT]].into_boxed_slice())
    }
}

impl Hits {
    /// Counts the combination `at` of `group`.
    pub fn hit(&mut self, group: GroupId, at: &[usize]) {
        let axes = GROUPS[group as usize].axes;
        debug_assert_eq!(at.len(), axes.len(), "{group:?}");
        let mut place = 0;
        for (&value, axis) in at.iter().zip(axes) {
            debug_assert!(value < axis.values.len(), "{group:?} {at:?}");
            place = place * axis.values.len() + value;
        }
        if let Some(count) = self.0.get_mut(BASES[group as usize] + place) {
            *count = count.saturating_add(1);
        }
    }

    /// How often `bin` came.
    #[must_use]
    pub fn of(&self, bin: &Bin) -> u64 {
        self.0.get(bin.place).copied().unwrap_or(0)
    }

    /// How often the combination `name` came; 0 for names of no combination.
    #[must_use]
    pub fn named(&self, name: &str) -> u64 {
        combinations()
            .find(|bin| bin.name == name)
            .map_or(0, |bin| self.of(&bin))
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count = count.saturating_add(*more);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn groups_stand_at_the_place_of_their_id() {
        for (place, group) in GROUPS.iter().enumerate() {
            assert_eq!(group.id as usize, place, "{}", group.name);
            assert!(bins().any(|bin| bin.group == group.id), "{}", group.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<String> = combinations().map(|bin| bin.name).collect();
        assert_eq!(names.len(), BASES[COUNT]);
    }

    #[test]
    fn a_hit_counts_in_the_bin_of_that_name_alone() {
        let mut hits = Hits::default();
        hits.hit(GroupId::Fault, &[1, 2, 0, 0]);
        hits.hit(GroupId::Dvm, &[17]);
        let reached: Vec<String> = combinations()
            .filter(|bin| hits.of(bin) == 1)
            .map(|bin| bin.name)
            .collect();
        let expected = ["fault.translation-fault.level2.4K.load", "dvm.effect-waits"];
        assert_eq!(reached, expected);
        assert_eq!(hits.named("dvm.effect-waits"), 1);
    }
}
