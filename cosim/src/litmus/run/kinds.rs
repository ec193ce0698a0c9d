// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Kinds of instructions: what they do to memory, and which may begin before a branch is decided.

use super::order::Effects;
use crate::litmus::scenario::{DescriptorSpec, Field, Operation, Target};

/// `spec` for the place of number `i` in a list: pages ascend.
#[must_use]
pub fn nth(spec: &DescriptorSpec, i: u32) -> DescriptorSpec {
    let mut spec = spec.clone();
    if let Target::Leaf(physical) = &mut spec.target {
        physical.page += i;
    }
    spec
}

/// The bit of a descriptor that `field` is.
#[must_use]
pub const fn bit(field: Field) -> u32 {
    use vmsa::Descriptor;
    match field {
        Field::Valid => Descriptor::VALID,
        Field::Af => Descriptor::AF,
        Field::Ap2 => Descriptor::AP2,
        Field::Dbm => Descriptor::DBM,
        Field::Contiguous => Descriptor::CONTIGUOUS,
    }
}

/// What an instruction does to memory.
#[must_use]
pub fn effects(operation: &Operation) -> Effects {
    match operation {
        Operation::Load { .. } | Operation::LoadExclusive { .. } => Effects::LOAD,
        Operation::Store { .. } => Effects::STORE,
        Operation::Swap { .. } | Operation::Clear { .. } | Operation::StoreExclusive { .. } => {
            Effects::BOTH
        }
        _ => Effects::NONE,
    }
}

/// Whether an instruction may begin before the branches before it are decided.
#[must_use]
pub fn speculative(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Load { .. }
            | Operation::LoadExclusive { .. }
            | Operation::Translate { .. }
            | Operation::Dmb(_)
            | Operation::Branch(_)
            | Operation::SetPan(_)
    )
}
