// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Section 7: which fault is reported when several conditions hold at once (VMSA-40, VMSA-43,
//! VMSA-44, VMSA-47).

use cosim::dut::ports::CoreRequest;
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, ErrorOn, MemoryTiming, SimHandle};
use rand::Rng;
use vmsa::{El, Fsc, Granule, VaRange};

use super::regime::{DEVICE, Regime, flush, user_rw};
use super::tree::Tree;
use super::watch::{Watch, expect, on, reports_wnr};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[Testbench {
    name: "fault-priority",
    purpose: "every pair of fault conditions, and random sets of them, for each kind of access",
    requirements: &["VMSA-40", "VMSA-43", "VMSA-44", "VMSA-47"],
    run: priorities,
}];

const TABLES: u64 = 0x5000_0000;
const VA: u64 = 0x1234_5678_9a40;
const PAGE: u64 = 0x8000_3000;
/// An address bit beyond the 40 bits that IPS says.
const BEYOND: u64 = 1 << 41;
const RANDOM_SETS: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Load,
    Store,
    Fetch,
    At,
}

/// A reason to fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// Unaligned with SCTLR_EL1.A = 1.
    AlignmentChecked,
    TxszIllegal,
    OutOfRange,
    E0pd,
    Epd,
    BaseTooLarge,
    /// The read of the descriptor of that level gets an error.
    ReadError(u8),
    Invalid(u8),
    /// The address in the descriptor of that level is too large.
    TooLarge(u8),
    AccessFlag,
    /// Unaligned to Device memory.
    DeviceAlignment,
    Permission,
    /// The write of the hardware update gets an error.
    UpdateError,
    AccessError,
}

use Condition::{
    AccessError, AccessFlag, AlignmentChecked, BaseTooLarge, DeviceAlignment, E0pd, Epd, Invalid,
    OutOfRange, Permission, ReadError, TooLarge, TxszIllegal, UpdateError,
};

/// Section 7 from top to bottom, with the fault status. An update is tried once 13 and 14 have
/// passed, so its error comes behind them.
const PRIORITY: [(Condition, u8); 23] = [
    (AlignmentChecked, 0x21),
    (TxszIllegal, 0x04),
    (OutOfRange, 0x04),
    (E0pd, 0x04),
    (Epd, 0x04),
    (BaseTooLarge, 0x00),
    (ReadError(0), 0x14),
    (Invalid(0), 0x04),
    (TooLarge(0), 0x00),
    (ReadError(1), 0x15),
    (Invalid(1), 0x05),
    (TooLarge(1), 0x01),
    (ReadError(2), 0x16),
    (Invalid(2), 0x06),
    (TooLarge(2), 0x02),
    (ReadError(3), 0x17),
    (Invalid(3), 0x07),
    (TooLarge(3), 0x03),
    (AccessFlag, 0x0b),
    (DeviceAlignment, 0x21),
    (Permission, 0x0f),
    (UpdateError, 0x17),
    (AccessError, 0x10),
];

/// One set of conditions, on one access.
struct Trial<'a> {
    kind: Kind,
    /// Positions in [`PRIORITY`], in order.
    set: Vec<usize>,
    tree: &'a Tree,
    slots: [u64; 4],
}

