// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Relations among counters after traffic of every kind from all cores, against what the event stream
//! shows; and that nobody notices when they are read (PMU-01 to PMU-09).

use cosim::dut::Counts;
use cosim::dut::ports::{CommitKind, CoreRequest, Counter as C, Delays, OpCode, WalkKind};
use cosim::regress::{Bench, Failure, Testbench};
use cosim::sim::event::EventKind;
use cosim::sim::{CoreHandle, SimHandle};
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use vmsa::VaRange::Lower;
use vmsa::{DsbKind, El, Granule, Tlbi, TlbiScope};

use crate::invalidation::record::{Record, cores};
use crate::stage1::regime::{Regime, user_rw};
use crate::stage1::tree::Tree;
use crate::stage1::watch::expect;
/// The testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "counter-relations",
        purpose: "PMU-01 to PMU-09 after traffic of all cores, against what the event stream shows",
        requirements: &[
            "PMU-01", "PMU-02", "PMU-03", "PMU-04", "PMU-05", "PMU-06", "PMU-07", "PMU-09",
        ],
        run: relations,
    },
    Testbench {
        name: "counter-reads",
        purpose: "a run whose counters are read in every cycle is the same run, cycle by cycle",
        requirements: &["PMU-08"],
        run: reads_change_nothing,
    },
];

const TABLES: u64 = 0x5000_0000;
const PA: u64 = 0x8000_0000;
const VA: u64 = 0x4000_0000;

/// Pages, a block and a run of pages, some not accessed yet, some holes.
fn mapped(bench: &mut Bench) -> Result<Regime, Failure> {
    let mut tree = Tree::new(Lower, Granule::K4, 48, TABLES);
    let leaf = user_rw(Granule::K4, 3, 0);
    for page in 0..32 {
        let managed = user_rw(Granule::K4, 3, PA + (page << 12))
            .with_af(page % 3 != 0)
            .with_dbm(true)
            .with_ap_read_only(page % 4 == 0);
        if page % 7 != 6 {
            tree.map(VA + (page << 12), 3, managed);
        }
    }
    tree.map_run(VA + 0x10_0000, 3, PA + 0x10_0000, leaf);
    tree.map(VA + 0x20_0000, 2, user_rw(Granule::K4, 2, PA + 0x20_0000));
    tree.load(bench)?;
    let mut regime = Regime::default().with(&tree, 1);
    regime.tcr = regime.tcr.with_ha(true).with_hd(true);
    Ok(regime)
}

/// Accesses of every kind with operations between, several in flight at a time.
async fn traffic(core: &CoreHandle, mut rng: Pcg64Mcg, rounds: u32) {
    for _ in 0..rounds {
        let accesses: Vec<_> = (0..6)
            .map(|_| {
                let place = match rng.random_range(0..8u64) {
                    0 => 0x20_0000 + rng.random_range(0..0x1000u64) * 16,
                    1 => 0x10_0000 + rng.random_range(0..0x1000u64) * 16,
                    _ => rng.random_range(0..0x2000u64) * 16,
                };
                let va = VA + place + if rng.random_range(0..8) == 0 { 5 } else { 0 };
                core.issue(match rng.random_range(0..8) {
                    0 => CoreRequest::store(va, 3, El::El0, place),
                    1 => CoreRequest::cas(va & !7, El::El0, 0, place),
                    2 | 3 => CoreRequest::fetch(va & !3, El::El0),
                    4 => CoreRequest::at(va, El::El1, place & 16 == 0, false),
                    _ => CoreRequest::load(va, 3, El::El0),
                })
            })
            .collect();
        if rng.random_range(0..4) == 0 {
            let scope = [TlbiScope::Local, TlbiScope::InnerShareable][rng.random_range(0..2)];
            let page = VA + (rng.random_range(0..32u64) << 12);
            core.access(CoreRequest::tlbi(Tlbi::vae1(scope, page, 1, None)))
                .await;
            core.access(CoreRequest::dsb(DsbKind::ISH)).await;
        }
        for access in accesses {
            access.await;
        }
    }
}

/// Traffic of every core at once; then quiet.
async fn traffic_of_all(handle: &SimHandle, regime: Regime, rounds: u32) {
    let running: Vec<_> = cores(handle)
        .into_iter()
        .map(|core| {
            let rng = handle
                .seed()
                .child("traffic")
                .indexed(core.index().into())
                .rng();
            handle.spawn(async move {
                regime.enter(&core).await;
                traffic(&core, rng, rounds).await;
            })
        })
        .collect();
    for one in running {
        one.await;
    }
    handle.sleep(900).await;
}

