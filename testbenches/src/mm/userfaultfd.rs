// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Missing pages that a handler in user space brings while the access to them sleeps.

use std::collections::BTreeSet;
use std::rc::Rc;

use cosim::dut::ports::{CommitKind, CoreResponse};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::CoreHandle;
use cosim::sim::event::EventKind;
use sw_mm::mm::{AddressSpace, Error, Map, Protection};
use sw_mm::thread::Thread;
use sw_mm::uffd::{Context, Copy, Features, Message};
use vmsa::{Descriptor, El, FaultKind, Granule};

use super::access::{access, load, store};
use super::os::{Os, OsConfig, join};
use crate::invalidation::record::Record;
use crate::stage1::watch::expect;

/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "mm-userfault-copied",
        purpose: "accesses to missing pages sleep until a handler has copied them, and are made once more: the page is whole by then",
        requirements: &["MM-33"],
        run: copied,
    },
    Testbench {
        name: "mm-userfault-woken",
        purpose: "an access that is woken without a page asks again and sleeps again; zeros are as good as a page",
        requirements: &["MM-33", "MM-07"],
        run: woken,
    },
];

const VA: u64 = 0x7100_0000;
/// Where the handler has pages: the first word of page n holds 1000 + n, the last one 2000 + n.
const SOURCE: u64 = 0x7200_0000;

/// A thread whose missing pages another one brings, in one address space.
struct Scene {
    user: Rc<Thread<CoreHandle>>,
    handler: Rc<Thread<CoreHandle>>,
    space: Rc<AddressSpace>,
    context: Rc<Context>,
    page: u64,
}

impl Scene {
    /// `pages` pages at [`VA`] are missing, `pages` pages at [`SOURCE`] are there.
    async fn new(os: &Os, pages: u64) -> Result<Self, Failure> {
        let (handler, user) = os.pair();
        let space = os.space().await?;
        join(&user, &space).await;
        let page = os.kernel.granule().bytes();
        for at in [VA, SOURCE] {
            let map = Map::anonymous(at, pages * page, Protection::READ_WRITE);
            handler.mmap(&map).await?;
        }
        for index in 0..pages {
            let at = SOURCE + index * page;
            access(&handler, store(at, 1000 + index)).await?;
            access(&handler, store(at + page - 8, 2000 + index)).await?;
        }
        let context = handler.userfaultfd()?;
        context.api(Features::default())?;
        handler.uffd_register(&context, VA, pages * page).await?;
        Ok(Self {
            user,
            handler,
            space,
            context,
            page,
        })
    }

    /// The next message: an access of this kind to this page sleeps, and is the only one.
    async fn told(&self, va: u64, write: bool) -> Result<(), Failure> {
        let message = self.context.read().await;
        let met = matches!(message, Some(Message::Pagefault { va: at, write: w }) if (at, w) == (va, write));
        expect("MM-33", met && self.context.waiting() == 1, || {
            let waiting = self.context.waiting();
            format!("{message:x?} for an access to {va:#x}, {waiting} wait")
        })
    }

    /// What the user's accesses to the page at `va` came to: cycles of issue and answer, the answer.
    fn answers(&self, record: &Record, va: u64) -> Vec<(u64, u64, CoreResponse)> {
        let answers = record.collect(|kind| match kind {
            EventKind::Response {
                core,
                request,
                issued_at,
                response,
            } if *core == self.user.core
                && request.el == El::El0
                && (va..va + self.page).contains(&request.va) =>
            {
                Some((*issued_at, *response))
            }
            _ => None,
        });
        let one = |(cycle, (issued, response))| (issued, cycle, response);
        answers.into_iter().map(one).collect()
    }

    async fn end(self, os: &Os) -> Result<(), Failure> {
        let Self { user, handler, .. } = self;
        user.exit().await?;
        handler.exit().await?;
        os.all_freed()
    }
}

/// One access that slept once is two to hardware: one that faults and, when the entry is there, one that
/// does not. All of the page was written before the entry.
fn resumed_once(
    os: &Os,
    scene: &Scene,
    record: &Record,
    va: u64,
    filled: u64,
) -> Result<(), Failure> {
    let answers = scene.answers(record, va);
    let [(_, asleep, first), (again, _, second)] = answers[..] else {
        let what = format!(
            "{va:#x} was asked for {} times: {answers:x?}",
            answers.len()
        );
        return expect("MM-33", false, || what);
    };
    let kind = first.fault.and_then(|fsc| fsc.kind());
    let met = kind == Some(FaultKind::Translation) && second.fault.is_none();
    expect("MM-33", met, || {
        format!("{va:#x} answers {first}, {second}")
    })?;
    let slot = os.leaf(&scene.space, va).map_or(0, |(slot, _)| slot);
    let mapped = record.collect(|kind| match kind {
        EventKind::Commit { address, after, .. } if *address == slot => {
            Descriptor(*after).valid().then_some(())
        }
        _ => None,
    });
    let mapped = mapped.first().map_or(u64::MAX, |(cycle, ())| *cycle);
    expect(
        "MM-33",
        asleep < filled && filled < mapped && mapped <= again,
        || {
            format!(
                "asleep from {asleep}, filled from {filled}, mapped at {mapped}, again at {again}"
            )
        },
    )?;
    let frame = second.pa & !(scene.page - 1);
    let written = record.collect(|kind| match kind {
        EventKind::Commit {
            kind: CommitKind::Store,
            address,
            ..
        } if (frame..frame + scene.page).contains(address) => Some(*address),
        _ => None,
    });
    let before = written.iter().filter(|(cycle, _)| *cycle <= mapped);
    let words: BTreeSet<u64> = before.map(|(_, address)| *address).collect();
    expect("MM-33", words.len() as u64 == scene.page / 8, || {
        format!(
            "{} words of the page were written before it was mapped",
            words.len()
        )
    })
}