impl Trial<'_> {
    fn has(&self, condition: Condition) -> bool {
        self.set.iter().any(|&at| PRIORITY[at].0 == condition)
    }

    fn regime(&self) -> Regime {
        use VaRange::Lower;
        let mut regime = Regime::default().with(self.tree, 1);
        let update = self.has(UpdateError) && !self.has(AccessFlag);
        regime.tcr = regime.tcr.with_ips(2).with_ha(update).with_hd(update);
        if self.has(TxszIllegal) {
            regime.tcr = regime.tcr.with_tsz(Lower, 49);
        }
        regime.tcr = regime
            .tcr
            .with_e0pd(Lower, self.has(E0pd))
            .with_epd(Lower, self.has(Epd));
        regime.sctlr = regime.sctlr.with_a(self.has(AlignmentChecked));
        if self.has(BaseTooLarge) {
            regime.ttbr0.0 |= BEYOND;
        }
        regime
    }

    fn request(&self) -> CoreRequest {
        let mut va = VA;
        if self.has(AlignmentChecked) || self.has(DeviceAlignment) {
            va += 1;
        }
        if self.has(OutOfRange) {
            va |= 1 << 50;
        }
        match self.kind {
            Kind::Load => CoreRequest::load(va, 3, El::El0),
            Kind::Store => CoreRequest::store(va, 3, El::El0, 1),
            Kind::Fetch => CoreRequest::fetch(va, El::El0),
            Kind::At => CoreRequest::at(va, El::El0, true, false),
        }
    }

    /// The descriptor of `level`, as it stands in memory.
    fn word(&self, level: u8) -> u64 {
        let mut word = self.tree.word(self.slots[usize::from(level)]);
        if self.has(Invalid(level)) {
            word &= !1;
        }
        if self.has(TooLarge(level)) {
            word |= BEYOND;
        }
        if level == 3 {
            if self.has(DeviceAlignment) {
                word |= u64::from(DEVICE) << 2;
            }
            if self.has(Permission) {
                // Not for EL0: neither data nor instructions.
                word = word & !(1 << 6) | 1 << 54;
            }
            if self.has(AccessFlag) || self.has(UpdateError) {
                word &= !(1 << 10);
            }
        }
        word
    }

    async fn run(
        &self,
        core: &CoreHandle,
        handle: &SimHandle,
        watch: &Watch,
    ) -> Result<(), Failure> {
        let data = PAGE | VA & 0xff8;
        for level in 0..4u8 {
            let slot = self.slots[usize::from(level)];
            handle.poke(slot, self.word(level));
            match (
                self.has(ReadError(level)),
                level == 3 && self.has(UpdateError),
            ) {
                (true, _) => handle.mark_error(slot, ErrorOn::Both, None),
                (false, true) => handle.mark_error(slot, ErrorOn::Writes, None),
                (false, false) => handle.clear_error(slot),
            }
        }
        handle.clear_error(data);
        if self.has(AccessError) {
            handle.mark_error(data, ErrorOn::Both, None);
        }
        self.regime().enter(core).await;
        flush(core).await;
        watch.clear();
        let request = self.request();
        let answer = core.access(request).await;
        let Some(&first) = self.set.first() else {
            return Ok(());
        };
        let (condition, fsc) = PRIORITY[first];
        let also = |other| self.has(other);
        let id = match condition {
            AccessFlag if also(Permission) => "VMSA-43",
            DeviceAlignment if also(Permission) => "VMSA-44",
            _ => "VMSA-40",
        };
        on(request, answer.faults(id, Fsc(fsc)))
            .and_then(|()| {
                reports_wnr(
                    "VMSA-51",
                    &answer,
                    matches!(self.kind, Kind::Store | Kind::At),
                )
            })
            .and_then(|()| {
                // VMSA-47: what faults is not kept, but for a Permission or Device alignment fault
                // of a page whose access flag is set. An access error is none of the translation.
                let kept = matches!(condition, DeviceAlignment | Permission | AccessError);
                let fills = watch.seen().fills.len();
                let most = if kept && !also(UpdateError) { 1 } else { 0 };
                expect("VMSA-47", fills <= most, || format!("{fills} TLB fills"))
            })
            .and_then(|()| {
                let word = self.word(3);
                let held = handle.peek(self.slots[3]);
                expect("HAF-09", held == word, || {
                    format!("{word:#x} became {held:#x}")
                })
            })
            .map_err(|mut failure| {
                let set: Vec<_> = self.set.iter().map(|&at| PRIORITY[at].0).collect();
                failure.what = format!("{} with {set:?}", failure.what);
                failure
            })
    }
}

/// Conditions that can hold for `kind`.
fn applicable(kind: Kind) -> Vec<usize> {
    let possible = |condition| match condition {
        // AT accesses no memory; a fetch of an unaligned address is not the MMU's to judge.
        AlignmentChecked | DeviceAlignment => matches!(kind, Kind::Load | Kind::Store),
        AccessError => kind != Kind::At,
        _ => true,
    };
    (0..PRIORITY.len())
        .filter(|&at| possible(PRIORITY[at].0))
        .collect()
}

fn priorities(bench: &mut Bench) -> Result<(), Failure> {
    bench.setup().memory = MemoryTiming {
        latency: 3,
        jitter: 0,
    };
    let watch = Watch::on(bench)?;
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
    tree.map(VA, 3, user_rw(Granule::K4, 3, PAGE));
    let slots = [0, 1, 2, 3].map(|level| tree.slot(VA, level));
    tree.load(bench)?;
    let handle = bench.handle()?;
    let mut rng = bench.rng("sets");
    bench.run(async move |core| {
        for kind in [Kind::Load, Kind::Store, Kind::Fetch, Kind::At] {
            let all = applicable(kind);
            let mut sets = Vec::new();
            for (i, &first) in all.iter().enumerate() {
                sets.push(vec![first]);
                sets.push(all[i..].to_vec());
                sets.extend(all[i + 1..].iter().map(|&second| vec![first, second]));
            }
            for _ in 0..RANDOM_SETS {
                let start = rng.random_range(0..all.len());
                let tail = all[start..].iter().skip(1).filter(|_| rng.random::<bool>());
                sets.push(std::iter::once(all[start]).chain(tail.copied()).collect());
            }
            for set in sets {
                Trial {
                    kind,
                    set,
                    tree: &tree,
                    slots,
                }
                .run(&core, &handle, &watch)
                .await?;
            }
        }
        Ok(())
    })
}
