// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A walk as one would draw it on a whiteboard: registers, table by table, leaf, decision.

use std::fmt::{self, Write as _};

use vmsa::geometry::{level_bytes, level_lsb};
use vmsa::{Descriptor, El, VaRange};

use super::access::Access;
use super::attributes::describe;
use super::context::Context;
use super::permission::{Limits, rights};
use super::regime::{Regime, granule, top_byte_ignored};
use super::walk::{Entry, Step, Walk};

/// The drawing of `walk`, many lines, each ended by a newline.
#[must_use]
pub fn explain(context: &Context, access: &Access, walk: &Walk) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = draw(&mut text, context, access, walk);
    text
}

/// A byte count in the largest unit that divides it, such as `2 MB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    let units = ["B", "KB", "MB", "GB", "TB"];
    let unit = (bytes.trailing_zeros() / 10).min(4) as usize;
    format!("{} {}", bytes >> (10 * unit), units[unit])
}

fn draw(out: &mut String, context: &Context, access: &Access, walk: &Walk) -> fmt::Result {
    writeln!(out, "{access}")?;
    registers(out, context, access)?;
    if let Some(regime) = &walk.regime {
        shape(out, context, regime)?;
        for step in walk.steps() {
            self::step(out, context, access, regime, step)?;
        }
    }
    result(out, context, walk)
}

fn registers(out: &mut String, context: &Context, access: &Access) -> fmt::Result {
    let r = &context.registers;
    let range = VaRange::of(access.va);
    let x = range.number();
    let bit = u8::from;
    writeln!(
        out,
        "  SCTLR_EL1 {:#018x}  M {} A {} C {} I {} WXN {} EE {} EPAN {}",
        r.sctlr.0,
        bit(r.sctlr.m()),
        bit(r.sctlr.a()),
        bit(r.sctlr.c()),
        bit(r.sctlr.i()),
        bit(r.sctlr.wxn()),
        bit(r.sctlr.ee()),
        bit(r.sctlr.epan())
    )?;
    writeln!(
        out,
        "  TCR_EL1   {:#018x}  T{x}SZ {} TG{x} {:#04b} EPD{x} {} TBI{x} {} TBID{x} {} HPD{x} {} E0PD{x} {} \
         IPS {} HA {} HD {}",
        r.tcr.0,
        r.tcr.tsz(range),
        r.tcr.tg(range),
        bit(r.tcr.epd(range)),
        bit(r.tcr.tbi(range)),
        bit(r.tcr.tbid(range)),
        bit(r.tcr.hpd(range)),
        bit(r.tcr.e0pd(range)),
        r.tcr.ips(),
        bit(r.tcr.ha()),
        bit(r.tcr.hd())
    )?;
    writeln!(
        out,
        "  VA[55] = {x} selects TTBR{x}_EL1 {:#018x}, ASID {:#06x}{}",
        r.ttbr(range).0,
        context.asid(),
        if top_byte_ignored(context, access) {
            ", top byte ignored"
        } else {
            ""
        }
    )
}

fn shape(out: &mut String, context: &Context, regime: &Regime) -> fmt::Result {
    let reserved = context.registers.tcr.granule(regime.range).is_none();
    writeln!(
        out,
        "  granule {}{}, {} VA bits, start level {}, {} output bits, table base {:#014x}",
        granule(context, regime.range),
        if reserved {
            " (TG reserved, section 16)"
        } else {
            ""
        },
        regime.iasize,
        regime.start,
        regime.output_bits,
        regime.base
    )
}

