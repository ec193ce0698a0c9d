// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The order of locks, and what each thread holds.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// Kinds of locks in the order in which they nest, outermost first (section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// mmap lock of an address space.
    Mmap,
    /// What keeps userfaultfd operations from a mapping that changes.
    UffdMapChanging,
    /// Folio lock.
    Folio,
    /// Lock of an anon_vma or of the mappings of a file. That of a file comes second.
    AnonVma,
    /// Links of upper tables of an address space.
    UpperTable,
    /// Entries of one last-level table: PTL. Two nest in the order of their addresses.
    PageTable,
}

impl Class {
    /// Whether its holder must not sleep.
    pub const fn spins(self) -> bool {
        matches!(self, Self::UpperTable | Self::PageTable)
    }

    /// Whether two of one class may nest, lower key first.
    const fn nests(self) -> bool {
        matches!(self, Self::PageTable | Self::Mmap | Self::AnonVma)
    }
}

/// A rule of locking that a thread broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockViolation {
    /// `taken` was asked for while `held` was held, which comes after it.
    Order {
        /// Held by the thread.
        held: (Class, u64),
        /// Asked for.
        taken: (Class, u64),
    },
    /// The thread waited for something while it held a lock that spins.
    Sleep {
        /// Held by the thread.
        held: (Class, u64),
    },
    /// An entry of the table with this key was changed without its lock.
    Unlocked {
        /// Physical address of the table.
        table: u64,
    },
}

impl fmt::Display for LockViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order { held, taken } => write!(
                f,
                "{:?} lock {:#x} taken under {:?} lock {:#x} (MM-34)",
                taken.0, taken.1, held.0, held.1
            ),
            Self::Sleep { held } => {
                write!(f, "slept under {:?} lock {:#x} (G9)", held.0, held.1)
            }
            Self::Unlocked { table } => write!(
                f,
                "an entry of the table at {table:#x} changed without its lock (G9)"
            ),
        }
    }
}

/// Every rule broken so far, by any thread.
pub type Violations = Rc<RefCell<Vec<LockViolation>>>;

/// Locks that one thread holds or waits for.
#[derive(Debug, Default)]
pub struct Held {
    stack: RefCell<Vec<(Class, u64)>>,
    violations: Violations,
}

impl Held {
    /// A thread without locks, whose mistakes go to `violations`.
    pub fn new(violations: &Violations) -> Rc<Self> {
        Rc::new(Self {
            stack: RefCell::default(),
            violations: Rc::clone(violations),
        })
    }

    /// Judges taking the lock.
    pub(super) fn acquire(&self, class: Class, key: u64) {
        let wrong = |&&held: &&(Class, u64)| {
            held.0 > class || held.0 == class && !(class.nests() && held.1 < key)
        };
        let taken = (class, key);
        let stack = self.stack.borrow();
        if let Some(&held) = stack.iter().find(wrong) {
            self.report(LockViolation::Order { held, taken });
        }
        if !class.spins()
            && let Some(&held) = stack.iter().find(|held| held.0.spins())
        {
            self.report(LockViolation::Sleep { held });
        }
    }

    pub(super) fn push(&self, class: Class, key: u64) {
        self.stack.borrow_mut().push((class, key));
    }

    pub(super) fn release(&self, class: Class, key: u64) {
        let mut stack = self.stack.borrow_mut();
        if let Some(at) = stack.iter().rposition(|&held| held == (class, key)) {
            stack.remove(at);
        }
    }

    /// The thread is about to wait for something other than a lock.
    pub fn may_sleep(&self) {
        let stack = self.stack.borrow();
        if let Some(&held) = stack.iter().find(|held| held.0.spins()) {
            self.report(LockViolation::Sleep { held });
        }
    }

    /// The thread is about to change an entry of the table with this key, which its PTL guards.
    pub fn changes_table(&self, table: u64) {
        if !self.holds(Class::PageTable, table) {
            self.report(LockViolation::Unlocked { table });
        }
    }

    /// Whether the thread holds the lock.
    pub fn holds(&self, class: Class, key: u64) -> bool {
        self.stack.borrow().contains(&(class, key))
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.stack.borrow().is_empty()
    }

    fn report(&self, violation: LockViolation) {
        self.violations.borrow_mut().push(violation);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Lock, ReadWriteLock};
    use super::*;
    use crate::block_on;

    fn thread() -> (Rc<Held>, Violations) {
        let violations = Violations::default();
        (Held::new(&violations), violations)
    }

    #[test]
    fn locks_in_order_are_no_violation() {
        // MM-34.
        let (held, violations) = thread();
        block_on(async {
            let mmap = ReadWriteLock::new(Class::Mmap, 1);
            let (low, high) = (
                Lock::new(Class::PageTable, 0x1000),
                Lock::new(Class::PageTable, 0x2000),
            );
            let _mmap = mmap.read(&held).await;
            let _low = low.lock(&held).await;
            let _high = high.lock(&held).await;
            held.changes_table(0x1000);
        });
        assert!(violations.borrow().is_empty());
        assert!(held.is_empty());
    }

    #[test]
    fn a_lock_out_of_order_is_reported() {
        // MM-34.
        let (held, violations) = thread();
        block_on(async {
            let folio = Lock::new(Class::Folio, 7);
            let ptl = Lock::new(Class::PageTable, 0x1000);
            let _ptl = ptl.lock(&held).await;
            let _folio = folio.lock(&held).await;
        });
        assert_eq!(
            *violations.borrow(),
            [
                LockViolation::Order {
                    held: (Class::PageTable, 0x1000),
                    taken: (Class::Folio, 7),
                },
                LockViolation::Sleep {
                    held: (Class::PageTable, 0x1000),
                },
            ]
        );
    }

    #[test]
    fn two_table_locks_against_the_order_of_addresses_are_reported() {
        let (held, violations) = thread();
        block_on(async {
            let _high = Lock::new(Class::PageTable, 0x2000).lock(&held).await;
            let _low = Lock::new(Class::PageTable, 0x1000).lock(&held).await;
        });
        assert_eq!(violations.borrow().len(), 1);
    }

    #[test]
    fn sleeping_and_changing_entries_without_the_right_lock_are_reported() {
        let (held, violations) = thread();
        block_on(async {
            held.may_sleep();
            held.changes_table(0x1000);
            let _ptl = Lock::new(Class::PageTable, 0x2000).lock(&held).await;
            held.may_sleep();
            held.changes_table(0x2000);
        });
        assert_eq!(
            *violations.borrow(),
            [
                LockViolation::Unlocked { table: 0x1000 },
                LockViolation::Sleep {
                    held: (Class::PageTable, 0x2000),
                },
            ]
        );
    }
}
