// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Section 5, every combination: leaf bits, table limits, HPD, WXN, EPAN, PAN and exception level,
//! for each kind of access (VMSA-20 to VMSA-24, VMSA-27, VMSA-30).

use cosim::dut::ports::{CoreRequest, CoreResponse};
use cosim::regress::{Bench, Expect, Failure, Testbench};
use cosim::sim::{CoreHandle, MemoryTiming, SimHandle};
use vmsa::{Descriptor, El, Fsc, Granule, VaRange};

use super::regime::{NORMAL, Regime, flush};
use super::tree::Tree;
use super::watch::{expect, on, reports_wnr};

/// Testbenches of this module.
pub static TESTBENCHES: &[Testbench] = &[
    Testbench {
        name: "permissions",
        purpose: "the whole permission table, for every kind of access, under every table limit",
        requirements: &[
            "VMSA-20", "VMSA-21", "VMSA-22", "VMSA-23", "VMSA-24", "VMSA-27", "VMSA-30",
        ],
        run: whole_table,
    },
    Testbench {
        name: "permission-limits",
        purpose: "every combination of table limits at three levels",
        requirements: &["VMSA-24"],
        run: limits_of_three_levels,
    },
];

const TABLES: u64 = 0x5000_0000;
const PAGES: u64 = 0x8000_0000;

/// Permission fault, level 3.
const DENIED: Fsc = Fsc(0x0f);

/// "Full result" of section 5: AP\[2:1\], UXN, PXN, WXN, then EL0 and EL1; `x` is either value.
const FULL_RESULT: [(u8, char, char, char, &str, &str); 17] = [
    (0b00, '0', '0', '0', "--x", "rwx"),
    (0b00, '0', '0', '1', "--x", "rw-"),
    (0b00, '0', '1', 'x', "--x", "rw-"),
    (0b00, '1', '0', '0', "---", "rwx"),
    (0b00, '1', '0', '1', "---", "rw-"),
    (0b00, '1', '1', 'x', "---", "rw-"),
    (0b01, '0', 'x', '0', "rwx", "rw-"),
    (0b01, '0', 'x', '1', "rw-", "rw-"),
    (0b01, '1', 'x', 'x', "rw-", "rw-"),
    (0b10, '0', '0', 'x', "--x", "r-x"),
    (0b10, '0', '1', 'x', "--x", "r--"),
    (0b10, '1', '0', 'x', "---", "r-x"),
    (0b10, '1', '1', 'x', "---", "r--"),
    (0b11, '0', '0', 'x', "r-x", "r-x"),
    (0b11, '0', '1', 'x', "r-x", "r--"),
    (0b11, '1', '0', 'x', "r--", "r-x"),
    (0b11, '1', '1', 'x', "r--", "r--"),
];

/// AP, UXN and PXN in force for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bits {
    ap: u8,
    uxn: bool,
    pxn: bool,
}

impl Bits {
    /// From a number below 16.
    fn of(code: u8) -> Self {
        Self {
            ap: code & 3,
            uxn: code & 4 != 0,
            pxn: code & 8 != 0,
        }
    }

    fn leaf(self, pa: u64) -> Descriptor {
        Descriptor::leaf(Granule::K4, 3, pa)
            .with_attr_index(NORMAL)
            .with_sh(3)
            .with_af(true)
            .with_ng(true)
            .with_ap(self.ap)
            .with_uxn(self.uxn)
            .with_pxn(self.pxn)
    }

    /// Step 2: what table limits leave of it. APTable\[0\] = 1 is as AP\[1\] = 0, APTable\[1\] = 1 is as
    /// AP\[2\] = 1, UXNTable and PXNTable are as UXN and PXN.
    fn under(self, limits: u8) -> Self {
        let limit = Self::of(limits);
        Self {
            ap: self.ap & !(limit.ap & 1) | limit.ap & 2,
            uxn: self.uxn || limit.uxn,
            pxn: self.pxn || limit.pxn,
        }
    }

    /// What the table says for EL0 and EL1.
    fn result(self, wxn: bool) -> (&'static str, &'static str) {
        let is = |cell: char, bit: bool| cell == 'x' || cell == if bit { '1' } else { '0' };
        FULL_RESULT
            .iter()
            .find(|row| {
                row.0 == self.ap && is(row.1, self.uxn) && is(row.2, self.pxn) && is(row.3, wxn)
            })
            .map_or(("???", "???"), |row| (row.4, row.5))
    }
}

