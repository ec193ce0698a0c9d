// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Blocks of 2 MiB for private memory: when there is one, what system calls make of it, and that it
//! becomes pages without anybody noticing.

mod calls;
mod concurrent;
mod faults;
#[path = "../kernel/mod.rs"]
mod kernel;
mod leaving;
mod split;
#[path = "../traced/mod.rs"]
mod traced;

use kernel::{Setup, boot, config, map};
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::boot::HardwareUpdate;
use sw_mm::functional::Core;
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::{AddressSpace, Advice, Error, Found};
use sw_mm::pte::Pte;
use sw_mm::thread::Thread;
use sw_mm::{block_on, huge};
use vmsa::Granule;

const VA: u64 = 0x4000_0000;
const PAGE: u64 = Granule::K4.bytes();
const PAGES: u64 = 512;
const BLOCK: u64 = PAGES * PAGE;

/// 4K pages, the cores on two nodes of 16 MiB.
fn huge_config(cores: usize) -> KernelConfig {
    KernelConfig {
        huge: true,
        ..config(cores)
    }
}

/// Every way of hardware updates.
fn updates(cores: usize) -> Vec<KernelConfig> {
    let updates = [
        HardwareUpdate::None,
        HardwareUpdate::AccessFlag,
        HardwareUpdate::AccessFlagAndDirty,
    ];
    let of = |hardware_update| KernelConfig {
        hardware_update,
        ..huge_config(cores)
    };
    updates.map(of).into()
}

/// Private memory that asks for blocks.
async fn map_huge(thread: &Thread<Core>, va: u64, bytes: u64) -> Result<(), Error> {
    map(thread, va, bytes).await?;
    thread.madvise(va, bytes, Advice::HugePage).await
}

/// A machine where core 0 has stored 1 to the block at [`VA`], which all cores run.
fn with_block(config: KernelConfig) -> (Setup, Rc<AddressSpace>) {
    let setup = boot(config);
    let space = setup.space();
    block_on(async {
        for thread in &setup.threads {
            thread.switch_to(&space).await;
        }
        map_huge(&setup.threads[0], VA, BLOCK).await?;
        setup.threads[0].user_store(VA, Double, 1).await
    })
    .expect("no error");
    assert!(block(&setup, &space, VA).is_some());
    (setup, space)
}

/// The block that translates `va`.
fn block(setup: &Setup, space: &AddressSpace, va: u64) -> Option<Pte> {
    match block_on(space.walk(&setup.threads[0], va)).expect("sound tables") {
        Found::Block(table, _, pte) => {
            assert_eq!(table.level, 2);
            Some(pte)
        }
        Found::Nothing(_) | Found::Table(_) => None,
    }
}

/// What the entry for `va`, or the block around it, says of its page, the hint left out.
fn page_entry(setup: &Setup, space: &Rc<AddressSpace>, va: u64) -> Pte {
    match block(setup, space, va) {
        Some(pte) => pte
            .as_page()
            .advance(Granule::K4, ((va & (BLOCK - 1)) / PAGE) as i64),
        None => setup.entry(space, va).with_cont(false),
    }
}

/// Descriptors of all pages of a block, before or after it was split.
fn page_entries(setup: &Setup, space: &Rc<AddressSpace>, va: u64) -> Vec<Pte> {
    let pages = (va..va + BLOCK).step_by(PAGE as usize);
    pages.map(|va| page_entry(setup, space, va)).collect()
}

#[test]
fn only_small_pages_have_blocks_of_an_order_that_is_allocated() {
    assert_eq!(huge::block_order(Granule::K4), Some(9));
    for granule in [Granule::K16, Granule::K64] {
        // Nothing changes there, whoever asks.
        let setup = boot(KernelConfig {
            granule,
            ..huge_config(1)
        });
        let space = setup.space();
        block_on(async {
            map_huge(&setup.threads[0], VA, 64 * granule.bytes()).await?;
            setup.threads[0].user_store(VA, Double, 1).await
        })
        .expect("no error");
        assert!(block(&setup, &space, VA).is_none());
        setup.audit();
        setup.judge();
    }
}
