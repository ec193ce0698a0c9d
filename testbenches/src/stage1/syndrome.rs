// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Section 8: what every fault reports, at every level that can give it, for every kind of access
//! (VMSA-50 to VMSA-53).

use cosim::dut::ports::{CoreRequest, CoreResponse, Op, OpCode};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, ErrorOn, SimHandle};
use vmsa::{Descriptor, El, Fsc, Granule, VaRange};

use super::activity::{expect, of, within};
use super::ranges::forget;
use super::regime::{DEVICE, Regime, user_rw};
use super::tree::Tree;
use super::untranslated::every_kind;

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "syndrome",
        purpose: "FSC, WnR, CM, S1PTW and FAR of every fault at every level, for every access",
        requirements: &["VMSA-50", "VMSA-51", "VMSA-52", "VMSA-53"],
        run: syndrome,
    },
    Testbench {
        name: "syndrome-external-abort",
        purpose: "an error response to the access itself: FSC 0x10, WnR and FAR, and no retry",
        requirements: &["VMSA-50", "VMSA-51", "VMSA-52"],
        run: external_abort,
    },
];

const PA: u64 = 0x8000_0000;
/// An address that IPS = 4 (44 bits) does not reach.
const BEYOND: u64 = 0x9000_0000_0000;
/// Tag byte of every access; TBI is on.
const TAG: u64 = 0xc3 << 56;

/// How one fault is provoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The descriptor holds this.
    Word(u64),
    /// The read of the descriptor gets an error response.
    ReadError,
    /// The register TTBR0 points beyond the output size.
    Base,
}

/// One fault: the level of the descriptor that gives it, how, and what every kind of access reports.
struct Fault {
    what: &'static str,
    level: u8,
    cause: Cause,
    /// Load, store, CAS, fetch, AT read, AT write, all as EL0; `None` is no fault.
    fsc: [Option<u8>; 6],
}

/// The same code for all kinds of access.
const fn all(code: u8) -> [Option<u8>; 6] {
    [Some(code); 6]
}

/// The table of section 8, as far as 48-bit addresses and one stage give it with the 4K granule.
/// Level 0 holds no leaf, so that it has neither Access flag nor Permission fault.
fn table() -> Vec<Fault> {
    let mut table = vec![Fault {
        what: "base too large",
        level: 0,
        cause: Cause::Base,
        fsc: all(0x00),
    }];
    let mut add = |what, level, word: Descriptor, fsc| {
        table.push(Fault {
            what,
            level,
            cause: Cause::Word(word.0),
            fsc,
        });
    };
    for (level, code) in [(0, 0x00), (1, 0x01), (2, 0x02)] {
        add(
            "next table too large",
            level,
            Descriptor::table(BEYOND),
            all(code),
        );
    }
    for (level, code) in [(1, 0x01), (2, 0x02), (3, 0x03)] {
        add(
            "output too large",
            level,
            user_rw(Granule::K4, level, BEYOND),
            all(code),
        );
    }
    for (level, code) in [(0, 0x04), (1, 0x05), (2, 0x06), (3, 0x07)] {
        add("invalid", level, Descriptor::INVALID, all(code));
    }
    for (level, code) in [(1, 0x09), (2, 0x0a), (3, 0x0b)] {
        add(
            "no access flag",
            level,
            user_rw(Granule::K4, level, PA).with_af(false),
            all(code),
        );
    }
    for (level, code) in [(1, 0x0d), (2, 0x0e), (3, 0x0f)] {
        let page = user_rw(Granule::K4, level, PA);
        let (some, no) = (Some(code), None);
        add(
            "EL1 only",
            level,
            page.with_ap(0b00).with_uxn(true),
            all(code),
        );
        add(
            "read-only",
            level,
            page.with_ap(0b11),
            [no, some, some, no, no, some],
        );
        add(
            "not executable",
            level,
            page.with_uxn(true),
            [no, no, no, some, no, no],
        );
        let device = page.with_attr_index(DEVICE);
        add("Device", level, device, [no, no, no, some, no, no]);
    }
    for (level, code) in [(0, 0x14), (1, 0x15), (2, 0x16), (3, 0x17)] {
        let fault = Fault {
            what: "read error",
            level,
            cause: Cause::ReadError,
            fsc: all(code),
        };
        table.push(fault);
    }
    table
}

/// What the syndrome beside the FSC shall be. WnR of a CAS is unknown for external aborts.
fn reports(request: &CoreRequest, answer: &CoreResponse, what: &str) -> Result<(), Failure> {
    let at = answer.op == Some(OpCode::At);
    let external = answer
        .fault
        .is_some_and(|fsc| matches!(fsc.0, 0x10 | 0x14..=0x17));
    let wnr = match request.op {
        Op::Store | Op::At(_) => Some(true),
        // VMSA-30: the one case in which a CAS reports a write.
        Op::Cas if what == "read-only" => Some(true),
        Op::Cas if external => None,
        _ => Some(false),
    };
    expect("VMSA-51", wnr.is_none_or(|wnr| wnr == answer.wnr), || {
        (format!("WnR {}", answer.wnr), format!("WnR {wnr:?}"))
    })?;
    expect("VMSA-51", answer.cm == at, || {
        (format!("CM {}", answer.cm), format!("CM {at}"))
    })?;
    expect("VMSA-52", answer.va == request.va, || {
        (
            format!("FAR {:#018x}", answer.va),
            format!("FAR {:#018x}", request.va),
        )
    })?;
    expect("VMSA-53", !answer.s1ptw, || {
        ("S1PTW 1".to_owned(), "S1PTW 0".to_owned())
    })
}

