// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Faults on pages that another core has taken out of the tables and not flushed yet.

use crate::kernel::{boot, config};
use crate::traced::{Step, Traced};
use std::cell::Cell;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::file::File;
use sw_mm::mm::{AddressSpace, Error, Map, Protection};
use sw_mm::thread::Thread;
use sw_mm::{block_on, kernel::KernelConfig};
use vmsa::{DsbKind, Granule};

const VA: u64 = 0x4000_0000;
const PAGE: u64 = Granule::K4.bytes();

/// Core 0 throws four pages away that it has cached. Between the last entry that it clears
/// and its flush, core 1 makes `access` to the first of them.
fn faults_in_between(
    config: KernelConfig,
    map: &Map,
    access: impl AsyncFn(&Thread<Traced>) -> Result<(), Error> + 'static,
) {
    let setup = boot(config);
    let cpu = Traced::new(setup.machine.core(0));
    let thread = Thread::new(&setup.kernel, cpu.clone(), 0);
    let other = Traced::new(setup.machine.core(1));
    let other = Rc::new(Thread::new(&setup.kernel, other, 1));
    block_on(async {
        let space = AddressSpace::new(&thread).await?;
        thread.switch_to(&space).await;
        other.switch_to(&space).await;
        thread.mmap(map).await?;
        for page in 0..4 {
            let va = VA + page * PAGE;
            thread.user_store(va, Double, page + 1).await?;
        }
        let intruder = Rc::clone(&other);
        let came = Rc::new(Cell::new(false));
        let once = Rc::clone(&came);
        cpu.set_hook(move |step| {
            if *step == Step::Dsb(DsbKind::ISHST) && !once.replace(true) {
                block_on(access(&intruder)).expect("no error");
            }
        });
        thread.madvise_dontneed(VA, 4 * PAGE).await?;
        cpu.clear_hook();
        assert!(came.get());
        let seen = thread.user_load(VA, Double).await?;
        assert_eq!(other.user_load(VA, Double).await?, seen);
        Ok::<_, Error>(())
    })
    .expect("no error");
    setup.audit();
    setup.judge();
}

#[test]
fn a_page_takes_the_place_of_another_only_after_the_other_was_flushed() {
    // MM-09 where no single handler sees both pages: section 8, batched flush.
    let private = Map::anonymous(VA, 4 * PAGE, Protection::READ_WRITE);
    let write = async |thread: &Thread<Traced>| thread.user_store(VA, Double, 9).await;
    let read = async |thread: &Thread<Traced>| {
        let value = thread.user_load(VA, Double).await?;
        assert_eq!(value, 0, "thrown away");
        Ok(())
    };
    faults_in_between(config(2), &private, write);
    faults_in_between(config(2), &private, read);
    let large = KernelConfig {
        anonymous_orders: vec![2],
        ..config(2)
    };
    faults_in_between(large, &private, write);
    let file = || Map {
        file: Some((File::new(1, 4), 0)),
        ..private.clone()
    };
    faults_in_between(config(2), &file(), write);
    faults_in_between(config(2), &file(), read);
}
