// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! mremap on the functional machine: pages move without a copy, and nobody reaches them where they
//! were.

mod failure;
#[path = "../kernel/mod.rs"]
mod kernel;
mod random;
#[path = "../traced/mod.rs"]
mod traced;

use kernel::{boot, config, map, variants};
use std::cell::Cell;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::file::File;
use sw_mm::functional::Core;
use sw_mm::mm::{AddressSpace, Destination, Error, Found, Map, Protection, Remap, Signal};
use sw_mm::pte::{Pte, raw};
use sw_mm::thread::Thread;
use sw_mm::{Cpu, block_on};
use traced::{Step, Traced};
use vmsa::{DsbKind, Granule, TlbiOp};

const VA: u64 = 0x4000_0000;

fn refused<T>(va: u64) -> Result<T, Error> {
    let signal = Signal::Segv;
    Err(Error::Signal { signal, va })
}

/// The entry for `va`; none without a table.
async fn entry<C: Cpu>(thread: &Thread<C>, space: &AddressSpace, va: u64) -> Result<Pte, Error> {
    let Found::Table(table) = space.walk(thread, va).await? else {
        return Ok(Pte::NONE);
    };
    raw::get(thread, table.entry(&thread.kernel, va)?).await
}

/// Addresses where the reverse map finds the folio behind `va`.
async fn mapped_at(
    thread: &Thread<Core>,
    space: &AddressSpace,
    va: u64,
) -> Result<Vec<u64>, Error> {
    let pte = entry(thread, space, va).await?;
    let folio = thread.kernel.frames.folio(pte.pfn(thread.kernel.granule()));
    let folio = folio.expect("a folio");
    let _lock = folio.lock.lock(&thread.held).await;
    let places = thread.rmap_walk(&folio).await?;
    Ok(places.iter().map(|place| place.ptr.va).collect())
}

#[test]
fn pages_move_without_a_copy_and_no_core_reaches_them_where_they_were() {
    // MM-15, MM-23, MM-31.
    for config in variants(2) {
        let page = config.granule.bytes();
        // Across the end of a table, from an even to an odd place.
        let table = page * config.granule.entries();
        let (from, to) = (table * 4 - 3 * page, table * 6 + 5 * page);
        let setup = boot(config);
        let before = setup.used();
        let (thread, other) = (&setup.threads[0], &setup.threads[1]);
        let space = setup.space();
        block_on(async {
            other.switch_to(&space).await;
            map(thread, from, 8 * page).await?;
            for index in [0, 1, 2, 3, 4, 7] {
                thread
                    .user_store(from + index * page, Double, index + 1)
                    .await?;
            }
            // The zero page, and a hole that nobody touched.
            thread.user_load(from + 5 * page, Double).await?;
            thread.cpu.dsb(DsbKind::ISH).await;
            for index in [0, 1, 2, 3, 4, 5, 7] {
                other.user_load(from + index * page, Double).await?;
            }
            let mut old = Vec::new();
            for index in 0..8 {
                old.push(entry(thread, &space, from + index * page).await?);
            }
            let (copies, resident) = (setup.kernel.counters.copies.get(), space.resident.get());
            let moved = thread
                .mremap(&Remap {
                    va: from,
                    bytes: 8 * page,
                    new_bytes: 8 * page,
                    to: Destination::Fixed(to),
                })
                .await?;
            assert_eq!(moved, to);
            assert_eq!(setup.kernel.counters.copies.get(), copies);
            assert_eq!(space.resident.get(), resident);
            for (index, old) in (0..8).zip(&old) {
                let (was, is) = (from + index * page, to + index * page);
                assert_eq!(entry(thread, &space, is).await?, *old, "page {index}");
                assert_eq!(entry(thread, &space, was).await?, Pte::NONE);
                for thread in [thread, other] {
                    assert_eq!(thread.user_load(was, Double).await, refused(was));
                }
                let value = if matches!(index, 5 | 6) { 0 } else { index + 1 };
                assert_eq!(other.user_load(is, Double).await?, value);
                if !old.is_none() && !old.special() {
                    assert_eq!(mapped_at(thread, &space, is).await?, [is]);
                }
            }
            // The tables that only the old range needed are gone (MM-32).
            assert_eq!(space.areas().len(), 1);
            other.leave().await;
            thread.exit().await
        })
        .expect("no error");
        drop(space);
        assert_eq!(setup.used(), before, "MM-30");
        setup.judge();
    }
}

