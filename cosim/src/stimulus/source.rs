// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A stimulus as the source of a directed testbench, with literal descriptors and requests.

use std::fmt::Write;

use vmsa::El;

use super::file::stretches;
use super::listing::remark;
use super::{Action, Step, Stimulus, When};
use crate::dut::memory::MemorySystem;
use crate::dut::ports::{CoreRequest, Op, Straps};
use crate::sim::MemoryTiming;

/// The source of a testbench called `name` that does what `stimulus` does, green on hardware that keeps
/// the requirement. It is laid out as `cargo fmt` wants it only after that has run.
#[must_use]
pub fn testbench_source(stimulus: &Stimulus, name: &str) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, stimulus, name);
    out
}

fn write(out: &mut String, stimulus: &Stimulus, name: &str) -> std::fmt::Result {
    let function = name.replace('-', "_");
    let requirement = stimulus
        .broken
        .as_ref()
        .map_or("", |broken| broken.requirement.as_str());
    let steps: String = stimulus.steps.iter().map(step).collect();
    let setup = setup(stimulus);
    let uses = |word: &str| steps.contains(word) || setup.contains(word);

    writeln!(
        out,
        "// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0\n\
         //! {requirement}, by what `mmu-cosim shrink` left of\n\
         //! `{}`.\n",
        stimulus.origin
    )?;
    let of_ports = ["CoreRequest", "Delays", "Straps"].map(|item| (item, uses(item)));
    writeln!(out, "use cosim::dut::ports::{};", braces(&of_ports))?;
    writeln!(out, "use cosim::regress::{{Bench, Failure, Testbench}};")?;
    if uses("ErrorOn") {
        writeln!(out, "use cosim::sim::ErrorOn;")?;
    }
    let of_stimulus = [
        ("Action", uses("Action::")),
        ("Step", true),
        ("When", uses("When::")),
        ("play", true),
    ];
    writeln!(out, "use cosim::stimulus::{};", braces(&of_stimulus))?;
    let of_vmsa = ["DsbKind", "El", "SysReg", "Tlbi", "TlbiOp", "TlbiScope"].map(|item| {
        (
            item,
            uses(&format!("{item}::")) || uses(&format!("{item} {{")),
        )
    });
    if of_vmsa.iter().any(|(_, used)| *used) {
        writeln!(out, "use vmsa::{};", braces(&of_vmsa))?;
    }
    write!(
        out,
        "\n/// The testbench of this module.\n\
         pub static TESTBENCHES: &[Testbench] = &[Testbench {{\n    \
         name: {name:?},\n    \
         purpose: \"{requirement}: {} steps found by shrinking\",\n    \
         requirements: &[{requirement:?}],\n    \
         run: {function},\n\
         }}];\n\n\
         fn {function}(bench: &mut Bench) -> Result<(), Failure> {{\n{setup}",
        stimulus.steps.len(),
    )?;
    for (first, words) in stretches(&stimulus.memory) {
        for (address, word) in (first..).step_by(8).zip(words) {
            let remark = remark(word);
            if !remark.is_empty() {
                writeln!(out, "    // {}", capital(&remark))?;
            }
            writeln!(
                out,
                "    bench.load({}, &[{}])?;",
                literal(address),
                literal(word)
            )?;
        }
    }
    let cores = stimulus.cores();
    if cores > 1 {
        writeln!(
            out,
            "    // It takes several cores to break it.\n    \
             if bench.handle()?.cores() < {cores} {{\n        return Ok(());\n    }}"
        )?;
    }
    writeln!(
        out,
        "    play(\n        bench,\n        &[\n{steps}        ],\n    )\n}}"
    )
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_uppercase().collect::<String>() + letters.as_str() + "."
    })
}

/// The items in use, as an import names them.
fn braces(items: &[(&str, bool)]) -> String {
    let used: Vec<_> = items
        .iter()
        .filter(|(_, used)| *used)
        .map(|(item, _)| *item)
        .collect();
    match used[..] {
        [one] => one.to_owned(),
        _ => format!("{{{}}}", used.join(", ")),
    }
}

