// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A move that runs out of memory half way.

use super::kernel::{boot, config, map};
use super::{VA, mapped_at};
use sw_mm::AccessSize::Double;
use sw_mm::block_on;
use sw_mm::mm::{Destination, Error, Remap};
use vmsa::Granule;

#[test]
fn without_memory_for_a_table_everything_is_where_it_was() {
    let page = Granule::K4.bytes();
    let table = 512 * page;
    let mut failures = 0;
    for nth in 0.. {
        let setup = boot(config(1));
        let thread = &setup.threads[0];
        let space = setup.space();
        let pages = 1030;
        let done = block_on(async {
            map(thread, VA, pages * page).await?;
            for index in [0, 1, 511, 512, 1024, 1029] {
                thread
                    .user_store(VA + index * page, Double, index + 1)
                    .await?;
            }
            let before = setup.used();
            setup.kernel.memory.fail_attempt(Some(nth));
            let moved = thread
                .mremap(&Remap {
                    va: VA,
                    bytes: pages * page,
                    new_bytes: pages * page,
                    to: Destination::Fixed((1 << 40) + 4 * table - page),
                })
                .await;
            setup.kernel.memory.fail_attempt(None);
            match moved {
                Ok(to) => {
                    assert_eq!(thread.user_load(to + 1029 * page, Double).await?, 1030);
                    return Ok(true);
                }
                Err(error) => assert_eq!(error, Error::OutOfMemory),
            }
            assert_eq!(setup.used(), before, "attempt {nth}");
            assert_eq!(space.areas().len(), 1);
            for index in [0, 1, 511, 512, 1024, 1029] {
                let va = VA + index * page;
                assert_eq!(thread.user_load(va, Double).await?, index + 1);
                assert_eq!(mapped_at(thread, &space, va).await?, [va]);
            }
            thread.exit().await?;
            Ok::<_, Error>(false)
        })
        .expect("no error");
        setup.judge();
        if done {
            break;
        }
        failures += 1;
    }
    // Two upper tables and four of pages.
    assert_eq!(failures, 6);
}
