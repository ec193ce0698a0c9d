// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Time as the kernel sees it: a count that whoever runs the machine supplies.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// A clock. It stands at 0 until somebody winds it up.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use sw_mm::clock::Clock;
///
/// let cycles = Rc::new(Cell::new(7));
/// let clock = Clock::default();
/// assert_eq!(clock.now(), 0);
/// let source = Rc::clone(&cycles);
/// clock.set_source(move || source.get());
/// cycles.set(9);
/// assert_eq!(clock.now(), 9);
/// ```
#[derive(Default)]
pub struct Clock(RefCell<Option<Rc<dyn Fn() -> u64>>>);

impl Clock {
    /// Reads time from `source`, in cycles, which never goes back.
    pub fn set_source(&self, source: impl Fn() -> u64 + 'static) {
        *self.0.borrow_mut() = Some(Rc::new(source));
    }

    /// Cycles so far.
    pub fn now(&self) -> u64 {
        let source = self.0.borrow().clone();
        source.map_or(0, |source| source())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}