/// A table descriptor for the table at `pa` with limits: bits 1:0 APTable, 2 UXNTable, 3 PXNTable.
fn table(pa: u64, limits: u8) -> Descriptor {
    let Bits { ap, uxn, pxn } = Bits::of(limits);
    Descriptor::table(pa)
        .with_ap_table(ap)
        .with_uxn_table(uxn)
        .with_pxn_table(pxn)
}

/// One page table of 16 pages, one for each [`Bits`], seen under every limit at every level: the
/// tables above have 16 entries, one for each limit, that all name the same next table.
fn page_under_all_limits() -> Tree {
    let mut tree = Tree::new(VaRange::Lower, Granule::K4, 48, TABLES);
    for code in 0..16u8 {
        tree.map(u64::from(code) << 12, 3, Bits::of(code).leaf(page(code)));
    }
    for level in 0..3u8 {
        let first = tree.slot(0, level);
        let next = Descriptor(tree.word(first)).next_table(Granule::K4);
        for limits in 0..16u8 {
            tree.set(first + 8 * u64::from(limits), table(next, limits).0);
        }
    }
    tree
}

fn page(code: u8) -> u64 {
    PAGES + (u64::from(code) << 12)
}

/// The VA of page `code` under the limits of levels 0, 1 and 2.
fn va(limits: [u8; 3], code: u8) -> u64 {
    let [l0, l1, l2] = limits.map(u64::from);
    l0 << 39 | l1 << 30 | l2 << 21 | u64::from(code) << 12
}

/// What steers permissions besides the tables.
#[derive(Debug, Clone, Copy)]
struct Control {
    hpd: bool,
    wxn: bool,
    epan: bool,
}

/// One page as one level of privilege finds it.
#[derive(Debug, Clone, Copy)]
struct Case {
    control: Control,
    /// As written in the leaf.
    leaf: Bits,
    /// In force.
    bits: Bits,
    va: u64,
    pa: u64,
    el: El,
    pan: bool,
}

impl Case {
    fn new(control: Control, limits: [u8; 3], code: u8, el: El, pan: bool) -> Self {
        let leaf = Bits::of(code);
        let [l0, l1, l2] = limits;
        // VMSA-23, VMSA-24.
        let bits = if control.hpd {
            leaf
        } else {
            leaf.under(l0 | l1 | l2)
        };
        Self {
            control,
            leaf,
            bits,
            va: va(limits, code),
            pa: page(code),
            el,
            pan,
        }
    }

    /// Read, write and execute permission.
    fn rights(&self) -> [bool; 3] {
        let (el0, el1) = self.bits.result(self.control.wxn);
        let row = if self.el == El::El0 { el0 } else { el1 };
        let [mut r, mut w, x] = ["r", "w", "x"].map(|letter| row.contains(letter));
        // PAN = 1: AP 01 and 11 lose r and w; AP 00 and 10 only when EPAN = 1 and UXN = 0.
        let user = self.bits.ap & 1 == 1 || (self.control.epan && !self.bits.uxn);
        if self.pan && self.el == El::El1 && user {
            (r, w) = (false, false);
        }
        [r, w, x]
    }

