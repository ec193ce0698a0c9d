// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The exact instructions of each kind of edit: what a hardware trace of the OS will show.

use crate::booted::boot;
use std::cell::RefCell;
use sw_mm::boot::BootConfig;
use sw_mm::functional::Core;
use sw_mm::{
    AccessSize, Attributes, Cpu, Frame, FrameAllocator, FramePool, Par, Permissions, Privilege,
    block_on,
};
use vmsa::{AccessFault, AtOp, DsbKind, SysReg, Tlbi};

const RW: Attributes = Attributes::normal(Permissions::USER_RW);
const VA: u64 = 0x40_0000_0000;
const OLD: u64 = 0x4000_0000;
const NEW: u64 = 0x4000_5000;

/// A core and an allocator that write down, in order, what changes something. Stores in a row count
/// as one line.
struct Recorder<'a> {
    core: &'a Core,
    frames: &'a FramePool,
    log: RefCell<Vec<String>>,
}

impl Recorder<'_> {
    fn note(&self, what: impl Into<String>) {
        self.log.borrow_mut().push(what.into());
    }

    fn store_note(&self, value: u64) {
        let what = if value == 0 { "store 0" } else { "store new" };
        if self.log.borrow().last().is_none_or(|last| last != what) {
            self.note(what);
        }
    }

    fn take(&self) -> Vec<String> {
        self.log.take()
    }
}

impl FrameAllocator for Recorder<'_> {
    fn allocate(&self) -> Option<Frame> {
        self.note("allocate");
        self.frames.allocate()
    }

    fn free(&self, frame: Frame) {
        self.note("free");
        self.frames.free(frame);
    }
}

impl Cpu for Recorder<'_> {
    async fn load(&self, va: u64, s: AccessSize, p: Privilege) -> Result<u64, AccessFault> {
        self.core.load(va, s, p).await
    }

    async fn store(
        &self,
        va: u64,
        s: AccessSize,
        p: Privilege,
        value: u64,
    ) -> Result<(), AccessFault> {
        self.store_note(value);
        self.core.store(va, s, p, value).await
    }

    async fn compare_and_swap(
        &self,
        va: u64,
        s: AccessSize,
        p: Privilege,
        expected: u64,
        new: u64,
    ) -> Result<u64, AccessFault> {
        self.store_note(new);
        self.core.compare_and_swap(va, s, p, expected, new).await
    }

    async fn fetch(&self, va: u64, p: Privilege) -> Result<u32, AccessFault> {
        self.core.fetch(va, p).await
    }

    async fn address_translate(&self, op: AtOp, va: u64) -> Result<Par, AccessFault> {
        self.core.address_translate(op, va).await
    }

    async fn tlbi(&self, op: Tlbi) {
        let text = op.to_string();
        let name = text.split(' ').take(2).collect::<Vec<_>>().join(" ");
        self.note(name);
        self.core.tlbi(op).await;
    }

    async fn dsb(&self, kind: DsbKind) {
        self.note(kind.to_string());
        self.core.dsb(kind).await;
    }

    async fn isb(&self) {
        self.note("ISB");
        self.core.isb().await;
    }

    async fn write_sysreg(&self, register: SysReg, value: u64) {
        self.note(format!("MSR {register}"));
        self.core.write_sysreg(register, value).await;
    }
}

const FLUSH_LEAF: [&str; 4] = ["DSB ISHST", "TLBI VALE1IS", "DSB ISH", "ISB"];
const PUBLISH: [&str; 2] = ["DSB ISHST", "ISB"];

