// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The lanes of a core in the transaction file, and which event goes on which, with its text and
//! numbers.

use std::io::{self, Write};

use vcd::Writer;

use super::lane::Lane;
use super::os_lanes::OsLanes;
use crate::dut::ports::{
    CommitKind, HitPlace, Invalidation, Op, TlbStructure, WalkEvent, WalkKind,
};
use crate::sim::event::{Event, EventKind};

/// FSC as shown for an answer without a fault: outside the 6 bits of a code.
const NO_FAULT: u64 = 0x40;
/// Walks of a core that can be under way at a time.
const SLOTS: usize = 4;

/// Lanes of one core.
pub struct CoreLanes {
    request: Lane,
    answer: Lane,
    /// One a slot: so many walks can be under way.
    walks: Vec<Lane>,
    itlb: Lane,
    dtlb: Lane,
    l2: Lane,
    walk_cache: Lane,
    operation: Lane,
    invalidated: Lane,
    messages: Lane,
    /// What the OS does on the core.
    pub os: OsLanes,
}

impl CoreLanes {
    /// Declares them below the scope of `core`.
    pub fn declare<W: Write>(out: &mut Writer<W>, core: u8) -> io::Result<Self> {
        out.add_module(&format!("core{core}"))?;
        let access: &[(&str, u32)] = &[("op", 4), ("id", 16), ("va", 64), ("data", 64)];
        let answer: &[(&str, u32)] = &[
            ("op", 4),
            ("id", 16),
            ("va", 64),
            ("fsc", 7),
            ("pa", 52),
            ("data", 64),
            ("place", 2),
        ];
        let walk: &[(&str, u32)] = &[
            ("kind", 2),
            ("id", 16),
            ("va", 64),
            ("level", 2),
            ("address", 52),
            ("descriptor", 64),
            ("fsc", 7),
        ];
        let tlb: &[(&str, u32)] = &[
            ("id", 16),
            ("instruction", 1),
            ("index", 16),
            ("va", 64),
            ("mask", 64),
            ("pa", 52),
            ("count", 8),
        ];
        let invalidated: &[(&str, u32)] = &[
            ("source", 8),
            ("tag", 8),
            ("cancelled", 4),
            ("l1_count", 16),
            ("wc_count", 8),
        ];
        let messages: &[(&str, u32)] = &[("source", 8), ("tag", 8)];
        let lanes = Self {
            request: Lane::declare(out, "request", access)?,
            answer: Lane::declare(out, "answer", answer)?,
            walks: (0..SLOTS)
                .map(|slot| Lane::declare(out, &format!("walk{slot}"), walk))
                .collect::<io::Result<_>>()?,
            itlb: Lane::declare(out, "itlb", tlb)?,
            dtlb: Lane::declare(out, "dtlb", tlb)?,
            l2: Lane::declare(out, "l2", tlb)?,
            walk_cache: Lane::declare(out, "walk_cache", tlb)?,
            operation: Lane::declare(out, "tlbi", &[("operand", 64)])?,
            invalidated: Lane::declare(out, "invalidated", invalidated)?,
            messages: Lane::declare(out, "dvm", messages)?,
            os: OsLanes::declare(out)?,
        };
        out.upscope()?;
        Ok(lanes)
    }

    /// Every lane.
    pub fn all(&self) -> impl Iterator<Item = &Lane> {
        [&self.request, &self.answer]
            .into_iter()
            .chain(&self.walks)
            .chain([&self.itlb, &self.dtlb, &self.l2, &self.walk_cache])
            .chain([&self.operation, &self.invalidated, &self.messages])
            .chain(self.os.all())
    }
}

