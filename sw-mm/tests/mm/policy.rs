// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! From which node pages come, and where they belong.

use crate::kernel::{MEMORY, Setup, boot, config, map};
use proptest::prelude::*;
use std::rc::Rc;
use sw_mm::AccessSize::Double;
use sw_mm::block_on;
use sw_mm::file::File;
use sw_mm::folio::Folio;
use sw_mm::functional::Core;
use sw_mm::kernel::KernelConfig;
use sw_mm::mm::{AddressSpace, Destination, Error, Found, Map, Protection, Remap};
use sw_mm::page::{NodeConfig, NodeId, NodeMask};
use sw_mm::policy::{Mode, Policy};
use sw_mm::pte::raw;
use sw_mm::thread::Thread;
use vmsa::Granule;

const VA: u64 = 0x4000_0000;
const PAGE: u64 = Granule::K4.bytes();

const fn n(node: u8) -> NodeId {
    NodeId(node)
}

fn mask(nodes: &[u8]) -> NodeMask {
    nodes.iter().copied().map(NodeId).collect()
}

/// Three nodes of 64 pages and one without memory; a core on each of nodes 0, 1 and 3. Node 3 has node
/// 2 nearest, then 1.
fn nodes() -> KernelConfig {
    let node = |index: u64, pages: u64| NodeConfig {
        base: MEMORY + index * (64 * PAGE),
        bytes: pages * PAGE,
        ..config(1).nodes[0]
    };
    KernelConfig {
        nodes: vec![node(0, 64), node(1, 64), node(2, 64), node(3, 0)],
        distances: vec![
            vec![10, 20, 30, 40],
            vec![20, 10, 30, 30],
            vec![30, 30, 10, 12],
            vec![40, 30, 12, 10],
        ],
        core_nodes: vec![n(0), n(1), n(3)],
        ..config(1)
    }
}

async fn folio_at(
    thread: &Thread<Core>,
    space: &AddressSpace,
    va: u64,
) -> Result<Rc<Folio>, Error> {
    let Found::Table(table) = space.walk(thread, va).await? else {
        return Err(Error::NotMapped);
    };
    let pte = raw::get(thread, table.entry(&thread.kernel, va)?).await?;
    let folio = thread.kernel.frames.folio(pte.pfn(thread.kernel.granule()));
    folio.ok_or(Error::NotMapped)
}

/// Touches `pages` pages from `va` on; the nodes that they come from.
async fn touch(thread: &Thread<Core>, va: u64, pages: u64) -> Result<Vec<u8>, Error> {
    let space = thread.space().ok_or(Error::NotMapped)?;
    let mut nodes = Vec::new();
    for index in 0..pages {
        let va = va + index * PAGE;
        thread.user_store(va, Double, index).await?;
        let folio = folio_at(thread, &space, va).await?;
        // MM-01: by the address of the frame, not by what the folio says.
        let node = thread.kernel.memory.node_of(folio.pfn());
        assert_eq!(node, Some(folio.node()));
        nodes.push(folio.node().0);
    }
    Ok(nodes)
}

fn run(setup: &Setup, test: impl AsyncFnOnce(&[Thread<Core>]) -> Result<(), Error>) {
    let before = setup.used();
    let space = setup.space();
    block_on(async {
        for thread in &setup.threads[1..] {
            thread.switch_to(&space).await;
        }
        test(&setup.threads).await?;
        for thread in &setup.threads[1..] {
            thread.leave().await;
        }
        setup.threads[0].exit().await
    })
    .expect("no error");
    assert_eq!(setup.used(), before, "MM-30");
    setup.judge();
}

