// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What transparent contiguous mappings cost and give (contpte contract, section 10): loads over working
//! sets from inside the first-level TLB to beyond the second, and fork and munmap of large folios
//! mapped by pages.
//!
//! The kernel runs on core 0 of the RTL; its table accesses are loads, stores and compare-and-swaps of
//! that core. Cycles are those of the clock, from before the first request to after the last answer.

mod calls;
mod machine;
mod published;
mod sweep;

use cosim::dut::configs;
use cosim::experiment::{Context, Experiment, ExperimentError, Report};
use serde_json::{Map, Value, json};
use vmsa::Granule;

use self::machine::Setting;

/// Working sets, and system calls on large folios.
pub const EXPERIMENT: Experiment = Experiment {
    name: "contpte",
    purpose: "single pages, large folios and contiguous mappings: cycles and walks by working set; fork and munmap",
    config: "1x1",
    run,
};

fn run(context: &mut Context<'_>) -> Result<Report, ExperimentError> {
    let mut report = Report {
        notes: notes(),
        ..Report::default()
    };
    let quick = context.parameters.quick;
    let largest: u64 = if quick { 1 << 20 } else { 16 << 20 };
    let mut figures = vec![("parameters", parameters(context, largest))];
    let done = (|| -> Result<(), ExperimentError> {
        let mut curves = Vec::new();
        for setting in Setting::kernels(Granule::K4) {
            (context.progress)(
                &format!("working sets: {}", setting.name()),
                curves.len(),
                7,
            );
            curves.push(sweep::curve(context, &setting, largest)?);
        }
        report.tables.push(sweep::table(&curves));
        report.charts = sweep::charts(&curves);
        report.checks.extend(sweep::checks(&curves));
        figures.push((
            "working_sets",
            curves.iter().map(sweep::Curve::json).collect(),
        ));
        let mut granules = Vec::new();
        for granule in Granule::ALL {
            let kernels = [false, true].map(|contpte| Setting::large(granule, contpte));
            for setting in kernels {
                (context.progress)("granules", granules.len(), 6);
                granules.push(sweep::reach(context, &setting)?);
            }
        }
        report.tables.push(sweep::granule_table(&granules));
        report.checks.extend(sweep::granule_checks(&granules));
        figures.push((
            "granules",
            granules.iter().map(sweep::Reach::json).collect(),
        ));
        let calls = calls::all(context)?;
        report.tables.push(calls::table(&calls));
        report.tables.push(published::table(&curves, &calls));
        report.checks.extend(calls::checks(&calls));
        figures.push((
            "calls",
            json!(calls.iter().map(calls::Call::json).collect::<Vec<_>>()),
        ));
        Ok(())
    })();
    match done {
        Ok(()) => {}
        Err(ExperimentError::Broken(text)) if context.interrupt.raised() => {
            report.interrupted = true;
            report.notes.push(text);
        }
        Err(error) => return Err(error),
    }
    let named = figures
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    report.figures = named.collect();
    Ok(report)
}

/// The hardware measured, by the names of its parameters, and what is put on it.
fn parameters(context: &Context<'_>, largest: u64) -> Value {
    let name = &context.parameters.config;
    let known = configs().iter().find(|known| known.name == *name);
    let hardware: Map<String, Value> = known
        .iter()
        .flat_map(|known| known.parameters)
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    json!({
        "hardware": hardware, "hardware_update": "access flag and dirty state",
        "largest_working_set_bytes": largest, "folio_bytes": calls::FOLIO_BYTES,
    })
}

fn notes() -> Vec<String> {
    vec![
        "Four kernels: order-0 pages or large folios, each without and with contiguous mappings. The kernel \
         and the user thread run on core 0 of the RTL; every access to a table is an access of that core."
            .to_owned(),
        "Working sets: one load in each page, in an order drawn from the seed, one load at a time. A first \
         round over all pages is not counted. The cores have no data cache: a descriptor costs as much as \
         data, so a TLB miss weighs more here than on a core that finds most of its tables in a cache."
            .to_owned(),
    ]
}
