// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Contiguous runs are programmed as the architecture asks: whenever a core caches one, its live
//! members agree. Their write permission may change one by one (section 12.1): a run cached in the
//! midst of that has to agree before a member of it is made invalid or the test ends. That no TLB holds a run and a page of it that say otherwise is for the monitor of
//! TLB contents, which knows what a TLB holds, to report under the name of this one.

use std::collections::VecDeque;

use vmsa::Descriptor;
use vmsa::geometry::level_bytes;

use super::bbm::rule::{run_attributes, write_permission};
use super::walk_context::{Class, WalkContext, WalkContexts};
use super::{Violation, Violations};
use crate::arch::invalidation::untagged;
use crate::dut::ports::{CommitKind, Straps, TlbFill, TlbStructure, WalkEvent, WalkKind};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "contiguous runs";
/// Leaf reads remembered: the second level takes its fill some time after the walk.
const READS: usize = 64;
const AGREE: &str = "live members with Contiguous = 1, the same attributes, and addresses in a row";

/// A leaf with Contiguous = 1 that a walk read.
#[derive(Debug, Clone, Copy)]
struct Read {
    core: u8,
    instruction: bool,
    level: u8,
    address: u64,
    context: WalkContext,
}

/// A run whose members differ in write permission.
#[derive(Debug, Clone, Copy)]
struct Mixed {
    read: Read,
    members: u64,
}

impl Mixed {
    /// First descriptor.
    fn base(&self) -> u64 {
        self.read.address & !(8 * self.members - 1)
    }

    fn holds(&self, address: u64) -> bool {
        address.wrapping_sub(self.base()) < 8 * self.members
    }
}

/// Judges the runs that cores cache.
#[derive(Debug)]
pub struct RunMonitor {
    contiguous: bool,
    contexts: WalkContexts,
    reads: VecDeque<Read>,
    /// Cached while their write permission changed.
    mixed: Vec<Mixed>,
}

impl RunMonitor {
    /// A monitor of hardware strapped so.
    #[must_use]
    pub fn new(straps: &Straps) -> Self {
        Self {
            contiguous: straps.contiguous,
            contexts: WalkContexts::new(straps.asid8),
            reads: VecDeque::with_capacity(READS),
            mixed: Vec::new(),
        }
    }

    fn walked(&mut self, core: u8, step: &WalkEvent) {
        if !matches!(step.kind, WalkKind::Step | WalkKind::Swap) || step.error || step.discarded {
            return;
        }
        let Some(context) = self.contexts.of(core, step.slot) else {
            return;
        };
        let value = Descriptor(step.value);
        let leaf = Class::of(context.granule, step.level, value) == Class::Leaf;
        if leaf && value.contiguous() {
            if self.reads.len() == READS {
                self.reads.pop_back();
            }
            self.reads.push_front(Read {
                core,
                instruction: step.instruction,
                level: step.level,
                address: step.address,
                context: *context,
            });
        }
    }

    fn filled(
        &mut self,
        cycle: u64,
        core: u8,
        change: &TlbFill,
        memory: &Memory,
        out: &mut Violations,
    ) {
        let gave = |read: &&Read| {
            read.core == core
                && read.instruction == change.instruction
                && read.level == change.level
                && (read.context.va ^ untagged(change.va)) & change.mask == 0
        };
        let Some(read) = self.reads.iter().find(gave).copied() else {
            return;
        };
        let Some(members) = read.context.run(read.level) else {
            return;
        };
        if let Some((address, why)) = disagreement(&read, members, memory) {
            let came = format!(
                "a run of {members} descriptors around L{} [{:#014x}] is cached, and its member at \
                 [{address:#014x}] differs: {why}",
                read.level, read.address
            );
            let run = Mixed { read, members };
            out.push(violation(cycle, &run, address, came, memory));
        } else if odd_permission(&read, members, memory).is_some() {
            let known = |mixed: &Mixed| mixed.holds(read.address);
            if !self.mixed.iter().any(known) {
                self.mixed.push(Mixed { read, members });
            }
        }
    }

    /// The word at `address`, maybe of a run that is mixed, was written. What is written through the
    /// back door is the scene.
    fn written(
        &mut self,
        cycle: u64,
        kind: CommitKind,
        address: u64,
        memory: &Memory,
        out: &mut Violations,
    ) {
        self.mixed.retain(|mixed| {
            if !mixed.holds(address) {
                return true;
            }
            let Read { context, level, .. } = mixed.read;
            let now = context.decoded(memory.coherent(address));
            if Class::of(context.granule, level, now) != Class::Invalid {
                return odd_permission(&mixed.read, mixed.members, memory).is_some();
            }
            if kind != CommitKind::Backdoor {
                out.push(left_mixed(cycle, mixed, address, memory));
            }
            false
        });
    }
}