#[test]
fn old_translations_are_flushed_before_the_locks_of_the_tables_are_let_go() {
    let setup = boot(config(1));
    let page = Granule::K4.bytes();
    let traced = Traced::new(setup.machine.core(0));
    let thread = Thread::new(&setup.kernel, traced.clone(), 0);
    block_on(async {
        let space = AddressSpace::new(&thread).await?;
        thread.switch_to(&space).await;
        let to = VA + (2 << 20);
        let map = Map::anonymous(VA, 4 * page, Protection::READ_WRITE);
        thread.mmap(&map).await?;
        for index in 0..4 {
            thread
                .user_store(VA + index * page, Double, index + 1)
                .await?;
        }
        // Makes the table there.
        let neighbour = Map::anonymous(to + 8 * page, page, Protection::READ_WRITE);
        thread.mmap(&neighbour).await?;
        thread.user_store(to + 8 * page, Double, 1).await?;
        let table = async |va| match space.walk(&thread, va).await {
            Ok(Found::Table(table)) => table,
            found => panic!("{found:?}"),
        };
        let (old, new) = (table(VA).await, table(to).await);
        let completed = Rc::new(Cell::new(0));
        let (count, tables) = (Rc::clone(&completed), [Rc::clone(&old), Rc::clone(&new)]);
        traced.take();
        traced.set_hook(move |step| {
            if *step == Step::Dsb(DsbKind::ISH) && count.get() == 0 {
                assert!(tables.iter().all(|table| table.lock.is_locked()));
            }
            count.set(count.get() + u32::from(*step == Step::Dsb(DsbKind::ISH)));
        });
        thread
            .mremap(&Remap {
                va: VA,
                bytes: 4 * page,
                new_bytes: 4 * page,
                to: Destination::Fixed(to),
            })
            .await?;
        traced.clear_hook();
        assert!(completed.get() >= 1);
        // Each entry is taken atomically, what hardware wrote last included.
        let slots = |table: &sw_mm::mm::Table, va| {
            let first = table.entry(&setup.kernel, va).expect("a slot").slot;
            first..first + 32
        };
        let (old, new) = (slots(&old, VA), slots(&new, to));
        let steps = traced.take();
        let first_flush = steps.iter().position(|step| matches!(step, Step::Tlbi(_)));
        let (moves, flush) = steps.split_at(first_flush.expect("a flush"));
        let taken = |step: &&Step| matches!(step, Step::Swap { va, new: 0 } if old.contains(va));
        let stored = |step: &&Step| matches!(step, Step::Store { va, .. } if new.contains(va));
        assert_eq!(moves.iter().filter(taken).count(), 4);
        assert_eq!(moves.iter().filter(stored).count(), 4);
        assert_eq!(moves.last(), Some(&Step::Dsb(DsbKind::ISHST)));
        let Step::Tlbi(op) = flush[0] else {
            panic!("{:?}", flush[0]);
        };
        assert_eq!(op.op, TlbiOp::Rvale1);
        assert_eq!(
            op.range().map(|range| (range.start, range.bytes)),
            Some((VA, 4 * page))
        );
        assert_eq!(flush[1], Step::Dsb(DsbKind::ISH));
        thread.exit().await
    })
    .expect("no error");
    setup.judge();
}

