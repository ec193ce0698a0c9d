// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The rules of translation that can be changed one at a time to explain a wrong answer, each with
//! the requirement that its change breaks. See [`super::diagnose`].

use vmsa::{Descriptor, El, Mair, Sctlr, Tcr, VaRange};

use super::access::{Access, AccessKind, Outcome, Reason};
use super::context::Context;
use super::diagnose::gives;
use super::regime::{TSZ_MIN, granule, tsz_max};
use super::walk::{Entry, ReadDescriptor, Walk, encode_word, translate};

/// Limit bits of a table descriptor: execution, then AP.
const LIMITS: [u64; 2] = [
    1 << Descriptor::PXN_TABLE | 1 << Descriptor::UXN_TABLE,
    3 << Descriptor::AP_TABLE,
];

/// One rule.
pub struct Rule {
    /// Requirement that states it.
    pub id: &'static str,
    /// The translations in which only this rule is changed; none if it has no say.
    pub changes: fn(&Trial) -> Vec<Trial>,
}

/// A translation with something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    context: Context,
    access: Access,
    /// What goes wrong without the change.
    reason: Option<Reason>,
    /// The tables of each page of the access, from the first level down.
    tables: [Vec<(u64, Descriptor)>; 2],
    /// The leaves.
    leaves: Vec<(u64, Descriptor)>,
    /// Words that read differently.
    edits: Vec<(u64, u64)>,
    /// Counts only as a success (`true`) or only as a fault.
    succeeds: Option<bool>,
}

/// Memory with some words replaced.
struct Edited<'a, M: ?Sized> {
    memory: &'a M,
    edits: &'a [(u64, u64)],
}

impl<M: ReadDescriptor + ?Sized> ReadDescriptor for Edited<'_, M> {
    fn read(&self, address: u64) -> Option<u64> {
        match self.edits.iter().find(|(edited, _)| *edited == address) {
            Some((_, word)) => Some(*word),
            None => self.memory.read(address),
        }
    }
}

impl Trial {
    /// The translation of `access` as it should be; `decisive` is the walk whose result counts.
    pub fn new(
        memory: &(impl ReadDescriptor + ?Sized),
        context: &Context,
        access: &Access,
        decisive: &Walk,
    ) -> Self {
        let mut trial = Self {
            context: *context,
            access: *access,
            reason: decisive.outcome.err().map(|fault| fault.reason),
            tables: [Vec::new(), Vec::new()],
            leaves: Vec::new(),
            edits: Vec::new(),
            succeeds: None,
        };
        let parts = [Some(*access), access.second_part()];
        for (part, tables) in parts.into_iter().flatten().zip(&mut trial.tables) {
            for step in translate(memory, context, &part).steps() {
                match step.entry {
                    Entry::Table(_) => tables.push((step.address, step.descriptor)),
                    Entry::Leaf(_) => trial.leaves.push((step.address, step.descriptor)),
                    Entry::Bad(_) => {}
                }
            }
        }
        trial
    }

    /// Whether it gives `observed`.
    pub fn gives(&self, memory: &(impl ReadDescriptor + ?Sized), observed: Outcome) -> bool {
        let success = matches!(observed, Outcome::Translated { .. });
        let edited = Edited {
            memory,
            edits: &self.edits,
        };
        self.succeeds.is_none_or(|wanted| wanted == success)
            && gives(&edited, &self.context, &self.access, observed)
    }

    /// The same under another context.
    #[must_use]
    pub fn within(&self, context: Context) -> Self {
        Self {
            context,
            ..self.clone()
        }
    }

    /// `self` changed by `change`; nothing if that leaves everything as it was.
    fn with(&self, change: impl FnOnce(&mut Self)) -> Vec<Self> {
        let mut changed = self.clone();
        change(&mut changed);
        if changed == *self {
            Vec::new()
        } else {
            vec![changed]
        }
    }

    fn tcr(&self, change: impl FnOnce(Tcr, VaRange) -> Tcr) -> Vec<Self> {
        self.with(|t| t.context.registers.tcr = change(t.context.registers.tcr, t.range()))
    }

    fn sctlr(&self, change: impl FnOnce(Sctlr) -> Sctlr) -> Vec<Self> {
        self.with(|t| t.context.registers.sctlr = change(t.context.registers.sctlr))
    }

