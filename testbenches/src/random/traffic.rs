// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The accesses of one core: every kind, several at once, mostly aimed at what is mapped; where it is
//! the only one, with a flat shadow of user memory by physical address.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use cosim::dut::ports::{CoreRequest, CoreResponse, Op};
use cosim::regress::Failure;
use cosim::sim::CoreHandle;
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use vmsa::VaRange::{Lower, Upper};
use vmsa::{DsbKind, El, FaultKind, Tlbi, TlbiOp, TlbiScope};

use super::os::Os;

/// A full barrier mostly, else any of the twelve kinds.
fn barrier(rng: &mut Pcg64Mcg) -> DsbKind {
    let crm = rng.random_range(0..16);
    DsbKind::from_crm(crm)
        .filter(|_| rng.random_bool(0.7))
        .unwrap_or(DsbKind::SY)
}

/// Most accesses in flight at once.
const BATCH: usize = 8;

/// The accesses.
pub struct Traffic {
    os: Rc<Os>,
    core: usize,
    /// Whether no other core writes what the shadow holds.
    alone: bool,
    rng: RefCell<Pcg64Mcg>,
    /// Bytes of user memory that the load has written or seen.
    shadow: RefCell<BTreeMap<u64, u8>>,
    made: Cell<u64>,
    faulted: Cell<u64>,
    compared: Cell<u64>,
    failure: RefCell<Option<Failure>>,
}

impl Traffic {
    /// Accesses of `core` to what `os` maps, drawn from `rng`.
    pub fn new(os: Rc<Os>, core: usize, rng: Pcg64Mcg) -> Self {
        Self {
            alone: os.handle().cores() == 1,
            os,
            core,
            rng: RefCell::new(rng),
            shadow: RefCell::default(),
            made: Cell::new(0),
            faulted: Cell::new(0),
            compared: Cell::new(0),
            failure: RefCell::default(),
        }
    }

    /// Makes accesses until the load winds up, while the operating system edits on this core.
    pub async fn run(&self, core: &CoreHandle) {
        let handle = self.os.handle().clone();
        while !self.os.winding_up() {
            while self.os.held() {
                handle.sleep(20).await;
            }
            self.run_batch(core).await;
        }
    }

    /// Joins the operating system on another core: accesses until the load winds up, with context
    /// switches and changes of control bits of this core in between.
    pub async fn join(&self, core: &CoreHandle, mut rng: Pcg64Mcg) {
        self.os.enter(core).await;
        self.os.switch(core, &mut rng).await;
        while !self.os.winding_up() {
            match rng.random_range(0..200) {
                0..10 => self.os.switch(core, &mut rng).await,
                10 => self.os.change_registers(core, &mut rng).await,
                _ => self.run_batch(core).await,
            }
        }
        core.access(CoreRequest::dsb(DsbKind::SY)).await;
    }

    async fn run_batch(&self, core: &CoreHandle) {
        let batch = self.draw_batch();
        let epoch = self.os.epoch();
        let answers: Vec<_> = batch
            .iter()
            .map(|&request| (request, core.issue(request)))
            .collect();
        for (request, answer) in answers {
            let answer = answer.await;
            // Program order: an earlier write of the batch is in the shadow already.
            self.note(&request, &answer, epoch);
        }
    }

    fn draw_batch(&self) -> Vec<CoreRequest> {
        let mut rng = self.rng.borrow_mut();
        let count = rng.random_range(1..=BATCH);
        let mut batch: Vec<_> = (0..count).map(|_| self.draw(&mut rng)).collect();
        match rng.random_range(0..12) {
            0 => batch.push(CoreRequest::dsb(barrier(&mut rng))),
            1 => batch.push(CoreRequest::isb()),
            2 => {
                let tlbi = self.draw_tlbi(&mut rng);
                batch.insert(rng.random_range(0..=count), CoreRequest::tlbi(tlbi));
            }
            _ => {}
        }
        batch
    }

