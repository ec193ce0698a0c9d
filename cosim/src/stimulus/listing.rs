// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A stimulus for readers: set-up, memory and steps, one line each, like an assembly listing.

use std::fmt::Write;

use super::{Action, Setup, Step, Stimulus, When};
use crate::dut::strap_setting;
use crate::sim::MemoryTiming;

/// What is known of a word of memory without knowing who walks it.
pub(super) fn remark(word: u64) -> String {
    let descriptor = vmsa::Descriptor(word);
    match word & 0b11 {
        0b11 => format!(
            "as a descriptor: table or page, address {:#x}",
            descriptor.next_table(vmsa::Granule::K4)
        ),
        0b01 => format!(
            "as a descriptor: block, address {:#x}",
            descriptor.next_table(vmsa::Granule::K4)
        ),
        _ => String::new(),
    }
}

/// The step in words.
pub(super) fn step_text(step: &Step) -> String {
    let what = match step.action {
        Action::Request { core, request } => format!("core {core}  {request}"),
        Action::Poke { address, value } => format!("memory  [{address:#014x}] = {value:#018x}"),
        Action::Mark { address, on, times } => {
            let times = times.map_or(String::new(), |times| format!(", {times} times"));
            format!("memory  [{address:#014x}] errors on {on:?}{times}").to_lowercase()
        }
        Action::Clear { address } => format!("memory  [{address:#014x}] no errors"),
    };
    let when = match step.when {
        When::At(cycle) => format!("   at cycle {cycle}"),
        When::Serial => String::new(),
        When::Own => "   when its core is idle".to_owned(),
        When::Behind => "   right behind".to_owned(),
    };
    format!("{what}{when}")
}

/// `stimulus` as a short listing. Where a step says nothing of its time, it waits for all before it.
#[must_use]
pub fn listing(stimulus: &Stimulus) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, stimulus);
    out
}

fn write(out: &mut String, stimulus: &Stimulus) -> std::fmt::Result {
    let Setup {
        config,
        plant,
        straps,
        memory,
        ..
    } = &stimulus.setup;
    write!(out, "hardware  {config}")?;
    if let Some(plant) = plant {
        write!(out, ", plant {plant}")?;
    }
    for setting in strap_setting::settings(straps) {
        write!(out, ", {setting}")?;
    }
    if *memory != MemoryTiming::default() {
        write!(
            out,
            ", latency {}, jitter {}",
            memory.latency, memory.jitter
        )?;
    }
    writeln!(out)?;
    for (address, word) in &stimulus.memory {
        let line = format!(
            "memory    [{address:#014x}] = {word:#018x}   {}",
            remark(*word)
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    let width = stimulus.steps.len().to_string().len();
    for (index, step) in stimulus.steps.iter().enumerate() {
        writeln!(out, "{:>width$}  {}", index + 1, step_text(step))?;
    }
    match &stimulus.broken {
        Some(broken) => writeln!(out, "breaks    {broken}"),
        None => Ok(()),
    }
}
