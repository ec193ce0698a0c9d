// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! TLB flushes of the kernel (section 9): which instructions they are, and what they leave in the TLBs.

use crate::kernel::{Setup, boot, config, map};
use crate::traced::{Step, Traced};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg32;
use std::cell::Cell;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::contpte;
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::{AddressSpace, Error, FlushRange, Found, Map, Protection};
use sw_mm::pte::{Pte, raw};
use sw_mm::thread::Thread;
use sw_mm::{Cpu, block_on};
use vmsa::{DsbKind, Granule, Tlbi, TlbiOp, TlbiScope, geometry};

const VA: u64 = 0x4000_0000;

/// A kernel, and a thread of core 0 that writes down what it executes in an address space of its own.
fn traced(config: KernelConfig) -> (Setup, Thread<Traced>, Rc<AddressSpace>) {
    let setup = boot(config);
    let cpu = Traced::new(setup.machine.core(0));
    let thread = Thread::new(&setup.kernel, cpu, 0);
    let space = block_on(async {
        let space = AddressSpace::new(&thread).await?;
        thread.switch_to(&space).await;
        Ok::<_, Error>(space)
    });
    thread.cpu.take();
    (setup, thread, space.expect("no error"))
}

fn without_contpte(config: KernelConfig) -> KernelConfig {
    let contpte = contpte::Config {
        enabled: false,
        ..config.contpte
    };
    KernelConfig { contpte, ..config }
}

/// Addresses that one TLBI names. Decoded here from the bits of its operand, not by what packed them.
fn named(op: &Tlbi, granule: Granule, stride: u64) -> Range<u64> {
    let field = |low: u32, bits: u32| op.operand >> low & ((1 << bits) - 1);
    if op.op.is_range() {
        let tg = [Granule::K4, Granule::K16, Granule::K64]
            .into_iter()
            .position(|g| g == granule);
        assert_eq!(field(46, 2), tg.expect("a granule") as u64 + 1, "TG");
        let start = field(0, 37) << granule.shift();
        let (scale, num) = (field(44, 2) as u32, field(39, 5));
        start..start + ((num + 1) << (5 * scale + 1) << granule.shift())
    } else {
        let start = field(0, 44) << 12;
        start..start + stride
    }
}

#[test]
fn a_range_is_named_by_tlbis_that_together_are_the_range_rounded_to_its_stride() {
    // MM-20.
    let mut rng = Pcg32::seed_from_u64(20);
    for granule in Granule::ALL {
        for range_tlbi in [true, false] {
            let (setup, thread, space) = traced(KernelConfig {
                granule,
                range_tlbi,
                ..config(1)
            });
            let asid = space.context.asid();
            let (page, block) = (granule.bytes(), geometry::level_bytes(granule, 2));
            for round in 0..400 {
                let stride = if round % 3 == 0 { block } else { page };
                let first = rng.random_range(0..1 << 12);
                let pages = 1 << rng.random_range(0..14);
                let start = VA + first * page;
                let end = start + rng.random_range(1..=pages) * page;
                let level = (round % 2 == 0).then_some(if stride == page { 3 } else { 2 });
                let range = FlushRange {
                    start,
                    end,
                    stride,
                    leaf: rng.random(),
                    level,
                };
                block_on(thread.flush_range(&space, range));
                let rounded = start & !(stride - 1)..end.next_multiple_of(stride);
                judge(
                    &thread.cpu.take(),
                    granule,
                    range_tlbi,
                    &range,
                    rounded,
                    asid,
                );
            }
            setup.judge();
        }
    }
}

