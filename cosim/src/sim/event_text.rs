// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Events in words: one line each, the same for the same run.

use std::fmt;

use sw_mm::{OsEvent, Phase};

use super::event::{Event, EventKind};
use crate::dut::ports::{DvmEvent, Invalidation, TlbFill, TlbStructure, WalkEvent, WalkKind};

/// Writes the line of `event`: cycle, place, what.
pub(super) fn write(f: &mut fmt::Formatter<'_>, event: &Event) -> fmt::Result {
    write!(f, "{:>10} ", event.cycle)?;
    match &event.kind {
        EventKind::Issue { core, request } => {
            write!(f, "core{core} issue    #{:<3} {request}", request.id)
        }
        EventKind::Response {
            core,
            request,
            issued_at,
            response,
        } => write!(
            f,
            "core{core} response #{:<3} {request} => {response} after {}",
            request.id,
            event.cycle - issued_at
        ),
        EventKind::Walk { core, step } => write_walk(f, *core, step),
        EventKind::Fill { core, change } => write_fill(f, *core, change),
        EventKind::Invalidate { core, change } => write_invalidation(f, *core, change),
        EventKind::L2Invalidated { core, count } => {
            write!(f, "core{core} tlb      L2 invalidated, {count} removed")
        }
        EventKind::Dvm { core, event } => write_dvm(f, *core, event),
        EventKind::Os(event) => write_os(f, event),
        EventKind::Counters { core, values } => {
            let counted = values.iter().filter(|&(_, value)| value != 0).count();
            write!(f, "core{core} counters {counted} of them not 0")
        }
        EventKind::NodeCounters { node, values } => {
            let accepted: u64 = (0..8).map(|core| values.accepted(core)).sum();
            write!(f, "node{node} counters {accepted} requests accepted")
        }
        EventKind::Commit {
            node,
            source,
            kind,
            address,
            strobe,
            before,
            after,
            ..
        } => write!(
            f,
            "node{node} commit   {kind:?} by {source} [{address:#014x}] \
             strobe {strobe:#04x} {before:#018x} -> {after:#018x}"
        ),
        EventKind::DramRead {
            node,
            address,
            tag,
            data,
            error,
        } => write!(
            f,
            "node{node} read     [{address:#014x}] tag {tag} {data:#018x}{}",
            if *error { " ERROR" } else { "" }
        ),
        EventKind::DramWrite {
            node,
            address,
            tag,
            strobe,
            data,
            error,
        } => write!(
            f,
            "node{node} write    [{address:#014x}] tag {tag} strobe {strobe:#04x} \
             {data:#018x}{}",
            if *error { " ERROR" } else { "" }
        ),
        EventKind::DramCommand {
            node,
            channel,
            command,
        } => write!(f, "node{node} channel{channel} {command}"),
        EventKind::ErrorMark { address, mark } => {
            write!(f, "memory errors   [{address:#014x}] ")?;
            match mark {
                None => f.write_str("none"),
                Some((on, None)) => write!(f, "on {on:?}"),
                Some((on, Some(times))) => write!(f, "on {on:?}, {times} times"),
            }
        }
        EventKind::Assertion { id, text } => write!(f, "socket assertion {id}: {text}"),
    }
}

fn side(instruction: bool) -> char {
    if instruction { 'I' } else { 'D' }
}

fn write_walk(f: &mut fmt::Formatter<'_>, core: u8, step: &WalkEvent) -> fmt::Result {
    let WalkEvent {
        slot,
        id,
        va,
        level,
        address,
        value,
        ..
    } = step;
    let side = side(step.instruction);
    write!(f, "core{core} walk{slot}    #{id:<3} {side} {va:#018x} ")?;
    match step.kind {
        WalkKind::Begin => write!(f, "begin L{level} [{address:#014x}]")?,
        WalkKind::Step => write!(f, "L{level} [{address:#014x}] = {value:#018x}")?,
        WalkKind::Swap => write!(f, "L{level} [{address:#014x}] held {value:#018x}")?,
        WalkKind::End => match step.fault {
            Some(fsc) => write!(f, "end: {fsc}")?,
            None => f.write_str("end")?,
        },
    }
    for (holds, text) in [
        (step.cached_start, " below a cached table"),
        (step.error, " ERROR"),
        (step.discarded, " discarded"),
        (step.merged, " merged"),
        (step.prefetch, " prefetch"),
    ] {
        if holds {
            f.write_str(text)?;
        }
    }
    Ok(())
}

fn write_fill(f: &mut fmt::Formatter<'_>, core: u8, fill: &TlbFill) -> fmt::Result {
    write!(f, "core{core} tlb      ")?;
    match fill.structure {
        TlbStructure::Itlb => write!(f, "I fill [{}]", fill.index)?,
        TlbStructure::Dtlb => write!(f, "D fill [{}]", fill.index)?,
        TlbStructure::L2 => {
            let (set, way) = fill.l2_place();
            write!(f, "L2 {} fill [{set}.{way}]", side(fill.instruction))?;
        }
        TlbStructure::WalkCache => {
            write!(
                f,
                "walk cache {} fill [{}]",
                side(fill.instruction),
                fill.index
            )?;
        }
    }
    write!(
        f,
        " #{:<3} {:#018x} mask {:#018x} -> {:#014x} L{}",
        fill.id, fill.va, fill.mask, fill.pa, fill.level
    )?;
    if fill.global {
        f.write_str(" global")?;
    } else {
        write!(f, " asid {:#06x}", fill.asid)?;
    }
    for (holds, text) in [
        (fill.contiguous, " run"),
        (fill.from_l2, " from L2"),
        (fill.prefetch, " prefetch"),
    ] {
        if holds {
            f.write_str(text)?;
        }
    }
    if fill.count > 0 {
        write!(f, " overlaps {}", fill.count)?;
    }
    Ok(())
}

fn write_invalidation(f: &mut fmt::Formatter<'_>, core: u8, change: &Invalidation) -> fmt::Result {
    write!(f, "core{core} tlb      invalidate ")?;
    if change.local {
        f.write_str("local")?;
    } else {
        write!(f, "of core{} tag {}", change.source, change.tag)?;
    }
    write!(
        f,
        ", {} removed, {} of walk caches",
        change.l1_count, change.wc_count
    )?;
    if change.cancelled != 0 {
        write!(f, ", walks cancelled {:#06b}", change.cancelled)?;
    }
    Ok(())
}

fn write_dvm(f: &mut fmt::Formatter<'_>, core: u8, event: &DvmEvent) -> fmt::Result {
    write!(f, "core{core} dvm     ")?;
    if let Some(tag) = event.inv_sent {
        write!(f, " INV {tag} sent")?;
    }
    if event.sync_sent {
        f.write_str(" SYNC sent")?;
    }
    if event.sync_done {
        f.write_str(" SYNC done")?;
    }
    if let Some(source) = event.answered {
        write!(f, " SYNC of core{source} answered")?;
    }
    Ok(())
}

fn write_os(f: &mut fmt::Formatter<'_>, event: &OsEvent) -> fmt::Result {
    let phase = match event.phase {
        Phase::Begin => "begin ",
        Phase::End => "end ",
        Phase::Instant => "",
    };
    write!(f, "core{} os       {phase}{event}", event.core)
}
