// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Pages that are marked to find out who uses them: what is marked, what the fault brings back, and
//! what it decides.

mod interleaved;
#[path = "../kernel/mod.rs"]
mod kernel;
mod runs;
mod targets;

use kernel::{Setup, boot, config, map, variants};
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::block_on;
use sw_mm::file::File;
use sw_mm::folio::PIN;
use sw_mm::functional::Core;
use sw_mm::hinting::{Config, Mode};
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::{AddressSpace, Destination, Error, Map, Protection, Remap, Signal};
use sw_mm::page::{NodeId, NodeMask};
use sw_mm::policy;
use sw_mm::pte::Kind;
use sw_mm::thread::Thread;
use vmsa::Granule;

const VA: u64 = 0x4000_0000;
const PAGE: u64 = Granule::K4.bytes();

/// Runs the cores in one address space.
fn run(
    setup: &Setup,
    test: impl AsyncFnOnce(&[Thread<Core>], &Rc<AddressSpace>) -> Result<(), Error>,
) {
    let before = setup.used();
    let space = setup.space();
    block_on(async {
        for thread in &setup.threads[1..] {
            thread.switch_to(&space).await;
        }
        test(&setup.threads, &space).await?;
        setup.audit();
        for thread in &setup.threads[1..] {
            thread.leave().await;
        }
        setup.threads[0].exit().await
    })
    .expect("no error");
    drop(space);
    setup.audit();
    assert_eq!(setup.used(), before, "MM-30");
    setup.judge();
}

fn hints(setup: &Setup) -> u64 {
    setup.kernel.counters.hinting_faults.get()
}

#[test]
fn a_marked_page_faults_once_and_comes_back_with_its_frame_rights_and_state() {
    // MM-28.
    for config in variants(2) {
        let page = config.granule.bytes();
        let setup = boot(config);
        run(&setup, async |threads, space| {
            let [thread, other] = threads else {
                panic!("two cores");
            };
            map(other, VA, 8 * page).await?;
            for index in 0..8 {
                // From node 1, so that the pages are not already where the scan runs.
                other
                    .user_store(VA + index * page, Double, index + 1)
                    .await?;
            }
            let (ro, rx) = (Protection::READ, Protection::READ_EXECUTE);
            thread.mprotect(VA + 2 * page, 2 * page, ro).await?;
            thread.mprotect(VA + 4 * page, 2 * page, rx).await?;
            let mut before = Vec::new();
            for index in 0..8 {
                let va = VA + index * page;
                for thread in threads {
                    thread.user_load(va, Double).await?;
                }
                before.push(setup.entry(space, va));
            }
            let (pages, frames) = (space.resident.get(), setup.used());
            assert_eq!(thread.hint_scan(space, VA, VA + 7 * page).await?, 7);
            assert_eq!((space.resident.get(), setup.used()), (pages, frames));
            for (index, before) in (0..7).zip(&before) {
                let va = VA + index * page;
                let marked = setup.entry(space, va);
                assert_eq!(marked, before.make_prot_none());
                // The core that had it cached, then the other.
                let faults = hints(&setup);
                assert_eq!(other.user_load(va, Double).await?, index + 1);
                assert_eq!(hints(&setup), faults + 1, "page {index}");
                assert_eq!(thread.user_load(va, Double).await?, index + 1);
                assert_eq!(hints(&setup), faults + 1);
                assert_eq!(setup.entry(space, va), *before, "page {index}");
            }
            // What was not in the range.
            assert_eq!(setup.entry(space, VA + 7 * page), before[7]);
            // Stores are permitted where they were.
            thread.user_store(VA, Double, 90).await?;
            let refused = thread.user_store(VA + 2 * page, Double, 91).await;
            let (signal, va) = (Signal::Segv, VA + 2 * page);
            assert_eq!(refused, Err(Error::Signal { signal, va }));
            assert_eq!(setup.kernel.counters.copies.get(), 0);
            Ok(())
        });
    }
}

