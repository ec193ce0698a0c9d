// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! VMSAv8-64 stage 1 formats, and nothing else: where the fields lie in descriptors and system
//! registers, the geometry of the three granules, fault status codes, TLBI operands and barriers.
//!
//! Nothing here walks a table or decides a permission. The operating-system side and the
//! architectural model share these layouts and stay otherwise independent of each other.
//!
//! ```
//! use vmsa::{Descriptor, Granule};
//!
//! let page = Descriptor::leaf(Granule::K4, 3, 0x8000_1000)
//!     .with_af(true)
//!     .with_attr_index(1);
//! assert_eq!(page.0, 0x8000_1407);
//! assert_eq!(page.output_address(Granule::K4, 3), 0x8000_1000);
//! ```

mod barrier;
mod bits;
mod control;
mod descriptor;
mod fault;
pub mod geometry;
mod operation;
mod range;
mod registers;
mod tlbi;

pub use barrier::{DsbDomain, DsbKind, DsbTypes};
pub use control::{Mair, Sctlr};
pub use descriptor::Descriptor;
pub use fault::{AccessFault, FaultKind, Fsc};
pub use geometry::Granule;
pub use operation::{AtOp, El, SysReg};
pub use range::RangeOperand;
pub use registers::{Tcr, Ttbr, VaRange};
pub use tlbi::{Tlbi, TlbiOp, TlbiScope};
