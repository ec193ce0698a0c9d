// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A listener that holds the kernel to the order in which tables are linked and frames freed: a table is
//! linked when it is clear (MM-04); a frame is given back when no entry translates to it any more, and,
//! for each that did, an invalidation that covers it has completed (MM-05, MM-06).
//!
//! It judges software by what hardware shows: writes to tables as they become visible, TLBI and DSB as
//! they are issued and answered, TTBR0_EL1. From the kernel it knows which frames are tables of which
//! address space, and when a frame is freed.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use cosim::check::{Violation, Violations};
use cosim::dut::ports::Op;
use cosim::sim::Memory;
use cosim::sim::event::{BACKDOOR, Event, EventKind, Monitor};
use sw_mm::kernel::Kernel;
use sw_mm::mm::Table;
use sw_mm::page::Pfn;
use sw_mm::{Activity, OsEvent};
use vmsa::{Descriptor, DsbKind, SysReg, Tlbi, TlbiOp, TlbiScope, Ttbr, geometry};

const NAME: &str = "frame order";

/// What an entry translated, or which table it linked.
#[derive(Debug, Clone, Copy)]
struct Translation {
    space: u32,
    va: u64,
    /// Bytes of virtual addresses.
    bytes: u64,
    level: u8,
    table: bool,
    /// First byte of the page or table.
    pa: u64,
}

/// A translation that was taken out, and a TLBI that covers it, if one was issued.
#[derive(Debug, Clone, Copy)]
struct Owed {
    was: Translation,
    /// Core and operation.
    issued: Option<(u8, TlbiScope)>,
}

/// The listener.
pub struct FrameOrder {
    kernel: Rc<Kernel>,
    /// Tables linked below a root, by address.
    tables: BTreeSet<u64>,
    /// Entries by their address, and by what they point at.
    live: BTreeMap<u64, Translation>,
    pointing: BTreeSet<(u64, u64)>,
    owed: Vec<Owed>,
    /// TTBR0_EL1 by core.
    bases: BTreeMap<u8, u64>,
}

impl FrameOrder {
    /// One for `kernel`.
    #[must_use]
    pub fn new(kernel: Rc<Kernel>) -> Self {
        Self {
            kernel,
            tables: BTreeSet::new(),
            live: BTreeMap::new(),
            pointing: BTreeSet::new(),
            owed: Vec::new(),
            bases: BTreeMap::new(),
        }
    }

    /// The table of an address space that holds the word at `address`, if it is one that walks reach.
    fn table(&self, address: u64) -> Option<Rc<Table>> {
        let shift = self.kernel.granule().shift();
        let table = self.kernel.frames.table(Pfn(address >> shift))?;
        let config = self.kernel.config();
        let root = table.level == geometry::start_level(config.granule, config.va_bits);
        let reached = match root {
            true => self.kernel.space(table.space).is_some(),
            false => self.tables.contains(&table.pa),
        };
        reached.then_some(table)
    }

    /// What `entry` says in `table` at `slot`.
    fn translation(&self, table: &Table, slot: u64, entry: Descriptor) -> Option<Translation> {
        let granule = self.kernel.granule();
        let last = table.level == geometry::FINAL_LEVEL;
        let links = !last && entry.is_table_bit();
        let bytes = geometry::level_bytes(granule, table.level);
        entry.valid().then(|| Translation {
            space: table.space,
            va: table.base + (slot - table.pa) / 8 * bytes,
            bytes,
            level: table.level,
            table: links,
            pa: match links {
                true => entry.next_table(granule),
                false => entry.output_address(granule, table.level),
            },
        })
    }

    fn commit(&mut self, event: &Event, slot: u64, words: (u64, u64), out: &mut Cx<'_>) {
        let Some(table) = self.table(slot) else {
            return;
        };
        let old = self.translation(&table, slot, Descriptor(words.0));
        let new = self.translation(&table, slot, Descriptor(words.1));
        let same = |a: &Translation, b: &Translation| (a.pa, a.table) == (b.pa, b.table);
        if old.zip(new).is_some_and(|(old, new)| same(&old, &new)) {
            return;
        }
        if let Some(old) = old {
            self.live.remove(&slot);
            self.pointing.remove(&(old.pa, slot));
            self.owed.push(Owed {
                was: old,
                issued: None,
            });
        }
        if let Some(new) = new {
            self.add(slot, new);
            if new.table && self.tables.insert(new.pa) {
                // A block that is split is out of reach of hardware by then, but not nothing.
                self.linked(event, slot, new, words.0 != 0, out);
            }
        }
    }

    fn add(&mut self, slot: u64, translation: Translation) {
        self.live.insert(slot, translation);
        self.pointing.insert((translation.pa, slot));
    }

    /// A table is in reach of walks from now on. One that takes the place of a block maps what that
    /// did; any other is clear.
    fn linked(
        &mut self,
        event: &Event,
        slot: u64,
        new: Translation,
        replaces: bool,
        out: &mut Cx<'_>,
    ) {
        let Some(table) = self.table(new.pa) else {
            return;
        };
        for word in (new.pa..new.pa + self.kernel.granule().bytes()).step_by(8) {
            let entry = Descriptor(out.memory.coherent(word));
            if let Some(held) = self.translation(&table, word, entry) {
                self.add(word, held);
            }
            if entry.0 != 0 && !replaces {
                let came = format!("a table is linked with {:#018x} in [{word:#014x}]", entry.0);
                let violation = Violation::new(event.cycle, NAME, &["MM-04"], came);
                out.violations
                    .push(violation.of_descriptor(slot).at_va(new.va));
                return;
            }
        }
    }