#[test]
fn pages_come_from_the_node_of_the_core_unless_a_policy_says_otherwise() {
    let setup = boot(nodes());
    run(&setup, async |threads| {
        let [zero, one, three] = threads else {
            panic!("three cores");
        };
        map(zero, VA, 40 * PAGE).await?;
        assert_eq!(touch(zero, VA, 2).await?, [0, 0]);
        assert_eq!(touch(one, VA + 2 * PAGE, 2).await?, [1, 1]);
        // A core on a node without memory.
        assert_eq!(touch(three, VA + 4 * PAGE, 2).await?, [2, 2]);
        // Of the address space, then of an area, which goes first.
        zero.set_mempolicy(Policy::new(Mode::Preferred(n(1))))?;
        assert_eq!(touch(zero, VA + 6 * PAGE, 2).await?, [1, 1]);
        let here = Policy::new(Mode::Bind(mask(&[0, 2])));
        zero.mbind(VA + 8 * PAGE, 8 * PAGE, Some(here)).await?;
        assert_eq!(touch(zero, VA + 8 * PAGE, 2).await?, [0, 0]);
        // The nearest of those that are allowed, as seen from each core.
        assert_eq!(touch(one, VA + 10 * PAGE, 2).await?, [0, 0]);
        assert_eq!(touch(three, VA + 12 * PAGE, 2).await?, [2, 2]);
        assert_eq!(touch(zero, VA + 16 * PAGE, 2).await?, [1, 1]);
        zero.mbind(VA, 40 * PAGE, None).await?;
        assert_eq!(touch(zero, VA + 14 * PAGE, 2).await?, [1, 1]);
        Ok(())
    });
}

#[test]
fn a_binding_policy_fails_rather_than_to_go_elsewhere_and_the_others_go_elsewhere() {
    // No page can go to swap to make room.
    let setup = boot(KernelConfig {
        swap_slots: 0,
        ..nodes()
    });
    run(&setup, async |threads| {
        let thread = &threads[0];
        map(thread, VA, 200 * PAGE).await?;
        thread.set_mempolicy(Policy::new(Mode::Bind(mask(&[1]))))?;
        let mut bound = 0;
        let failed = loop {
            match touch(thread, VA + bound * PAGE, 1).await {
                Ok(nodes) => assert_eq!(nodes, [1]),
                Err(error) => break error,
            }
            bound += 1;
        };
        assert_eq!((failed, bound), (Error::OutOfMemory, 64));
        thread.set_mempolicy(Policy::new(Mode::Preferred(n(1))))?;
        assert_eq!(touch(thread, VA + 100 * PAGE, 1).await?, [0]);
        thread.set_mempolicy(Policy::new(Mode::Interleave(mask(&[1, 2]))))?;
        // Node 1 is full: node 0 is the nearest to it.
        assert_eq!(touch(thread, VA + 110 * PAGE, 4).await?, [0, 2, 0, 2]);
        Ok(())
    });
}

#[test]
fn interleaved_pages_have_their_node_whoever_touches_them_and_wherever_they_are() {
    let setup = boot(nodes());
    run(&setup, async |threads| {
        let [zero, one, three] = threads else {
            panic!("three cores");
        };
        map(zero, VA, 12 * PAGE).await?;
        let policy = Policy::new(Mode::Interleave(mask(&[0, 1, 2])));
        zero.mbind(VA, 12 * PAGE, Some(policy)).await?;
        let first = (VA / PAGE % 3) as u8;
        let turn = |index: u8| (first + index) % 3;
        for (index, thread) in [(5, one), (0, three), (3, zero), (4, three)] {
            let va = VA + u64::from(index) * PAGE;
            assert_eq!(touch(thread, va, 1).await?, [turn(index)]);
        }
        // Cut, and moved by one page: the page index is what counts.
        zero.mprotect(VA + 6 * PAGE, PAGE, Protection::READ).await?;
        let to = VA + 101 * PAGE;
        zero.mremap(&Remap {
            va: VA + 7 * PAGE,
            bytes: 5 * PAGE,
            new_bytes: 5 * PAGE,
            to: Destination::Fixed(to),
        })
        .await?;
        let moved: Vec<u8> = (7..12).map(turn).collect();
        assert_eq!(touch(one, to, 5).await?, moved);
        Ok(())
    });
}

