// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! How far each memory node is from each core, idle and under load (memory system contract,
//! sections 2 to 4).
//!
//! Everything is measured from outside, through loads of cores with translation off: a load of 8
//! bytes in a line of its own is a request for that line, as nothing caches data. Latency is load to
//! use: from the clock edge that samples the request at the socket to the cycle of its response.

mod bandwidth;
mod idle;
mod load;
mod probe;
mod published;
mod system;

use cosim::experiment::{Context, Experiment, ExperimentError, Report};
use serde_json::{Value, json};

use self::system::System;

/// Idle and loaded latency of every memory node.
pub const EXPERIMENT: Experiment = Experiment {
    name: "memory-latency",
    purpose: "load-to-use latency of each memory node from each node with cores, idle by state of its rows, and under load; bandwidth",
    config: "numa",
    run,
};

fn run(context: &mut Context<'_>) -> Result<Report, ExperimentError> {
    let system = System::of(context.parameters)?;
    let mut report = Report {
        notes: notes(&system),
        ..Report::default()
    };
    let mut figures = vec![("parameters", system.json())];
    // Each part is complete or not there: an interrupt ends the experiment between two measurements.
    let measured = (|| -> Result<(), ExperimentError> {
        let matrix = idle::matrix(context, &system)?;
        report.tables.push(matrix.table(&system));
        report.checks.push(matrix.check(&system));
        figures.push(("matrix_ns", json!(matrix.nanoseconds(&system))));
        figures.push(("expected_ns", json!(matrix.expected_nanoseconds(&system))));
        let services = idle::services(context, &system)?;
        report.tables.push(idle::service_table(&services, &system));
        report.checks.push(idle::service_check(&services));
        figures.push(("service", idle::service_json(&services, &system)));
        let points = load::sweep(context, &system)?;
        report.charts = load::charts(&points);
        report.tables.push(load::table(&points));
        figures.push(("loaded", points.iter().map(load::Point::json).collect()));
        let peaks = bandwidth::peaks(context, &system)?;
        report.tables.push(bandwidth::table(&peaks, &system));
        report.notes.push(bandwidth::bottleneck(&peaks, &system));
        figures.push((
            "peak",
            peaks.iter().map(|peak| peak.json(&system)).collect(),
        ));
        report.checks.push(bandwidth::check(&peaks, &system));
        report
            .tables
            .push(published::table(&matrix, &points, &system));
        Ok(())
    })();
    match measured {
        Ok(()) => {}
        Err(ExperimentError::Broken(text)) if context.interrupt.raised() => {
            report.interrupted = true;
            report.notes.push(text);
        }
        Err(error) => return Err(error),
    }
    let named = figures
        .into_iter()
        .map(|(key, value): (&str, Value)| (key.to_owned(), value));
    report.figures = named.collect();
    Ok(report)
}

fn notes(system: &System) -> Vec<String> {
    vec![
        format!(
            "Measured on the RTL through 8-byte loads of cores with translation off (SCTLR_EL1.M = 0), each \
             to a line of its own, from the clock edge that samples the request at the socket to the cycle \
             of its response. One clock is {} ns. Loads wait outside refreshes in the first two tables, and \
             meet them in the others.",
            system.nanoseconds(1)
        ),
        "A core has at most 8 loads in memory and 6 more accepted (inbox 4, two stages); latency under load \
         counts from acceptance, so it includes the wait for one of the 8 places."
            .to_owned(),
    ]
}
