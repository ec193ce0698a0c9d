// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Section 6, races: another observer writes a descriptor at every instant of a walk that is to
//! update it (HAF-02 to HAF-04, HAF-22).

use cosim::dut::ports::{CoreRequest, Delays};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, MemoryTiming, SimHandle};
use vmsa::{Descriptor, El, Fsc, Granule, VaRange};

use super::regime::{DEVICE, Regime, flush, user_rw};
use super::tree::Tree;
use super::watch::{Watch, expect, on};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "update-race",
        purpose: "a descriptor changes at every instant between its read and its update",
        requirements: &["HAF-02", "HAF-03", "HAF-04", "HAF-05", "HAF-06", "HAF-22"],
        run: page_races,
    },
    Testbench {
        name: "update-race-block-to-table",
        purpose: "a block becomes a table at every instant between its read and its update",
        requirements: &["HAF-03", "HAF-04"],
        run: block_becomes_table,
    },
];

const TABLES: u64 = 0x5000_0000;
const VA: u64 = 0x1234_5678_9a40;
const OFFSET: u64 = VA & 0xfff;
const OLD: u64 = 0x8000_0000;
const NEW: u64 = 0x9000_3000;
const STORED: u64 = 0x1122_3344_5566_7788;
const AF: u64 = 1 << 10;
const AP2: u64 = 1 << 7;

/// What an access gets: an output address or a fault.
type Outcome = Result<u64, Fsc>;

/// A descriptor that another observer writes in place of the first one.
#[derive(Debug, Clone, Copy)]
struct Change {
    /// The value written.
    to: u64,
    /// What a store gets by it, and what the descriptor is then.
    store: (Outcome, u64),
    /// What a load gets by it, and what the descriptor is then.
    load: (Outcome, u64),
}

/// A race: the descriptor at `slot` changes from `from`, which takes the access to `old`.
#[derive(Debug, Clone, Copy)]
struct Race {
    slot: u64,
    from: u64,
    old: u64,
    change: Change,
    write: bool,
}

impl Race {
    fn request(&self) -> CoreRequest {
        match self.write {
            true => CoreRequest::store(VA, 3, El::El0, STORED),
            false => CoreRequest::load(VA, 3, El::El0),
        }
    }

    /// One try: the change comes `delay` cycles after the request. Returns whether the update of the
    /// first value was made, and whether an update found another value than the one compared.
    async fn run(
        &self,
        core: &CoreHandle,
        handle: &SimHandle,
        watch: &Watch,
        delay: u64,
    ) -> Result<(bool, bool), Failure> {
        let Self {
            slot,
            from,
            old,
            change,
            write,
        } = *self;
        let request = self.request();
        handle.poke(slot, from);
        handle.poke(old, 0);
        handle.poke(NEW | OFFSET, 0);
        flush(core).await;
        watch.clear();
        let (other, theirs) = (handle.clone(), watch.clone());
        let writer = handle.spawn(async move {
            other.sleep(delay).await;
            while theirs.swapping(other.now()) {
                other.sleep(1).await;
            }
            other.poke(slot, change.to);
        });
        let answer = core.access(request).await;
        writer.await;
        let updated = from & !(if write { AP2 } else { 0 }) | AF;
        let was_updated = watch
            .seen()
            .updates
            .iter()
            .any(|update| update.before == from);
        let (expected, left) = if write { change.store } else { change.load };
        let (outcome, left, updates) = if was_updated {
            // The change came later: it stands as written.
            (Ok(old), change.to, vec![(slot, from, updated)])
        } else if left != change.to {
            (expected, left, vec![(slot, change.to, left)])
        } else {
            (expected, left, vec![])
        };
        on(
            request,
            match outcome {
                Ok(pa) => answer.reaches("HAF-04", pa),
                Err(fsc) => answer.faults("HAF-04", fsc),
            },
        )?;
        watch.updates("HAF-02", &updates)?;
        let id = if outcome.is_err() { "HAF-22" } else { "HAF-05" };
        let held = handle.peek(slot);
        expect(id, held == left, || {
            format!("{request}: {change:x?} after {delay} cycles left {held:#x}, not {left:#x}")
        })?;
        for place in [old, NEW | OFFSET] {
            let written = write && outcome == Ok(place);
            let held = handle.peek(place);
            expect("HAF-04", held == if written { STORED } else { 0 }, || {
                format!("{request}: {held:#x} at {place:#x}")
            })?;
        }
        // What the TLB holds now is not the stale descriptor, unless that was in force.
        if !was_updated && let Ok(pa) = outcome {
            on(request, core.access(request).await.reaches("HAF-04", pa))?;
        }
        Ok((was_updated, watch.seen().mismatches > 0))
    }

