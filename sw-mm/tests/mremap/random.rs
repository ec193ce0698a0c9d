// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Random calls that map, unmap, protect and move, held against a flat model of the pages.

use super::kernel::{Setup, boot, config, map};
use super::{entry, mapped_at, refused};
use proptest::prelude::*;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::folio::Owner;
use sw_mm::mm::{AddressSpace, Destination, Error, Protection, Remap};
use sw_mm::pte::Kind;
use sw_mm::{Cpu, block_on};
use vmsa::{DsbKind, Granule};

/// Pages of the window that random calls work on; it lies across the end of a table.
const PAGES: u64 = 24;

#[derive(Clone, Copy, Debug)]
enum Call {
    Map(u64, u64),
    Unmap(u64, u64),
    Store(u64, u64),
    Protect(u64, u64, bool),
    Remap(u64, u64, u64, Option<u64>, bool),
}

fn call() -> impl Strategy<Value = Call> {
    let (place, length) = (0..PAGES, 1..8u64);
    prop_oneof![
        2 => (place.clone(), length.clone()).prop_map(|(p, l)| Call::Map(p, l)),
        1 => (place.clone(), length.clone()).prop_map(|(p, l)| Call::Unmap(p, l)),
        4 => (place.clone(), 1..1000u64).prop_map(|(p, v)| Call::Store(p, v)),
        1 => (place.clone(), length.clone(), any::<bool>())
            .prop_map(|(p, l, w)| Call::Protect(p, l, w)),
        4 => (place.clone(), length.clone(), length, proptest::option::of(place), any::<bool>())
            .prop_map(|(p, l, n, to, fixed)| Call::Remap(p, l, n, to, fixed)),
    ]
}

/// What a page holds, and whether it may be written.
type Model = Vec<Option<(u64, bool)>>;

struct Run {
    setup: Setup,
    space: Rc<AddressSpace>,
    base: u64,
    page: u64,
    model: Model,
}

impl Run {
    fn va(&self, page: u64) -> u64 {
        self.base + page * self.page
    }

    fn vacant(&self, start: u64, end: u64) -> bool {
        self.model[start as usize..end as usize]
            .iter()
            .all(Option::is_none)
    }

    async fn call(&mut self, call: Call) -> Result<(), Error> {
        let thread = &self.setup.threads[0];
        match call {
            Call::Map(start, length) => {
                let end = (start + length).min(PAGES);
                let mapped = map(thread, self.va(start), (end - start) * self.page).await;
                assert_eq!(mapped.is_ok(), self.vacant(start, end));
                if mapped.is_ok() {
                    self.model[start as usize..end as usize].fill(Some((0, true)));
                }
            }
            Call::Unmap(start, length) => {
                let end = (start + length).min(PAGES);
                thread
                    .munmap(self.va(start), (end - start) * self.page)
                    .await?;
                self.model[start as usize..end as usize].fill(None);
            }
            Call::Store(at, value) => {
                let stored = thread.user_store(self.va(at), Double, value).await;
                match &mut self.model[at as usize] {
                    Some((held, true)) => {
                        stored?;
                        *held = value;
                    }
                    _ => assert_eq!(stored, refused(self.va(at))),
                }
                thread.cpu.dsb(DsbKind::ISH).await;
            }
            Call::Protect(start, length, write) => {
                let end = (start + length).min(PAGES);
                let protection = Protection::new(true, write, false);
                let bytes = (end - start) * self.page;
                let changed = thread.mprotect(self.va(start), bytes, protection).await;
                let pages = &mut self.model[start as usize..end as usize];
                assert_eq!(changed.is_ok(), pages.iter().all(Option::is_some));
                if changed.is_ok() {
                    pages.iter_mut().flatten().for_each(|page| page.1 = write);
                }
            }
            Call::Remap(start, length, new_length, to, fixed) => {
                self.remap(start, length, new_length, to, fixed).await;
            }
        }
        Ok(())
    }

