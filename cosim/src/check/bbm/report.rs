// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The report of a broken rule: what was changed, who may still hold what, and the step left out.

use vmsa::Descriptor;

use super::log::{Issued, Log};
use super::{Conflict, NAME, reach};
use crate::arch::invalidation::Held;
use crate::check::Violation;
use crate::check::walk_context::Class;
use crate::sim::event::BACKDOOR;

/// A word that changed.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// Cycle in which it became visible.
    pub cycle: u64,
    /// Core that wrote.
    pub source: u8,
    /// Physical address.
    pub address: u64,
    /// The word before.
    pub before: u64,
    /// The word after.
    pub after: u64,
}

/// The violation that `conflict` makes of `change`; `cores` may hold what forbids it, one bit each.
pub fn violation(change: &Change, conflict: &Conflict, cores: u64, log: &Log) -> Violation {
    let Conflict {
        hold,
        reason,
        level,
        ..
    } = conflict;
    let context = &hold.context;
    let after = context.decoded(change.after);
    let (ids, step) = missing(change, conflict, log);
    let came = format!(
        "L{level} [{:#014x}] became {after} ({}): {reason}, while {} may hold {} ({}) of L{} [{:#014x}]; {step}",
        change.address,
        describe(Class::of(context.granule, *level, after), after),
        names(cores),
        hold.value,
        describe(hold.class(), hold.value),
        hold.level,
        hold.address,
    );
    let mut violation = Violation::new(change.cycle, NAME, ids, came)
        .at_va(context.va)
        .of_descriptor(change.address)
        .permitting(
            "invalid; DSB ISHST or wider; a broadcast TLBI that covers it; DSB ISH; the new one",
        )
        .permitting("a change that section 12.2 or the BBM level allows in place");
    if change.source != BACKDOOR {
        violation.core = Some(change.source);
    }
    let word = context.decoded(change.before);
    violation.walk = vec![
        format!(
            "memory held {word} ({})",
            describe(Class::of(context.granule, *level, word), word)
        ),
        format!(
            "core {} read L{} [{:#014x}] = {} for {:#018x}, ASID {:#06x}, {} bytes",
            hold.core,
            hold.level,
            hold.address,
            hold.value,
            context.va,
            context.asids[1],
            hold.bytes()
        ),
    ];
    violation
}

/// The step that is missing, and the requirements that say so, the most specific last.
fn missing(change: &Change, conflict: &Conflict, log: &Log) -> (&'static [&'static str], String) {
    let hold = &conflict.hold;
    let gone_at = hold.gone_at();
    if gone_at == u64::MAX {
        let step = match hold.address == change.address {
            true => "that was not made invalid first",
            false => "no TLBI that covers it was completed since",
        };
        return (&["BBM-03"], step.to_owned());
    }
    let held = hold.held(conflict.as_run);
    let names = |operation: &&Issued| operation.names(&held, hold.context.asids);
    let late = |operation: &&Issued| operation.after >= gone_at;
    let since = |operation: &&Issued| operation.issued_at >= gone_at;
    let say = |operation: &Issued| {
        let Issued {
            tlbi,
            issued_at,
            source,
            ..
        } = operation;
        format!(
            "the {} {tlbi} of core {source} at cycle {issued_at}",
            reach(tlbi.scope)
        )
    };
    let fitting = || log.latest().filter(names);
    if let Some(operation) = fitting().filter(late).find(|op| !op.reaches(hold.core)) {
        return (
            &["BBM-03", "TLBI-12"],
            format!("{} does not reach core {}", say(operation), hold.core),
        );
    }
    if let Some(operation) = fitting().filter(late).find(|op| op.complete.is_none()) {
        let why = match operation.too_weak {
            Some(kind) => format!("{kind} does not complete it"),
            None => "no DSB completed it".to_owned(),
        };
        let step = format!("{} is not complete: {why}", say(operation));
        return (&["BBM-03", "TLBI-24"], step);
    }
    if let Some(operation) = fitting().find(since) {
        let step = format!(
            "no DSB stands between the invalid descriptor of cycle {} and {}",
            gone_at,
            say(operation)
        );
        return (&["BBM-03"], step);
    }
    if held.table
        && let Some(operation) = log.latest().filter(since).find(|op| leaf_only(op, &held))
    {
        let step = format!("{} leaves tables in place", say(operation));
        return (&["BBM-03", "BBM-10"], step);
    }
    let other_asid = |operation: &&Issued| operation.names(&held, [operation.asid; 2]);
    if let Some(operation) = log.latest().filter(since).find(other_asid) {
        let step = format!(
            "{} names ASID {:#06x}, not {:#06x}",
            say(operation),
            operation.asid,
            hold.context.asids[1]
        );
        return (&["BBM-03", "TLBI-04"], step);
    }
    let count = log.latest().filter(since).count();
    let step = match log.latest().filter(since).last() {
        Some(operation) => format!(
            "none of {count} TLBIs since the invalid descriptor of cycle {} covers it; the first was {}",
            gone_at,
            say(operation)
        ),
        None => format!(
            "no TLBI followed the invalid descriptor of cycle {}",
            gone_at
        ),
    };
    (&["BBM-03"], step)
}

/// Whether `operation` names addresses of `held`, but leaf entries only.
fn leaf_only(operation: &Issued, held: &Held) -> bool {
    let tlbi = &operation.tlbi;
    let covers = match tlbi.range() {
        Some(range) => range.overlaps(held.va, 1 << held.span),
        None => (tlbi.va() ^ held.va) >> held.span == 0,
    };
    tlbi.op.last_level() && covers
}

fn names(cores: u64) -> String {
    let list: Vec<String> = (0..64u32)
        .filter(|core| cores >> core & 1 == 1)
        .map(|core| core.to_string())
        .collect();
    match list.len() {
        1 => format!("core {}", list[0]),
        _ => format!("cores {}", list.join(", ")),
    }
}

/// A descriptor in words.
#[must_use]
pub fn describe(class: Class, value: Descriptor) -> String {
    let bit = |holds: bool| u8::from(holds);
    match class {
        Class::Invalid => "invalid".to_owned(),
        Class::Table => format!("table at {:#014x}", value.0 & 0xffff_ffff_f000),
        Class::Leaf => format!(
            "leaf to {:#014x} AttrIndx {} SH {} AP {:02b} AF {} nG {} DBM {} Cont {} PXN {} UXN {}",
            value.0 & 0xffff_ffff_f000,
            value.attr_index(),
            value.sh(),
            value.ap(),
            bit(value.af()),
            bit(value.ng()),
            bit(value.dbm()),
            bit(value.contiguous()),
            bit(value.pxn()),
            bit(value.uxn()),
        ),
    }
}
