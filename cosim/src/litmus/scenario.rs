// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a scenario says, free of addresses: who loads a scenario chooses where variables, tables and
//! pages lie.
//!
//! A variable such as `x` is one or more pages of virtual addresses in 4 KB granule. Its level 3
//! descriptors are `pte(x)`, `pte(x[1])`..., the level 2 descriptor above them is `tab(x)`. All
//! variables of a scenario share one level 3 table, except that `flag` and every variable declared
//! `apart` lie under tables of their own. `PA_x` is the physical area that `x` maps at first unless
//! `init` says otherwise; `PA_x[3]` is its fourth page.
//!
//! What holds unless the scenario says otherwise:
//!
//! * The first word of page `i` of an area holds its base + 0x10 * i. The base is 1 for `PA_y`, 2 for
//!   `PA_z`, 0 for every other area ([`Physical::first_word`]).
//! * Page `i` of a variable maps page `i` of its area, with the default descriptor, in every address
//!   space. Level 2 descriptors are tables. A level 3 table exists, with what `init` says of its
//!   descriptors, whether or not the level 2 descriptor leads to it at first.
//! * A variable of several pages begins, as its area does, where the largest leaf or run that the
//!   scenario may form of it begins: at 2 MB if its level 2 descriptor is ever a block, at 64 KB if a
//!   descriptor of it is ever `cont` or a range names it.
//! * A faulting access does nothing, gives no value, and the program goes on after it.

use vmsa::{DsbKind, FaultKind, TlbiOp, TlbiScope};

/// One scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The name of the file without its ending, e.g. `L24`.
    pub name: String,
    /// One line.
    pub title: String,
    /// Published tests of the same shape.
    pub cite: Vec<String>,
    /// Requirements that it proves.
    pub requirements: Vec<String>,
    /// The programs do not do the break-before-make that they should: a conflict abort is acceptable
    /// too, unless the hardware never raises one (BBM_NOABORT).
    pub breaks_bbm: bool,
    /// What is there at first.
    pub setup: Setup,
    /// One program a core.
    pub cores: Vec<Program>,
    /// The outcomes asked about, in the order of the file.
    pub outcomes: Vec<Outcome>,
}

/// What is there at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Variables with the number of pages of each, in the order in which they are first named.
    pub variables: Vec<Variable>,
    /// First values of descriptors, in order: a later one replaces an earlier one.
    pub descriptors: Vec<(Slot, DescriptorSpec)>,
    /// First words of pages that hold another value than the usual.
    pub memory: Vec<(Physical, u64)>,
    /// Hardware manages the access flag: TCR_EL1.HA.
    pub ha: bool,
    /// Hardware manages dirty state: TCR_EL1.HD.
    pub hd: bool,
    /// FEAT_BBM level wanted of the hardware, if it matters.
    pub bbml: Option<u8>,
    /// ASID of each address space; there are as many spaces as ASIDs.
    pub asids: Vec<u16>,
    /// TCR_EL1.A1: the current ASID is that of TTBR1_EL1, which is the first of `asids` at first.
    pub a1: bool,
    /// Variables that nothing but the programs may touch: whoever warms TLBs up leaves them alone.
    pub untouched: Vec<String>,
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Pages of 4 KB.
    pub pages: u32,
    /// It lies under a level 3 table that it shares with no other variable.
    pub apart: bool,
}

/// A page of a variable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Page {
    /// Name of the variable.
    pub variable: String,
    /// Number of the page, 0 for the first.
    pub page: u32,
}

/// A page of physical memory: page `page` of the area that variable `area` maps at first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Physical {
    /// Name of the area: a variable, or any other name.
    pub area: String,
    /// Number of the page, 0 for the first.
    pub page: u32,
}

impl Physical {
    /// What the first word of the page holds at first unless [`Setup::memory`] says otherwise.
    #[must_use]
    pub fn first_word(&self) -> u64 {
        let base = match self.area.as_str() {
            "y" => 1,
            "z" => 2,
            _ => 0,
        };
        base + 0x10 * u64::from(self.page)
    }
}

/// A descriptor in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    /// The page that it translates.
    pub page: Page,
    /// Number of the address space whose table it is in.
    pub space: usize,
    /// The level 2 descriptor above the page (`tab`), not the level 3 one (`pte`).
    pub table: bool,
}

/// What a descriptor maps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Nothing: zero.
    Nothing,
    /// The leaf at that page: a page at level 3; at level 2 a 2 MB block (the area is aligned to it).
    Leaf(Physical),
    /// At level 2: the level 3 table of the variable.
    Table,
}

/// A descriptor value. The default is valid, AF = 1, writable, for EL0 and EL1, nG = 1, Normal
/// Write-Back, Inner Shareable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DescriptorSpec {
    /// What it maps.
    pub target: Target,
    /// Changes from the default.
    pub attributes: Vec<Attribute>,
}

/// A change from the default descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// `inv`: bit 0 is clear, the rest stays.
    Invalid,
    /// `ro`: AP\[2\] = 1.
    ReadOnly,
    /// `dbm`: DBM = 1.
    Dbm,
    /// `clean`: AP\[2\] = 1 with DBM = 1.
    Clean,
    /// `af0`: AF = 0.
    Af0,
    /// `global`: nG = 0.
    Global,
    /// `el1`: not accessible at EL0.
    El1Only,
    /// `cont`: the Contiguous bit.
    Contiguous,
    /// `nt`: nT of a block.
    Nt,
}

/// The instructions of one core in program order.
pub type Program = Vec<Instruction>;

