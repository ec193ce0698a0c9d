// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The report of a red run: everything needed to understand it without running anything again.

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::failure::{Failure, FailureKind};
use crate::check::Violation;

/// Events shown in the report; the file holds more.
const RECENT: usize = 12;

/// Files that a red run left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefacts {
    /// Folder of the files.
    pub folder: PathBuf,
    /// Waveform of the hardware.
    pub waveform: Option<PathBuf>,
    /// Transactions on the same time axis.
    pub transactions: Option<PathBuf>,
    /// Event log.
    pub events: Option<PathBuf>,
    /// Cycles in the waveform.
    pub window: RangeInclusive<u64>,
    /// Why a file is missing.
    pub trouble: Option<String>,
}

/// The run that a report is about.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// Name of what ran.
    pub name: &'a str,
    /// Configuration.
    pub config: &'a str,
    /// Seed.
    pub seed: u64,
    /// The one command that does it again.
    pub command: String,
}

/// The report of `failure` of `subject`.
#[must_use]
pub fn report(subject: &Subject<'_>, failure: &Failure, artefacts: Option<&Artefacts>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_report(&mut out, subject, failure, artefacts);
    out
}

fn write_report(
    out: &mut String,
    subject: &Subject<'_>,
    failure: &Failure,
    artefacts: Option<&Artefacts>,
) -> std::fmt::Result {
    writeln!(
        out,
        "FAIL {}   config {}   seed {}",
        subject.name, subject.config, subject.seed
    )?;
    match failure.violations.first() {
        Some(violation) => write_violation(out, violation)?,
        None => {
            let kind = match failure.kind {
                FailureKind::Timeout => "timeout",
                FailureKind::Panic => "the testbench panicked",
                FailureKind::Setup => "the run could not be done",
                FailureKind::Interrupted => "interrupted",
                _ => "missed expectation",
            };
            let cycle = failure
                .cycle
                .map_or(String::new(), |cycle| format!(" at cycle {cycle}"));
            writeln!(out, "\n  {kind}{cycle}: {}", failure.what)?;
        }
    }
    let others = failure.total.saturating_sub(1);
    if others > 0 {
        writeln!(out, "\n  and {others} more; the next:")?;
        for violation in failure.violations.iter().skip(1).take(3) {
            writeln!(out, "    {violation}")?;
        }
    }
    if !failure.evidence.activities.is_empty() {
        writeln!(out, "\n  what the OS was doing")?;
        for line in &failure.evidence.activities {
            writeln!(out, "    {line}")?;
        }
    }
    if !failure.evidence.recent.is_empty() {
        writeln!(out, "\n  the last events")?;
        let skipped = failure.evidence.recent.len().saturating_sub(RECENT);
        for event in &failure.evidence.recent[skipped..] {
            writeln!(out, "  {event}")?;
        }
    }
    writeln!(out, "\n  reproduce     {}", subject.command)?;
    if let Some(artefacts) = artefacts {
        write_artefacts(out, artefacts)?;
    }
    Ok(())
}

fn write_violation(out: &mut String, violation: &Violation) -> std::fmt::Result {
    write!(
        out,
        "\n  {} broke at cycle {}",
        violation.requirements.join(", "),
        violation.cycle
    )?;
    if let Some(core) = violation.core {
        write!(out, ", core {core}")?;
    }
    if let Some(va) = violation.va {
        write!(out, ", VA {va:#018x}")?;
    }
    writeln!(out, "   (checker: {})", violation.checker)?;
    writeln!(out, "\n  what came\n    {}", violation.came)?;
    if !violation.permitted.is_empty() {
        writeln!(out, "  what was permitted")?;
        for outcome in &violation.permitted {
            writeln!(out, "    {outcome}")?;
        }
    }
    if !violation.walk.is_empty() {
        writeln!(out, "  the walk, step by step")?;
        for step in &violation.walk {
            writeln!(out, "    {step}")?;
        }
    }
    Ok(())
}