    fn issue(&mut self, core: u8, op: Tlbi) {
        if op.scope == TlbiScope::Local && self.bases.len() > 1 {
            return;
        }
        for owed in &mut self.owed {
            let space = self.kernel.space(owed.was.space);
            // One that does not live any more has no ASID that the operation could have named.
            let asid = space.map(|space| space.context.asid());
            if covers(op, asid, &owed.was) {
                owed.issued = Some((core, op.scope));
            }
        }
    }

    fn completed(&mut self, core: u8, kind: DsbKind) {
        self.owed.retain(|owed| match owed.issued {
            Some((by, scope)) => by != core || !kind.completes_tlbi(scope),
            None => true,
        });
    }

    fn freed(&mut self, event: &Event, os: &OsEvent, out: &mut Cx<'_>) {
        let frames = os.pa..os.pa + os.bytes;
        let mut report = |id: &str, va: u64, came: String| {
            let violation = Violation::new(event.cycle, NAME, &[id], came);
            out.violations.push(violation.at_va(va).on_core(os.core));
        };
        let broken = |owed: &Owed| frames.contains(&owed.was.pa);
        if let Some(owed) = self.owed.iter().find(|owed| broken(owed)) {
            let (id, what) = match owed.was.table {
                true => ("MM-05", "a table"),
                false => ("MM-06", "a page"),
            };
            let step = match owed.issued {
                None => "no TLBI covers it".to_owned(),
                Some((core, _)) => format!("no DSB of core {core} completed its TLBI"),
            };
            let Translation { pa, space, .. } = owed.was;
            let came = format!("{what} of mm{space} at {pa:#014x} is freed, but {step}");
            report(id, owed.was.va, came);
        }
        self.owed.retain(|owed| !broken(owed));
        let pointing = self.pointing.range((frames.start, 0)..(frames.end, 0));
        if let Some(&(pa, slot)) = pointing.clone().next() {
            let was = self.live.get(&slot);
            let (id, va) = was.map_or(("MM-06", 0), |was| {
                (if was.table { "MM-05" } else { "MM-06" }, was.va)
            });
            let came = format!("the frame at {pa:#014x} is freed, but [{slot:#014x}] points at it");
            report(id, va, came);
        }
        if let Some((core, _)) = self.bases.iter().find(|(_, base)| frames.contains(base)) {
            let came = format!(
                "core {core} still translates by the table at {:#014x}",
                os.pa
            );
            report("MM-05", 0, came);
        }
        // What it held if it was a table is out of reach.
        self.tables.retain(|table| !frames.contains(table));
        let held: Vec<u64> = self.live.range(frames).map(|(&slot, _)| slot).collect();
        for slot in held {
            if let Some(was) = self.live.remove(&slot) {
                self.pointing.remove(&(was.pa, slot));
            }
        }
    }
}

/// Whether `op` removes what TLBs hold of `was`, whose address space has `asid`. Of a table that is one
/// descriptor, which goes with any address below it.
fn covers(op: Tlbi, asid: Option<u16>, was: &Translation) -> bool {
    if op.op.by_asid() && Some(op.asid()) != asid || was.table && op.op.last_level() {
        return false;
    }
    if let Some(range) = op.range() {
        let end = was.va + was.bytes;
        let whole = range.start <= was.va && end <= range.start + range.bytes;
        let level = was.table || range.level.is_none_or(|level| level == was.level);
        return level && (whole || was.table && range.overlaps(was.va, was.bytes));
    }
    match op.op {
        TlbiOp::Vmalle1 | TlbiOp::Aside1 => true,
        _ => {
            let inside = (was.va..was.va + was.bytes).contains(&op.va());
            let hint = op.ttl();
            inside && (was.table || hint < 4 || hint & 3 == was.level)
        }
    }
}

/// What a rule sees of the world, and where it reports.
struct Cx<'a> {
    memory: &'a Memory,
    violations: &'a mut Violations,
}

impl Monitor for FrameOrder {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, memory: &Memory, violations: &mut Violations) {
        let mut out = Cx { memory, violations };
        match &event.kind {
            EventKind::Commit {
                source,
                address,
                before,
                after,
                ..
            } if *source != BACKDOOR => self.commit(event, *address, (*before, *after), &mut out),
            EventKind::Issue { core, request } => {
                if let Op::Tlbi(op) = request.op {
                    self.issue(*core, op);
                }
            }
            EventKind::Response { core, request, .. } => match request.op {
                Op::Dsb(kind) => self.completed(*core, kind),
                Op::Msr(SysReg::Ttbr0) => {
                    self.bases.insert(*core, Ttbr(request.data).base());
                }
                _ => {}
            },
            EventKind::Os(os) if os.activity == Activity::FrameFreed => {
                self.freed(event, os, &mut out);
            }
            _ => {}
        }
    }
}