fn judge(
    steps: &[Step],
    granule: Granule,
    range_tlbi: bool,
    range: &FlushRange,
    rounded: Range<u64>,
    asid: u16,
) {
    let [
        Step::Dsb(DsbKind::ISHST),
        tlbis @ ..,
        Step::Dsb(DsbKind::ISH),
    ] = steps
    else {
        panic!("{range:?}: {steps:?}");
    };
    let tlbis: Vec<&Tlbi> = tlbis
        .iter()
        .map(|step| match step {
            Step::Tlbi(op) => op,
            step => panic!("{range:?}: {step}"),
        })
        .collect();
    for op in &tlbis {
        assert_eq!(op.scope, TlbiScope::InnerShareable);
        assert_eq!((op.operand >> 48) as u16, asid);
    }
    let bytes = rounded.end - rounded.start;
    let most = if range_tlbi {
        granule.bytes() << 21
    } else {
        granule.entries() * range.stride
    };
    if bytes >= most {
        assert_eq!(tlbis.len(), 1, "{range:?}");
        assert_eq!(tlbis[0].op, TlbiOp::Aside1, "{range:?}");
        return;
    }
    let (mut next, mut scales) = (rounded.start, 4);
    for op in &tlbis {
        let expected = match (op.op.is_range(), range.leaf) {
            (true, true) => TlbiOp::Rvale1,
            (true, false) => TlbiOp::Rvae1,
            (false, true) => TlbiOp::Vale1,
            (false, false) => TlbiOp::Vae1,
        };
        assert_eq!(op.op, expected, "{range:?}");
        // A hint is given where all leaves are of one level and no table is meant.
        let hint = if op.op.is_range() {
            op.operand >> 37 & 3
        } else {
            op.operand >> 44 & 3
        };
        let level = range.level.filter(|_| range.leaf).unwrap_or(0);
        assert_eq!(hint, u64::from(level), "{range:?}");
        let part = named(op, granule, range.stride);
        assert_eq!(part.start, next, "{range:?}: a hole or an overlap");
        next = part.end;
        if op.op.is_range() {
            let scale = op.operand >> 44 & 3;
            assert!(
                scale < scales,
                "{range:?}: each scale once, the largest first"
            );
            scales = scale;
        }
    }
    assert_eq!(next, rounded.end, "{range:?}");
    let count = if range_tlbi { 5 } else { bytes / range.stride };
    assert!(tlbis.len() as u64 <= count, "{range:?}: {tlbis:?}");
}

/// Two cores have `pages` pages at [`VA`] cached, whose entries are gone: nothing comes back by itself.
struct Stale {
    setup: Setup,
    space: Rc<AddressSpace>,
    pages: u64,
}

impl Stale {
    fn new(config: KernelConfig, pages: u64) -> Self {
        let setup = boot(without_contpte(config));
        let (space, page) = (setup.space(), setup.kernel.granule().bytes());
        block_on(async {
            let [thread, other] = &setup.threads[..] else {
                panic!("two cores");
            };
            other.switch_to(&space).await;
            map(thread, VA, pages * page).await
        })
        .expect("no error");
        let stale = Self {
            setup,
            space,
            pages,
        };
        stale.again();
        stale
    }

    fn again(&self) {
        let page = self.setup.kernel.granule().bytes();
        block_on(async {
            let thread = &self.setup.threads[0];
            for index in 0..self.pages {
                thread.user_store(VA + index * page, Double, 1).await?;
                let other = &self.setup.threads[1];
                other.user_load(VA + index * page, Double).await?;
            }
            let Found::Table(table) = self.space.walk(thread, VA).await? else {
                panic!("a table");
            };
            let first = table.entry(&self.setup.kernel, VA)?;
            let _ptl = table.lock.lock(&thread.held).await;
            for index in 0..self.pages as i64 {
                contpte::get_and_clear(thread, &self.space, first.offset(index)).await?;
            }
            Ok::<_, Error>(())
        })
        .expect("no error");
        let all: Vec<u64> = (0..self.pages).collect();
        assert_eq!((self.held(0), self.held(1)), (all.clone(), all));
    }

    /// Pages that a core has cached.
    fn held(&self, core: usize) -> Vec<u64> {
        let page = self.setup.kernel.granule().bytes();
        let machine = &self.setup.machine;
        let all = machine.cached_leaves_over(core, VA, self.pages * page);
        let mut held: Vec<u64> = all.iter().map(|c| (c.va - VA) / page).collect();
        held.sort_unstable();
        held
    }
}

#[test]
fn a_flush_of_a_range_takes_its_pages_from_every_core_and_leaves_the_others() {
    // MM-20.
    for granule in Granule::ALL {
        for (range_tlbi, pages) in [(true, 9..76), (true, 5..6), (false, 9..76)] {
            let config = KernelConfig {
                granule,
                range_tlbi,
                ..config(2)
            };
            let stale = Stale::new(config, 90);
            let thread = &stale.setup.threads[0];
            let page = granule.bytes();
            let (start, end) = (VA + pages.start * page, VA + pages.end * page);
            let range = FlushRange::pages(granule, start, end);
            block_on(thread.flush_range(&stale.space, range));
            let left: Vec<u64> = (0..90).filter(|p| !pages.contains(p)).collect();
            assert_eq!((stale.held(0), stale.held(1)), (left.clone(), left));
            block_on(thread.flush_mm(&stale.space));
            assert!(stale.held(0).is_empty() && stale.held(1).is_empty());
            stale.setup.judge();
        }
    }
}

