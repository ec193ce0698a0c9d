// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The split of a block into pages: same frames, permission, access flag and dirty state, and never two
//! sizes in the TLBs (MM-38). What shows a mistake is shown to.

use crate::traced::{Step, Traced};
use crate::*;
use std::cell::Cell;
use sw_mm::cpu::{Cpu, Privilege};
use sw_mm::functional::Machine;
use sw_mm::page::{NodeId, Request};
use sw_mm::pte::raw;
use vmsa::{Descriptor, DsbKind};

/// The last page, which the split is for.
const LAST: u64 = VA + BLOCK - PAGE;

/// Makes the block say what `change` makes of it, and what is cached of it go.
async fn change_block(
    thread: &Thread<Core>,
    space: &AddressSpace,
    change: impl Fn(Pte) -> Pte,
) -> Result<(), Error> {
    let Found::Block(table, ptr, _) = space.walk(thread, VA).await? else {
        panic!("a block")
    };
    {
        let _ptl = table.lock.lock(&thread.held).await;
        raw::update(thread, ptr, change).await?;
    }
    thread.flush_mm(space).await;
    Ok(())
}

#[test]
fn pages_say_what_the_block_said() {
    // MM-38.
    for config in updates(1) {
        for state in 0..8 {
            let (young, dirty, writable) = (state & 1 != 0, state & 2 != 0, state & 4 != 0);
            let (setup, space) = with_block(config.clone());
            let thread = &setup.threads[0];
            block_on(async {
                change_block(thread, &space, |pte| {
                    let pte = pte.make_clean().with_young(young);
                    let pte = if dirty { pte.make_dirty() } else { pte };
                    if writable { pte } else { pte.write_protect() }
                })
                .await?;
                let before = page_entries(&setup, &space, VA);
                assert_eq!(
                    (before[7].young(), before[7].dirty(), before[7].writable()),
                    (young, dirty, writable)
                );
                thread.madvise_dontneed(LAST, PAGE).await?;
                assert!(block(&setup, &space, VA).is_none());
                let after = page_entries(&setup, &space, VA);
                assert_eq!(before[..511], after[..511]);
                assert!(after[511].is_none());
                // What lies in one folio and is aligned may be contiguous.
                assert!(setup.entry(&space, VA).cont());
                assert!(!setup.entry(&space, LAST - PAGE).cont());
                setup.audit();
                assert_eq!(thread.user_load(VA, Double).await?, 1);
                thread.user_store(VA + PAGE, Double, 2).await
            })
            .expect("no error");
            setup.audit();
            setup.judge();
        }
    }
}

/// Splits the block with `thread`, then gives every core a chance to use the pages.
fn split(setup: &Setup, thread: &Thread<Traced>) {
    block_on(async {
        thread.madvise_dontneed(LAST, PAGE).await?;
        for thread in &setup.threads {
            thread.user_load(VA + 3 * PAGE, Double).await?;
        }
        Ok::<_, Error>(())
    })
    .expect("no error");
}

fn traced(setup: &Setup, space: &Rc<AddressSpace>) -> (Traced, Thread<Traced>) {
    let cpu = Traced::new(setup.machine.core(0));
    let thread = Thread::new(&setup.kernel, cpu.clone(), 0);
    block_on(thread.switch_to(space));
    cpu.take();
    (cpu, thread)
}

#[test]
fn the_block_is_invalid_and_flushed_before_the_table_is_there() {
    // MM-04, MM-38.
    for range_tlbi in [true, false] {
        let (setup, space) = with_block(KernelConfig {
            range_tlbi,
            ..huge_config(2)
        });
        let (cpu, thread) = traced(&setup, &space);
        split(&setup, &thread);
        let mut words = cpu.take_words();
        words.dedup();
        let tlbi = if range_tlbi { "RVALE1IS" } else { "VALE1IS" };
        let expected = [
            "swap",
            "DSB ISHST",
            &format!("TLBI {tlbi}"),
            "DSB ISH",
            // The pages, visible before the table that holds them.
            "store",
            "DSB ISHST",
            "store",
        ];
        assert_eq!(words[..expected.len()], expected);
        setup.judge();
    }
}