fn write_artefacts(out: &mut String, artefacts: &Artefacts) -> std::fmt::Result {
    let (first, last) = (artefacts.window.start(), artefacts.window.end());
    if let Some(path) = &artefacts.waveform {
        writeln!(
            out,
            "  waveform      {} (cycles {first} to {last})",
            path.display()
        )?;
    }
    if let Some(path) = &artefacts.transactions {
        writeln!(out, "  transactions  {}", path.display())?;
    }
    if let Some(path) = &artefacts.events {
        writeln!(out, "  event log     {}", path.display())?;
    }
    if let Some(trouble) = &artefacts.trouble {
        writeln!(out, "  no waveform   {trouble}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dut::memory::MemorySystem;
    use crate::dut::ports::Straps;
    use crate::regress::{Bench, Job, Testbench};

    fn body(_: &mut Bench) -> Result<(), Failure> {
        Ok(())
    }

    static TESTBENCH: Testbench = Testbench {
        name: "dirty-state",
        purpose: "",
        requirements: &["HAF-05"],
        run: body,
    };

    #[test]
    fn the_report_says_all_that_is_needed() {
        let violation = Violation::new(
            5214,
            "scoreboard",
            &["ORD-01", "VMSA-20"],
            "PA=0x000090003000 ATTR=0xff SH=3 data=0x0 from L1",
        )
        .on_core(0)
        .at_va(0x4000_3000)
        .permitting("Permission fault, level 3 (0x0f), WnR 1")
        .with_walk(vec![
            "L2 table 0x80000000[2] = 0x0000000080001003  table -> 0x80001000".into(),
            "L3 table 0x80001000[3] = 0x0000000090003483  page -> 0x90003000, EL1 only".into(),
        ]);
        let second = Violation::new(5215, "response", &["VMSA-51"], "WnR = 0");
        let mut failure = Failure::violations(vec![violation, second], 2);
        failure.evidence.activities = vec![
            "core 1 was in: munmap mm2 va 0x40000000 (since 5100) > flush (since 5190)".into(),
        ];
        failure.evidence.recent =
            vec!["      5210 core0 issue    #3   STR8 EL0 0x0000000040003000".into()];
        let artefacts = Artefacts {
            folder: "out/dirty-state-tiny-7".into(),
            waveform: Some("out/dirty-state-tiny-7/waves.fst".into()),
            transactions: Some("out/dirty-state-tiny-7/transactions.vcd".into()),
            events: Some("out/dirty-state-tiny-7/events.log".into()),
            window: 3214..=5314,
            trouble: None,
        };
        let job = Job {
            testbench: &TESTBENCH,
            config: "tiny".into(),
            seed: 7,
            plant: None,
            cycles: Some(90_000),
            straps: Straps::default(),
            memory: MemorySystem::Default,
            settings: vec!["prefetch=on".into()],
        };
        let expected = "\
FAIL dirty-state   config tiny   seed 7

  ORD-01, VMSA-20 broke at cycle 5214, core 0, VA 0x0000000040003000   (checker: scoreboard)

  what came
    PA=0x000090003000 ATTR=0xff SH=3 data=0x0 from L1
  what was permitted
    Permission fault, level 3 (0x0f), WnR 1
  the walk, step by step
    L2 table 0x80000000[2] = 0x0000000080001003  table -> 0x80001000
    L3 table 0x80001000[3] = 0x0000000090003483  page -> 0x90003000, EL1 only

  and 1 more; the next:
    cycle 5215: response [VMSA-51]: WnR = 0

  what the OS was doing
    core 1 was in: munmap mm2 va 0x40000000 (since 5100) > flush (since 5190)

  the last events
        5210 core0 issue    #3   STR8 EL0 0x0000000040003000

  reproduce     mmu-cosim run dirty-state --config tiny --seed 7 --cycles 90000 --strap prefetch=on
  waveform      out/dirty-state-tiny-7/waves.fst (cycles 3214 to 5314)
  transactions  out/dirty-state-tiny-7/transactions.vcd
  event log     out/dirty-state-tiny-7/events.log
";
        assert_eq!(report(&job.subject(), &failure, Some(&artefacts)), expected);
    }

    #[test]
    fn a_timeout_says_so() {
        let job = Job {
            testbench: &TESTBENCH,
            config: "1x1".into(),
            seed: 1,
            plant: None,
            cycles: None,
            straps: Straps::default(),
            memory: MemorySystem::Default,
            settings: Vec::new(),
        };
        let failure = Failure::timeout("the tasks are not done after 500 cycles").at_cycle(500);
        let expected = "\
FAIL dirty-state   config 1x1   seed 1

  timeout at cycle 500: the tasks are not done after 500 cycles

  reproduce     mmu-cosim run dirty-state --config 1x1 --seed 1
";
        assert_eq!(report(&job.subject(), &failure, None), expected);
    }
}