fn copied(bench: &mut Bench) -> Result<(), Failure> {
    let small = |config: &OsConfig| config.granule != Granule::K64;
    for config in OsConfig::few().into_iter().filter(small) {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        let pages = if config.granule == Granule::K4 { 3 } else { 1 };
        os.run(bench, async move |os| {
            let scene = Scene::new(&os, pages).await?;
            let page = scene.page;
            record.clear();
            let user = Rc::clone(&scene.user);
            let sleeper = os.handle.spawn(async move {
                for index in 0..pages {
                    let va = VA + index * page;
                    let request = match index % 2 {
                        0 => load(va),
                        _ => store(va, 77),
                    };
                    let answer = access(&user, request).await?;
                    if index % 2 == 0 {
                        answer.response.reads("MM-33", 1000 + index)?;
                    }
                }
                Ok::<_, Failure>(())
            });
            let mut filled = Vec::new();
            for index in 0..pages {
                let va = VA + index * page;
                scene.told(va, index % 2 == 1).await?;
                // It sleeps as long as it takes.
                os.handle.sleep(700).await;
                filled.push((va, os.handle.now()));
                let copy = Copy {
                    to: va,
                    from: SOURCE + index * page,
                    bytes: page,
                    dont_wake: false,
                };
                let done = scene.handler.uffd_copy(&scene.context, copy).await?;
                expect("MM-33", done == page, || format!("{done} bytes copied"))?;
                let twice = scene.handler.uffd_copy(&scene.context, copy).await;
                expect("MM-33", twice == Err(Error::Exists), || {
                    format!("copied once more: {twice:?}")
                })?;
            }
            sleeper.await?;
            for (va, filled) in filled {
                resumed_once(&os, &scene, &record, va, filled)?;
            }
            let slept = os.kernel.counters.user_faults.get();
            expect("MM-33", slept == pages, || format!("slept {slept} times"))?;
            for index in 0..pages {
                let last = VA + (index + 1) * page - 8;
                let answer = access(&scene.user, load(last)).await?;
                answer.response.reads("MM-33", 2000 + index)?;
            }
            let more = scene.context.try_read();
            expect("MM-33", more.is_none(), || format!("told of {more:x?}"))?;
            scene.end(&os).await
        })?;
    }
    Ok(())
}

fn woken(bench: &mut Bench) -> Result<(), Failure> {
    const WAKES: usize = 3;
    for config in OsConfig::few() {
        bench.restart()?;
        let os = Os::boot(bench, &config)?;
        let record = Record::on(bench)?;
        os.run(bench, async move |os| {
            let scene = Scene::new(&os, 2).await?;
            let (page, zero) = (scene.page, os.kernel.pa(os.kernel.zero_page()));
            record.clear();
            let user = Rc::clone(&scene.user);
            let sleeper = os
                .handle
                .spawn(async move { access(&user, store(VA + 8, 7)).await });
            for wake in 0..WAKES {
                scene.told(VA, true).await?;
                os.handle.sleep(300).await;
                let asked = scene.answers(&record, VA).len();
                expect("MM-33", asked == wake + 1, || {
                    format!("{asked} accesses after {wake} wakes")
                })?;
                let others = scene.context.wake(VA + page, page);
                let woken = scene.context.wake(VA, page);
                expect("MM-33", (others, woken) == (0, 1), || {
                    format!("{others} others and {woken} woken")
                })?;
            }
            scene.told(VA, true).await?;
            let context = &scene.context;
            let done = scene.handler.uffd_zeropage(context, VA, 2 * page, false);
            let done = done.await?;
            expect("MM-33", done == 2 * page, || format!("{done} bytes filled"))?;
            let answer = sleeper.await?;
            let mut expected = vec![FaultKind::Translation; WAKES + 1];
            // The store gets a page of its own, about which nobody is asked.
            expected.push(FaultKind::Permission);
            expect("MM-33", answer.faults == expected, || {
                format!("the store took {:?}", answer.faults)
            })?;
            let own = answer.response.pa - 8;
            expect("MM-07", own != zero, || "it went to the zero page".into())?;
            let answer = access(&scene.user, load(VA + page + 8)).await?;
            answer.response.reads("MM-07", 0)?;
            answer.response.reaches("MM-07", zero + 8)?;
            let slept = os.kernel.counters.user_faults.get() as usize;
            expect(
                "MM-33",
                answer.faults.is_empty() && slept == WAKES + 1,
                || format!("slept {slept} times, then {:?}", answer.faults),
            )?;
            scene.end(&os).await
        })?;
    }
    Ok(())
}
