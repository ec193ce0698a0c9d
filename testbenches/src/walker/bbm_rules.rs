// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Changes of a live descriptor, with break-before-make, where none is needed, and where it was left
//! out: each access gets the old translation or the new one, whole (section 12).
//!
//! A reader makes accesses all the time, a writer changes the descriptor at some cycle. With two cores
//! they are different cores; with one core the accesses before and after the invalidation are its own.

use cosim::check::Expectation;
use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Failure, Testbench};
use cosim::sim::{CoreHandle, SimHandle};
use vmsa::{DsbKind, El, Granule, Tlbi, TlbiScope};

use super::bbm_change::{Answer, Change, NEW, Scene, VA, answer_of};
use crate::stage1::regime::{Regime, flush};
use crate::stage1::watch::{expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "bbm-sequence",
        purpose: "break-before-make of each kind of change: old, a fault, new, and no old one after its end",
        requirements: &["BBM-01", "ORD-02", "TLBI-20"],
        run: with_break,
    },
    Testbench {
        name: "bbm-not-needed",
        purpose: "changes that need no break: exactly the old or the new translation at every instant",
        requirements: &["BBM-02", "WALK-31"],
        run: without_need,
    },
    Testbench {
        name: "bbm-left-out",
        purpose: "changes that need a break and are made without: old or new, no blend of the two",
        requirements: &["BBM-03", "BBM-04", "TLB-11"],
        run: left_out,
    },
];

/// One answer, with the cycles between which it was asked for and given.
struct Heard {
    request: CoreRequest,
    asked: u64,
    given: u64,
    answer: Answer,
}

/// Makes accesses until told to stop, four at a time.
async fn listen(
    core: CoreHandle,
    handle: SimHandle,
    change: Change,
    until: std::rc::Rc<std::cell::Cell<bool>>,
) -> Vec<Heard> {
    let mut heard = Vec::new();
    let mut round = 0;
    while !until.get() {
        let asked = handle.now();
        let accesses: Vec<_> = (0..4)
            .map(|i| change.request(round + i))
            .map(|request| (request, core.issue(request)))
            .collect();
        round += 4;
        // Answers may overtake each other: each is waited for by itself.
        let answers: Vec<_> = accesses
            .into_iter()
            .map(|(request, access)| {
                let clock = handle.clone();
                handle.spawn(async move {
                    let response = access.await;
                    Heard {
                        request,
                        asked,
                        given: clock.now(),
                        answer: answer_of(&response),
                    }
                })
            })
            .collect();
        for answer in answers {
            heard.push(answer.await);
        }
    }
    heard
}

/// When the steps of a change were done; `u64::MAX` for steps that were left out.
struct Steps {
    broken: u64,
    /// The DSB after the invalidation was answered.
    complete: u64,
    made: u64,
    /// Whether the reader is another core than the writer, so that the end of the invalidation binds
    /// what is answered later, whenever it was asked for (13.2).
    elsewhere: bool,
}

/// Judges what was heard: old before the first step, not old after the invalidation, new after the
/// last step, and nothing else at any time.
fn judge(id: &str, change: &Change, steps: &Steps, heard: &[Heard]) -> Result<[u64; 3], Failure> {
    let mut counts = [0; 3];
    for Heard {
        request,
        asked,
        given,
        answer,
    } in heard
    {
        let (old, new) = change.answers(request);
        let level = if change.offset == 0 { 3 } else { 2 };
        let gap = steps.broken != u64::MAX && *answer == Err(0x04 + level);
        let may_old = match steps.elsewhere {
            true => *given <= steps.complete,
            false => *asked < steps.complete,
        };
        let may_new = *given >= steps.made;
        let may_gap = *given >= steps.broken && *asked <= steps.made;
        let met = (*answer == old && may_old) || (*answer == new && may_new) || (gap && may_gap);
        on(
            *request,
            expect(id, met, || {
                format!(
                    "{answer:x?} asked at {asked} and given at {given}; old {old:x?} until {}, broken \
                 at {}, new {new:x?} from {}: {change:x?}",
                    steps.complete, steps.broken, steps.made
                )
            }),
        )?;
        let which = if *answer == old {
            0
        } else if gap {
            1
        } else {
            2
        };
        counts[which] += 1;
    }
    Ok(counts)
}

async fn invalidate(core: &CoreHandle, operation: Tlbi) {
    // A DSB completes operations of its own domain (11.3 point 2).
    let complete = match operation.scope {
        TlbiScope::OuterShareable => DsbKind::OSH,
        TlbiScope::Local | TlbiScope::InnerShareable => DsbKind::ISH,
    };
    core.access(CoreRequest::dsb(DsbKind::ISHST)).await;
    core.access(CoreRequest::tlbi(operation)).await;
    core.access(CoreRequest::dsb(complete)).await;
}

/// How a change is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// Invalid, invalidation, new.
    Break,
    /// New, invalidation.
    Direct,
}