/// Six ways to look at `va` and what each shall report, the fault `what` having been set up.
async fn provoke(
    core: &CoreHandle,
    va: u64,
    what: &str,
    fsc: [Option<u8>; 6],
) -> Result<(), Failure> {
    for (request, code) in every_kind(va, El::El0, 0).into_iter().zip(fsc) {
        forget(core).await;
        // By a walk, and then as the TLB, if it holds the translation, answers.
        for _ in 0..2 {
            let answer = core.access(request).await;
            let outcome = match code {
                Some(code) => answer
                    .faults("VMSA-50", Fsc(code))
                    .and_then(|()| reports(&request, &answer, what)),
                None => answer.reaches("VMSA-50", PA | va & 0xfff),
            };
            of(&request, &answer, outcome)?;
        }
    }
    Ok(())
}

fn syndrome(bench: &mut Bench) -> Result<(), Failure> {
    let faults = table();
    let mut scenes = Vec::new();
    for (fault, n) in faults.into_iter().zip(0u64..) {
        let mut tree = Tree::new(
            VaRange::Lower,
            Granule::K4,
            48,
            0x1_0000_0000 + n * 0x10_0000,
        );
        // The in-block bits above the page are 0, so that blocks and pages end at the same PA.
        let va = match fault.level {
            0 | 1 => 0x5500_0000_0000 | 0x328,
            2 => 0x55aa_aaa0_0000 | 0x328,
            _ => 0x55aa_aaa5_5000 | 0x328,
        };
        let word = match fault.cause {
            Cause::Word(word) => Descriptor(word),
            Cause::ReadError | Cause::Base => user_rw(Granule::K4, fault.level, PA),
        };
        let slot = tree.map(va, fault.level, word);
        tree.load(bench)?;
        if fault.cause == Cause::ReadError {
            bench.handle()?.mark_error(slot, ErrorOn::Reads, None);
        }
        let plain = Regime::default().with(&tree, 1);
        let tcr = plain.tcr.with_tbi(VaRange::Lower, true).with_ips(4);
        let mut regime = Regime { tcr, ..plain };
        if fault.cause == Cause::Base {
            regime.ttbr0 = regime.ttbr0.with_base(BEYOND);
        }
        scenes.push((fault, regime, va | TAG));
    }
    bench.count("faults", scenes.len() as u64);
    bench.run(async move |core| {
        for (fault, regime, va) in &scenes {
            regime.switch(&core).await;
            provoke(&core, *va, fault.what, fault.fsc)
                .await
                .map_err(|failure| {
                    within(failure, &format!("{}, level {}", fault.what, fault.level))
                })?;
        }
        // An Alignment fault has no level, and an atomic takes it whatever the memory type.
        let (_, regime, va) = &scenes[0];
        regime.switch(&core).await;
        let request = CoreRequest::cas(va + 4, El::El0, 0, 0);
        let answer = core.access(request).await;
        of(&request, &answer, {
            answer
                .faults("VMSA-50", Fsc(0x21))
                .and_then(|()| reports(&request, &answer, ""))
        })?;
        // A misaligned fetch is reported in the same way (section 16).
        let request = CoreRequest::fetch(va + 2, El::El0);
        let answer = core.access(request).await;
        of(&request, &answer, answer.faults("VMSA-50", Fsc(0x21)))?;
        Ok(())
    })
}

fn external_abort(bench: &mut Bench) -> Result<(), Failure> {
    const VA: u64 = 0x4_5678_9a40 | TAG;
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 39, 0x1_0000_0000);
    tree.map(VA, 3, user_rw(Granule::K4, 3, PA));
    tree.load(bench)?;
    bench.load(PA | 0xa40, &[7])?;
    let memory = bench.handle()?;
    bench.run(async move |core| {
        let plain = Regime::default().with(&tree, 1);
        let regime = Regime {
            tcr: plain.tcr.with_tbi(VaRange::Lower, true),
            ..plain
        };
        regime.enter(&core).await;
        let [load, store, cas, fetch, at, _] = every_kind(VA, El::El0, 7);
        for request in [load, store, cas, fetch] {
            memory.mark_error(PA | 0xa40, ErrorOn::Both, None);
            let before = memory.errors_given();
            let answer = core.access(request).await;
            of(&request, &answer, {
                answer
                    .faults("VMSA-50", Fsc(0x10))
                    .and_then(|()| reports(&request, &answer, ""))
            })?;
            one_more_error(&memory, before)?;
            // AT does not touch the data.
            let answer = core.access(at).await;
            of(&at, &answer, answer.reaches("VMSA-50", PA | 0xa40))?;
            memory.clear_error(PA | 0xa40);
            let answer = core.access(load).await;
            of(&load, &answer, answer.reads("VMSA-50", 7))?;
        }
        // Either half of a load across an 8-byte boundary, and the first half of a store.
        for (half, store) in [(PA | 0xa40, false), (PA | 0xa40, true), (PA | 0xa48, false)] {
            memory.mark_error(half, ErrorOn::Both, None);
            let request = if store {
                CoreRequest::store(VA + 4, 3, El::El0, 0)
            } else {
                CoreRequest::load(VA + 4, 3, El::El0)
            };
            let answer = core.access(request).await;
            of(&request, &answer, {
                answer
                    .faults("VMSA-50", Fsc(0x10))
                    .and_then(|()| reports(&request, &answer, ""))
            })?;
            memory.clear_error(half);
        }
        Ok(())
    })
}

/// The aborted access met exactly one error response: it was not tried again.
fn one_more_error(memory: &SimHandle, before: u64) -> Result<(), Failure> {
    let given = memory.errors_given() - before;
    expect("VMSA-50", given == 1, || {
        (format!("{given} error responses"), "one".to_owned())
    })
}
