// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Which older accesses an instruction waits for: the part of program order that the socket leaves to
//! the core, because it has no DMB and no acquire or release.

use vmsa::{DsbKind, DsbTypes};

/// What an access does to memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effects {
    /// It reads.
    pub loads: bool,
    /// It writes.
    pub stores: bool,
}

impl Effects {
    /// A load.
    pub const LOAD: Self = Self {
        loads: true,
        stores: false,
    };
    /// A store.
    pub const STORE: Self = Self {
        loads: false,
        stores: true,
    };
    /// Both, as a compare-and-swap has.
    pub const BOTH: Self = Self {
        loads: true,
        stores: true,
    };
    /// Neither.
    pub const NONE: Self = Self {
        loads: false,
        stores: false,
    };

    /// Whether they share one.
    #[must_use]
    pub const fn meet(self, other: Self) -> bool {
        self.loads && other.loads || self.stores && other.stores
    }
}

/// One ordering: accesses before it in program order that have `older` effects are done before those
/// after it that have `younger` ones begin.
#[derive(Debug, Clone, Copy)]
struct Fence {
    /// First and last instruction that it holds back others for.
    first: usize,
    end: usize,
    older: Effects,
    younger: Effects,
}

/// The orderings met so far in a program.
#[derive(Debug, Clone, Default)]
pub struct Order(Vec<Fence>);

impl Order {
    /// A DMB, the instruction of number `at`.
    pub fn dmb(&mut self, at: usize, kind: DsbKind) {
        let (older, younger) = match kind.types {
            DsbTypes::Loads => (Effects::LOAD, Effects::BOTH),
            DsbTypes::Stores => (Effects::STORE, Effects::STORE),
            DsbTypes::All => (Effects::BOTH, Effects::BOTH),
        };
        self.0.push(Fence {
            first: 0,
            end: at,
            older,
            younger,
        });
    }

    /// A load-acquire, the instruction of number `at`.
    pub fn acquire(&mut self, at: usize) {
        self.0.push(Fence {
            first: at,
            end: at + 1,
            older: Effects::BOTH,
            younger: Effects::BOTH,
        });
    }

    /// Whether an access with effects `young`, a store-release if `release`, waits for the older
    /// access of number `at` with effects `old`.
    #[must_use]
    pub fn waits(&self, young: Effects, release: bool, at: usize, old: Effects) -> bool {
        release
            || self.0.iter().any(|fence| {
                (fence.first..fence.end).contains(&at)
                    && fence.older.meet(old)
                    && fence.younger.meet(young)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dmb_orders_the_effects_that_it_names_across_itself() {
        let waits = |kind, young, old| {
            let mut order = Order::default();
            order.dmb(1, kind);
            order.waits(young, false, 0, old)
        };
        use Effects as E;
        for (kind, pairs) in [
            (DsbKind::ISH, [true, true, true, true]),
            (DsbKind::ISHLD, [true, true, false, false]),
            (DsbKind::ISHST, [false, false, false, true]),
        ] {
            let seen = [
                waits(kind, E::LOAD, E::LOAD),
                waits(kind, E::STORE, E::LOAD),
                waits(kind, E::LOAD, E::STORE),
                waits(kind, E::STORE, E::STORE),
            ];
            assert_eq!(seen, pairs, "{kind}");
        }
        let mut order = Order::default();
        order.dmb(1, DsbKind::ISH);
        assert!(
            !order.waits(E::LOAD, false, 2, E::LOAD),
            "younger than the DMB"
        );
        assert!(
            !order.waits(E::NONE, false, 0, E::STORE),
            "TLBI is no access"
        );
    }

    #[test]
    fn an_acquire_holds_back_what_follows_and_a_release_waits_for_all_before() {
        let mut order = Order::default();
        order.acquire(1);
        assert!(order.waits(Effects::STORE, false, 1, Effects::LOAD));
        assert!(!order.waits(Effects::LOAD, false, 0, Effects::LOAD));
        assert!(order.waits(Effects::STORE, true, 0, Effects::LOAD));
    }
}