fn left_mixed(cycle: u64, mixed: &Mixed, address: u64, memory: &Memory) -> Violation {
    let came = format!(
        "a run of {} descriptors around L{} [{:#014x}] was cached while its write permission \
         changed, and its members never agreed again",
        mixed.members, mixed.read.level, mixed.read.address
    );
    violation(cycle, mixed, address, came, memory)
}

fn violation(cycle: u64, run: &Mixed, address: u64, came: String, memory: &Memory) -> Violation {
    let (read, base) = (&run.read, run.base());
    let mut violation = Violation::new(cycle, NAME, &["TLB-06"], came)
        .on_core(read.core)
        .at_va(read.context.va)
        .of_descriptor(address)
        .permitting(AGREE);
    violation.walk = (0..run.members)
        .map(|i| base + 8 * i)
        .map(|slot| (slot, read.context.decoded(memory.coherent(slot))))
        .map(|(slot, value)| format!("L{} [{slot:#014x}] = {value}", read.level))
        .collect();
    violation
}

/// A live member whose write permission is another than that of the first.
fn odd_permission(read: &Read, members: u64, memory: &Memory) -> Option<u64> {
    let granule = read.context.granule;
    let base = read.address & !(8 * members - 1);
    let mut live = (0..members)
        .map(|i| base + 8 * i)
        .map(|slot| (slot, read.context.decoded(memory.coherent(slot))))
        .filter(|&(_, value)| Class::of(granule, read.level, value) == Class::Leaf);
    let (_, first) = live.next()?;
    let odd = live.find(|&(_, value)| write_permission(value) != write_permission(first));
    odd.map(|(slot, _)| slot)
}

/// The first live member that does not agree with the one that was read, and in what.
fn disagreement(read: &Read, members: u64, memory: &Memory) -> Option<(u64, &'static str)> {
    let Read {
        context,
        level,
        address,
        ..
    } = *read;
    let granule = context.granule;
    let run = 8 * members - 1;
    let bytes = level_bytes(granule, level);
    // What was read may have been changed or made invalid meanwhile: then another member stands for it.
    let lead = |slot: u64| {
        let value = context.decoded(memory.coherent(slot));
        let runs = Class::of(granule, level, value) == Class::Leaf && value.contiguous();
        runs.then_some((slot, value))
    };
    let slots = || (0..members).map(|i| (address & !run) + 8 * i);
    let (first, value) = lead(address).or_else(|| slots().find_map(lead))?;
    slots().find_map(|slot| {
        let member = context.decoded(memory.coherent(slot));
        let distance = slot.wrapping_sub(first).cast_signed() / 8;
        let expected = value
            .output_address(granule, level)
            .wrapping_add_signed(distance * bytes.cast_signed());
        let place = value.output_address(granule, level) / bytes;
        let aligned = place % members == (first / 8) % members;
        let why = match Class::of(granule, level, member) {
            Class::Invalid => return None,
            Class::Table => "it is a table",
            Class::Leaf if !member.contiguous() => "its Contiguous bit is 0",
            Class::Leaf if run_attributes(member) != run_attributes(value) => "its attributes",
            Class::Leaf if !aligned => "the output address is not aligned to the run",
            Class::Leaf if member.output_address(granule, level) != expected => {
                "its output address"
            }
            Class::Leaf => return None,
        };
        Some((slot, why))
    })
}