#[test]
fn an_area_that_permits_nothing_is_refused_and_never_hinted() {
    // MM-29: both have entries of the same kind.
    let setup = boot(config(2));
    run(&setup, async |threads, space| {
        let [thread, other] = threads else {
            panic!("two cores");
        };
        map(other, VA, 4 * PAGE).await?;
        for index in 0..4 {
            other
                .user_store(VA + index * PAGE, Double, index + 1)
                .await?;
        }
        let refused = |va| {
            let signal = Signal::Segv;
            Error::Signal { signal, va }
        };
        // Forbidden, then not marked.
        thread.mprotect(VA, 2 * PAGE, Protection::NONE).await?;
        assert_eq!(setup.entry(space, VA).kind(), Kind::ProtNone);
        assert_eq!(thread.hint_scan(space, VA, VA + 2 * PAGE).await?, 0);
        // Marked, then forbidden.
        assert_eq!(thread.hint_scan(space, VA, VA + 4 * PAGE).await?, 2);
        thread
            .mprotect(VA + 2 * PAGE, PAGE, Protection::NONE)
            .await?;
        for index in 0..3 {
            let va = VA + index * PAGE;
            for thread in threads {
                assert_eq!(thread.user_load(va, Double).await, Err(refused(va)));
                assert_eq!(thread.user_store(va, Double, 0).await, Err(refused(va)));
                assert_eq!(thread.user_fetch(va).await, Err(refused(va)));
            }
            assert_eq!(setup.entry(space, va).kind(), Kind::ProtNone);
        }
        assert_eq!(hints(&setup), 0);
        // A page that may be read but not written: refused, and still marked.
        thread
            .mprotect(VA + 3 * PAGE, PAGE, Protection::READ)
            .await?;
        assert!(setup.entry(space, VA + 3 * PAGE).valid());
        assert_eq!(thread.hint_scan(space, VA, VA + 4 * PAGE).await?, 1);
        let va = VA + 3 * PAGE;
        assert_eq!(other.user_store(va, Double, 0).await, Err(refused(va)));
        assert_eq!(setup.entry(space, va).kind(), Kind::ProtNone);
        // Permitted again: no fault is one of hinting, and nothing is lost.
        thread
            .mprotect(VA, 3 * PAGE, Protection::READ_WRITE)
            .await?;
        for index in 0..3 {
            assert_eq!(other.user_load(VA + index * PAGE, Double).await?, index + 1);
        }
        assert_eq!(hints(&setup), 0);
        assert_eq!(other.user_load(va, Double).await?, 4);
        assert_eq!(hints(&setup), 1);
        Ok(())
    });
}

#[test]
fn marked_pages_are_forked_moved_copied_and_freed_as_what_they_are() {
    // MM-08, MM-28: never taken for nothing.
    for config in variants(2) {
        let page = config.granule.bytes();
        let setup = boot(KernelConfig {
            batched: page != PAGE,
            ..config
        });
        run(&setup, async |threads, space| {
            let [thread, other] = threads else {
                panic!("two cores");
            };
            map(other, VA, 6 * page).await?;
            for index in 0..6 {
                other
                    .user_store(VA + index * page, Double, index + 1)
                    .await?;
            }
            assert_eq!(thread.hint_scan(space, VA, VA + 6 * page).await?, 6);
            let child = thread.fork().await?;
            other.switch_to(&child).await;
            // Whoever writes first copies, the other has what was there.
            thread.user_store(VA, Double, 100).await?;
            other.user_store(VA + page, Double, 200).await?;
            assert_eq!(other.user_load(VA, Double).await?, 1);
            assert_eq!(thread.user_load(VA + page, Double).await?, 2);
            assert_eq!(setup.kernel.counters.copies.get(), 2);
            let to = VA + 100 * page;
            thread
                .mremap(&Remap {
                    va: VA + 2 * page,
                    bytes: 2 * page,
                    new_bytes: 2 * page,
                    to: Destination::Fixed(to),
                })
                .await?;
            assert_eq!(setup.entry(space, to).kind(), Kind::ProtNone);
            assert_eq!(thread.user_load(to, Double).await?, 3);
            let resident = space.resident.get();
            thread.madvise_dontneed(to + page, page).await?;
            thread.munmap(VA + 4 * page, page).await?;
            assert_eq!(space.resident.get(), resident - 2);
            assert_eq!(thread.user_load(to + page, Double).await?, 0);
            assert_eq!(other.user_load(VA + 3 * page, Double).await?, 4);
            // The pages that are left are marked in both when they go.
            other.exit().await
        });
    }
}

