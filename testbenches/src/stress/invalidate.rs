// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Invalidations: any form at all, and those that cover what an edit broke.

use cosim::dut::ports::CoreRequest;
use cosim::sim::CoreHandle;
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use vmsa::VaRange::Upper;
use vmsa::{DsbKind, Tlbi, TlbiOp, TlbiScope};

use super::figures::Figures;
use super::region::{Region, Space};

/// Every scope.
const SCOPES: [TlbiScope; 3] = [
    TlbiScope::Local,
    TlbiScope::InnerShareable,
    TlbiScope::OuterShareable,
];

/// Any form, with any operand, that starts near `va` of a space of `granule` most of the time.
pub fn any(rng: &mut Pcg64Mcg, space: &Space, va: u64) -> Tlbi {
    let op = TlbiOp::ALL[rng.random_range(0..TlbiOp::ALL.len())];
    let scope = SCOPES[rng.random_range(0..3)];
    let asid = match rng.random_ratio(3, 4) {
        true => u64::from(space.asid.get()),
        false => [1, 2, 3, 0x101, 0x80][rng.random_range(0..5)],
    };
    if op.is_range() {
        let pages = va >> space.granule().shift() & ((1 << 37) - 1);
        let tg = match rng.random_ratio(1, 8) {
            true => rng.random_range(0..4),
            false => space.granule() as u64 + 1,
        };
        let scale = rng.random_range(0..4) & rng.random_range(0..4u64);
        let (num, ttl) = (rng.random_range(0..32u64), hint(rng));
        let operand = pages | ttl << 37 | num << 39 | scale << 44 | tg << 46 | asid << 48;
        return Tlbi { op, scope, operand };
    }
    let mut operand = va >> 12 & ((1 << 44) - 1) | asid << 48;
    if rng.random_ratio(1, 4) {
        operand |= rng.random_range(0..16) << 44; // TTL
    }
    Tlbi { op, scope, operand }
}

/// The level hint of a range: none mostly, else any.
fn hint(rng: &mut Pcg64Mcg) -> u64 {
    match rng.random_ratio(1, 3) {
        true => rng.random_range(0..4),
        false => 0,
    }
}

/// What is named by how `op` is written, for the figures.
pub fn count(figures: &Figures, tlbi: Tlbi) {
    figures.count(match tlbi.scope {
        TlbiScope::Local => "TLBI local",
        TlbiScope::InnerShareable => "TLBI inner shareable",
        TlbiScope::OuterShareable => "TLBI outer shareable",
    });
    if tlbi.op.is_range() {
        figures.count("TLBI by range");
    }
    if tlbi.op.last_level() {
        figures.count("TLBI last level");
    }
    let hinted = match tlbi.range() {
        Some(range) => range.level.is_some(),
        None => tlbi.op.by_va() && tlbi.ttl() & 3 != 0,
    };
    if hinted {
        figures.count("TLBI with level hint");
    }
}

/// How wide an edit reaches.
#[derive(Debug, Clone, Copy)]
pub struct Broken {
    /// First VA.
    pub va: u64,
    /// Descriptors broken, one after the other.
    pub count: u64,
    /// Whether one of them was a table, or becomes one.
    pub tables: bool,
}

/// Operations that remove everything cached of what was broken in `region`, on every core. The
/// window on the tables stays usable throughout, whatever they remove.
pub fn covering(
    rng: &mut Pcg64Mcg,
    (space, region): (&Space, &Region),
    broken: Broken,
    alone: bool,
) -> Vec<Tlbi> {
    let scope = match alone && rng.random_ratio(1, 3) {
        true => TlbiScope::Local,
        false => SCOPES[rng.random_range(1..3)],
    };
    let (granule, span) = (space.granule(), space.span(region));
    let by_asid = space.range() != Upper && rng.random_bool(0.5);
    let asid = space.asid.get();
    let hint = (rng.random_bool(0.4) && !broken.tables).then_some((granule, region.level));
    match rng.random_range(0..8) {
        0 => vec![Tlbi::vmalle1(scope)],
        1 if space.range() != Upper => vec![Tlbi::aside1(scope, asid)],
        // One VA of the span does not name the leaves under a table at its other VAs.
        2..5 if broken.tables || broken.count > 8 => by_range(
            (granule, scope, by_asid.then_some(asid)),
            (broken.va, broken.count * span),
            broken.tables,
        ),
        2..5 => (0..broken.count)
            .map(|i| broken.va + i * span)
            .map(|va| match (by_asid, rng.random_bool(0.5)) {
                (true, true) => Tlbi::vae1(scope, va, asid, hint),
                (true, false) => Tlbi::vale1(scope, va, asid, hint),
                (false, true) => Tlbi::vaae1(scope, va, hint),
                (false, false) => Tlbi::vaale1(scope, va, hint),
            })
            .collect(),
        _ => by_range(
            (granule, scope, by_asid.then_some(asid)),
            (broken.va, broken.count * span),
            broken.tables || rng.random_bool(0.5),
        ),
    }
}

/// The shortest range that holds [va, va + bytes), as many as it takes.
fn by_range(
    (granule, scope, asid): (vmsa::Granule, TlbiScope, Option<u16>),
    (va, bytes): (u64, u64),
    tables: bool,
) -> Vec<Tlbi> {
    let pages = bytes.div_ceil(granule.bytes()).max(2);
    let scale = (0..4u8)
        .find(|&scale| pages <= vmsa::RangeOperand::pages(scale, 31))
        .unwrap_or(3);
    let num = pages
        .div_ceil(vmsa::RangeOperand::pages(scale, 0))
        .clamp(1, 32) as u8
        - 1;
    let whole = vmsa::RangeOperand::pages(scale, num) * granule.bytes();
    (0..bytes.div_ceil(whole))
        .map(|i| va + i * whole)
        .map(|start| match (asid, tables) {
            (Some(asid), true) => Tlbi::rvae1(scope, granule, start, scale, num, None, asid),
            (Some(asid), false) => Tlbi::rvale1(scope, granule, start, scale, num, None, asid),
            (None, true) => Tlbi::rvaae1(scope, granule, start, scale, num, None),
            (None, false) => Tlbi::rvaale1(scope, granule, start, scale, num, None),
        })
        .collect()
}

/// Makes the operations and waits for their completion.
pub async fn complete(
    core: &CoreHandle,
    figures: &Figures,
    rng: &mut Pcg64Mcg,
    operations: &[Tlbi],
) {
    let stores = [DsbKind::ISHST, DsbKind::ISH, DsbKind::ST][rng.random_range(0..3)];
    core.access(CoreRequest::dsb(stores)).await;
    let answers: Vec<_> = operations
        .iter()
        .map(|&operation| {
            count(figures, operation);
            core.issue(CoreRequest::tlbi(operation))
        })
        .collect();
    for answer in answers {
        answer.await;
    }
    // OSH and SY complete every scope; ISH does all but the outer shareable one.
    let outer = operations
        .iter()
        .any(|operation| operation.scope == TlbiScope::OuterShareable);
    let kind = match outer {
        true => [DsbKind::SY, DsbKind::OSH][rng.random_range(0..2)],
        false => [DsbKind::SY, DsbKind::ISH][rng.random_range(0..2)],
    };
    core.access(CoreRequest::dsb(kind)).await;
    core.access(CoreRequest::isb()).await;
}