/// Sizes of the leaves that any core may still use for the block.
fn sizes(machine: &Machine, cores: usize) -> (usize, usize) {
    let leaves = (0..cores).flat_map(|core| machine.cached_leaves_over(core, VA, BLOCK));
    let (blocks, pages): (Vec<_>, Vec<_>) = leaves.partition(|leaf| leaf.level == 2);
    (blocks.len(), pages.len())
}

#[test]
fn no_tlb_ever_holds_both_sizes() {
    // MM-38: another core looks at another page before each instruction of the split.
    let (setup, space) = with_block(huge_config(2));
    let (cpu, thread) = traced(&setup, &space);
    let machine = setup.machine.clone();
    let (page, seen) = (Rc::new(Cell::new(0)), Rc::new(Cell::new((0, 0))));
    let (next, most) = (Rc::clone(&page), Rc::clone(&seen));
    cpu.set_hook(move |_: &Step| {
        let va = VA + next.get() % 500 * PAGE;
        next.set(next.get() + 7);
        let loaded = block_on(machine.core(1).load(va, Double, Privilege::Unprivileged));
        assert!(loaded.is_err() || va != VA || loaded == Ok(1));
        let (blocks, pages) = sizes(&machine, 2);
        assert!(blocks == 0 || pages == 0, "{blocks} blocks, {pages} pages");
        most.set((most.get().0.max(blocks), most.get().1.max(pages)));
    });
    split(&setup, &thread);
    cpu.clear_hook();
    let (blocks, pages) = seen.get();
    assert!(
        blocks > 0 && pages > 0,
        "both were there, one after the other"
    );
    setup.audit();
    setup.judge();
}

/// Replaces the block by a table without the kernel: `broken`: the block is made invalid before,
/// `flushed`: and no core uses it any more.
fn replace_block(broken: bool, flushed: bool) -> (usize, (usize, usize)) {
    let (setup, space) = with_block(huge_config(2));
    let [thread, other] = &setup.threads[..] else {
        panic!("two cores")
    };
    block_on(async {
        let el1 = Privilege::Privileged;
        assert_eq!(other.user_load(VA, Double).await?, 1);
        let Found::Block(_, ptr, block) = space.walk(thread, VA).await? else {
            panic!("a block")
        };
        let request = Request::new(0, NodeId(0));
        let (folio, _) = setup.kernel.allocate_folio(0, &request)?;
        let pa = setup.kernel.pa(folio.pfn());
        let pages = setup.kernel.virt(pa)?;
        for (index, slot) in (0..).zip((pages..pages + PAGE).step_by(8)) {
            let page = block.as_page().advance(Granule::K4, index);
            thread.cpu.store(slot, Double, el1, page.0).await?;
        }
        if broken {
            thread.cpu.store(ptr.slot, Double, el1, 0).await?;
        }
        thread.cpu.dsb(DsbKind::ISHST).await;
        if flushed {
            thread.flush_mm(&space).await;
        }
        let table = Descriptor::table(pa).0;
        thread.cpu.store(ptr.slot, Double, el1, table).await?;
        thread.cpu.dsb(DsbKind::ISH).await;
        for va in [VA + PAGE, VA + 2 * PAGE] {
            for core in [thread, other] {
                core.cpu.load(va, Double, Privilege::Unprivileged).await?;
            }
        }
        Ok::<_, Error>(())
    })
    .expect("no error");
    (setup.machine.violations().len(), sizes(&setup.machine, 2))
}

#[test]
fn a_split_without_break_or_flush_is_noticed() {
    // MM-38: what the tests above look at notices it.
    let (violations, (blocks, pages)) = replace_block(true, true);
    assert!(
        violations == 0 && blocks == 0 && pages > 0,
        "as it should be"
    );
    for (broken, flushed) in [(false, false), (true, false), (false, true)] {
        let (violations, _) = replace_block(broken, flushed);
        assert_eq!(violations, 1, "broken {broken}, flushed {flushed}");
    }
}