    fn range(&self) -> VaRange {
        VaRange::of(self.access.va)
    }

    fn fetches(&self) -> bool {
        self.access.kind == AccessKind::Execute
    }

    fn hpd(&self) -> bool {
        self.context.registers.tcr.hpd(self.range())
    }

    fn leaves(&self, change: impl Fn(Descriptor) -> Descriptor) -> Vec<Self> {
        self.with(|t| {
            for (address, descriptor) in &self.leaves {
                t.edit(*address, *descriptor, change(*descriptor));
            }
        })
    }

    fn edit(&mut self, address: u64, from: Descriptor, to: Descriptor) {
        if from != to {
            self.edits.push((address, encode_word(&self.context, to)));
        }
    }

    /// The limit bits `mask` dropped from the tables that `which` picks by index and count.
    fn unlimited(&self, mask: u64, which: fn(usize, usize) -> bool) -> Vec<Self> {
        self.with(|t| {
            for tables in &self.tables {
                for (i, (address, table)) in tables.iter().enumerate() {
                    if which(i, tables.len()) {
                        t.edit(*address, *table, Descriptor(table.0 & !mask));
                    }
                }
            }
        })
    }

    fn if_fault(mut trials: Vec<Self>) -> Vec<Self> {
        for trial in &mut trials {
            trial.succeeds = Some(false);
        }
        trials
    }

    fn if_success(mut trials: Vec<Self>) -> Vec<Self> {
        for trial in &mut trials {
            trial.succeeds = Some(true);
        }
        trials
    }
}

fn only(condition: bool, trials: Vec<Trial>) -> Vec<Trial> {
    if condition { trials } else { Vec::new() }
}

const fn rule(id: &'static str, changes: fn(&Trial) -> Vec<Trial>) -> Rule {
    Rule { id, changes }
}

/// Rules in force that the hardware may have ignored, the most particular first.
pub const IGNORED: &[Rule] = &[
    rule("VMSA-10", |t| {
        t.tcr(|tcr, range| {
            let max = tsz_max(granule(&t.context, range));
            tcr.with_tsz(range, tcr.tsz(range).clamp(TSZ_MIN, max))
        })
    }),
    rule("VMSA-07", |t| {
        only(t.fetches(), t.tcr(|tcr, range| tcr.with_tbid(range, false)))
    }),
    rule("VMSA-05", |t| {
        let in_range = t.with(|t| {
            let tag = u32::from(t.context.registers.tcr.tsz(t.range()));
            let va = t.access.va << tag >> tag;
            t.access.va = match t.range() {
                VaRange::Lower => va,
                VaRange::Upper => va | !(u64::MAX >> tag),
            };
        });
        only(t.reason == Some(Reason::OutOfRange), in_range)
    }),
    rule("VMSA-08", |t| {
        t.tcr(|tcr, range| tcr.with_e0pd(range, false))
    }),
    rule("VMSA-09", |t| {
        t.tcr(|tcr, range| tcr.with_epd(range, false))
    }),
    rule("VMSA-42", |t| {
        let next = t.reason == Some(Reason::NextTableTooLarge);
        only(next, t.tcr(|tcr, _| tcr.with_ips(5)))
    }),
    rule("VMSA-45", |t| t.tcr(|tcr, _| tcr.with_ips(5))),
    rule("WALK-02", |t| t.sctlr(|sctlr| sctlr.with_ee(false))),
    rule("VMSA-27", |t| t.with(|t| t.access.pan = false)),
    rule("VMSA-27", |t| t.sctlr(|sctlr| sctlr.with_epan(false))),
    rule("VMSA-23", |t| {
        t.tcr(|tcr, range| tcr.with_hpd(range, false))
    }),
    rule("VMSA-26", |t| {
        let managed = t.context.hd() && t.leaves.iter().any(|(_, leaf)| leaf.dbm());
        let no_write = 2 << Descriptor::AP_TABLE;
        only(managed && !t.hpd(), t.unlimited(no_write, |_, _| true))
    }),
    rule("VMSA-24", |t| {
        let which: [fn(usize, usize) -> bool; 3] =
            [|i, n| i + 1 < n, |i, n| i + 1 == n, |_, _| true];
        let masks = [LIMITS[0], LIMITS[1], LIMITS[0] | LIMITS[1]];
        let all = masks
            .iter()
            .flat_map(|mask| which.iter().flat_map(|which| t.unlimited(*mask, *which)));
        only(!t.hpd(), all.collect())
    }),
    rule("VMSA-21", |t| {
        let fetches = t.fetches() && t.access.el == El::El1;
        only(fetches, t.leaves(|leaf| leaf.with_ap_el0(false)))
    }),
    rule("VMSA-20", |t| t.sctlr(|sctlr| sctlr.with_wxn(false))),
    rule("VMSA-25", |t| t.tcr(|tcr, _| tcr.with_hd(false))),
    // A write that no update made room for.
    rule("HAF-12", |t| {
        let mut managed = t.tcr(|tcr, _| tcr.with_ha(true).with_hd(true));
        for trial in &mut managed {
            trial.context.profile.hafdbs = 2;
        }
        let flagged = t.leaves.iter().all(|(_, leaf)| leaf.af());
        only(
            flagged && t.access.kind.writes(),
            Trial::if_success(managed),
        )
    }),
    rule("VMSA-43", |t| {
        Trial::if_fault(t.leaves(|leaf| leaf.with_af(true)))
    }),
    rule("HAF-01", |t| {
        Trial::if_success(t.leaves(|leaf| leaf.with_af(true)))
    }),
    rule("VMSA-44", |t| {
        let device = t.reason == Some(Reason::DeviceMisaligned);
        only(device, Trial::if_fault(t.with(all_normal)))
    }),
];

