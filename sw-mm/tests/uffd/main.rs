// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Missing pages that a handler in user space brings.

mod changes;
mod interleaved;
#[path = "../kernel/mod.rs"]
mod kernel;
mod late;
mod missing;
mod refusals;

use kernel::{Setup, boot, config, map};
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::block_on;
use sw_mm::functional::{Core, RunEnd, Scheduler};
use sw_mm::mm::{AddressSpace, Error};
use sw_mm::thread::Thread;
use sw_mm::uffd::{Context, Copy, Features, Message};
use vmsa::Granule;

const VA: u64 = 0x4000_0000;
const PAGE: u64 = Granule::K4.bytes();
/// Where the handler has pages to copy from: word 0 of page n holds 1000 + n, the last one 2000 + n.
const SOURCE: u64 = 0x8000_0000;
const PAGES: u64 = 8;

/// Cores 0 and 1 run the address space whose missing pages core 2 brings, out of its own.
struct World {
    setup: Setup,
    before: u64,
    space: Rc<AddressSpace>,
    threads: [Rc<Thread<Core>>; 2],
    handler: Rc<Thread<Core>>,
    context: Rc<Context>,
}

impl World {
    /// `PAGES` pages at `VA`, registered.
    fn new(features: Features) -> Self {
        let setup = boot(config(3));
        let before = setup.used();
        let thread = |core: u8| {
            let cpu = setup.machine.core(usize::from(core)).interleaved();
            Rc::new(Thread::new(&setup.kernel, cpu, core))
        };
        let (threads, handler) = ([thread(0), thread(1)], thread(2));
        let (space, context) = block_on(async {
            let space = AddressSpace::new(&threads[0]).await?;
            for thread in &threads {
                thread.switch_to(&space).await;
            }
            let own = AddressSpace::new(&handler).await?;
            handler.switch_to(&own).await;
            map(&handler, SOURCE, PAGES * PAGE).await?;
            for page in 0..PAGES {
                let va = SOURCE + page * PAGE;
                handler.user_store(va, Double, 1000 + page).await?;
                handler
                    .user_store(va + PAGE - 8, Double, 2000 + page)
                    .await?;
            }
            map(&threads[0], VA, PAGES * PAGE).await?;
            let context = threads[0].userfaultfd()?;
            context.api(features)?;
            handler.uffd_register(&context, VA, PAGES * PAGE).await?;
            Ok::<_, Error>((space, context))
        })
        .expect("no error");
        Self {
            setup,
            before,
            space,
            threads,
            handler,
            context,
        }
    }

    /// Copies page `from` of the source to page `to`.
    fn copy(&self, to: u64, from: u64) -> Copy {
        Copy {
            to: VA + to * PAGE,
            from: SOURCE + from * PAGE,
            bytes: PAGE,
            dont_wake: false,
        }
    }

    /// The next message, of an access that waits; the address.
    async fn fault(&self) -> u64 {
        match self.context.read().await {
            Some(Message::Pagefault { va, .. }) => va,
            message => panic!("{message:?}"),
        }
    }

    /// Runs tasks until all are done.
    fn run(&self, seed: u64, spawn: impl FnOnce(&Scheduler)) {
        let mut scheduler = Scheduler::new(seed);
        spawn(&scheduler);
        let end = scheduler.run(10_000_000);
        assert_eq!(end, RunEnd::Done, "seed {seed}: {end}");
    }

    /// Takes everything down and judges.
    fn finish(self: Rc<Self>) {
        let world = Rc::try_unwrap(self);
        let Self {
            setup,
            before,
            space,
            threads,
            handler,
            context,
        } = world.unwrap_or_else(|_| panic!("a task is left"));
        assert_eq!(context.waiting(), 0);
        assert!(!context.is_changing());
        setup.audit();
        block_on(async {
            threads[1].leave().await;
            threads[0].exit().await?;
            handler.exit().await
        })
        .expect("no error");
        drop(space);
        setup.audit();
        assert_eq!(setup.used(), before, "MM-30");
        setup.judge();
    }
}