/// Lane, text and numbers of a transaction; `None` for events that have no lane.
pub fn describe<'a>(
    cores: &'a [CoreLanes],
    commit: &'a Lane,
    event: &Event,
) -> Option<(&'a Lane, String, [u64; 7])> {
    let lanes = |core: &u8| cores.get(usize::from(*core));
    Some(match &event.kind {
        EventKind::Issue { core, request } => match request.op {
            Op::Tlbi(tlbi) => (
                &lanes(core)?.operation,
                request.to_string(),
                row([tlbi.operand]),
            ),
            op => {
                let (op, id) = (op.code() as u64, u64::from(request.id));
                let values = row([op, id, request.va, request.data]);
                (&lanes(core)?.request, request.to_string(), values)
            }
        },
        EventKind::Response {
            core,
            request,
            response,
            ..
        } => {
            let place = match response.place {
                HitPlace::None => 0,
                HitPlace::L1 => 1,
                HitPlace::L2 => 2,
                HitPlace::Walk => 3,
            };
            let fsc = response.fault.map_or(NO_FAULT, |fsc| u64::from(fsc.0));
            let (op, id) = (request.op.code() as u64, u64::from(response.id));
            let values = [op, id, response.va, fsc, response.pa, response.data, place];
            (&lanes(core)?.answer, response.to_string(), values)
        }
        EventKind::Walk { core, step } => {
            let lane = lanes(core)?.walks.get(usize::from(step.slot))?;
            (lane, walk_text(step), walk_values(step))
        }
        EventKind::Fill { core, change } => {
            let lanes = lanes(core)?;
            let lane = match change.structure {
                TlbStructure::Itlb => &lanes.itlb,
                TlbStructure::Dtlb => &lanes.dtlb,
                TlbStructure::L2 => &lanes.l2,
                TlbStructure::WalkCache => &lanes.walk_cache,
            };
            let prefetch = if change.prefetch { "prefetch " } else { "" };
            let text = format!(
                "{prefetch}fill {} {:#x} -> {:#x}",
                change.index, change.va, change.pa
            );
            let values = [
                u64::from(change.id),
                u64::from(change.instruction),
                u64::from(change.index),
                change.va,
                change.mask,
                change.pa,
                u64::from(change.count),
            ];
            (lane, text, values)
        }
        EventKind::Invalidate { core, change } => {
            let Invalidation {
                source,
                tag,
                cancelled,
                l1_count,
                wc_count,
                ..
            } = *change;
            let text = format!("{l1_count} and {wc_count} removed for core {source}");
            let values = row([
                u64::from(source),
                u64::from(tag),
                u64::from(cancelled),
                u64::from(l1_count),
                u64::from(wc_count),
            ]);
            (&lanes(core)?.invalidated, text, values)
        }
        EventKind::Dvm { core, event } => {
            let words = [
                event.inv_sent.map(|tag| format!("INV {tag}")),
                event.sync_sent.then(|| "SYNC".to_owned()),
                event.sync_done.then(|| "SYNC done".to_owned()),
                event
                    .answered
                    .map(|source| format!("SYNC of {source} answered")),
            ];
            let words: Vec<String> = words.into_iter().flatten().collect();
            let source = u64::from(event.answered.unwrap_or(*core));
            let tag = u64::from(event.inv_sent.unwrap_or(0));
            (&lanes(core)?.messages, words.join(", "), row([source, tag]))
        }
        EventKind::Commit {
            source,
            kind,
            address,
            before,
            after,
            ..
        } => {
            let text = format!("{kind:?} by {source} [{address:#x}] {before:#x} -> {after:#x}");
            let kind = match kind {
                CommitKind::Store => 0,
                CommitKind::Cas => 1,
                CommitKind::Update => 2,
                CommitKind::Backdoor => 3,
            };
            (
                commit,
                text,
                row([kind, u64::from(*source), *address, *before, *after]),
            )
        }
        _ => return None,
    })
}

fn walk_text(step: &WalkEvent) -> String {
    let WalkEvent {
        level,
        address,
        value,
        ..
    } = step;
    let text = match step.kind {
        WalkKind::Begin => format!("begin {:#x}", step.va),
        WalkKind::Step => format!("L{level} [{address:#x}] = {value:#x}"),
        WalkKind::Swap => format!("L{level} [{address:#x}] held {value:#x}"),
        WalkKind::End => step
            .fault
            .map_or_else(|| "end".to_owned(), |fsc| fsc.to_string()),
    };
    if step.discarded {
        return text + " discarded";
    }
    text
}

fn walk_values(step: &WalkEvent) -> [u64; 7] {
    let fsc = step.fault.map_or(NO_FAULT, |fsc| u64::from(fsc.0));
    let (id, level) = (u64::from(step.id), u64::from(step.level));
    [
        step.kind as u64,
        id,
        step.va,
        level,
        step.address,
        step.value,
        fsc,
    ]
}

/// The values of a lane with fewer variables than the widest.
fn row<const N: usize>(values: [u64; N]) -> [u64; 7] {
    std::array::from_fn(|place| values.get(place).copied().unwrap_or(0))
}