    fn draw(&self, rng: &mut Pcg64Mcg) -> CoreRequest {
        let mut va = self.draw_va(rng);
        let size = rng.random_range(0..4u8);
        let el = if rng.random_bool(0.7) {
            El::El0
        } else {
            El::El1
        };
        if rng.random_bool(0.85) {
            va &= !((1 << size) - 1);
        }
        // The window on the tables is read only: descriptors are the operating system's.
        let window = va >> 55 & 1 == 1;
        let mut request = match rng.random_range(0..20) {
            0..7 => CoreRequest::load(va, size, el),
            7..13 if !window => CoreRequest::store(va, size, el, rng.random()),
            13..15 if !window => CoreRequest {
                size,
                ..CoreRequest::cas(va, el, 0, rng.random())
            },
            15..18 => CoreRequest::fetch(va & !3, el),
            _ => CoreRequest::at(va, el, rng.random_bool(0.5), rng.random_bool(0.5)),
        };
        if request.op == Op::Cas {
            // What a load of the same bytes would bring, if it is known, so that some succeed.
            request.compare = self.known(va, size).unwrap_or(0);
        }
        request.pan = request.el == El::El1 && rng.random_bool(0.4);
        request
    }

    fn draw_va(&self, rng: &mut Pcg64Mcg) -> u64 {
        let (_, format) = self.os.tree(self.core);
        let linear = self.os.linear();
        let mut va = match rng.random_range(0..20) {
            0 => rng.random::<u64>(),
            1 => linear.base() + rng.random_range(0..linear.bytes()),
            _ => match self.os.aim(self.core, rng) {
                None => rng.random_range(0..1 << format.va_bits),
                Some(mapping) => {
                    let page = format.granule.bytes();
                    // Few words, so that accesses meet: page ends, and somewhere.
                    let offset = match rng.random_range(0..4) {
                        0 => page - rng.random_range(0..8) - 1,
                        1 => rng.random_range(0..64),
                        2 => mapping.bytes - 1 - rng.random_range(0..16),
                        _ => {
                            rng.random_range(0..mapping.bytes / page) * page
                                + 8 * rng.random_range(0..4)
                        }
                    };
                    mapping.va + offset % mapping.bytes
                }
            },
        };
        let range = if va >> 55 & 1 == 1 { Upper } else { Lower };
        if self.os.tcr(self.core).tbi(range) && rng.random_bool(0.3) || rng.random_ratio(1, 100) {
            va ^= rng.random::<u64>() << 56;
        }
        va
    }

    fn draw_tlbi(&self, rng: &mut Pcg64Mcg) -> Tlbi {
        let op = TlbiOp::ALL[rng.random_range(0..TlbiOp::ALL.len())];
        let scope = [
            TlbiScope::Local,
            TlbiScope::InnerShareable,
            TlbiScope::OuterShareable,
        ][rng.random_range(0..3)];
        let asid = [1, 2, 3, 0x101][rng.random_range(0..4)];
        if op.is_range() {
            // Every field drawn, or a range of some pages that starts near what is mapped.
            let (_, format) = self.os.tree(self.core);
            let pages = self.draw_va(rng) >> format.granule.shift() & ((1 << 37) - 1);
            let tg = match rng.random_ratio(1, 4) {
                true => rng.random_range(0..4),
                false => format.granule as u64 + 1,
            };
            let scale = rng.random_range(0..4) & rng.random_range(0..4);
            let (num, ttl) = (rng.random_range(0..32u64), rng.random_range(0..4u64));
            let operand = pages | ttl << 37 | num << 39 | scale << 44 | tg << 46 | asid << 48;
            return Tlbi { op, scope, operand };
        }
        let mut va = self.draw_va(rng) >> 12 & ((1 << 44) - 1);
        if rng.random_ratio(1, 4) {
            va |= rng.random_range(0..16) << 44; // TTL
        }
        Tlbi {
            op,
            scope,
            operand: va | asid << 48,
        }
    }

