// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Whether what a core may hold forbids a change: of the same descriptor, of one in the same run, of
//! one of another level on the path to the same addresses.

use super::holds::Hold;
use super::report::Change;
use super::rule::{self, Rule, leaf, reached};
use crate::check::walk_context::Class;
use crate::sim::Memory;

/// Why `hold`, of the same word, forbids `change`.
pub fn forbids(rule: &Rule, hold: &Hold, change: &Change, memory: &Memory) -> Option<&'static str> {
    let context = &hold.context;
    let granule = context.granule;
    let [before, after] = [change.before, change.after].map(|word| context.decoded(word));
    let old = leaf(context, hold.level, hold.value);
    let new = leaf(context, hold.level, after);
    match (hold.class(), Class::of(granule, hold.level, after)) {
        (_, Class::Invalid) | (Class::Invalid, _) => None,
        (Class::Leaf, Class::Leaf) => rule.leaves(&old, &new, hold.bytes(), memory),
        (Class::Leaf, Class::Table) => rule.sizes(before.nt()).or_else(|| {
            rule.table_under(
                &old,
                after.next_table(granule),
                hold.level + 1,
                context,
                memory,
            )
        }),
        (Class::Table, Class::Leaf) => rule.sizes(after.nt()).or_else(|| {
            let table = hold.value.next_table(granule);
            rule.table_over(table, hold.level + 1, &new, context, memory)
        }),
        (Class::Table, Class::Table) => {
            let [old, new] = [hold.value, after].map(|word| word.next_table(granule));
            rule.tables(old, new, hold.level + 1, context, memory)
        }
    }
}

/// Why `hold`, of a contiguous run that the word lies in, forbids `change`.
pub fn forbids_in_run(
    rule: &Rule,
    hold: &Hold,
    change: &Change,
    memory: &Memory,
) -> Option<&'static str> {
    let members = hold.run().filter(|_| rule.contiguous)?;
    let mask = !(8 * members - 1);
    let (own, other) = (hold.address, change.address);
    if own == other || (own ^ other) & mask != 0 {
        return None;
    }
    let context = &hold.context;
    let after = context.decoded(change.after);
    match Class::of(context.granule, hold.level, after) {
        Class::Invalid => None,
        Class::Table => rule.sizes(false),
        Class::Leaf => {
            let mut old = leaf(context, hold.level, hold.value);
            let run = members * hold.bytes() - 1;
            let index = (change.address / 8) % members;
            old.pa = (old.pa & !run) + index * hold.bytes();
            let new = leaf(context, hold.level, after);
            rule.leaves(&old, &new, hold.bytes(), memory)
        }
    }
}

/// Why `hold`, of another level, forbids `change` of a descriptor on the path to the same addresses,
/// of which `own` is known.
pub fn forbids_elsewhere(
    rule: &Rule,
    hold: &Hold,
    own: &[Hold],
    change: &Change,
    memory: &Memory,
) -> Option<&'static str> {
    let context = &hold.context;
    if !hold.is_met() || hold.class() != Class::Leaf || hold.address == change.address {
        return None;
    }
    let old = leaf(context, hold.level, hold.value);
    let after = context.decoded(change.after);
    let on_path = |own: &&Hold| hold.level != own.level && hold.overlaps(own);
    own.iter().filter(on_path).find_map(|own| {
        if hold.level > own.level {
            let new = reached(context, context.va, own.level, after, hold.level, memory)?;
            let resized = new.level != hold.level;
            let sizes = rule.sizes(new.value.nt()).filter(|_| resized);
            return sizes.or_else(|| rule.leaves(&old, &new, hold.bytes(), memory));
        }
        // A block that a table has replaced in place.
        let is_leaf = Class::of(context.granule, own.level, after) == Class::Leaf;
        if hold.broken_at == u64::MAX || !is_leaf {
            return None;
        }
        let offset = own.context.va & (hold.bytes() - 1);
        let part = rule::Leaf {
            pa: old.pa + offset,
            ..old
        };
        rule.leaves(&part, &leaf(context, own.level, after), own.bytes(), memory)
    })
}
