// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Folded memory under fork, exit and the calls that change parts of it (contpte section 7).

use std::rc::Rc;

use cosim::dut::ports::Op;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use cosim::sim::event::EventKind;
use sw_mm::mm::{AddressSpace, Protection};
use sw_mm::thread::Thread;
use sw_mm::{Activity, Cpu};
use vmsa::{DsbKind, FaultKind};

use super::access::{access, load, store};
use super::contpte_memory::Folded;
use super::contpte_scene::{block_entries, maintenance};
use super::os::{Os, OsConfig};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "contpte-fork",
        purpose: "fork leaves parent and child folded and read-only; a write of either unfolds that block there only",
        requirements: &["CONTPTE-28", "CONTPTE-29"],
        run: fork,
    },
    Testbench {
        name: "contpte-exit",
        purpose: "folded memory goes without a conversion, and its frames are free only after TLBI and DSB",
        requirements: &["CONTPTE-26", "CONTPTE-30"],
        run: exit,
    },
    Testbench {
        name: "contpte-part",
        purpose: "munmap, mprotect or madvise of part of some blocks leaves the rest mapped, with its data and no hint",
        requirements: &["CONTPTE-31"],
        run: part,
    },
];

fn configs() -> impl Iterator<Item = OsConfig> {
    OsConfig::few().into_iter().map(|config| {
        let order = block_entries(config.granule).trailing_zeros() as u8;
        OsConfig {
            anonymous_orders: vec![order],
            ..config
        }
    })
}

fn conversions(os: &Os) -> (u64, u64) {
    let counters = &os.kernel.counters;
    (counters.folds.get(), counters.unfolds.get())
}

/// What `thread` reads at `va`, faults handled.
async fn reads(
    id: &str,
    thread: &Thread<CoreHandle>,
    va: u64,
    expected: u64,
) -> Result<(), Failure> {
    let answer = access(thread, load(va)).await?;
    answer.response.reads(id, expected)
}

fn fork(bench: &mut Bench) -> Result<(), Failure> {
    for config in configs() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        os.run(bench, async move |os| {
            let scene = Folded::new(&os, 2).await?;
            let (n, page) = (scene.n, os.kernel.granule().bytes());
            let (thread, other) = (&scene.thread, &scene.other);
            reads("CONTPTE-28", other, scene.va(2 * page), 1).await?;
            record.clear();
            let child = thread.fork().await?;
            let (tlbis, barriers) = maintenance(&record, 0);
            let met = conversions(&os) == (0, 0) && (tlbis.len(), barriers) == (1, 1);
            expect("CONTPTE-28", met, || {
                format!("conversions {:?}, {tlbis:?}", conversions(&os))
            })?;
            for space in [&scene.space, &child] {
                let hints = scene.hints(&os, space, 0..2 * n);
                let entries = (0..2 * n).map(|page| scene.pte(&os, space, page));
                let read_only = entries
                    .clone()
                    .all(|pte| pte.valid() && !pte.writable() && pte.descriptor().ap_read_only());
                let dirty = entries.clone().all(|pte| pte.dirty());
                expect("CONTPTE-28", hints == 2 * n && read_only && dirty, || {
                    format!("{hints} hints, read-only {read_only}, dirty {dirty}")
                })?;
            }
            other.exit().await?;
            other.switch_to(&child).await;
            thread.switch_to(&scene.space).await;
            access(thread, store(scene.va(2 * page), 100)).await?;
            thread.cpu.dsb(DsbKind::ISH).await;
            let folded = |space: &AddressSpace, block: u64| {
                scene.hints(&os, space, block * n..(block + 1) * n)
            };
            let hints = [
                folded(&scene.space, 0),
                folded(&scene.space, 1),
                folded(&child, 0),
                folded(&child, 1),
            ];
            let met = hints == [0, n, n, n] && conversions(&os) == (0, 1);
            expect("CONTPTE-29", met, || format!("hints {hints:?}"))?;
            reads("CONTPTE-29", thread, scene.va(2 * page), 100).await?;
            other.switch_to(&child).await;
            reads("CONTPTE-29", other, scene.va(2 * page), 1).await?;
            access(other, store(scene.va((n + 2) * page), 200)).await?;
            other.cpu.dsb(DsbKind::ISH).await;
            let hints = [
                folded(&scene.space, 0),
                folded(&scene.space, 1),
                folded(&child, 0),
                folded(&child, 1),
            ];
            let met = hints == [0, n, n, 0] && conversions(&os) == (0, 2);
            expect("CONTPTE-29", met, || format!("hints {hints:?}"))?;
            thread.switch_to(&scene.space).await;
            reads("CONTPTE-29", thread, scene.va((n + 2) * page), 2).await?;
            // One user of each is left: the child of the other thread and twice the first.
            other.switch_to(&child).await;
            scene.end(&os).await
        })?;
    }
    Ok(())
}