/// Rules that the hardware may have applied although they are not in force.
pub const MADE_UP: &[Rule] = &[
    rule("VMSA-61", |t| {
        let fetches = t.fetches();
        t.sctlr(|sctlr| match fetches {
            true => sctlr.with_i(!sctlr.i()),
            false => sctlr.with_c(!sctlr.c()),
        })
    }),
    rule("VMSA-04", |t| {
        t.with(|t| {
            let registers = &mut t.context.registers;
            std::mem::swap(&mut registers.ttbr0, &mut registers.ttbr1);
        })
    }),
    rule("VMSA-07", |t| {
        only(t.fetches(), t.tcr(|tcr, range| tcr.with_tbid(range, true)))
    }),
    rule("VMSA-05", |t| {
        t.tcr(|tcr, range| tcr.with_tbi(range, false))
    }),
    // E0PD for EL1 too, and each bit for the other range.
    rule("VMSA-08", |t| {
        let privileged = t.access.el == El::El1;
        only(
            privileged,
            Trial::if_fault(t.with(|t| t.access.el = El::El0)),
        )
        .into_iter()
        .filter(|t| t.context.registers.tcr.e0pd(t.range()))
        .chain(t.tcr(|tcr, range| {
            let [lower, upper] = [VaRange::Lower, VaRange::Upper].map(|half| tcr.e0pd(half));
            let other = if range == VaRange::Lower {
                upper
            } else {
                lower
            };
            tcr.with_e0pd(range, other)
        }))
        .collect()
    }),
    rule("VMSA-09", |t| {
        t.tcr(|tcr, range| {
            let [lower, upper] = [VaRange::Lower, VaRange::Upper].map(|half| tcr.epd(half));
            let other = if range == VaRange::Lower {
                upper
            } else {
                lower
            };
            tcr.with_epd(range, other)
        })
    }),
    rule("VMSA-27", |t| t.with(|t| t.access.pan = true)),
    rule("VMSA-27", |t| t.sctlr(|sctlr| sctlr.with_epan(true))),
    // Execution at EL0 made to depend on reading there.
    rule("VMSA-22", |t| {
        let fetches = t.fetches() && t.access.el == El::El0;
        only(
            fetches,
            t.leaves(|leaf| leaf.with_uxn(leaf.uxn() || !leaf.ap_el0())),
        )
    }),
    rule("VMSA-62", |t| {
        let device = t.with(|t| t.context.registers.mair = Mair(0));
        only(!t.fetches(), Trial::if_fault(device))
    }),
    rule("VMSA-01", |t| t.sctlr(|sctlr| sctlr.with_m(!sctlr.m()))),
    rule("WALK-02", |t| t.sctlr(|sctlr| sctlr.with_ee(true))),
];

/// Every memory type Normal.
fn all_normal(trial: &mut Trial) {
    trial.context.registers.mair = Mair(u64::MAX);
}