    /// The requirement that this case is about.
    fn requirement(&self, fetch: bool) -> &'static str {
        if self.control.hpd {
            "VMSA-23"
        } else if self.bits != self.leaf {
            "VMSA-24"
        } else if !fetch && self.el == El::El1 && self.pan {
            "VMSA-27"
        } else if fetch && self.el == El::El1 && self.bits.ap == 0b01 {
            "VMSA-21"
        } else if fetch && self.el == El::El0 && self.bits.ap & 1 == 0 {
            "VMSA-22"
        } else {
            "VMSA-20"
        }
    }

    fn judge(
        &self,
        request: CoreRequest,
        answer: &CoreResponse,
        allowed: bool,
    ) -> Result<(), Failure> {
        let requirement = self.requirement(matches!(request.op, cosim::dut::ports::Op::Fetch));
        let judged = if allowed {
            answer.reaches(requirement, self.pa)
        } else {
            answer.faults(requirement, DENIED)
        };
        on(request, judged.map_err(|failure| self.told(failure)))
    }

    /// Adds the case to the report of a missed expectation.
    fn told(&self, mut failure: Failure) -> Failure {
        failure.what = format!("{} with {self:x?}", failure.what);
        failure
    }

    /// Loads, stores, compares and swaps, fetches, and translates for read and for write.
    async fn tried(
        &self,
        core: &CoreHandle,
        handle: &SimHandle,
        stored: u64,
    ) -> Result<(), Failure> {
        let Self {
            va, pa, el, pan, ..
        } = *self;
        let [r, w, x] = self.rights();
        let held = handle.peek(pa);
        let swapped = stored.rotate_left(17);
        let requests = [
            CoreRequest::load(va, 3, el),
            CoreRequest::store(va, 3, el, stored),
            CoreRequest::cas(va, el, stored, swapped),
            CoreRequest::fetch(va, el),
            CoreRequest::at(va, el, false, pan),
            CoreRequest::at(va, el, true, pan),
        ]
        .map(|request| CoreRequest { pan, ..request });
        let pending = requests.map(|request| core.issue(request));
        let mut answers = Vec::with_capacity(pending.len());
        for answer in pending {
            answers.push(answer.await);
        }
        let allowed = [r, w, r && w, x, r, w];
        for ((request, answer), allowed) in requests.iter().zip(&answers).zip(allowed) {
            self.judge(*request, answer, allowed)?;
        }
        if r {
            on(requests[0], answers[0].reads("VMSA-20", held))?;
        }
        if !(r && w) {
            // VMSA-30: 0 without read permission, 1 with read but no write permission.
            on(requests[2], reports_wnr("VMSA-30", &answers[2], r))?;
        }
        let left = if w { swapped } else { held };
        expect("VMSA-20", handle.peek(pa) == left, || {
            format!(
                "{self:x?} left {:#x} in memory, not {left:#x}",
                handle.peek(pa)
            )
        })
    }
}

fn whole_table(bench: &mut Bench) -> Result<(), Failure> {
    bench.setup().memory = MemoryTiming {
        latency: 3,
        jitter: 0,
    };
    let tree = page_under_all_limits();
    tree.load(bench)?;
    let handle = bench.handle()?;
    bench.run(async move |core| {
        let mut stored = 0x9e37_79b9_7f4a_7c15u64;
        for mode in 0..8u8 {
            let control = Control {
                hpd: mode & 1 != 0,
                wxn: mode & 2 != 0,
                epan: mode & 4 != 0,
            };
            let mut regime = Regime::default().with(&tree, 1);
            regime.tcr = regime.tcr.with_hpd(VaRange::Lower, control.hpd);
            regime.sctlr = regime.sctlr.with_wxn(control.wxn).with_epan(control.epan);
            regime.enter(&core).await;
            flush(&core).await;
            for limits in 0..16u8 {
                for code in 0..16u8 {
                    // Each limit bit stands at one level, which level goes round.
                    let mut levels = [0u8; 3];
                    for bit in 0..4 {
                        levels[usize::from((bit + limits + code) % 3)] |= limits & 1 << bit;
                    }
                    for (el, pan) in [
                        (El::El0, false),
                        (El::El1, false),
                        (El::El0, true),
                        (El::El1, true),
                    ] {
                        stored = stored.wrapping_mul(0x5851_f42d_4c95_7f2d) | 1;
                        let case = Case::new(control, levels, code, el, pan);
                        case.tried(&core, &handle, stored).await?;
                    }
                }
            }
        }
        Ok(())
    })
}

fn limits_of_three_levels(bench: &mut Bench) -> Result<(), Failure> {
    bench.setup().memory = MemoryTiming {
        latency: 2,
        jitter: 0,
    };
    let tree = page_under_all_limits();
    tree.load(bench)?;
    bench.run(async move |core| {
        let control = Control {
            hpd: false,
            wxn: false,
            epan: false,
        };
        Regime::default().with(&tree, 1).enter(&core).await;
        for combination in 0..4096u16 {
            let levels = [0, 4, 8].map(|shift| (combination >> shift & 0xf) as u8);
            // AP 01 gives EL0 everything, AP 00 gives EL1 everything.
            for (code, el) in [(0b01, El::El0), (0b00, El::El1)] {
                let case = Case::new(control, levels, code, el, false);
                let [r, w, x] = case.rights();
                let requests = [
                    (CoreRequest::load(case.va, 3, el), r),
                    (CoreRequest::store(case.va, 3, el, 1), w),
                    (CoreRequest::fetch(case.va, el), x),
                ];
                let pending = requests.map(|(request, _)| core.issue(request));
                for ((request, allowed), answer) in requests.into_iter().zip(pending) {
                    case.judge(request, &answer.await, allowed)?;
                }
            }
        }
        Ok(())
    })
}