#[test]
fn areas_of_different_policies_stay_apart_and_a_child_inherits_both() {
    let setup = boot(nodes());
    run(&setup, async |threads| {
        let [zero, one, _] = threads else {
            panic!("three cores");
        };
        let space = zero.space().expect("runs");
        map(zero, VA, 4 * PAGE).await?;
        let bind = Policy::new(Mode::Bind(mask(&[2])));
        zero.set_mempolicy(Policy::new(Mode::Preferred(n(1))))?;
        zero.mbind(VA + PAGE, PAGE, Some(bind)).await?;
        assert_eq!(space.areas().len(), 3);
        let child = zero.fork().await?;
        one.switch_to(&child).await;
        assert_eq!(touch(one, VA, 3).await?, [1, 2, 1]);
        one.exit().await?;
        zero.mbind(VA, 4 * PAGE, None).await?;
        assert_eq!(space.areas().len(), 1);
        // Nodes that are not there, or have no memory.
        for mode in [
            Mode::Preferred(n(4)),
            Mode::Bind(NodeMask::NONE),
            Mode::Bind(mask(&[3])),
            Mode::Interleave(mask(&[0, 4])),
        ] {
            let policy = Policy::new(mode);
            assert!(matches!(zero.set_mempolicy(policy), Err(Error::Invalid(_))));
            let bound = zero.mbind(VA, PAGE, Some(policy)).await;
            assert!(matches!(bound, Err(Error::Invalid(_))));
        }
        assert_eq!(space.areas().len(), 1);
        let beyond = zero.mbind(VA + 3 * PAGE, 2 * PAGE, Some(bind)).await;
        assert_eq!(beyond, Err(Error::NotMapped));
        Ok(())
    });
}

#[test]
fn pages_of_files_copies_and_large_folios_ask_the_policy_too() {
    let setup = boot(KernelConfig {
        anonymous_orders: vec![2],
        ..nodes()
    });
    let file = File::new(1, 8);
    run(&setup, async |threads| {
        let thread = &threads[0];
        let space = thread.space().expect("runs");
        let mapping = |va, shared| Map {
            shared,
            file: Some((Rc::clone(&file), 0)),
            ..Map::anonymous(va, 8 * PAGE, Protection::READ_WRITE)
        };
        let to = |node| Some(Policy::new(Mode::Preferred(n(node))));
        thread.mmap(&mapping(VA, true)).await?;
        thread.mbind(VA, 8 * PAGE, to(1)).await?;
        assert_eq!(touch(thread, VA, 2).await?, [1, 1]);
        // A private copy of what is there.
        thread.mmap(&mapping(VA + 8 * PAGE, false)).await?;
        thread.mbind(VA + 8 * PAGE, 8 * PAGE, to(2)).await?;
        thread.user_load(VA + 9 * PAGE, Double).await?;
        assert_eq!(touch(thread, VA + 8 * PAGE, 2).await?, [2, 2]);
        // A page instead of the zero page.
        map(thread, VA + 32 * PAGE, 16 * PAGE).await?;
        thread.mbind(VA + 32 * PAGE, 16 * PAGE, to(2)).await?;
        thread.user_load(VA + 33 * PAGE, Double).await?;
        assert_eq!(touch(thread, VA + 33 * PAGE, 1).await?, [2]);
        // Four pages at a time, in turn.
        let interleave = Policy::new(Mode::Interleave(mask(&[0, 1, 2])));
        let va = VA + 36 * PAGE;
        thread.mbind(va, 12 * PAGE, Some(interleave)).await?;
        let mut nodes = touch(thread, va, 12).await?;
        assert_eq!(folio_at(thread, &space, va).await?.order(), 2);
        assert!(
            nodes
                .chunks(4)
                .all(|four| four.iter().all(|&n| n == four[0]))
        );
        nodes.dedup();
        assert_eq!(nodes.len(), 3);
        nodes.sort();
        assert_eq!(nodes, [0, 1, 2]);
        // The file is dropped.
        thread.munmap(VA, 16 * PAGE).await?;
        for folio in file.pages() {
            file.remove(folio.index());
            setup.kernel.put_folio(0, &folio, 1);
        }
        Ok(())
    });
}