fn relations(bench: &mut Bench) -> Result<(), Failure> {
    for (prefetch, delay) in [
        (false, Delays::NONE),
        (true, Delays::NONE),
        (true, Delays::ALL),
    ] {
        bench.restart()?;
        bench.setup().straps.prefetch = prefetch;
        bench.setup().straps.delay = delay;
        bench.setup().memory.jitter = 40;
        let regime = mapped(bench)?;
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        bench.run(async move |_| {
            traffic_of_all(&handle, regime, 120).await;
            let mut bus = 0;
            for core in cores(&handle) {
                let counts = handle.counters(core.index().into());
                one_core(core.index(), &counts, &record, prefetch)?;
                far(core.index(), &counts, &record, &handle)?;
                bus += counts.get(C::BusAccess);
            }
            // Each request is one read or write at a home; an atomic one that writes is both.
            let ports = record.collect(|kind| match kind {
                EventKind::DramRead { .. } | EventKind::DramWrite { .. } => Some(()),
                _ => None,
            });
            let atomic = |kind: CommitKind| matches!(kind, CommitKind::Cas | CommitKind::Update);
            let commits = record.commits();
            let both = commits
                .iter()
                .filter(|(_, (kind, _))| atomic(*kind))
                .count();
            let accepted = (ports.len() - both) as u64;
            expect("PMU-05", bus == accepted && bus > 500, || {
                format!("BUS_ACCESS of all cores {bus}, accepted by the homes {accepted}")
            })
        })?;
    }
    Ok(())
}

/// The relations that one core's counters have to each other and to its events.
fn one_core(core: u8, counts: &Counts, record: &Record, prefetch: bool) -> Result<(), Failure> {
    let get = |counter: C| counts.get(counter);
    let equal = |id: &str, what: &str, left: u64, right: u64| {
        expect(id, left == right && left > 0, || {
            format!("core {core}: {what}: {left} and {right}")
        })
    };
    for (whole, read, write) in [
        (C::L1dTlb, C::L1dTlbRd, C::L1dTlbWr),
        (C::L1dTlbRefill, C::L1dTlbRefillRd, C::L1dTlbRefillWr),
        (C::L2dTlb, C::L2dTlbRd, C::L2dTlbWr),
        (C::L2dTlbRefill, C::L2dTlbRefillRd, C::L2dTlbRefillWr),
        (C::MemAccess, C::MemAccessRd, C::MemAccessWr),
        (C::BusAccess, C::BusAccessRd, C::BusAccessWr),
    ] {
        equal("PMU-01", whole.name(), get(whole), get(read) + get(write))?;
    }
    for (part, whole) in [
        (C::L1dTlbRefill, C::L1dTlb),
        (C::L1iTlbRefill, C::L1iTlb),
        (C::L2dTlbRefill, C::L2dTlb),
        (C::DtlbWalk, C::L1dTlb),
        (C::ItlbWalk, C::L1iTlb),
    ] {
        expect("PMU-02", get(part) <= get(whole) && get(part) > 0, || {
            format!(
                "core {core}: {part} counts {}, {whole} {}",
                get(part),
                get(whole)
            )
        })?;
    }
    let walks = record.walks(core);
    let shown = |kind: WalkKind, instruction: bool| {
        let of = walks
            .iter()
            .filter(|(_, step)| step.kind == kind && step.instruction == instruction);
        of.count() as u64
    };
    equal(
        "PMU-03",
        "DTLB_STEP",
        get(C::DtlbStep),
        shown(WalkKind::Step, false),
    )?;
    equal(
        "PMU-03",
        "ITLB_STEP",
        get(C::ItlbStep),
        shown(WalkKind::Step, true),
    )?;
    equal(
        "PMU-04",
        "DTLB_WALK_BEGUN",
        get(C::DtlbWalkBegun),
        shown(WalkKind::Begin, false),
    )?;
    let data = [
        C::DtlbWalkLarge,
        C::DtlbWalkSmall,
        C::DtlbWalkFault,
        C::DtlbWalkCancelled,
    ];
    let fetch = [
        C::ItlbWalkLarge,
        C::ItlbWalkSmall,
        C::ItlbWalkFault,
        C::ItlbWalkCancelled,
    ];
    let sum = |counters: &[C]| counters.iter().map(|&counter| get(counter)).sum::<u64>();
    equal("PMU-04", "data walks", sum(&data), get(C::DtlbWalkBegun))?;
    equal(
        "PMU-04",
        "instruction walks",
        sum(&fetch),
        get(C::ItlbWalkBegun),
    )?;
    let begun_to_prefetch = |instruction: bool| {
        let begins = walks.iter().filter(|(_, step)| {
            step.kind == WalkKind::Begin && step.prefetch && step.instruction == instruction
        });
        begins.count() as u64
    };
    for (counter, instruction) in [(C::DtlbWalkPrfm, false), (C::ItlbWalkPrfm, true)] {
        let (value, shown) = (get(counter), begun_to_prefetch(instruction));
        expect("PMU-07", value == shown && (value > 0) == prefetch, || {
            format!("core {core}: {counter} counts {value}, the walkers began {shown}")
        })?;
    }
    // No access walks for a prefetch: demand counts are those of the answers.
    let answered = |instruction: bool| {
        let of = |op| {
            record
                .answers(core, op)
                .into_iter()
                .filter(|a| a.response.walked)
                .count()
        };
        let ops: &[OpCode] = match instruction {
            true => &[OpCode::Fetch],
            false => &[OpCode::Load, OpCode::Store, OpCode::Cas, OpCode::At],
        };
        ops.iter().map(|&op| of(op)).sum::<usize>() as u64
    };
    equal("PMU-07", "DTLB_WALK", get(C::DtlbWalk), answered(false))?;
    equal("PMU-07", "ITLB_WALK", get(C::ItlbWalk), answered(true))?;
    let histogram = sum(&[
        C::WalkCycles16,
        C::WalkCycles32,
        C::WalkCycles64,
        C::WalkCycles128,
        C::WalkCycles256,
        C::WalkCycles512,
        C::WalkCycles1024,
        C::WalkCyclesMore,
    ]);
    let ended = shown(WalkKind::End, false) + shown(WalkKind::End, true);
    equal("PMU-09", "walks in the histogram", histogram, ended)
}

