// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Frames that the kernel gives back: after the right order no core reaches them; each way to get the
//! order wrong is seen by the checker of frames.

use std::cell::Cell;
use std::rc::Rc;

use cosim::check::{Expectation, frames};
use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use rand::Rng;
use sw_mm::{Activity, Phase};
use vmsa::{Descriptor, El, Fsc, Tlbi, TlbiScope};

use super::mapping::{ASID, COUNT, IS, Kernel, VA, frame, page, table};
use crate::stage1::watch::expect;

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "os-frames",
        purpose: "a page and its table given back, handed out and used again, while every core accesses the page",
        requirements: &["MM-02", "MM-05", "MM-06", "MM-15"],
        run: recycled,
    },
    Testbench {
        name: "os-frames-misused",
        purpose: "each way to give a frame back too early, or to use it while it is free, is reported",
        requirements: &["MM-02", "MM-05", "MM-06"],
        run: misused,
    },
];

/// Rounds of giving back and handing out.
const ROUNDS: u64 = 60;
/// Cycles after which all that an access fills has been filled.
const SETTLED: u64 = 200;

fn recycled(bench: &mut Bench) -> Result<(), Failure> {
    let kernel = Rc::new(Kernel::load(bench)?);
    let mut rng = bench.rng("os-frames");
    let over = Rc::new(Cell::new(false));
    let (reached, faulted) = (Rc::new(Cell::new(0u64)), Rc::new(Cell::new(0u64)));
    let counts = (Rc::clone(&reached), Rc::clone(&faulted));
    bench.run(async move |_| {
        kernel.enter().await;
        for core in &kernel.cores {
            let (core, over, counts) = (core.clone(), Rc::clone(&over), counts.clone());
            kernel.handle.spawn(async move {
                while !over.get() {
                    let answer = core.access(CoreRequest::load(VA, 3, El::El0)).await;
                    let count = match answer.fault {
                        None => &counts.0,
                        Some(_) => &counts.1,
                    };
                    count.set(count.get() + 1);
                }
            });
        }
        let (mut at, mut below) = (0, 0);
        for _ in 0..ROUNDS {
            kernel.handle.sleep(rng.random_range(0..400)).await;
            let whole = rng.random_range(0..3) == 0;
            kernel.tell(Phase::Begin, Activity::Munmap);
            match whole {
                true => {
                    kernel.set_link(Descriptor::INVALID).await;
                    kernel.flush(Tlbi::vae1(IS, VA, ASID, None)).await;
                    kernel.moved(Activity::FrameFreed, table(below));
                }
                false => {
                    kernel.set_page(table(below), Descriptor::INVALID).await;
                    kernel.flush(Tlbi::vale1(IS, VA, ASID, None)).await;
                }
            }
            kernel.moved(Activity::FrameFreed, frame(at));
            kernel.tell(Phase::End, Activity::Munmap);
            for answer in kernel.touch().await {
                let level = if whole { 2 } else { 3 };
                answer.faults("MM-15", Fsc(0x04 + level))?;
            }
            kernel.tell(Phase::Begin, Activity::Mmap);
            at = rng.random_range(0..COUNT);
            kernel.moved(Activity::FrameAllocated, frame(at));
            if whole {
                below = rng.random_range(0..COUNT);
                kernel.moved(Activity::FrameAllocated, table(below));
            }
            kernel.set_page(table(below), page(frame(at))).await;
            if whole {
                kernel.dsb(vmsa::DsbKind::ISHST).await;
                kernel.set_link(Descriptor::table(table(below))).await;
            }
            kernel.dsb(vmsa::DsbKind::ISHST).await;
            kernel.tell(Phase::End, Activity::Mmap);
        }
        over.set(true);
        Ok(())
    })?;
    bench.run_tasks()?;
    let (reached, faulted) = (reached.get(), faulted.get());
    bench.count("accesses", reached);
    bench.count("faults", faulted);
    expect("MM-06", reached > ROUNDS && faulted > 0, || {
        format!("{reached} accesses and {faulted} faults: too few to show anything")
    })
}

/// A way to get it wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Misuse {
    /// The page is given back without a flush.
    NotFlushed,
    /// After the flush of another page.
    OtherPage,
    /// After a flush of the own core only.
    LocalFlush,
    /// A table is given back after a flush of leaf entries only.
    LeafFlush,
    /// A frame of which nothing was told is handed out while the page is mapped there.
    HandedOut,
    /// The page is mapped, and touched for the first time after its frame was given back.
    MappedFrame,
    /// The same with the table.
    LinkedTable,
}

use Misuse::{HandedOut, LeafFlush, LinkedTable, LocalFlush, MappedFrame, NotFlushed, OtherPage};

impl Misuse {
    const ALL: [Self; 7] = [
        NotFlushed,
        OtherPage,
        LocalFlush,
        LeafFlush,
        HandedOut,
        MappedFrame,
        LinkedTable,
    ];

    /// What the checker has to report.
    fn reports(self) -> Vec<Expectation> {
        let by = |requirement| Expectation::of(requirement).by(frames::NAME);
        match self {
            NotFlushed | OtherPage | LocalFlush => vec![by("MM-06").times(1)],
            LeafFlush => vec![by("MM-05").times(1)],
            HandedOut => vec![by("MM-02").times(1)],
            // The entries that are filled, then the access.
            MappedFrame => vec![by("MM-06"), by("G1")],
            LinkedTable => vec![by("MM-05")],
        }
    }

    async fn happen(self, kernel: &Kernel) {
        kernel.enter().await;
        if matches!(self, MappedFrame | LinkedTable) {
            let first = if self == MappedFrame {
                frame(0)
            } else {
                table(0)
            };
            kernel.moved(Activity::FrameFreed, first);
            kernel.touch().await;
            return;
        }
        kernel.see_link().await;
        kernel.touch().await;
        kernel.handle.sleep(SETTLED).await;
        if self == HandedOut {
            kernel.moved(Activity::FrameAllocated, frame(0));
            return;
        }
        match self {
            LeafFlush => kernel.set_link(Descriptor::INVALID).await,
            _ => kernel.set_page(table(0), Descriptor::INVALID).await,
        }
        match self {
            OtherPage => kernel.flush(Tlbi::vale1(IS, VA + 0x1000, ASID, None)).await,
            LocalFlush => {
                let local = Tlbi::vale1(TlbiScope::Local, VA, ASID, None);
                kernel.flush(local).await;
            }
            LeafFlush => kernel.flush(Tlbi::vale1(IS, VA, ASID, None)).await,
            _ => {}
        }
        let last = if self == LeafFlush {
            table(0)
        } else {
            frame(0)
        };
        kernel.moved(Activity::FrameFreed, last);
    }
}

fn misused(bench: &mut Bench) -> Result<(), Failure> {
    for misuse in Misuse::ALL {
        let kernel = Kernel::load(bench)?;
        // One core has no other that would keep its entries.
        if misuse == LocalFlush && kernel.cores.len() == 1 {
            continue;
        }
        for report in misuse.reports() {
            bench.expect_violation(report)?;
        }
        bench.run(async move |_| {
            misuse.happen(&kernel).await;
            kernel.handle.sleep(SETTLED).await;
            Ok(())
        })?;
        bench.restart()?;
        bench.count("misuses", 1);
    }
    Ok(())
}