/// Makes every one of `changes` while the reader listens, `rounds` times at other cycles.
fn run_changes(
    bench: &mut Bench,
    id: &'static str,
    changes: Vec<Change>,
    regime: Regime,
    (how, rounds): (How, u64),
) -> Result<(), Failure> {
    let cores = bench.handle()?.cores();
    let reader = bench.core(cores - 1)?;
    let handle = bench.handle()?;
    // The writes of this test through the back door are software, but for what sets the scene.
    let monitor = bench.checkers()?.bbm;
    // One change is that of the Contiguous bit of one member of a run. Whether a core caches the run
    // meanwhile is a matter of cycles.
    bench.expect_violation(Expectation::of("TLB-06").by("contiguous runs").if_any())?;
    let counts = bench.run(async move |writer| {
        regime.enter(&writer).await;
        if cores > 1 {
            regime.enter(&reader).await;
        }
        let mut counts = [0u64; 3];
        for change in changes {
            for round in 0..rounds {
                monitor.borrow_mut().judge_back_door(false);
                handle.poke(change.slot, change.old.word);
                for core in [&writer, &reader] {
                    flush(core).await;
                }
                monitor.borrow_mut().judge_back_door(true);
                if round % 2 == 0 {
                    reader
                        .access(CoreRequest::load(VA + 0x1f_f000, 3, El::El0))
                        .await;
                }
                let stop = std::rc::Rc::new(std::cell::Cell::new(false));
                let listener = listen(reader.clone(), handle.clone(), change, stop.clone());
                let listener = handle.spawn(listener);
                handle.sleep(3 * round + round / 4).await;
                let mut steps = Steps {
                    broken: u64::MAX,
                    complete: u64::MAX,
                    made: 0,
                    elsewhere: cores > 1,
                };
                let operation = match round % 4 {
                    0 => Tlbi::vae1(TlbiScope::InnerShareable, VA + change.offset, 1, None),
                    1 => Tlbi::vaae1(TlbiScope::OuterShareable, VA + change.offset, None),
                    2 => Tlbi::vmalle1(TlbiScope::InnerShareable),
                    _ => Tlbi::rvae1(
                        TlbiScope::InnerShareable,
                        Granule::K4,
                        VA + change.offset,
                        0,
                        0,
                        None,
                        1,
                    ),
                };
                if how == How::Break {
                    handle.poke(change.slot, 0);
                    steps.broken = handle.now();
                    if change.offset != 0 {
                        // The page that warms up goes with its table.
                        let warm = Tlbi::vaae1(TlbiScope::InnerShareable, VA + 0x1f_f000, None);
                        invalidate(&writer, warm).await;
                    }
                    invalidate(&writer, operation).await;
                    steps.complete = handle.now();
                    handle.sleep(40).await;
                }
                handle.poke(change.slot, change.new.word);
                steps.made = handle.now();
                if how == How::Direct {
                    handle.sleep(60).await;
                    invalidate(&writer, operation).await;
                    steps.complete = handle.now();
                }
                handle.sleep(120).await;
                stop.set(true);
                let heard = listener.await;
                for (sum, count) in counts.iter_mut().zip(judge(id, &change, &steps, &heard)?) {
                    *sum += count;
                }
            }
        }
        Ok(counts)
    })?;
    expect(id, counts[0] > 50 && counts[2] > 50, || {
        format!("old, fault in between, new were seen {counts:?} times")
    })?;
    expect(id, how != How::Break || counts[1] > 20, || {
        format!("the gap was seen {} times", counts[1])
    })?;
    for (name, count) in ["old", "gap", "new"].into_iter().zip(counts) {
        bench.count(name, count);
    }
    Ok(())
}

fn with_break(bench: &mut Bench) -> Result<(), Failure> {
    let scene = Scene::new(bench)?;
    let changes = scene.breaking();
    let regime = Regime::default().with(&scene.tree, 1);
    run_changes(bench, "BBM-01", changes, regime, (How::Break, 24))
}

fn without_need(bench: &mut Bench) -> Result<(), Failure> {
    let scene = Scene::new(bench)?;
    let changes = scene.free();
    let regime = Regime::default().with(&scene.tree, 1);
    run_changes(bench, "BBM-02", changes, regime, (How::Direct, 24))
}

fn left_out(bench: &mut Bench) -> Result<(), Failure> {
    for (latency, jitter) in [(20, 0), (8, 30)] {
        bench.restart()?;
        bench.setup().memory.latency = latency;
        bench.setup().memory.jitter = jitter;
        let scene = Scene::new(bench)?;
        let changes = scene.breaking();
        let regime = Regime::default().with(&scene.tree, 1);
        bench.expect_violation(Expectation::of("BBM-03").by("break-before-make"))?;
        run_changes(bench, "BBM-03", changes, regime, (How::Direct, 24))?;
        // BBM-04: nothing was ever written by way of a read-only block, and nowhere else.
        let handle = bench.handle()?;
        let strays = (0..4u64)
            .map(|i| NEW + 0x3000 + 8 * i)
            .filter(|&pa| handle.peek(pa) != 0);
        let strays: Vec<_> = strays.collect();
        expect("BBM-04", strays.is_empty(), || {
            format!("written: {strays:x?}")
        })?;
    }
    Ok(())
}
