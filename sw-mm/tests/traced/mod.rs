// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A core that writes down what it executes, and calls back before each instruction that orders or
//! invalidates something.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use sw_mm::functional::Core;
use sw_mm::{AccessSize, Cpu, Par, Privilege};
use vmsa::{AccessFault, AtOp, DsbKind, SysReg, Tlbi, TlbiOp};

/// One instruction that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "not every test binary looks at every field")]
pub enum Step {
    Store { va: u64, value: u64 },
    Swap { va: u64, new: u64 },
    Tlbi(Tlbi),
    Dsb(DsbKind),
    Isb,
    Msr(SysReg, u64),
}

impl fmt::Display for Step {
    /// Without addresses and values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Store { .. } => f.write_str("store"),
            Step::Swap { .. } => f.write_str("swap"),
            Step::Tlbi(op) if op.op == TlbiOp::Vmalle1 => write!(f, "{op}"),
            Step::Tlbi(op) => {
                let text = op.to_string();
                f.write_str(text.rsplit_once(' ').map_or(&*text, |(name, _)| name))
            }
            Step::Dsb(kind) => write!(f, "{kind}"),
            Step::Isb => f.write_str("ISB"),
            Step::Msr(register, _) => write!(f, "MSR {register}"),
        }
    }
}

type Hook = Rc<dyn Fn(&Step)>;

/// The core. Clones share the record.
#[derive(Clone)]
pub struct Traced {
    core: Core,
    log: Rc<RefCell<Vec<Step>>>,
    hook: Rc<RefCell<Option<Hook>>>,
    /// Invalidations of this core only are left out: a fault to be found.
    pub skip_local: Rc<Cell<bool>>,
}

#[allow(dead_code, reason = "not every test binary takes everything")]
impl Traced {
    pub fn new(core: Core) -> Self {
        Self {
            core,
            log: Rc::default(),
            hook: Rc::default(),
            skip_local: Rc::default(),
        }
    }

    /// What was executed since the last call.
    pub fn take(&self) -> Vec<Step> {
        self.log.take()
    }

    /// The same in words.
    pub fn take_words(&self) -> Vec<String> {
        self.take().iter().map(Step::to_string).collect()
    }

    /// Calls `hook` before each instruction from now on.
    pub fn set_hook(&self, hook: impl Fn(&Step) + 'static) {
        *self.hook.borrow_mut() = Some(Rc::new(hook));
    }

    pub fn clear_hook(&self) {
        *self.hook.borrow_mut() = None;
    }

    fn note(&self, step: Step) {
        let hook = self.hook.borrow().clone();
        if let Some(hook) = hook {
            hook(&step);
        }
        self.log.borrow_mut().push(step);
    }
}

impl Cpu for Traced {
    async fn load(&self, va: u64, s: AccessSize, p: Privilege) -> Result<u64, AccessFault> {
        self.core.load(va, s, p).await
    }

    async fn store(
        &self,
        va: u64,
        s: AccessSize,
        p: Privilege,
        value: u64,
    ) -> Result<(), AccessFault> {
        self.note(Step::Store { va, value });
        self.core.store(va, s, p, value).await
    }

    async fn compare_and_swap(
        &self,
        va: u64,
        s: AccessSize,
        p: Privilege,
        expected: u64,
        new: u64,
    ) -> Result<u64, AccessFault> {
        self.note(Step::Swap { va, new });
        self.core.compare_and_swap(va, s, p, expected, new).await
    }

    async fn fetch(&self, va: u64, p: Privilege) -> Result<u32, AccessFault> {
        self.core.fetch(va, p).await
    }

    async fn address_translate(&self, op: AtOp, va: u64) -> Result<Par, AccessFault> {
        self.core.address_translate(op, va).await
    }

    async fn tlbi(&self, op: Tlbi) {
        self.note(Step::Tlbi(op));
        if !(self.skip_local.get() && op.scope == vmsa::TlbiScope::Local) {
            self.core.tlbi(op).await;
        }
    }

    async fn dsb(&self, kind: DsbKind) {
        self.note(Step::Dsb(kind));
        self.core.dsb(kind).await;
    }

    async fn isb(&self) {
        self.note(Step::Isb);
        self.core.isb().await;
    }

    async fn write_sysreg(&self, register: SysReg, value: u64) {
        self.note(Step::Msr(register, value));
        self.core.write_sysreg(register, value).await;
    }
}