#[test]
fn what_a_fault_could_not_change_is_left_alone() {
    let setup = boot(config(2));
    let file = File::new(1, 4);
    run(&setup, async |threads, space| {
        let [thread, other] = threads else {
            panic!("two cores");
        };
        let scan = async |page: u64| thread.hint_scan(space, VA, VA + page * PAGE).await;
        let again = async || thread.mprotect(VA, PAGE, Protection::READ_WRITE).await;
        map(thread, VA, PAGE).await?;
        assert_eq!(scan(1).await?, 0, "nothing there");
        thread.user_load(VA, Double).await?;
        assert_eq!(scan(1).await?, 0, "the zero page");
        thread.user_store(VA, Double, 1).await?;
        assert_eq!(scan(1).await?, 0, "where its only thread is");
        let (users, folio) = (&space.users, setup.folio(space, VA));
        assert_eq!(users.replace(2), 1);
        assert_eq!(scan(1).await?, 1);
        assert_eq!(scan(1).await?, 0, "marked already");
        users.set(1);
        thread.user_load(VA, Double).await?;
        assert_eq!(other.hint_scan(space, VA, VA + PAGE).await?, 1);
        again().await?;
        thread.user_load(VA, Double).await?;
        folio.pin();
        assert_eq!(other.hint_scan(space, VA, VA + PAGE).await?, 0, "pinned");
        setup.kernel.put_folio(0, &folio, PIN);
        let stays = policy::Policy::new(policy::Mode::Bind(NodeMask::of(NodeId(1))));
        thread.mbind(VA, PAGE, Some(stays)).await?;
        assert_eq!(
            other.hint_scan(space, VA, VA + PAGE).await?,
            0,
            "may not move"
        );
        thread.mbind(VA, PAGE, None).await?;
        let child = thread.fork().await?;
        assert_eq!(other.hint_scan(space, VA, VA + PAGE).await?, 0, "shared");
        thread.exit_space(&child).await?;
        assert_eq!(other.hint_scan(space, VA, VA + PAGE).await?, 1);
        thread.munmap(VA, PAGE).await?;
        // Of a file: clean pages of areas that may be written.
        let mut map = Map {
            shared: true,
            file: Some((Rc::clone(&file), 0)),
            ..Map::anonymous(VA, 4 * PAGE, Protection::READ_WRITE)
        };
        thread.mmap(&map).await?;
        thread.user_load(VA, Double).await?;
        thread.user_store(VA + PAGE, Double, 1).await?;
        assert_eq!(scan(4).await?, 1, "not the dirty one");
        assert_eq!(setup.entry(space, VA).kind(), Kind::ProtNone);
        thread.munmap(VA, 4 * PAGE).await?;
        map.protection = Protection::READ;
        thread.mmap(&map).await?;
        thread.user_load(VA + 2 * PAGE, Double).await?;
        assert_eq!(scan(4).await?, 0, "a library");
        thread.munmap(VA, 4 * PAGE).await?;
        for folio in file.pages() {
            file.remove(folio.index());
            setup.kernel.put_folio(0, &folio, 1);
        }
        Ok(())
    });
    let off = boot(KernelConfig {
        hinting: Config {
            mode: Mode::Off,
            ..Config::default()
        },
        ..config(2)
    });
    run(&off, async |threads, space| {
        map(&threads[1], VA, PAGE).await?;
        threads[1].user_store(VA, Double, 1).await?;
        assert_eq!(threads[0].hint_scan(space, VA, VA + PAGE).await?, 0);
        Ok(())
    });
}
