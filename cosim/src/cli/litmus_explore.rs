// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim litmus --explore`: what the rules alone say of each outcome, without hardware.

use serde_json::json;

use super::{CommandResult, UsageError, say};
use crate::litmus::Scenario;
use crate::litmus::explore::explore;

/// Explores `scenarios` at the FEAT_ETS levels `ets` and holds what the rules say against their files.
pub fn execute(scenarios: &[(String, Scenario)], ets: &[u8], as_json: bool) -> CommandResult {
    let (mut rows, mut states, mut differ) = (0, 0, Vec::new());
    for (name, scenario) in scenarios {
        for &ets in ets {
            let exploration = explore(scenario, ets)
                .map_err(|why| UsageError(format!("{name} cannot be explored: {why}")))?;
            for row in &exploration.rows {
                say(&format!("{:<5} ETS {ets}  {row}", exploration.name));
                if !row.agrees() {
                    differ.push(json!({"name": name, "ets": ets, "outcome": row.outcome}));
                }
            }
            rows += exploration.rows.len();
            states += exploration.states;
        }
    }
    say(&format!(
        "scenarios={} rows={rows} states={states} differ={}",
        scenarios.len(),
        differ.len()
    ));
    let pass = differ.is_empty();
    if as_json {
        let all = json!({
            "pass": pass, "scenarios": scenarios.len(), "rows": rows, "states": states,
            "differ": differ,
        });
        say(&all.to_string());
    }
    Ok(pass)
}