/// One instruction with what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// As the file has it.
    pub text: String,
    /// Name by which outcomes ask whether it faulted: the register written, or a label.
    pub result: Option<String>,
    /// Executed only if the register holds the value; the instruction then depends on it by control.
    pub guard: Option<(String, u64)>,
    /// Its address depends on that register.
    pub address_of: Option<String>,
    /// Repeated until it does not fault.
    pub retry: bool,
    /// What it does.
    pub operation: Operation,
}

/// Where a load or store goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The first word of a page, through its virtual address.
    Data(Page),
    /// A descriptor, through a mapping that nothing changes.
    Descriptor(Slot),
}

/// What a store or swap writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A descriptor.
    Descriptor(DescriptorSpec),
    /// What a register holds.
    Register(String),
}

/// What an instruction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Loads 8 bytes into the result register.
    Load {
        /// From where.
        place: Place,
        /// Load-acquire.
        acquire: bool,
        /// With the rights of EL0.
        el0: bool,
    },
    /// Stores 8 bytes.
    Store {
        /// To where; several descriptors for a list of pages, first to last. A leaf value leads
        /// each to one page further than the one before, as in `init`.
        places: Vec<Place>,
        /// What.
        value: Value,
        /// Store-release.
        release: bool,
        /// With the rights of EL0.
        el0: bool,
    },
    /// Atomic swap; the old value goes to the result register.
    Swap {
        /// Where.
        place: Place,
        /// What is written.
        value: Value,
    },
    /// Atomically clears a bit of a descriptor.
    Clear {
        /// Which descriptor.
        slot: Slot,
        /// Which bit.
        field: Field,
    },
    /// Load-exclusive into the result register.
    LoadExclusive {
        /// From where.
        place: Place,
    },
    /// Store-exclusive; the result register becomes 0 if it was done, 1 if not.
    StoreExclusive {
        /// To where.
        place: Place,
        /// What.
        value: Value,
    },
    /// AT S1E1R or S1E1W: PAR_EL1 goes to the result register, as a physical page or a fault.
    Translate {
        /// Which address.
        page: Page,
        /// S1E1W.
        write: bool,
    },
    /// TLB invalidation.
    Tlbi(Invalidate),
    /// DSB.
    Dsb(DsbKind),
    /// DMB, with the same domains and types.
    Dmb(DsbKind),
    /// ISB.
    Isb,
    /// The register decides a branch: what follows depends on it by control.
    Branch(String),
    /// Writes TTBR0_EL1: table and ASID of an address space. With `asid`, another ASID than its own.
    SetSpace {
        /// Number of the space.
        space: usize,
        /// ASID written, if not that of the space.
        asid: Option<u16>,
    },
    /// Writes TCR_EL1 with EPD0 set or clear.
    SetEpd0(bool),
    /// PSTATE.PAN.
    SetPan(bool),
}

/// A TLB invalidation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidate {
    /// Operation.
    pub op: TlbiOp,
    /// Scope.
    pub scope: TlbiScope,
    /// First page named, for the forms by VA and by range.
    pub page: Option<Page>,
    /// Pages named by a range, which SCALE and NUM have to be able to say exactly.
    pub pages: u32,
    /// ASID named, if not that of the first address space.
    pub asid: Option<u16>,
    /// Level hinted at as that of the leaf, in the 4 KB granule.
    pub level: Option<u8>,
    /// The range names another granule, 16 KB, than the one in use.
    pub other_granule: bool,
}

/// A field of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// Bit 0.
    Valid,
    /// Access flag.
    Af,
    /// AP\[2\]: 1 read-only or clean.
    Ap2,
    /// Dirty bit modifier.
    Dbm,
    /// Contiguous.
    Contiguous,
}

/// An outcome asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// As the file has it.
    pub text: String,
    /// When it has come.
    pub condition: Condition,
    /// Without FEAT_ETS2 and with it.
    pub verdict: [Verdict; 2],
    /// Why this hardware never shows it although it is allowed, without FEAT_ETS2 and with it.
    pub unseen: [Option<String>; 2],
}

/// What the architecture says of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It may come.
    Allowed,
    /// It never comes.
    Forbidden,
    /// It comes in every run.
    Required,
}

/// When an outcome has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All of them.
    All(Vec<Condition>),
    /// One of them at least.
    Any(Vec<Condition>),
    /// Not that.
    Not(Box<Condition>),
    /// The result `name` of `core` is so.
    Result {
        /// Number of the core.
        core: usize,
        /// Register or label.
        name: String,
        /// What it shall be. An instruction that was not executed satisfies nothing.
        is: Seen,
    },
    /// The first word of a page holds a value at the end.
    Memory(Physical, u64),
    /// A descriptor at the end is so.
    Descriptor(Slot, Seen),
}

/// What a result, or a descriptor at the end, shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// That number.
    Number(u64),
    /// That descriptor, all bits of it.
    Descriptor(DescriptorSpec),
    /// A field of the descriptor held has that value.
    Field(Field, bool),
    /// The descriptor maps that page, or AT gave it.
    Output(Physical),
    /// A fault; of that kind and at that level if they are told.
    Fault(Option<FaultKind>, Option<u8>),
}

impl std::fmt::Display for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.variable)?;
        match self.page {
            0 => Ok(()),
            page => write!(f, "[{page}]"),
        }
    }
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.table { "tab" } else { "pte" };
        write!(f, "{kind}({})", self.page)?;
        match self.space {
            0 => Ok(()),
            space => write!(f, "@{space}"),
        }
    }
}