impl Monitor for RunMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, memory: &Memory, out: &mut Violations) {
        if !self.contiguous {
            return;
        }
        self.contexts.event(event);
        match &event.kind {
            EventKind::Walk { core, step } => self.walked(*core, step),
            EventKind::Fill { core, change }
                if change.contiguous
                    && !change.from_l2
                    && change.structure != TlbStructure::WalkCache =>
            {
                self.filled(event.cycle, *core, change, memory, out);
            }
            EventKind::Commit { kind, address, .. } if !self.mixed.is_empty() => {
                self.written(event.cycle, *kind, *address, memory, out);
            }
            _ => {}
        }
    }

    fn finish(&mut self, cycle: u64, memory: &Memory, out: &mut Violations) {
        for mixed in std::mem::take(&mut self.mixed) {
            if let Some(odd) = odd_permission(&mixed.read, mixed.members, memory) {
                out.push(left_mixed(cycle, &mixed, odd, memory));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use vmsa::{Granule, SysReg, Tcr, Ttbr, VaRange};

    use super::*;
    use crate::check::feed::{assert_fires, assert_quiet, change_fill, commit, fill, issue, walk};
    use crate::dut::ports::CoreRequest;

    const VA: u64 = 0x40_0000;
    const TABLE: u64 = 0x8000_1000;
    const PA: u64 = 0x9001_0000;

    fn member(index: u64) -> Descriptor {
        Descriptor::leaf(Granule::K4, 3, PA + index * 0x1000)
            .with_af(index == 2)
            .with_contiguous(true)
    }

    struct Scene {
        monitor: RunMonitor,
        memory: Memory,
        out: Violations,
    }

    impl Scene {
        fn see(&mut self, event: &Event) {
            self.monitor.event(event, &self.memory, &mut self.out);
        }

        fn store(&mut self, cycle: u64, index: u64, value: Descriptor) {
            let slot = TABLE + 8 * index;
            let before = self.memory.read_u64(slot);
            self.memory.write_u64(slot, value.0);
            self.see(&commit(cycle, CommitKind::Store, slot, before, value.0));
        }

        fn finish(mut self) -> Violations {
            self.monitor.finish(1000, &self.memory, &mut self.out);
            self.out
        }
    }

    /// What the monitor says when a core caches the run after `change` was made to member 5.
    fn cached(change: impl Fn(Descriptor) -> Descriptor) -> Violations {
        caching(change).finish()
    }

    fn caching(change: impl Fn(Descriptor) -> Descriptor) -> Scene {
        let mut memory = Memory::default();
        for index in 0..16 {
            let value = member(index);
            let value = if index == 5 { change(value) } else { value };
            memory.write_u64(TABLE + 8 * index, value.0);
        }
        let run = change_fill(fill(40, 0, VA, PA, 0x1_0000), |fill| fill.contiguous = true);
        let tcr = Tcr(0).with_tsz(VaRange::Lower, 16).0;
        let events = [
            issue(1, CoreRequest::msr(SysReg::Tcr, tcr)),
            issue(2, CoreRequest::msr(SysReg::Ttbr0, Ttbr::new(1, TABLE).0)),
            walk(10, 5, VA + 0x2000, WalkKind::Begin, 3, TABLE + 16, 0),
            walk(
                20,
                5,
                VA + 0x2000,
                WalkKind::Step,
                3,
                TABLE + 16,
                member(2).0,
            ),
            walk(30, 5, VA + 0x2000, WalkKind::End, 3, 0, 0),
            run,
        ];
        let mut scene = Scene {
            monitor: RunMonitor::new(&Straps::default()),
            memory,
            out: Violations::new(),
        };
        events.iter().for_each(|event| scene.see(event));
        scene
    }

    #[test]
    fn write_permission_differs_only_while_it_changes() {
        // CONTPTE-17: member 5 is the first of which it is taken.
        let protect = |member: Descriptor| member.with_ap_read_only(true);
        let scene = caching(protect);
        assert_quiet(&scene.out);
        assert_fires(&scene.finish(), "TLB-06");
        let mut whole = caching(protect);
        for index in 0..16 {
            whole.store(100 + index, index, protect(member(index)));
        }
        assert_quiet(&whole.finish());
        let mut part = caching(protect);
        part.store(100, 4, protect(member(4)));
        part.store(200, 3, Descriptor(0));
        assert_fires(&part.out, "TLB-06");
    }

    #[test]
    fn members_that_agree_are_quiet() {
        assert_quiet(&cached(|member| member));
        assert_quiet(&cached(|member| member.with_af(true).with_software(3)));
        assert_quiet(&cached(|_| Descriptor(0)));
    }

    #[test]
    fn a_member_that_differs_is_a_violation() {
        for change in [
            |member: Descriptor| member.with_contiguous(false),
            |member: Descriptor| member.with_ap_el0(true),
            |member: Descriptor| member.with_attr_index(1),
            |member: Descriptor| Descriptor(member.0 + 0x1000),
        ] {
            let out = cached(change);
            assert_fires(&out, "TLB-06");
            let descriptor = out.first().and_then(|violation| violation.descriptor);
            assert_eq!(descriptor, Some(TABLE + 8 * 5));
        }
    }
}
