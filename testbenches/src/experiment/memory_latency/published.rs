// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What was measured beside the published figures of section 2 of the memory system contract.

use cosim::experiment::Table;

use super::idle::Matrix;
use super::load::{Pattern, Point};
use super::system::System;

/// Published figures, with the marks of their sources (section 9 of the contract).
pub fn table(matrix: &Matrix, points: &[Point], system: &System) -> Table {
    let mut table = Table::new(
        "Beside published figures (marks: docs/spec/memory_system.md, section 9)",
        1,
        &["path", "published (ns)", "measured (ns)", "difference"],
    );
    let mut row = |path: &str, published: &str, measured: String, why: String| {
        table
            .rows
            .push(vec![path.to_owned(), published.to_owned(), measured, why]);
    };
    let latency = |to| matrix.latency_ns(system, 0, to);
    let local = latency(0);
    row(
        "local DRAM, current servers",
        "80 to 100 [V1] [V2]",
        format!("{local:.0}"),
        "none by construction: LAT is chosen from these figures, and the delay of the path makes up for DRAM"
            .to_owned(),
    );
    let others = || system.target_nodes().filter(|&node| node != 0);
    if let Some(remote) = others().find(|&node| !system.slow(node)) {
        let ns = latency(remote);
        row(
            "remote socket",
            "140 to 200, 1.44 to 1.49 of local [M] [V3]",
            format!("{ns:.0}, {:.2} of local", ns / local),
            "inside the span, but a higher ratio than [V3], whose local latency is 135 ns"
                .to_owned(),
        );
    }
    let slow: Vec<f64> = others()
        .filter(|&node| system.slow(node))
        .map(latency)
        .collect();
    if let (Some(near), Some(far)) = (
        slow.iter().copied().min_by(f64::total_cmp),
        slow.iter().copied().max_by(f64::total_cmp),
    ) {
        row(
            "CXL expander, direct attach",
            "170 to 250 [M], 140 to 410 [V4]",
            format!("{near:.0}"),
            "inside both spans, as chosen".to_owned(),
        );
        row(
            "CXL across a socket",
            "up to 400 [M], 140 to 410 [V4]",
            format!("{far:.0}"),
            "inside the span; real parts differ more from each other than this model from any"
                .to_owned(),
        );
        row(
            "CXL small pool, added to local",
            "70 to 90 [V5]",
            format!("{:.0}", near - local),
            "more: the slow tier stands for an expander with DDR4 behind it, not for a pool near by".to_owned(),
        );
    }
    let mut random = points
        .iter()
        .filter(|point| point.target == "local DRAM" && point.pattern == Pattern::Random);
    let (first, last) = (random.clone().next(), random.next_back());
    if let (Some(first), Some(last)) = (first, last) {
        row(
            "loaded local DRAM",
            "82 at 1.2 GB/s to 130 at 136 GB/s [V1]",
            format!(
                "{:.0} at {:.1} GB/s to {:.0} at {:.1} GB/s",
                first.mean, first.achieved, last.mean, last.achieved
            ),
            format!(
                "not comparable: [V1] is a server with 12 DIMMs, this is {} channels and too few loads in \
                 flight to fill them, so the rise is mostly the wait for a place in the core",
                system.info.channels
            ),
        );
    }
    table
}
