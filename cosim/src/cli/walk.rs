// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim walk`: one walk of the architectural model, step by step, as drawn on a whiteboard.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use vmsa::El;

use super::{CommandResult, UsageError, say};
use crate::arch::explain::explain;
use crate::arch::walk::Entry;
use crate::arch::{Access, Walk};
use crate::nearest::nearest;
use crate::vectors::field::parse_hex;
use crate::vectors::{ModelEngine, QueryOp, Scene, read_scenes};

/// Arguments of `walk`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    mmu-cosim walk testbenches/vectors/linux-6.12-4k.jsonl.gz --scene linux-6.12-4k-blocks-m0-cpu0 \\\n      \
    --va 0xffff800080010000 --el 1 --op x\n\n\
    Shows the register fields that matter, each table with its index bits and descriptor, the limits\n\
    gathered on the way, the leaf, what it permits, and the result or the fault with the requirement\n\
    that asks for it. The tables are those at the start of the scene; nothing is changed.")]
pub struct Arguments {
    /// Vector file, plain or gzip
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Scene in it; may be left out if the file has only one
    #[arg(long, value_name = "S")]
    pub scene: Option<String>,
    /// Address to translate, tag byte included
    #[arg(long, value_name = "0x..", value_parser = parse_va)]
    pub va: u64,
    /// Exception level of the access
    #[arg(long, value_name = "0|1", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub el: u8,
    /// Read, write or execute
    #[arg(long, value_name = "r|w|x", default_value = "r", value_parser = parse_op)]
    pub op: QueryOp,
    /// Make the access with PSTATE.PAN = 1
    #[arg(long)]
    pub pan: bool,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

fn parse_va(text: &str) -> Result<u64, String> {
    parse_hex(text).map_err(|(problem, mend)| format!("{problem}; {mend}"))
}

fn parse_op(text: &str) -> Result<QueryOp, String> {
    QueryOp::from_letter(text).ok_or_else(|| "use r, w or x".to_owned())
}

/// Draws the walk that the arguments name. Passes whether it ends in a translation or a fault.
///
/// # Errors
/// [`UsageError`] for an unreadable or malformed file or an unknown scene.
pub fn execute(arguments: &Arguments) -> CommandResult {
    let scenes = read_scenes(&arguments.file).map_err(|error| UsageError(error.to_string()))?;
    let scene = find(arguments, &scenes)?;
    let el = if arguments.el == 0 { El::El0 } else { El::El1 };
    let access = Access {
        pan: arguments.pan,
        ..Access::new(arguments.op.kind(), el, arguments.va)
    };
    let machine = ModelEngine::default().machine(scene);
    let walk = machine.walk(&access);
    say(&format!("scene {}", scene.name));
    say(explain(machine.context(), &access, &walk).trim_end());
    if arguments.json {
        say(&describe(scene, &access, &walk).to_string());
    }
    Ok(true)
}

fn find<'a>(arguments: &Arguments, scenes: &'a [Scene]) -> Result<&'a Scene, UsageError> {
    let file = arguments.file.display();
    let Some(name) = &arguments.scene else {
        return match scenes {
            [only] => Ok(only),
            _ => {
                let (count, first) = (scenes.len(), scenes.first().map_or("", |scene| &scene.name));
                let mend = format!("name one with --scene, such as {first}");
                Err(UsageError(format!("{file} has {count} scenes; {mend}")))
            }
        };
    };
    scenes
        .iter()
        .find(|scene| scene.name == *name)
        .ok_or_else(|| {
            let hint = nearest(name, scenes.iter().map(|scene| scene.name.as_str()))
                .map_or(String::new(), |near| format!(", did you mean `{near}`?"));
            UsageError(format!("{file} has no scene called `{name}`{hint}"))
        })
}

fn describe(scene: &Scene, access: &Access, walk: &Walk) -> Value {
    let steps: Vec<Value> = walk
        .steps()
        .map(|step| {
            let (kind, address) = match step.entry {
                Entry::Table(next) => ("table", Some(next)),
                Entry::Leaf(output) if step.level == 3 => ("page", Some(output)),
                Entry::Leaf(output) => ("block", Some(output)),
                Entry::Bad(reason) => (reason.requirement(), None),
            };
            json!({
                "level": step.level, "table": hex(step.table), "index": step.index,
                "address": hex(step.address), "descriptor": hex(step.descriptor.0),
                "entry": kind, "points_to": address.map(hex),
            })
        })
        .collect();
    let mut object = json!({
        "pass": true, "scene": scene.name, "va": hex(access.va), "steps": steps,
        "update": walk.update.map(|update| json!({
            "address": hex(update.address), "from": hex(update.from), "to": hex(update.to),
        })),
    });
    match &walk.outcome {
        Ok(translation) => {
            object["pa"] = json!(hex(translation.pa));
            object["attr"] = json!(hex(u64::from(translation.attributes.attr)));
            object["sh"] = json!(translation.attributes.sh);
        }
        Err(fault) => {
            object["fsc"] = json!(format!("{:#04x}", fault.fsc.0));
            object["fault"] = json!(fault.to_string());
            object["requirement"] = json!(fault.reason.requirement());
        }
    }
    object
}

fn hex(value: u64) -> String {
    format!("{value:#x}")
}