fn step(
    out: &mut String,
    context: &Context,
    access: &Access,
    regime: &Regime,
    step: &Step,
) -> fmt::Result {
    let lsb = level_lsb(regime.granule, step.level);
    let top = (lsb + regime.granule.stride()).min(regime.iasize) - 1;
    writeln!(
        out,
        "  level {}: VA[{top}:{lsb}] = {:#x} -> [{:#014x} + {:#x}] = {}",
        step.level,
        step.index,
        step.table,
        step.index << 3,
        step.descriptor
    )?;
    match step.entry {
        Entry::Table(next) => {
            write!(out, "           table at {next:#014x}")?;
            let raw = Limits::default().and(step.descriptor);
            if context.registers.tcr.hpd(regime.range) && raw != Limits::default() {
                write!(out, "; limits ignored, HPD = 1 ({raw})")?;
            } else if raw != Limits::default() {
                write!(out, "; limits {raw}")?;
            }
            if step.limits != Limits::default() {
                write!(out, "; so far {}", step.limits)?;
            }
            writeln!(out)
        }
        Entry::Bad(reason) => {
            writeln!(
                out,
                "           {} ({})",
                reason.text(),
                reason.requirement()
            )
        }
        Entry::Leaf(output) => leaf(out, context, access, regime, step, output),
    }
}

fn leaf(
    out: &mut String,
    context: &Context,
    access: &Access,
    regime: &Regime,
    step: &Step,
    output: u64,
) -> fmt::Result {
    let descriptor = step.descriptor;
    let kind = if step.level == 3 { "page" } else { "block" };
    let bytes = level_bytes(regime.granule, step.level);
    writeln!(
        out,
        "           {} {kind} at {output:#014x}: {}",
        size(bytes),
        leaf_fields(descriptor)
    )?;
    if descriptor.contiguous() {
        match regime.run_entries(step.level) {
            Some(run) => writeln!(
                out,
                "           Contiguous: run of {run} descriptors, {}",
                size(bytes * u64::from(run))
            )?,
            None => writeln!(
                out,
                "           Contiguous ignored here (TLB-04, section 16)"
            )?,
        }
    }
    let index = descriptor.attr_index();
    let byte = context.registers.mair.attr(index);
    writeln!(
        out,
        "           MAIR_EL1.Attr{index} = {byte:#04x} ({})",
        describe(byte)
    )?;
    let show = |el| rights(context, &Access { el, ..*access }, descriptor, step.limits);
    writeln!(
        out,
        "           rights: EL0 {} EL1 {}; limits {}",
        show(El::El0),
        show(El::El1),
        step.limits
    )
}

/// The fields of a leaf descriptor in the order of the bits that matter most to a reader.
#[must_use]
pub fn leaf_fields(descriptor: Descriptor) -> String {
    let bit = u8::from;
    format!(
        "AttrIndx {} AP {:02b} SH {:02b} AF {} nG {} DBM {} Cont {} PXN {} UXN {}",
        descriptor.attr_index(),
        descriptor.ap(),
        descriptor.sh(),
        bit(descriptor.af()),
        bit(descriptor.ng()),
        bit(descriptor.dbm()),
        bit(descriptor.contiguous()),
        bit(descriptor.pxn()),
        bit(descriptor.uxn())
    )
}

fn result(out: &mut String, context: &Context, walk: &Walk) -> fmt::Result {
    match &walk.outcome {
        Err(fault) => writeln!(out, "  => {fault}"),
        Ok(translation) => {
            if let Some(update) = &walk.update {
                let (from, to) = (update.from, update.to);
                let both = context.registers.sctlr.ee();
                let order = if both { ", as stored" } else { "" };
                writeln!(
                    out,
                    "  update [{:#014x}]: {from:#018x} -> {to:#018x}{order} (HAF-02)",
                    update.address
                )?;
            }
            if walk.regime.is_none() {
                writeln!(out, "  translation off: flat (VMSA-01)")?;
            }
            let attributes = translation.attributes;
            writeln!(
                out,
                "  => PA {:#014x}, attributes {:#04x} ({}), SH {} ({})",
                translation.pa,
                attributes.attr,
                describe(attributes.attr),
                attributes.sh,
                match attributes.sh {
                    0 => "non-shareable",
                    2 => "outer shareable",
                    _ => "inner shareable",
                }
            )
        }
    }
}
