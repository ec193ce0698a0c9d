// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What moves, sums and masks make of values and of their dependencies.

use super::thread::{Held, What};

/// The result on which a value depends.
pub(super) fn depends(held: &Held) -> Option<String> {
    match &held.what {
        What::Loaded(result) => Some(result.clone()),
        _ => held.after.clone(),
    }
}

/// The value of an operation, as far as it can be known. What depends on a result keeps that.
pub(super) fn compute(operation: &str, same: bool, left: &Held, right: &Held) -> Held {
    let known = match (operation, &left.what, &right.what) {
        ("EOR" | "SUB", ..) if same => Some(What::Number(0)),
        ("AND", _, What::Number(0)) | ("AND", What::Number(0), _) => Some(What::Number(0)),
        ("ADD", What::Number(a), What::Number(b)) => Some(What::Number(a.wrapping_add(*b))),
        ("ADD" | "ORR", What::Number(0), other)
        | ("ADD" | "ORR" | "SUB" | "EOR", other, What::Number(0)) => Some(other.clone()),
        ("LSL", What::Number(a), What::Number(b)) if *b < 64 => Some(What::Number(a << b)),
        ("LSR", What::Address(variable), What::Number(12)) => {
            Some(What::PageNumber(variable.clone()))
        }
        _ => None,
    };
    let after = match (depends(left), depends(right)) {
        (Some(a), Some(b)) if a != b => return What::Computed.into(),
        (a, b) => a.or(b),
    };
    match known {
        // A value loaded, unchanged, depends on nothing but its own load.
        Some(What::Loaded(result)) if after.as_ref() == Some(&result) => {
            What::Loaded(result).into()
        }
        Some(what) => Held { what, after },
        None => What::Computed.into(),
    }
}