    /// What a load of these bytes would bring about now, if a mapping of theirs is known.
    fn known(&self, va: u64, size: u8) -> Option<u64> {
        let pa = self.os.expected(self.core, va)?;
        if !self.alone {
            let word = self.os.handle().peek(pa & !7) >> (8 * (pa & 7));
            return Some(word & u64::MAX >> (64 - (8u32 << size)));
        }
        let shadow = self.shadow.borrow();
        (0..1u64 << size).rev().try_fold(0, |value, i| {
            Some(value << 8 | u64::from(*shadow.get(&(pa + i))?))
        })
    }

    fn note(&self, request: &CoreRequest, answer: &CoreResponse, epoch: u64) {
        if !request.op.translates() {
            return;
        }
        self.made.set(self.made.get() + 1);
        let bytes = match request.op {
            Op::Fetch => 4,
            _ => 1u64 << request.size,
        };
        let crosses = request.va & 0xfff > 0x1000 - bytes;
        if let Some(fsc) = answer.fault {
            self.faulted.set(self.faulted.get() + 1);
            // The lower half of a write may have been performed before the upper one met an error.
            if fsc.kind() == Some(FaultKind::ExternalAbort) {
                self.shadow.borrow_mut().clear();
            }
        } else if epoch.is_multiple_of(2) && epoch == self.os.epoch() && !crosses {
            self.check_place(request, answer);
        }
        if answer.fault.is_some() || matches!(request.op, Op::At(_)) || !self.alone {
            return;
        }
        // Where the second page of a crossing access lies, the answer does not say.
        if crosses {
            if matches!(request.op, Op::Store | Op::Cas) {
                self.shadow.borrow_mut().clear();
            }
            return;
        }
        let mut known = true;
        let mut shadow = self.shadow.borrow_mut();
        let mut before = 0u64;
        for i in (0..bytes).rev() {
            let byte = shadow.get(&(answer.pa + i)).copied();
            known &= byte.is_some();
            before = before << 8 | u64::from(byte.unwrap_or(0));
        }
        let mask = u64::MAX >> (64 - 8 * bytes);
        let user = answer.pa >= 0x1000_0000_0000;
        if !user {
            return;
        }
        if request.op != Op::Store {
            self.compared.set(self.compared.get() + u64::from(known));
            if known && answer.data & mask != before {
                self.fail(format!(
                    "{request} brought {:#x}, the shadow holds {before:#x}",
                    answer.data
                ));
            }
        }
        let after = match request.op {
            Op::Store => request.data,
            Op::Cas if answer.data & mask == request.compare & mask => request.data,
            _ => answer.data,
        };
        for i in 0..bytes {
            shadow.insert(answer.pa + i, (after >> (8 * i)) as u8);
        }
    }

    /// The operating system's own idea of where the access goes.
    fn check_place(&self, request: &CoreRequest, answer: &CoreResponse) {
        let va = request.va & (u64::MAX >> 8);
        if va >> 55 == 0
            && let Some(pa) = self.os.expected(self.core, va)
            && pa != answer.pa
        {
            self.fail(format!(
                "{request} reached {:#014x}, it is mapped to {pa:#014x}",
                answer.pa
            ));
        }
    }

    fn fail(&self, what: String) {
        let mut failure = self.failure.borrow_mut();
        if failure.is_none() {
            *failure = Some(Failure::expectation(what).at_cycle(self.os.handle().now()));
        }
    }

    /// What was done.
    pub fn figures(&self) -> [(&'static str, u64); 3] {
        [
            ("accesses", self.made.get()),
            ("faults", self.faulted.get()),
            ("reads compared with the shadow", self.compared.get()),
        ]
    }

    /// The first difference from the shadow or the operating system's maps, if there was one.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.borrow().clone()
    }
}
