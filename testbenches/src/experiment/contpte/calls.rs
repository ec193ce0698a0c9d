// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! fork and munmap of a folio of 2 MiB that is mapped by pages: what contiguous mappings cost there
//! entry by entry, and what batches repair (contpte section 7).

use cosim::experiment::{Check, Context, ExperimentError, Table};
use serde_json::{Value, json};
use sw_mm::AccessSize;
use sw_mm::mm::{Map, Protection};
use vmsa::Granule;

use super::machine::{Setting, measure};

const VA: u64 = 1 << 32;
/// Size of the folio that is forked and unmapped.
pub const FOLIO_BYTES: u64 = 2 << 20;

/// How a kernel goes through the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Entry by entry, as the basic form of contiguous mappings did.
    Single,
    /// The same, folding again what a change unfolded, as before the series was merged.
    Eager,
    /// In batches.
    Batched,
}

/// Cycles and maintenance of the calls under one kernel.
#[derive(Debug, Clone)]
pub struct Call {
    pub contpte: bool,
    pub form: Form,
    pub fork: Cost,
    pub munmap: Cost,
}

/// What one call took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    pub cycles: u64,
    pub tlbis: u64,
    pub dsbs: u64,
    pub conversions: u64,
}

/// fork of an address space with one folio, and munmap of another that was never forked.
///
/// # Errors
/// As [`measure`].
pub fn measure_one(
    context: &Context<'_>,
    contpte: bool,
    form: Form,
) -> Result<Call, ExperimentError> {
    let setting = Setting {
        granule: Granule::K4,
        order: 9,
        contpte,
        batched: form == Form::Batched,
        eager: form == Form::Eager,
    };
    measure(context, &setting, move |machine| async move {
        let thread = &machine.thread;
        let cost = || {
            let counters = &thread.kernel.counters;
            let conversions = counters.folds.get() + counters.unfolds.get();
            [
                machine.handle.now(),
                counters.tlbis.get(),
                counters.dsbs.get(),
                conversions,
            ]
        };
        let difference = |before: [u64; 4], after: [u64; 4]| Cost {
            cycles: after[0] - before[0],
            tlbis: after[1] - before[1],
            dsbs: after[2] - before[2],
            conversions: after[3] - before[3],
        };
        let map = Map::anonymous(VA, FOLIO_BYTES, Protection::READ_WRITE);
        thread.mmap(&map).await?;
        thread.user_store(VA, AccessSize::Double, 1).await?;
        let start = cost();
        thread.munmap(VA, FOLIO_BYTES).await?;
        let munmap = difference(start, cost());
        thread.mmap(&map).await?;
        thread.user_store(VA, AccessSize::Double, 1).await?;
        let start = cost();
        let child = thread.fork().await?;
        let fork = difference(start, cost());
        thread.exit_space(&child).await?;
        Ok(Call {
            contpte,
            form,
            fork,
            munmap,
        })
    })
}

/// All kernels.
///
/// # Errors
/// As [`measure`].
pub fn all(context: &mut Context<'_>) -> Result<Vec<Call>, ExperimentError> {
    let kernels = [
        (false, Form::Single),
        (false, Form::Batched),
        (true, Form::Single),
        (true, Form::Eager),
        (true, Form::Batched),
    ];
    let mut calls = Vec::new();
    for (contpte, form) in kernels {
        (context.progress)("fork and munmap", calls.len(), kernels.len());
        calls.push(measure_one(context, contpte, form)?);
    }
    Ok(calls)
}

/// The call under one kernel.
pub fn find(calls: &[Call], contpte: bool, form: Form) -> Option<&Call> {
    let wanted = |call: &&Call| call.contpte == contpte && call.form == form;
    calls.iter().find(wanted)
}

/// One row a kernel and call.
pub fn table(calls: &[Call]) -> Table {
    let mut table = Table::new(
        "fork and munmap of a 2 MiB folio mapped by pages",
        2,
        &[
            "call",
            "kernel",
            "cycles",
            "of no contpte",
            "TLBIs",
            "DSBs that wait",
            "conversions",
        ],
    );
    for (name, of) in [
        ("fork", (|call| call.fork) as fn(&Call) -> Cost),
        ("munmap", |call| call.munmap),
    ] {
        for call in calls {
            let cost = of(call);
            let base = find(calls, false, call.base()).map_or(cost, of);
            table.rows.push(vec![
                name.to_owned(),
                call.name(),
                cost.cycles.to_string(),
                format!("{:.2}", cost.cycles as f64 / base.cycles as f64),
                cost.tlbis.to_string(),
                cost.dsbs.to_string(),
                cost.conversions.to_string(),
            ]);
        }
    }
    table
}

/// Batches convert nothing and cost little more than no contiguous mappings at all.
pub fn checks(calls: &[Call]) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(call) = find(calls, true, Form::Batched) {
        checks.push(Check {
            requirement: "CONTPTE-28",
            pass: call.fork.conversions == 0,
            text: format!("fork in batches: {} conversions", call.fork.conversions),
        });
        checks.push(Check {
            requirement: "CONTPTE-26",
            pass: call.munmap.conversions == 0,
            text: format!("munmap in batches: {} conversions", call.munmap.conversions),
        });
    }
    checks
}

impl Form {
    const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Eager => "eager",
            Self::Batched => "batched",
        }
    }
}

impl Call {
    pub fn name(&self) -> String {
        let contpte = if self.contpte {
            "contpte"
        } else {
            "no contpte"
        };
        let form = match self.form {
            Form::Single => "entry by entry",
            Form::Eager => "entry by entry, folding again",
            Form::Batched => "in batches",
        };
        format!("{contpte}, {form}")
    }

    /// Form of the kernel without contiguous mappings that it is compared with.
    fn base(&self) -> Form {
        match self.form {
            Form::Single | Form::Eager => Form::Single,
            Form::Batched => Form::Batched,
        }
    }

    pub fn json(&self) -> Value {
        let cost = |cost: Cost| {
            json!({
                "cycles": cost.cycles, "tlbis": cost.tlbis, "dsbs": cost.dsbs,
                "conversions": cost.conversions,
            })
        };
        json!({
            "contpte": self.contpte, "form": self.form.name(),
            "fork": cost(self.fork), "munmap": cost(self.munmap),
        })
    }
}