    async fn remap(&mut self, start: u64, length: u64, new: u64, to: Option<u64>, fixed: bool) {
        let end = (start + length).min(PAGES);
        let new_end = start + new;
        let range = |at: u64| at as usize..(at + new).min(PAGES) as usize;
        if new_end > PAGES || to.is_some_and(|to| to + new > PAGES) {
            return;
        }
        let one_area = self.space.find(self.va(start));
        let one_area = one_area.is_some_and(|vma| vma.end() >= self.va(end));
        let destination = match to {
            None => Destination::Here,
            Some(to) if fixed => Destination::Fixed(self.va(to)),
            Some(to) => Destination::MayMove(self.va(to)),
        };
        let moved = self.setup.threads[0]
            .mremap(&Remap {
                va: self.va(start),
                bytes: (end - start) * self.page,
                new_bytes: new * self.page,
                to: destination,
            })
            .await;
        let fixed = to.filter(|_| fixed);
        let overlap = fixed.is_some_and(|to| to < end && start < to + new);
        let result = match moved {
            Err(Error::NotMapped) => return assert!(!one_area),
            Err(Error::Invalid(_)) => return assert!(overlap),
            Err(Error::Exists) => {
                assert!(fixed.is_none() && new_end > end);
                assert!(to.is_none_or(|to| !self.vacant(to, to + new)));
                return;
            }
            moved => moved.expect("no other error"),
        };
        assert!(one_area && !overlap);
        let at = (result - self.base) / self.page;
        let mut pages: Vec<_> = self.model[start as usize..end as usize].to_vec();
        self.model[start as usize..end as usize].fill(None);
        let last = pages.last().copied().flatten();
        let fresh = last.map(|(_, write)| (0, write));
        pages.resize(new as usize, fresh);
        if at != start {
            assert_eq!(Some(at), to);
        } else if new_end > end {
            assert!(self.vacant(end, new_end));
        }
        self.model[range(at)].copy_from_slice(&pages);
    }

    /// Holds both cores, the counts and the reverse map against the model.
    async fn check(&self) -> Result<(), Error> {
        let [thread, other] = &self.setup.threads[..] else {
            panic!("two cores");
        };
        for (index, page) in (0..).zip(&self.model) {
            let va = self.va(index);
            for thread in [thread, other] {
                let seen = thread.user_load(va, Double).await;
                match page {
                    Some((value, _)) => assert_eq!(seen, Ok(*value), "page {index}"),
                    None => assert_eq!(seen, refused(va), "page {index}"),
                }
            }
            let pte = entry(thread, &self.space, va).await?;
            if pte.kind() == Kind::Present && !pte.special() {
                assert_eq!(mapped_at(thread, &self.space, va).await?, [va]);
            }
        }
        let folios = self.setup.kernel.frames.all();
        let folios = folios
            .iter()
            .filter(|owner| matches!(owner, Owner::Folio(_)));
        assert_eq!(folios.count() as u64, self.space.resident.get());
        self.setup.audit();
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x5eed),
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_moves_agree_with_a_flat_model(
        calls in proptest::collection::vec(call(), 1..60),
        granule in proptest::sample::select(Granule::ALL.to_vec()),
    ) {
        // MM-15, MM-23, MM-30, MM-31, MM-32.
        let setup = boot(sw_mm::kernel::KernelConfig { granule, ..config(2) });
        let before = setup.used();
        let page = granule.bytes();
        let space = setup.space();
        let base = page * granule.entries() * 2 - 9 * page;
        let mut run = Run { base, page, space, model: vec![None; PAGES as usize], setup };
        block_on(async {
            run.setup.threads[1].switch_to(&run.space).await;
            for call in calls {
                run.call(call).await?;
                run.check().await?;
            }
            run.setup.threads[1].leave().await;
            run.setup.threads[0].exit().await
        })
        .expect("no error");
        prop_assert_eq!(run.setup.used(), before);
        run.setup.judge();
    }
}