#[test]
fn each_edit_takes_the_barriers_of_section_12_and_no_more() {
    let os = boot(&BootConfig::default());
    let table = &os.boot.user;
    let recorder = Recorder {
        core: &os.cpu,
        frames: &os.boot.user_frames,
        log: RefCell::default(),
    };
    let r = &recorder;
    block_on(async {
        // MM-04: the new table's contents are visible before it is linked.
        let linked = ["allocate", "DSB ISHST", "store new"];
        table.map(r, r, VA, OLD, 3, &RW).await?;
        assert_eq!(
            r.take(),
            [&linked[..], &linked, &linked[..2], &["store new"], &PUBLISH].concat()
        );

        // 12.2: invalid to valid.
        table.map(r, r, VA + 0x1000, OLD, 3, &RW).await?;
        assert_eq!(r.take(), [&["store new"][..], &PUBLISH].concat());

        // 12.1: another output address, BBM-01.
        table.map(r, r, VA, NEW, 3, &RW).await?;
        let bbm = [&["store 0"][..], &FLUSH_LEAF, &["store new"], &PUBLISH].concat();
        assert_eq!(r.take(), bbm);

        // 12.2: a restriction, in place; then a relaxation, in place.
        table
            .protect(r, r, VA, 0x1000, Permissions::USER_RO, false)
            .await?;
        assert_eq!(r.take(), [&["store new"][..], &FLUSH_LEAF].concat());
        table
            .protect(r, r, VA, 0x1000, Permissions::USER_RW, false)
            .await?;
        assert_eq!(r.take(), [&["store new"][..], &PUBLISH].concat());

        // A page among others: leaf form.
        table.unmap(r, r, VA, 0x1000).await?;
        assert_eq!(r.take(), [&["store 0"][..], &FLUSH_LEAF].concat());

        // The last page: three tables are unlinked, and freed only after the non-leaf form has
        // completed (MM-05, BBM-09, BBM-10).
        table.unmap(r, r, VA + 0x1000, 0x1000).await?;
        let flush = ["store 0", "DSB ISHST", "TLBI VAE1IS", "DSB ISH", "ISB"];
        assert_eq!(r.take(), [&flush[..], &["free", "free", "free"]].concat());
        Ok::<(), sw_mm::MmError>(())
    })
    .expect("edits");
    os.audit();
}

#[test]
fn a_run_is_broken_as_a_whole_before_any_of_it_is_made_again() {
    // Section 4, 12.1: all sixteen members are cleared and invalidated, then the fifteen that stay
    // are stored.
    let os = boot(&BootConfig::default());
    let table = &os.boot.user;
    let recorder = Recorder {
        core: &os.cpu,
        frames: &os.boot.user_frames,
        log: RefCell::default(),
    };
    let r = &recorder;
    block_on(table.map_contiguous(r, r, VA, OLD, 3, &RW)).expect("maps");
    r.take();
    let swaps = os.cpu.traffic().swaps;
    block_on(table.unmap(r, r, VA + 0x3000, 0x1000)).expect("unmaps");
    assert_eq!(os.cpu.traffic().swaps - swaps, 16);
    let expected = [
        &["store 0", "DSB ISHST"][..],
        &["TLBI VALE1IS"; 16],
        &["DSB ISH", "ISB", "store new"],
        &PUBLISH,
    ];
    assert_eq!(r.take(), expected.concat());
}

#[test]
fn a_block_is_split_by_break_before_make() {
    let os = boot(&BootConfig::default());
    let table = &os.boot.user;
    let recorder = Recorder {
        core: &os.cpu,
        frames: &os.boot.user_frames,
        log: RefCell::default(),
    };
    let r = &recorder;
    block_on(table.map(r, r, VA, 0x4000_0000, 2, &RW)).expect("maps");
    r.take();
    block_on(table.protect(r, r, VA, 0x1000, Permissions::USER_RO, false)).expect("protects");
    let expected = [
        &["allocate", "store new", "store 0"][..],
        &FLUSH_LEAF,
        // The table entry, then the page in it.
        &["store new"],
        &FLUSH_LEAF,
    ];
    assert_eq!(r.take(), expected.concat());
    os.audit();
}

#[test]
fn a_frame_of_unknown_content_is_cleared_before_it_is_linked() {
    // MM-04.
    let os = boot(&BootConfig::default());
    let (table, frames) = (&os.boot.user, &os.boot.user_frames);
    let junk: Vec<Frame> = (0..3).filter_map(|_| frames.allocate()).collect();
    for frame in &junk {
        for word in 0..512 {
            let leaf = RW.leaf(vmsa::Granule::K4, 3, 0x4666_0000);
            os.machine.poke(frame.pa + word * 8, leaf.0);
        }
        frames.free(Frame {
            zeroed: false,
            ..*frame
        });
    }
    let recorder = Recorder {
        core: &os.cpu,
        frames,
        log: RefCell::default(),
    };
    let r = &recorder;
    block_on(table.map(r, r, VA, OLD, 3, &RW)).expect("maps");
    let linked = ["allocate", "store 0", "DSB ISHST", "store new"];
    assert_eq!(r.take(), [&linked[..], &linked, &linked, &PUBLISH].concat());
    assert_eq!(os.pa(VA), Some(OLD));
    assert_eq!(os.pa(VA + 0x1000), None);
    os.audit();
}