#[test]
fn an_area_grows_and_shrinks_where_it_is() {
    let setup = boot(config(1));
    let page = Granule::K4.bytes();
    let thread = &setup.threads[0];
    let space = setup.space();
    let resize = async |pages, new_pages, to| {
        thread
            .mremap(&Remap {
                va: VA,
                bytes: pages * page,
                new_bytes: new_pages * page,
                to,
            })
            .await
    };
    block_on(async {
        map(thread, VA, 4 * page).await?;
        for index in 0..4 {
            thread.user_store(VA + index * page, Double, 7).await?;
        }
        assert_eq!(resize(4, 2, Destination::Here).await?, VA);
        assert_eq!(space.resident.get(), 2);
        let gone = VA + 2 * page;
        assert_eq!(thread.user_load(gone, Double).await, refused(gone));
        assert_eq!(resize(2, 6, Destination::Here).await?, VA);
        assert_eq!(thread.user_load(gone, Double).await?, 0);
        assert_eq!(thread.user_load(VA + page, Double).await?, 7);
        // A neighbour in the way.
        map(thread, VA + 8 * page, page).await?;
        let grown = resize(6, 9, Destination::Here).await;
        assert_eq!(grown, Err(Error::Exists));
        // Up to it: one area, because it is more of the same.
        assert_eq!(resize(6, 8, Destination::Here).await?, VA);
        assert_eq!(space.areas().len(), 1);
        thread.user_store(VA + 8 * page, Double, 9).await?;
        // Not the end of the area: it cannot grow there, and may move.
        let to = VA + 64 * page;
        assert_eq!(resize(2, 4, Destination::Here).await, Err(Error::Exists));
        assert_eq!(
            resize(2, 4, Destination::MayMove(VA + 8 * page)).await,
            Err(Error::Exists)
        );
        assert_eq!(resize(2, 4, Destination::MayMove(to)).await?, to);
        assert_eq!(thread.user_load(to + page, Double).await?, 7);
        assert_eq!(thread.user_load(to + 3 * page, Double).await?, 0);
        assert_eq!(thread.user_load(VA, Double).await, refused(VA));
        // What makes no sense.
        let not_mapped = resize(2, 4, Destination::Here).await;
        assert_eq!(not_mapped, Err(Error::NotMapped));
        for (bytes, new_bytes, to) in [
            (page, page, Destination::Fixed(VA + 2 * page)),
            (2 * page, page, Destination::Fixed(VA + 3 * page)),
            (page, 0, Destination::Here),
            (page, page + 1, Destination::Here),
            (page, page, Destination::Fixed(1 << 48)),
            (page, page, Destination::Fixed(VA + 1)),
        ] {
            let remap = Remap {
                va: VA + 2 * page,
                bytes,
                new_bytes,
                to,
            };
            let remapped = thread.mremap(&remap).await;
            assert!(matches!(remapped, Err(Error::Invalid(_))), "{remap:?}");
        }
        thread.exit().await
    })
    .expect("no error");
    setup.judge();
}

#[test]
fn pages_that_parent_and_child_share_are_still_shared_after_a_move() {
    // MM-08, MM-23.
    let setup = boot(config(2));
    let page = Granule::K4.bytes();
    let before = setup.used();
    let (thread, other) = (&setup.threads[0], &setup.threads[1]);
    let space = setup.space();
    block_on(async {
        map(thread, VA, 2 * page).await?;
        thread.user_store(VA, Double, 1).await?;
        thread.user_store(VA + page, Double, 2).await?;
        let child = thread.fork().await?;
        other.switch_to(&child).await;
        let to = VA + 100 * page;
        thread
            .mremap(&Remap {
                va: VA,
                bytes: 2 * page,
                new_bytes: 2 * page,
                to: Destination::Fixed(to),
            })
            .await?;
        assert_eq!(mapped_at(thread, &space, to).await?, [VA, to]);
        thread.user_store(to, Double, 3).await?;
        assert_eq!(other.user_load(VA, Double).await?, 1);
        other.user_store(VA + page, Double, 4).await?;
        assert_eq!(thread.user_load(to + page, Double).await?, 2);
        assert_eq!(thread.user_load(to, Double).await?, 3);
        thread.exit().await?;
        other.exit().await
    })
    .expect("no error");
    drop(space);
    assert_eq!(setup.used(), before, "MM-30");
    setup.judge();
}

#[test]
fn a_shared_file_is_the_same_file_at_the_new_address() {
    // MM-36.
    let setup = boot(config(1));
    let page = Granule::K4.bytes();
    let thread = &setup.threads[0];
    let space = setup.space();
    let file = File::new(1, 8);
    block_on(async {
        let map = Map {
            shared: true,
            file: Some((Rc::clone(&file), 2)),
            ..Map::anonymous(VA, 4 * page, Protection::READ_WRITE)
        };
        thread.mmap(&map).await?;
        thread.user_store(VA + page, Double, 11).await?;
        let to = VA + (64 << 20);
        thread
            .mremap(&Remap {
                va: VA + page,
                bytes: 2 * page,
                new_bytes: 5 * page,
                to: Destination::MayMove(to),
            })
            .await?;
        assert_eq!(thread.user_load(to, Double).await?, 11);
        assert_eq!(mapped_at(thread, &space, to).await?, [to]);
        thread.user_store(to + 4 * page, Double, 12).await?;
        assert!(file.page(3).is_some_and(|folio| folio.dirty.get()));
        assert!(file.page(7).is_some());
        // The pages before and after those that moved stay; beyond the file there is nothing.
        assert_eq!(thread.user_load(VA + 3 * page, Double).await?, 0);
        assert!(file.page(5).is_some());
        assert_eq!(space.areas().len(), 3);
        thread.exit().await
    })
    .expect("no error");
    assert_eq!(file.areas().len(), 0);
    setup.judge();
}