/// REMOTE_ACCESS against the addresses of the answers.
fn far(core: u8, counts: &Counts, record: &Record, handle: &SimHandle) -> Result<(), Failure> {
    let info = handle.info();
    let ops = [OpCode::Load, OpCode::Store, OpCode::Cas, OpCode::Fetch];
    let mut remote = 0;
    for answer in ops.into_iter().flat_map(|op| record.answers(core, op)) {
        let (request, response) = (answer.request, answer.response);
        if response.fault.is_some() {
            continue;
        }
        let last = response.pa + (1 << request.size) - 1;
        let halves = if response.pa & !7 == last & !7 { 1 } else { 2 };
        // Pages that follow each other here do so in memory, too.
        for half in [response.pa, last].into_iter().take(halves) {
            remote += u64::from(handle.home(half) != Some(info.node_of_core(core)));
        }
    }
    // An access across two pages of which the second faulted has reached no memory.
    let value = counts.get(C::RemoteAccess);
    expect(
        "PMU-06",
        value == remote && (remote > 0) == (info.nodes > 1),
        || format!("core {core}: REMOTE_ACCESS counts {value}, the answers say {remote}"),
    )
}

fn reads_change_nothing(bench: &mut Bench) -> Result<(), Failure> {
    let mut runs = Vec::new();
    for read in [false, true] {
        bench.restart()?;
        bench.setup().straps.prefetch = true;
        bench.setup().straps.delay = Delays::ALL;
        bench.setup().memory.jitter = 25;
        let regime = mapped(bench)?;
        let record = Record::on(bench)?;
        let handle = bench.handle()?;
        let run = bench.run(async move |_| {
            if read {
                let reader = handle.clone();
                handle.spawn_daemon(async move {
                    let mut sum = 0u64;
                    loop {
                        for core in 0..reader.cores() {
                            sum = sum.wrapping_add(reader.counters(core).get(C::DtlbStep));
                        }
                        reader.sleep(1).await;
                    }
                });
            }
            traffic_of_all(&handle, regime, 60).await;
            let events = record.collect(|kind| Some(kind.clone()));
            let counts: Vec<Counts> = (0..handle.cores())
                .map(|core| handle.counters(core))
                .collect();
            Ok((handle.now(), events, counts))
        })?;
        runs.push(run);
    }
    let [
        (end, events, counts),
        (other_end, other_events, other_counts),
    ] = runs.as_slice()
    else {
        return Err(Failure::setup("two runs"));
    };
    let first = events
        .iter()
        .zip(other_events)
        .find(|(one, other)| one != other);
    expect(
        "PMU-08",
        first.is_none() && events.len() == other_events.len(),
        || format!("the runs part at {first:?}"),
    )?;
    expect(
        "PMU-08",
        end == other_end && counts == other_counts && *end > 2000,
        || format!("the runs end at cycles {end} and {other_end}"),
    )
}