#[test]
fn a_flush_without_waiting_is_over_with_the_next_barrier_or_context_switch() {
    // MM-21.
    let stale = Stale::new(config(2), 4);
    let (space, page) = (&stale.space, Granule::K4.bytes());
    let [thread, other] = &stale.setup.threads[..] else {
        panic!("two cores");
    };
    block_on(async {
        let elsewhere = AddressSpace::new(thread).await?;
        for round in 0..3 {
            thread.flush_page_nosync(space, VA).await;
            let range = FlushRange::pages(Granule::K4, VA + page, VA + 3 * page);
            thread.flush_range_nosync(space, range).await;
            assert_eq!(stale.held(1), [0, 1, 2, 3], "nobody waited");
            match round {
                0 => thread.cpu.dsb(DsbKind::ISH).await,
                1 => thread.switch_to(&elsewhere).await,
                // That of another core is none of its business.
                _ => other.cpu.dsb(DsbKind::ISH).await,
            }
            let left: &[u64] = if round < 2 { &[3] } else { &[0, 1, 2, 3] };
            assert_eq!(stale.held(1), left);
            thread.switch_to(space).await;
            assert_eq!(stale.held(1), [3]);
            thread.flush_mm(space).await;
            stale.again();
        }
        thread.exit_space(&elsewhere).await
    })
    .expect("no error");
    stale.setup.judge();
}

#[test]
fn each_flush_is_the_instructions_that_section_9_lists() {
    let (setup, thread, space) = traced(config(1));
    let run = |future: Pin<Box<dyn Future<Output = ()> + '_>>| {
        block_on(future);
        thread.cpu.take_words().join("; ")
    };
    let range = FlushRange {
        leaf: false,
        level: None,
        ..FlushRange::pages(Granule::K4, VA, VA + 3 * Granule::K4.bytes())
    };
    for (flush, expected) in [
        (
            run(Box::pin(thread.flush_all())),
            "DSB ISHST; TLBI VMALLE1IS; DSB ISH; ISB",
        ),
        (
            run(Box::pin(thread.flush_local_all())),
            "DSB NSHST; TLBI VMALLE1; DSB NSH; ISB",
        ),
        (
            run(Box::pin(thread.flush_mm(&space))),
            "DSB ISHST; TLBI ASIDE1IS; DSB ISH",
        ),
        (
            run(Box::pin(thread.flush_page(&space, VA))),
            "DSB ISHST; TLBI VALE1IS; DSB ISH",
        ),
        (
            run(Box::pin(thread.flush_page_nosync(&space, VA))),
            "DSB ISHST; TLBI VALE1IS",
        ),
        (
            run(Box::pin(thread.flush_page_local(&space, VA))),
            "DSB NSHST; TLBI VALE1; DSB NSH; ISB",
        ),
        (
            run(Box::pin(thread.flush_range(&space, range))),
            "DSB ISHST; TLBI RVAE1IS; TLBI VAE1IS; DSB ISH",
        ),
        (
            run(Box::pin(thread.flush_range_nosync(&space, range))),
            "DSB ISHST; TLBI RVAE1IS; TLBI VAE1IS",
        ),
    ] {
        assert_eq!(flush, expected);
    }
    setup.judge();
}

#[test]
fn a_range_is_flushed_for_the_asid_that_the_address_space_got_meanwhile() {
    // MM-20: a child that never ran has no ASID when its entry changes, and runs before the change is
    // visible to walkers.
    let (setup, thread, _) = traced(config(2));
    let page = Granule::K4.bytes();
    let other = Rc::new(Thread::new(&setup.kernel, setup.machine.core(1), 1));
    block_on(async {
        thread
            .mmap(&Map::anonymous(VA, page, Protection::READ_WRITE))
            .await?;
        thread.user_store(VA, Double, 7).await?;
        let child = thread.fork().await?;
        let Found::Table(table) = child.walk(&thread, VA).await? else {
            panic!("a page");
        };
        let ptr = table.entry(&setup.kernel, VA)?;
        let ran = Rc::new(Cell::new(false));
        let (early, intruder, own) = (Rc::clone(&ran), Rc::clone(&other), Rc::clone(&child));
        thread.cpu.set_hook(move |step| {
            if *step == Step::Dsb(DsbKind::ISHST) && !early.replace(true) {
                block_on(async {
                    intruder.switch_to(&own).await;
                    let value = intruder.user_load(VA, Double).await;
                    assert_eq!(value, Ok(7));
                });
            }
        });
        let ptl = table.lock.lock(&thread.held).await;
        let old = raw::get(&thread, ptr).await?;
        raw::set(&thread, ptr, Pte::NONE).await?;
        let range = FlushRange::pages(Granule::K4, VA, VA + page);
        thread.flush_range(&child, range).await;
        assert!(ran.get());
        let left = setup.machine.cached_leaves_over(1, VA, page);
        assert!(left.is_empty(), "{left:?}");
        raw::set(&thread, ptr, old).await?;
        drop(ptl);
        thread.cpu.clear_hook();
        other.exit().await?;
        assert_eq!(thread.user_load(VA, Double).await?, 7);
        thread.exit().await
    })
    .expect("no error");
    setup.judge();
}
