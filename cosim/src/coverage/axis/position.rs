// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! How a value of the simulation is placed on its axis.

use vmsa::{DsbKind, El, FaultKind, Granule, TlbiOp, VaRange, geometry};

use crate::dut::ports::{CoreRequest, Op};

/// Place of `granule` on [`super::GRANULE`].
#[must_use]
pub const fn granule(granule: Granule) -> usize {
    granule as usize
}

/// Place of `range` on [`super::HALF`].
#[must_use]
pub const fn half(range: VaRange) -> usize {
    range as usize
}

/// Granule, level and whether it is a run, of each value of [`super::SHAPE`].
pub const SHAPES: [(Granule, u8, bool); 14] = {
    use Granule::{K4, K16, K64};
    [
        (K4, 3, false),
        (K4, 3, true),
        (K4, 2, false),
        (K4, 2, true),
        (K4, 1, false),
        (K4, 1, true),
        (K16, 3, false),
        (K16, 3, true),
        (K16, 2, false),
        (K16, 2, true),
        (K64, 3, false),
        (K64, 3, true),
        (K64, 2, false),
        (K64, 2, true),
    ]
};

/// Place of a leaf on [`super::SHAPE`]; `None` where `granule` has no leaves at `level`.
#[must_use]
pub fn shape(granule: Granule, level: u8, run: bool) -> Option<usize> {
    if !geometry::leaf_allowed(granule, level) {
        return None;
    }
    let first = [0, 6, 10][granule as usize];
    Some(first + usize::from(3 - level) * 2 + usize::from(run))
}

/// Place of a leaf of `level` on [`super::SIZE_CLASS`] and [`super::OLD_CLASS`].
#[must_use]
pub const fn size_class(level: u8, run: bool) -> usize {
    match (run, level) {
        (true, _) => 2,
        (false, 3) => 0,
        (false, _) => 1,
    }
}

/// Place of `request` on [`super::ACCESS`]; `None` if it is no access.
#[must_use]
pub const fn access(request: &CoreRequest) -> Option<usize> {
    Some(match request.op {
        Op::Load => 0,
        Op::Store => 1,
        Op::Cas => 2,
        Op::Fetch => 3,
        Op::At(false) => 4,
        Op::At(true) => 5,
        _ => return None,
    })
}

/// Place of `request` on [`super::PRIVILEGE`]. PSTATE.PAN is none of a fetch's business.
#[must_use]
pub fn privilege(request: &CoreRequest) -> usize {
    match (request.el, request.pan && request.op != Op::Fetch) {
        (El::El0, _) => 0,
        (El::El1, false) => 1,
        (El::El1, true) => 2,
    }
}

/// Place of `kind` on [`super::FAULT`].
#[must_use]
pub const fn fault(kind: FaultKind) -> usize {
    match kind {
        FaultKind::AddressSize => 0,
        FaultKind::Translation => 1,
        FaultKind::AccessFlag => 2,
        FaultKind::Permission => 3,
        FaultKind::ExternalAbortOnWalk => 4,
        FaultKind::ExternalAbort => 5,
        FaultKind::Alignment => 6,
        FaultKind::TlbConflict => 7,
        FaultKind::UnsupportedUpdate => 8,
    }
}

/// Place of `kind` on [`super::PREFETCH_END`].
#[must_use]
pub const fn prefetch_end(kind: Option<FaultKind>) -> Option<usize> {
    Some(match kind {
        None => 0,
        Some(FaultKind::Translation) => 1,
        Some(FaultKind::AddressSize) => 2,
        Some(FaultKind::AccessFlag) => 3,
        Some(FaultKind::ExternalAbortOnWalk) => 4,
        Some(FaultKind::UnsupportedUpdate) => 5,
        Some(_) => return None,
    })
}

/// Place of `op` on [`super::TLBI`].
#[must_use]
pub const fn operation(op: TlbiOp) -> usize {
    op as usize
}

/// Place of `kind` on [`super::DSB`].
#[must_use]
pub fn dsb(kind: DsbKind) -> Option<usize> {
    DsbKind::ALL.iter().position(|&other| other == kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::axis::{DSB, SHAPE, SIZE_CLASS, TLBI};

    #[test]
    fn every_shape_is_at_its_place() {
        for (place, (granule, level, run)) in SHAPES.into_iter().enumerate() {
            assert_eq!(shape(granule, level, run), Some(place));
            let class = if run {
                "run"
            } else {
                SIZE_CLASS.values[size_class(level, run)]
            };
            let number = if level == 3 && !run {
                String::new()
            } else {
                level.to_string()
            };
            assert_eq!(SHAPE.values[place], format!("{granule}.{class}{number}"));
        }
        assert_eq!(shape(Granule::K64, 1, false), None);
        assert_eq!(shape(Granule::K4, 0, false), None);
    }

    #[test]
    fn operations_and_barriers_stand_in_the_order_of_their_names() {
        for op in TlbiOp::ALL {
            assert_eq!(TLBI.values[operation(op)], format!("{op:?}").to_lowercase());
        }
        for kind in DsbKind::ALL {
            let name = kind.to_string().replace("DSB ", "").to_lowercase();
            assert_eq!(dsb(kind).map(|place| DSB.values[place]), Some(&name[..]));
        }
    }
}
