// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The second run of a red one, unasked, with the window before the failure recorded.

use std::fs;
use std::path::Path;

use super::context::Recording;
use super::failure::{Failure, FailureKind};
use super::report::{Artefacts, Subject};
use crate::dut::TraceFormat;
use crate::sim::TraceRequest;
use crate::wave::{AFTER_FAILURE, BEFORE_FAILURE};

/// Does the run of `subject` `again` with the window around `failure` recorded under `out`, and says
/// where the files lie. `None` for failures without an instant in simulated time.
pub(crate) fn record(
    subject: &Subject<'_>,
    failure: &Failure,
    out: &Path,
    again: impl FnOnce(Recording) -> Option<Failure>,
) -> Option<Artefacts> {
    if matches!(failure.kind, FailureKind::Setup | FailureKind::Panic) {
        return None;
    }
    let cycle = failure.cycle?;
    let window = cycle.saturating_sub(BEFORE_FAILURE)..=cycle.saturating_add(AFTER_FAILURE);
    let name = format!(
        "{}-{}-{}",
        subject.name.replace('/', "-"),
        subject.config,
        subject.seed
    );
    let folder = out.join(name);
    let (waveform, transactions, events) = (
        folder.join("waves.fst"),
        folder.join("transactions.vcd"),
        folder.join("events.log"),
    );
    let mut artefacts = Artefacts {
        folder: folder.clone(),
        waveform: None,
        transactions: None,
        events: None,
        window: window.clone(),
        trouble: None,
    };
    if let Err(error) = fs::create_dir_all(&folder) {
        artefacts.trouble = Some(format!("cannot create {}: {error}", folder.display()));
        return Some(artefacts);
    }
    let recording = Recording {
        simulation: failure.simulation,
        trace: Some(TraceRequest {
            path: waveform.clone(),
            format: TraceFormat::Fst,
            window: Some(window),
        }),
        transactions: Some(transactions.clone()),
        log: Some(events.clone()),
        stop_after: Some(*artefacts.window.end()),
        ..Recording::default()
    };
    artefacts.trouble = match again(recording) {
        Some(again) if again.what == failure.what && again.cycle == failure.cycle => None,
        Some(again) => Some(format!("the second run failed otherwise: {again}")),
        None => Some("the second run passed: the testbench depends on more than its seed".into()),
    };
    artefacts.waveform = Some(waveform).filter(|path| path.exists());
    artefacts.transactions = Some(transactions).filter(|path| path.exists());
    artefacts.events = Some(events).filter(|path| path.exists());
    Some(artefacts)
}
