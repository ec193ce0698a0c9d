// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Event counters after a run, as `perf stat` shows them: counts, names, and what they come to.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::dut::ports::{COUNTERS, Counter, NodeCounter};
use crate::dut::{Counts, NodeCounts};
use crate::regress::runner::{Job, JobResult};

/// The counters of one run: a line each, a column a core, their sum, and ratios as comments; then those
/// of the nodes, a column a node.
pub fn table(job: &Job<'_>, cores: &[Counts], nodes: &[NodeCounts]) -> String {
    let total = sum(cores);
    let mut columns: Vec<(String, &Counts)> = Vec::new();
    if cores.len() > 1 {
        let core = |(index, counts)| (format!("core {index}"), counts);
        columns.extend(cores.iter().enumerate().map(core));
    }
    columns.push(("total".to_owned(), &total));
    let widths: Vec<usize> = columns
        .iter()
        .map(|(title, counts)| {
            let longest = counts.iter().map(|(_, value)| grouped(value).len()).max();
            longest.unwrap_or(0).max(title.len())
        })
        .collect();
    let name_width = COUNTERS.iter().map(|counter| counter.name().len()).max();
    let name_width = name_width.unwrap_or(0);
    let mut out = format!(
        "\n Event counters of {}, config {}, seed {}:\n\n",
        job.testbench.name, job.config, job.seed
    );
    // Writing to a String cannot fail.
    for ((title, _), width) in columns.iter().zip(&widths) {
        let _ = write!(out, "  {title:>width$}");
    }
    out.push('\n');
    for counter in COUNTERS {
        for ((_, counts), width) in columns.iter().zip(&widths) {
            let _ = write!(out, "  {:>width$}", grouped(counts.get(counter)));
        }
        let line = match comment(&total, counter) {
            Some(comment) => format!("  {:name_width$}  # {comment}", counter.name()),
            None => format!("  {}", counter.name()),
        };
        let _ = writeln!(out, "{line}");
    }
    write_nodes(&mut out, nodes);
    out
}

/// The counters of the nodes that are not 0.
fn write_nodes(out: &mut String, nodes: &[NodeCounts]) {
    let counted = |counter: &NodeCounter| nodes.iter().any(|counts| counts.get(*counter) != 0);
    let counters: Vec<NodeCounter> = NodeCounter::all().filter(counted).collect();
    if counters.is_empty() {
        return;
    }
    let widths: Vec<usize> = nodes
        .iter()
        .map(|counts| {
            let length = |&counter| grouped(counts.get(counter)).len();
            let longest = counters.iter().map(length).max();
            longest.unwrap_or(0).max("node 0".len())
        })
        .collect();
    out.push('\n');
    for (node, width) in widths.iter().enumerate() {
        let _ = write!(out, "  {:>width$}", format!("node {node}"));
    }
    out.push('\n');
    for counter in counters {
        for (counts, width) in nodes.iter().zip(&widths) {
            let _ = write!(out, "  {:>width$}", grouped(counts.get(counter)));
        }
        let _ = writeln!(out, "  {counter}");
    }
}