/// `value` in hex, in groups of four digits.
fn literal(value: u64) -> String {
    let digits = format!("{value:x}");
    let mut text = String::from("0x");
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(4) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

fn setup(stimulus: &Stimulus) -> String {
    let (straps, default) = (&stimulus.setup.straps, Straps::default());
    let mut fields = Vec::new();
    macro_rules! fields {
        ($($field:ident),*) => {
            $(if straps.$field != default.$field {
                fields.push(format!("{}: {:?}", stringify!($field), straps.$field));
            })*
        };
    }
    fields!(
        itlb_entries,
        dtlb_entries,
        contiguous,
        hafdbs,
        asid8,
        l2_ways,
        l2_sets_log2,
        walk_caches,
        walkers,
        prefetch,
        ets,
        bbml,
        conflict_abort,
        delay_seed
    );
    if straps.delay != default.delay {
        fields.push(format!(
            "delay: Delays::from_bits({:#x})",
            straps.delay.bits()
        ));
    }
    let mut text = String::new();
    if !fields.is_empty() {
        text += &format!(
            "    bench.setup().straps = Straps {{\n        {},\n        ..bench.setup().straps\n    }};\n",
            fields.join(",\n        ")
        );
    }
    let system = &stimulus.setup.memory_system;
    if *system != MemorySystem::Default {
        text += &format!("    bench.setup().memory_system = MemorySystem::{system:?};\n");
    }
    let memory = stimulus.setup.memory;
    if memory.latency != MemoryTiming::default().latency {
        text += &format!("    bench.setup().memory.latency = {};\n", memory.latency);
    }
    if memory.jitter != 0 {
        text += &format!(
            "    bench.setup().memory.jitter = {};\n    bench.setup().seed = {};\n",
            memory.jitter,
            literal(stimulus.setup.seed)
        );
    }
    text
}

fn step(step: &Step) -> String {
    let text = match step.action {
        Action::Request { core, request } => {
            format!("Step::serial({core}, {})", request_text(&request))
        }
        action => {
            let action = match action {
                Action::Poke { address, value } => format!(
                    "Action::Poke {{ address: {}, value: {} }}",
                    literal(address),
                    literal(value)
                ),
                Action::Mark { address, on, times } => format!(
                    "Action::Mark {{ address: {}, on: ErrorOn::{on:?}, times: {times:?} }}",
                    literal(address)
                ),
                Action::Clear { address }
                | Action::Request {
                    request: CoreRequest { va: address, .. },
                    ..
                } => {
                    format!("Action::Clear {{ address: {} }}", literal(address))
                }
            };
            let when = when_text(step.when);
            return format!("            Step {{ when: {when}, action: {action} }},\n");
        }
    };
    let when = match step.when {
        When::Serial => String::new(),
        other => format!(".when({})", when_text(other)),
    };
    format!("            {text}{when},\n")
}

fn when_text(when: When) -> String {
    match when {
        When::At(cycle) => format!("When::At({cycle})"),
        other => format!("When::{other:?}"),
    }
}

fn request_text(request: &CoreRequest) -> String {
    let el = if request.el == El::El0 {
        "El::El0"
    } else {
        "El::El1"
    };
    let CoreRequest {
        va,
        size,
        pan,
        data,
        compare,
        ..
    } = *request;
    let (va, data, compare) = (literal(va), literal(data), literal(compare));
    let (text, made) = match request.op {
        Op::Load => (
            format!("CoreRequest::load({va}, {size}, {el})"),
            CoreRequest::load(request.va, size, request.el),
        ),
        Op::Store => (
            format!("CoreRequest::store({va}, {size}, {el}, {data})"),
            CoreRequest::store(request.va, size, request.el, request.data),
        ),
        Op::Cas => (
            format!("CoreRequest::cas({va}, {el}, {compare}, {data})"),
            CoreRequest::cas(request.va, request.el, request.compare, request.data),
        ),
        Op::Fetch => (
            format!("CoreRequest::fetch({va}, {el})"),
            CoreRequest::fetch(request.va, request.el),
        ),
        Op::At(write) => (
            format!("CoreRequest::at({va}, {el}, {write}, {pan})"),
            CoreRequest::at(request.va, request.el, write, pan),
        ),
        Op::Tlbi(tlbi) => (
            format!(
                "CoreRequest::tlbi(Tlbi {{ op: TlbiOp::{:?}, scope: TlbiScope::{:?}, operand: {} }})",
                tlbi.op,
                tlbi.scope,
                literal(tlbi.operand)
            ),
            CoreRequest::tlbi(tlbi),
        ),
        Op::Dsb(kind) => {
            let name = kind.to_string().replace("DSB ", "");
            (
                format!("CoreRequest::dsb(DsbKind::{name})"),
                CoreRequest::dsb(kind),
            )
        }
        Op::Isb => ("CoreRequest::isb()".to_owned(), CoreRequest::isb()),
        Op::Msr(register) => (
            format!("CoreRequest::msr(SysReg::{register:?}, {data})"),
            CoreRequest::msr(register, request.data),
        ),
    };
    // What the constructor does not say.
    let mut others = Vec::new();
    if made.pan != pan {
        others.push(format!("pan: {pan}"));
    }
    if made.size != size {
        others.push(format!("size: {size}"));
    }
    if made.el != request.el {
        others.push(format!("el: {el}"));
    }
    let matters = matches!(request.op, Op::Load | Op::Fetch | Op::At(_));
    if made.data != request.data && !matters {
        others.push(format!("data: {data}"));
    }
    if others.is_empty() {
        return text;
    }
    format!("CoreRequest {{ {}, ..{text} }}", others.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{ErrorOn, SimConfig};
    use crate::stimulus::{Broken, Setup};
    use vmsa::{DsbKind, SysReg, Tlbi, TlbiScope};

    #[test]
    fn the_source_says_all_of_the_stimulus() {
        let tlbi = Tlbi::vae1(TlbiScope::InnerShareable, 0x4000, 1, None);
        let store = CoreRequest {
            pan: true,
            ..CoreRequest::store(0x12_3456, 2, El::El1, 7)
        };
        let mut stimulus = Stimulus {
            origin: "mmu-cosim run stress --seed 1".into(),
            broken: Some(Broken {
                checker: "tlb contents".into(),
                requirement: "TLB-11".into(),
            }),
            setup: Setup::of(&SimConfig::default()),
            memory: [(0x5000_0000, 0x5000_1003)].into(),
            steps: vec![
                Step::serial(0, CoreRequest::msr(SysReg::Ttbr0, 0x1_0000_5000_0000)),
                Step::serial(0, CoreRequest::dsb(DsbKind::ISHST)).when(When::Behind),
                Step::serial(1, CoreRequest::tlbi(tlbi)).when(When::At(90)),
                Step::serial(0, store),
                Step {
                    when: When::Own,
                    action: Action::Mark {
                        address: 0x40,
                        on: ErrorOn::Reads,
                        times: Some(2),
                    },
                },
            ],
            end: 0,
        };
        stimulus.setup.straps.prefetch = true;
        let source = testbench_source(&stimulus, "tlb-11-shrunk");
        for part in [
            "use cosim::dut::ports::{CoreRequest, Straps};",
            "use cosim::sim::ErrorOn;",
            "use vmsa::{DsbKind, El, SysReg, Tlbi, TlbiOp, TlbiScope};",
            "requirements: &[\"TLB-11\"]",
            "prefetch: true",
            "bench.load(0x5000_0000, &[0x5000_1003])?;",
            "bench.handle()?.cores() < 2",
            "Step::serial(0, CoreRequest::msr(SysReg::Ttbr0, 0x1_0000_5000_0000)),",
            "CoreRequest::dsb(DsbKind::ISHST)).when(When::Behind)",
            "operand: 0x1_0000_0000_0004 })).when(When::At(90))",
            "CoreRequest { pan: true, ..CoreRequest::store(0x12_3456, 2, El::El1, 0x7) }",
            "Action::Mark { address: 0x40, on: ErrorOn::Reads, times: Some(2) }",
        ] {
            assert!(source.contains(part), "no {part:?} in\n{source}");
        }
    }
}