#[test]
fn a_page_is_misplaced_where_its_policy_would_not_have_put_it() {
    let setup = boot(nodes());
    run(&setup, async |threads| {
        let thread = &threads[0];
        let space = thread.space().expect("runs");
        map(thread, VA, 2 * PAGE).await?;
        thread.set_mempolicy(Policy::new(Mode::Preferred(n(1))))?;
        touch(thread, VA, 2).await?;
        let vma = space.find(VA).expect("an area");
        let folio = folio_at(thread, &space, VA).await?;
        assert_eq!(folio.node(), n(1));
        let asked = |mode: Mode, core| {
            space.policy.set(Policy::new(mode).migrate_on_fault());
            setup.kernel.misplaced(&space, &vma, &folio, VA, core)
        };
        // Cores 0, 1 and 2 are on nodes 0, 1 and 3; the page is on node 1.
        for (mode, expected) in [
            (Mode::Local, [Some(n(0)), None, None]),
            (Mode::Preferred(n(1)), [None, None, None]),
            (Mode::Preferred(n(2)), [Some(n(2)); 3]),
            (Mode::Preferred(n(3)), [None, None, None]),
            (Mode::Bind(mask(&[0, 1])), [Some(n(0)), None, None]),
            (
                Mode::Bind(mask(&[0, 2])),
                [Some(n(0)), Some(n(0)), Some(n(2))],
            ),
            (Mode::Bind(mask(&[2])), [Some(n(2)); 3]),
        ] {
            let answers = [0, 1, 2].map(|core| asked(mode, core));
            assert_eq!(answers, expected, "{mode:?}");
        }
        let interleave = Mode::Interleave(mask(&[0, 1, 2]));
        let home = (VA / PAGE % 3) as u8;
        let expected = Some(n(home)).filter(|&home| home != n(1));
        assert_eq!(asked(interleave, 0), expected);
        // Without leave to move it stays.
        space.policy.set(Policy::new(Mode::Preferred(n(2))));
        assert_eq!(setup.kernel.misplaced(&space, &vma, &folio, VA, 0), None);
        Ok(())
    });
}

fn mode() -> impl Strategy<Value = Mode> {
    let some = prop::collection::vec(0..3u8, 1..4).prop_map(|nodes| mask(&nodes));
    prop_oneof![
        Just(Mode::Local),
        (0..4u8).prop_map(|node| Mode::Preferred(n(node))),
        some.clone().prop_map(Mode::Bind),
        some.prop_map(Mode::Interleave),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x5eed),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_page_fresh_from_its_policy_is_never_misplaced_for_the_core_that_touched_it(
        steps in prop::collection::vec((mode(), 0..3usize, 0..100u64), 1..20),
    ) {
        let setup = boot(nodes());
        run(&setup, async |threads| {
            map(&threads[0], VA, 100 * PAGE).await?;
            let space = threads[0].space().expect("runs");
            let mut touched = std::collections::BTreeSet::new();
            for (mode, core, index) in steps {
                if !touched.insert(index) {
                    continue;
                }
                let (thread, va) = (&threads[core], VA + index * PAGE);
                let policy = Policy::new(mode).migrate_on_fault();
                thread.mbind(va, PAGE, Some(policy)).await?;
                let node = touch(thread, va, 1).await?[0];
                let vma = space.find(va).expect("an area");
                let folio = folio_at(thread, &space, va).await?;
                let misplaced = setup.kernel.misplaced(&space, &vma, &folio, va, core as u8);
                assert_eq!(misplaced, None, "{mode:?}");
                match mode {
                    Mode::Bind(nodes) | Mode::Interleave(nodes) => {
                        assert!(nodes.contains(n(node)));
                    }
                    Mode::Preferred(wanted) if wanted.0 < 3 => assert_eq!(wanted.0, node),
                    Mode::Local if core < 2 => assert_eq!(core as u8, node),
                    _ => assert_eq!(node, 2, "the nearest to node 3"),
                }
            }
            Ok(())
        });
    }
}