/// The counters of all runs as one JSON object.
pub fn describe(jobs: &[Job<'_>], results: &[JobResult]) -> Value {
    let runs: Vec<Value> = jobs
        .iter()
        .zip(results)
        .map(|(job, result)| {
            json!({
                "name": job.testbench.name, "config": job.config, "seed": job.seed,
                "straps": job.settings,
                "cores": result.counts.iter().map(object).collect::<Vec<_>>(),
                "total": object(&sum(&result.counts)),
                "nodes": result.node_counts.iter().map(node_object).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "runs": runs })
}

fn object(counts: &Counts) -> Value {
    let named = counts
        .iter()
        .map(|(counter, value)| (counter.name().to_owned(), json!(value)));
    Value::Object(named.collect::<Map<_, _>>())
}

/// The counters of a node that are not 0.
fn node_object(counts: &NodeCounts) -> Value {
    let named = NodeCounter::all()
        .map(|counter| (counter.to_string(), counts.get(counter)))
        .filter(|(_, value)| *value != 0)
        .map(|(name, value)| (name, json!(value)));
    Value::Object(named.collect::<Map<_, _>>())
}

fn sum(cores: &[Counts]) -> Counts {
    let mut total = Counts::default();
    cores.iter().for_each(|counts| total.add(counts));
    total
}

/// What a counter comes to, in relation to another one; nothing without events of either.
fn comment(counts: &Counts, counter: Counter) -> Option<String> {
    use Counter as C;
    let value = counts.get(counter);
    let share = |of: Counter, what: &str| {
        let whole = counts.get(of);
        (whole > 0 && value > 0)
            .then(|| format!("{:6.2}% of {what}", 100.0 * value as f64 / whole as f64))
    };
    let each = |of: Counter, what: &str| {
        let whole = counts.get(of);
        (whole > 0 && value > 0).then(|| format!("{:6.2}  {what}", value as f64 / whole as f64))
    };
    match counter {
        C::L1dTlbRefill => share(C::L1dTlb, "data lookups"),
        C::L1iTlbRefill => share(C::L1iTlb, "fetch lookups"),
        C::L1dTlbRefillRd => share(C::L1dTlbRd, "data lookups to read"),
        C::L1dTlbRefillWr => share(C::L1dTlbWr, "data lookups to write"),
        C::L2dTlbRefill => share(C::L2dTlb, "second-level lookups"),
        C::L2dTlbRefillRd => share(C::L2dTlbRd, "second-level lookups to read"),
        C::L2dTlbRefillWr => share(C::L2dTlbWr, "second-level lookups to write"),
        C::DtlbWalk => share(C::L1dTlb, "data lookups"),
        C::ItlbWalk => share(C::L1iTlb, "fetch lookups"),
        C::DtlbStep => each(C::DtlbWalkBegun, "descriptors a data walk"),
        C::ItlbStep => each(C::ItlbWalkBegun, "descriptors an instruction walk"),
        C::DtlbWalkPercyc => each(C::DtlbWalkBegun, "cycles a data walk"),
        C::ItlbWalkPercyc => each(C::ItlbWalkBegun, "cycles an instruction walk"),
        C::DtlbWalkLarge => share(C::DtlbWalkBegun, "data walks"),
        C::ItlbWalkLarge => share(C::ItlbWalkBegun, "instruction walks"),
        C::RemoteAccess => share(C::MemAccess, "memory accesses"),
        C::RemoteAccessRd => share(C::MemAccessRd, "memory reads"),
        C::PrefetchUsed => share(C::PrefetchFill, "prefetch fills"),
        C::ContiguousHit => share(C::L1dTlb, "data lookups"),
        C::StallBackendMem
        | C::StallBackendTlb
        | C::StallFrontendTlb
        | C::DsbWait
        | C::DvmSyncWait => share(C::CpuCycles, "cycles"),
        _ => None,
    }
}

/// `value` with a comma before every third digit from the right.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dut::memory::MemorySystem;
    use crate::dut::ports::{Straps, Traffic};
    use crate::regress::runner::Verdict;
    use crate::regress::{Bench, Failure, Testbench};

    fn body(_: &mut Bench) -> Result<(), Failure> {
        Ok(())
    }

    static TESTBENCH: Testbench = Testbench {
        name: "litmus",
        purpose: "",
        requirements: &[],
        run: body,
    };

    fn job() -> Job<'static> {
        Job {
            testbench: &TESTBENCH,
            config: "2x1".into(),
            seed: 3,
            plant: None,
            cycles: None,
            straps: Straps::default(),
            memory: MemorySystem::Default,
            settings: vec!["prefetch=on".into()],
        }
    }

    fn counts(lookups: u64, refills: u64) -> Counts {
        let mut counts = Counts::default();
        counts.set(Counter::L1dTlb, lookups);
        counts.set(Counter::L1dTlbRefill, refills);
        counts
    }

    #[test]
    fn every_counter_of_every_core_is_shown_with_the_sum_and_its_ratio() {
        let text = table(&job(), &[counts(1000, 10), counts(3000, 70)], &[]);
        let line = |name: &str| {
            text.lines()
                .find(|line| line.split_whitespace().any(|word| word == name))
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        assert_eq!(
            line("L1D_TLB").as_deref(),
            Some("1,000 3,000 4,000 L1D_TLB")
        );
        assert_eq!(
            line("L1D_TLB_REFILL").as_deref(),
            Some("10 70 80 L1D_TLB_REFILL # 2.00% of data lookups")
        );
        assert!(
            COUNTERS
                .iter()
                .all(|counter| line(counter.name()).is_some())
        );
        assert!(text.contains("litmus, config 2x1, seed 3"), "{text}");
    }

    fn node_counts(writes: u64) -> NodeCounts {
        let mut counts = NodeCounts::default();
        counts.set(NodeCounter::Of(1, Traffic::Write), writes);
        counts
    }

    #[test]
    fn what_a_node_counted_is_shown_beside_the_other_nodes() {
        let nodes = [NodeCounts::default(), node_counts(1_000)];
        let text = table(&job(), &[counts(1, 0)], &nodes);
        assert!(text.contains("\n       0   1,000  CORE1_WRITE\n"), "{text}");
        assert!(!text.contains("CORE0_WRITE"), "{text}");
    }

    #[test]
    fn one_core_has_one_column() {
        let text = table(&job(), &[counts(1_234_567, 0)], &[]);
        assert!(text.contains("  1,234,567  L1D_TLB\n"), "{text}");
        assert!(!text.contains("core 0"));
    }

    #[test]
    fn the_file_holds_each_core_and_the_sum() {
        let result = JobResult {
            verdict: Verdict::Pass,
            cycles: 5,
            length: None,
            counts: vec![counts(1, 0), counts(2, 1)],
            node_counts: vec![NodeCounts::default(), node_counts(7)],
            coverage: None,
            figures: std::collections::BTreeMap::new(),
            failure: None,
            report: None,
            artefacts: None,
        };
        let all = describe(&[job()], &[result]);
        let run = &all["runs"][0];
        assert_eq!(run["straps"], json!(["prefetch=on"]));
        assert_eq!(run["cores"][1]["L1D_TLB"], json!(2));
        assert_eq!(run["total"]["L1D_TLB"], json!(3));
        assert_eq!(run["total"]["L1D_TLB_REFILL"], json!(1));
        assert_eq!(run["nodes"], json!([{}, {"CORE1_WRITE": 7}]));
    }
}