fn exit(bench: &mut Bench) -> Result<(), Failure> {
    for config in configs() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        os.run(bench, async move |os| {
            let scene = Folded::new(&os, 2).await?;
            let page = os.kernel.granule().bytes();
            let asid = scene.space.context.asid();
            let frames = [0, scene.n].map(|page| {
                os.kernel
                    .pa(scene.pte(&os, &scene.space, page).pfn(os.kernel.granule()))
            });
            for thread in [&scene.other, &scene.thread] {
                reads("CONTPTE-30", thread, scene.va(2 * page), 1).await?;
            }
            record.clear();
            scene.end(&os).await?;
            // What the kernel told last is among the events of the next cycle.
            os.handle.sleep(2).await;
            expect("CONTPTE-26", conversions(&os) == (0, 0), || {
                format!("conversions {:?}", conversions(&os))
            })?;
            let steps = record.collect(|kind| match kind {
                EventKind::Issue { request, .. } => match request.op {
                    Op::Tlbi(op) if op.op.by_asid() && op.asid() == asid => Some(0),
                    _ => None,
                },
                EventKind::Response { request, .. } if request.op == Op::Dsb(DsbKind::ISH) => {
                    Some(1)
                }
                EventKind::Os(os)
                    if os.activity == Activity::FrameFreed && frames.contains(&os.pa) =>
                {
                    Some(2)
                }
                _ => None,
            });
            // One TLBI; the barrier that follows; both folios.
            let steps: Vec<u8> = steps.into_iter().map(|(_, step)| step).collect();
            let begin = steps.iter().position(|&step| step == 0);
            let after = begin.map_or(&[][..], |begin| &steps[begin..]);
            let ordered =
                after.starts_with(&[0, 1]) && after.iter().filter(|&&s| s == 2).count() == 2;
            let none_before = begin.is_some_and(|begin| !steps[..begin].contains(&2));
            let once = steps.iter().filter(|&&step| step == 0).count() == 1;
            expect("CONTPTE-30", ordered && none_before && once, || {
                format!("TLBI 0, DSB 1, freed 2: {steps:?}")
            })
        })?;
    }
    Ok(())
}

/// The call that changes part of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Munmap,
    Mprotect,
    Dontneed,
}

impl Call {
    async fn make(self, thread: &Thread<CoreHandle>, va: u64, bytes: u64) -> Result<(), Failure> {
        match self {
            Self::Munmap => thread.munmap(va, bytes).await?,
            Self::Mprotect => thread.mprotect(va, bytes, Protection::READ).await?,
            Self::Dontneed => thread.madvise_dontneed(va, bytes).await?,
        }
        Ok(())
    }
}

fn part(bench: &mut Bench) -> Result<(), Failure> {
    for config in configs() {
        for call in [Call::Munmap, Call::Mprotect, Call::Dontneed] {
            bench.restart()?;
            let os = Os::boot(bench, &config)?;
            os.run(bench, async move |os| {
                let scene = Folded::new(&os, 3).await?;
                let (n, page) = (scene.n, os.kernel.granule().bytes());
                let threads = [Rc::clone(&scene.thread), Rc::clone(&scene.other)];
                for thread in &threads {
                    for block in 0..3 {
                        let va = scene.va((block * n + 2) * page);
                        reads("CONTPTE-31", thread, va, block + 1).await?;
                    }
                }
                // From the midst of the first block to the midst of the third.
                let changed = n / 2..n / 2 + 2 * n;
                let va = scene.va(n / 2 * page);
                call.make(&scene.thread, va, 2 * n * page).await?;
                scene.thread.cpu.dsb(DsbKind::ISH).await;
                for index in 0..3 * n {
                    let pte = scene.pte(&os, &scene.space, index);
                    let met = match (changed.contains(&index), call) {
                        (false, _) => pte.valid() && pte.writable() && !pte.cont(),
                        (true, Call::Mprotect) => {
                            // The block that was changed as a whole is in one piece again.
                            let whole = (n..2 * n).contains(&index);
                            pte.valid() && !pte.writable() && pte.cont() == whole
                        }
                        (true, _) => pte.is_none(),
                    };
                    expect("CONTPTE-31", met, || {
                        format!("{call:?}: page {index} has {pte:?}")
                    })?;
                }
                let expected = match call {
                    Call::Mprotect => (1, 3),
                    _ => (0, 2),
                };
                expect("CONTPTE-31", conversions(&os) == expected, || {
                    format!("{call:?}: conversions {:?}", conversions(&os))
                })?;
                for thread in &threads {
                    reads("CONTPTE-31", thread, scene.va(2 * page), 1).await?;
                    let answer = access(thread, store(scene.va(3 * page), 33)).await?;
                    expect("CONTPTE-31", answer.faults.is_empty(), || {
                        format!("a store to what is left took {:?}", answer.faults)
                    })?;
                    thread.cpu.dsb(DsbKind::ISH).await;
                    let gone = thread.cpu.access(load(scene.va((n + 2) * page))).await;
                    let kind = gone.fault.and_then(|fsc| fsc.kind());
                    let expected = match call {
                        Call::Mprotect => None,
                        _ => Some(FaultKind::Translation),
                    };
                    expect("CONTPTE-31", kind == expected, || {
                        format!("{call:?}: core {} got {gone}", thread.core)
                    })?;
                }
                if call == Call::Dontneed {
                    let va = scene.va((n + 2) * page);
                    reads("CONTPTE-31", &scene.other, va, 0).await?;
                }
                scene.end(&os).await
            })?;
        }
    }
    Ok(())
}