    /// Tries every delay until the change comes after the access.
    async fn sweep(
        &self,
        core: &CoreHandle,
        handle: &SimHandle,
        watch: &Watch,
    ) -> Result<u64, Failure> {
        let (mut before, mut mismatches, mut after) = (0u64, 0u64, 0u64);
        let mut delay = 0;
        while after < 20 {
            let (old, mismatch) = self.run(core, handle, watch, delay).await?;
            before += u64::from(!old);
            mismatches += u64::from(mismatch);
            after += u64::from(old);
            delay += 1;
        }
        // Without a change inside the window the sweep would prove nothing.
        expect("HAF-03", before > 0 && mismatches > 0, || {
            format!("{self:x?}: {before} changes before the update, {mismatches} in the window")
        })?;
        Ok(mismatches)
    }
}

/// A page that is writable-clean and not accessed.
fn clean(pa: u64) -> Descriptor {
    user_rw(Granule::K4, 3, pa)
        .with_af(false)
        .with_dbm(true)
        .with_ap_read_only(true)
}

fn changes() -> Vec<Change> {
    let to = |descriptor: Descriptor, store: (Outcome, u64), load: (Outcome, u64)| Change {
        to: descriptor.0,
        store,
        load,
    };
    let both = |descriptor: Descriptor, outcome: Outcome| {
        to(descriptor, (outcome, descriptor.0), (outcome, descriptor.0))
    };
    let page = user_rw(Granule::K4, 3, NEW);
    let new = Ok(NEW | OFFSET);
    let software = clean(OLD).with_software(0b1010);
    let read_only = page.with_ap_read_only(true);
    let unused = clean(NEW).with_dbm(false);
    vec![
        // Another page, that needs no update.
        both(page, new),
        // Nothing there.
        both(Descriptor(0), Err(Fsc(0x07))),
        both(clean(NEW).with_valid(false), Err(Fsc(0x07))),
        // Another page, that needs the same updates.
        to(
            clean(NEW),
            (new, (clean(NEW).0 | AF) & !AP2),
            (new, clean(NEW).0 | AF),
        ),
        // The same page with another software bit.
        to(
            software,
            (Ok(OLD | OFFSET), (software.0 | AF) & !AP2),
            (Ok(OLD | OFFSET), software.0 | AF),
        ),
        // Read-only, accessed and not.
        to(read_only, (Err(Fsc(0x0f)), read_only.0), (new, read_only.0)),
        to(unused, (Err(Fsc(0x0f)), unused.0), (new, unused.0 | AF)),
        // Not for EL0.
        both(page.with_ap_el0(false), Err(Fsc(0x0f))),
        both(clean(NEW).with_ap_el0(false), Err(Fsc(0x0f))),
        // An output address beyond IPS.
        both(clean(NEW | 1 << 41), Err(Fsc(0x03))),
        // Device memory.
        both(page.with_attr_index(DEVICE), new),
    ]
}

fn page_races(bench: &mut Bench) -> Result<(), Failure> {
    for (latency, stall) in [(20, false), (3, false), (5, true)] {
        bench.restart()?;
        bench.setup().memory = MemoryTiming { latency, jitter: 0 };
        bench.setup().straps.delay = if stall { Delays::MEM_REQ } else { Delays::NONE };
        let watch = Watch::on(bench)?;
        let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
        let from = clean(OLD).0;
        let slot = tree.map(VA, 3, Descriptor(from));
        tree.load(bench)?;
        let handle = bench.handle()?;
        let hits = bench.run(async move |core| {
            let mut regime = Regime::default().with(&tree, 1);
            regime.tcr = regime.tcr.with_ips(2).with_ha(true).with_hd(true);
            regime.enter(&core).await;
            let mut hits = 0;
            for change in changes() {
                for write in [false, true] {
                    let race = Race {
                        slot,
                        from,
                        old: OLD | OFFSET,
                        change,
                        write,
                    };
                    hits += race.sweep(&core, &handle, &watch).await?;
                }
            }
            Ok(hits)
        })?;
        bench.count("races hit", hits);
    }
    Ok(())
}

fn block_becomes_table(bench: &mut Bench) -> Result<(), Failure> {
    let watch = Watch::on(bench)?;
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
    // The page of the table that is to come, made by mapping it first.
    tree.map(VA, 3, user_rw(Granule::K4, 3, NEW));
    let slot = tree.slot(VA, 2);
    let table = tree.word(slot);
    let from = user_rw(Granule::K4, 2, OLD)
        .with_af(false)
        .with_dbm(true)
        .with_ap_read_only(true)
        .0;
    tree.load(bench)?;
    let handle = bench.handle()?;
    let hits = bench.run(async move |core| {
        let mut regime = Regime::default().with(&tree, 1);
        regime.tcr = regime.tcr.with_ha(true).with_hd(true);
        regime.enter(&core).await;
        let by_table = (Ok(NEW | OFFSET), table);
        let change = Change {
            to: table,
            store: by_table,
            load: by_table,
        };
        let old = OLD | VA & 0x1f_ffff;
        let mut hits = 0;
        for write in [false, true] {
            let race = Race {
                slot,
                from,
                old,
                change,
                write,
            };
            hits += race.sweep(&core, &handle, &watch).await?;
        }
        Ok(hits)
    })?;
    bench.count("races hit", hits);
    Ok(())
}
