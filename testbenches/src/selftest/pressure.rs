// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A load that presses on memory with timing: rows hit and missed, many requests at once, stores that
//! fill the write queues, pauses in which rows close and ranks are refreshed.

use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Failure};
use cosim::sim::{CoreHandle, SimHandle};
use rand::Rng;
use vmsa::VaRange::Lower;
use vmsa::{DsbKind, El, Granule, Tlbi, TlbiScope};

use crate::random::exercise::all;
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;

/// Two blocks of 2 MB, and where they lie.
const VA: u64 = 0x4000_0000;
const PA: u64 = 0x1_4000_0000;
/// Bytes of a block: rows of all banks.
const BLOCK: u64 = 0x20_0000;
/// Requests at once.
const AT_ONCE: u64 = 12;
/// Cycles after which no round begins: the refreshes of nine intervals of slow DRAM, and some.
const LAST: u64 = 160_000;

/// Loads memory and spawns the load.
pub fn start(bench: &mut Bench) -> Result<(), Failure> {
    let granule = Granule::ALL[0];
    let mut tree = Tree::new(Lower, granule, 48, 0x5_0000_0000);
    for block in 0..2 {
        let offset = block * BLOCK;
        tree.map(VA + offset, 2, user_rw(granule, 2, PA + offset));
    }
    tree.load(bench)?;
    let regime = Regime::default().with(&tree, 1);
    let handle = bench.handle()?;
    for index in 0..handle.cores() {
        let (core, handle) = (bench.core(index)?, handle.clone());
        bench.simulation()?.spawn(async move {
            regime.enter(&core).await;
            press(&core, &handle).await;
        });
    }
    Ok(())
}

async fn press(core: &CoreHandle, handle: &SimHandle) {
    let seed = handle.seed().child("pressure");
    let mut rng = seed.indexed(u64::from(core.index())).rng();
    while handle.now() < LAST {
        // A few rows of all banks, one row, a few lines, or one bank.
        let (lines, step) = [(0x8000, 1), (16, 1), (4, 64), (64, 512)][rng.random_range(0..4)];
        let start: u64 = rng.random_range(0..BLOCK / 64);
        let stores = [0, 10, 50, 90][rng.random_range(0..4)];
        for _ in 0..rng.random_range(1..6) {
            let requests = (0..AT_ONCE).map(|_| {
                let line = (start + rng.random_range(0..lines) * step) % (2 * BLOCK / 64);
                let word = VA + line * 64 + rng.random_range(0..8) * 8;
                match rng.random_range(0..100) {
                    0..3 => CoreRequest::cas(word, El::El0, rng.random_range(0..2), 1),
                    n if n - 3 < stores => {
                        let size = rng.random_range(0..4);
                        let at = word + (rng.random_range(0..8) >> size << size);
                        CoreRequest::store(at, size, El::El0, rng.random())
                    }
                    _ => CoreRequest::load(word, 3, El::El0),
                }
            });
            let requests: Vec<_> = requests.collect();
            all(core, requests).await;
        }
        match rng.random_range(0..8) {
            0 => handle.sleep(rng.random_range(100..6_000)).await,
            1 => {
                let one = CoreRequest::tlbi(Tlbi::vmalle1(TlbiScope::InnerShareable));
                all(core, [one, one, one, CoreRequest::dsb(DsbKind::SY)]).await;
            }
            _ => {}
        }
    }
}
