// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim replay`: translation vectors through the RTL or the model, held against the reference.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::memory;
use super::strap::{self, StrapArguments};
use super::{CommandResult, UsageError, say};
use crate::arch::explain::explain;
use crate::arch::{Context, Profile};
use crate::dut::memory::MemorySystem;
use crate::nearest::nearest;
use crate::regress::rtl_engine::RtlEngine;
use crate::vectors::{Answer, Engine, Mismatch, ModelEngine, Scene, compare, read_scenes};

/// Mismatches of a file that are explained in full.
const EXPLAINED: usize = 3;

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  \
    mmu-cosim replay testbenches/vectors/linux-6.12-4k.jsonl.gz      tables of a Linux kernel on the RTL\n  \
    mmu-cosim replay --config tiny FILE...                           the same with few TLB entries\n  \
    mmu-cosim replay --engine model FILE...                          the architectural model alone\n  \
    mmu-cosim replay --strap contiguous=off FILE                     without the contiguous hint\n\n\
    Files hold one scene a line as JSON, plain or gzip; testbenches/vectors/README.md describes the\n\
    format. Where a TLB may keep a contiguous run as one entry, the access flag and dirty state left\n\
    in memory are compared per run; the number of descriptors compared so is printed. With several cores each answers its share of the queries.\n\n{}", strap::HELP))]
pub struct Arguments {
    /// Vector files
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// What answers
    #[arg(long, value_name = "ENGINE", default_value = "rtl")]
    pub engine: EngineName,
    /// Hardware configuration
    #[arg(long, value_name = "NAME", default_value = "1x1")]
    pub config: String,
    /// Memory system: default, flat, ddr4, ddr5, random, or a file (see `mmu-cosim memory --help`)
    #[arg(long, value_name = "NAME|FILE.toml", default_value_t, value_parser = memory::parse)]
    pub memory: MemorySystem,
    /// Straps
    #[command(flatten)]
    pub straps: StrapArguments,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// What answers the queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// The simulated hardware
    Rtl,
    /// The architectural model
    Model,
}

/// Figures of one file.
#[derive(Debug, Default)]
struct Figures {
    scenes: usize,
    queries: usize,
    translated: usize,
    words: usize,
    per_run: usize,
    speculative: usize,
    mismatches: usize,
}

/// Replays the files that the arguments name.
///
/// # Errors
/// [`UsageError`] for an unreadable or malformed file, or an unknown configuration or strap. No file
/// is run before all have been read.
pub fn execute(arguments: &Arguments) -> CommandResult {
    let mut engine = open(arguments)?;
    let files = arguments
        .files
        .iter()
        .map(|path| read_scenes(path).map(|scenes| (path.as_path(), scenes)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| UsageError(error.to_string()))?;
    let mut all = Figures::default();
    let mut reports = Vec::new();
    for (path, scenes) in &files {
        let figures = file(engine.as_mut(), path, scenes);
        reports.push(report(path, &figures));
        all.queries += figures.queries;
        all.mismatches += figures.mismatches;
        all.per_run += figures.per_run;
        all.speculative += figures.speculative;
    }
    let pass = all.mismatches == 0;
    say(&format!(
        "queries={} mismatches={}",
        all.queries, all.mismatches
    ));
    if arguments.json {
        let object = json!({
            "pass": pass, "queries": all.queries, "mismatches": all.mismatches,
            "compared_per_run": all.per_run, "engine": engine.name(), "files": reports,
        });
        say(&object.to_string());
    }
    Ok(pass)
}

fn open(arguments: &Arguments) -> Result<Box<dyn Engine>, UsageError> {
    let straps = arguments.straps.straps()?;
    let configs: Vec<&str> = cosim_bridge::configs()
        .iter()
        .map(|config| config.name)
        .collect();
    if !configs.contains(&arguments.config.as_str()) {
        let hint = nearest(&arguments.config, configs.iter().copied())
            .map_or(String::new(), |near| format!(", did you mean `{near}`?"));
        let (config, names) = (&arguments.config, configs.join(", "));
        return Err(UsageError(format!(
            "no configuration is called `{config}`{hint}; there are {names}"
        )));
    }
    Ok(match arguments.engine {
        EngineName::Rtl => Box::new(RtlEngine::new(
            &arguments.config,
            straps,
            arguments.memory.clone(),
        )?),
        EngineName::Model => Box::new(ModelEngine::new(crate::check::profile(&straps))),
    })
}

fn file(engine: &mut dyn Engine, path: &Path, scenes: &[Scene]) -> Figures {
    let mut figures = Figures {
        scenes: scenes.len(),
        ..Figures::default()
    };
    let mut lines = Vec::new();
    for scene in scenes {
        let comparison = match engine.scene(scene) {
            Ok(result) => compare(scene, engine.profile(), &result),
            Err(error) => {
                // None of its queries has a trustworthy answer.
                figures.queries += scene.queries.len();
                figures.mismatches += scene.queries.len().max(1);
                lines.push(format!("  {}:{}: {error}", path.display(), scene.line));
                continue;
            }
        };
        let translated =
            |q: &&crate::vectors::Query| matches!(q.expected, Answer::Translated { .. });
        figures.queries += comparison.queries;
        figures.translated += scene.queries.iter().filter(translated).count();
        figures.words += comparison.words;
        figures.per_run += comparison.per_run;
        figures.speculative += comparison.speculative;
        for (i, mismatch) in comparison.mismatches.iter().enumerate() {
            if figures.mismatches + i < EXPLAINED {
                lines.push(format!(
                    "  {}:{}: scene {}",
                    path.display(),
                    scene.line,
                    scene.name
                ));
                lines.push(show(scene, engine.profile(), mismatch));
            }
        }
        figures.mismatches += comparison.mismatches.len();
    }
    say(&line(path, &figures));
    lines.iter().for_each(|line| say(line.trim_end()));
    figures
}

fn line(path: &Path, figures: &Figures) -> String {
    let Figures {
        scenes,
        queries,
        translated,
        words,
        per_run,
        speculative,
        mismatches,
    } = figures;
    let mut line = format!(
        "{}: scenes={scenes} queries={queries} translated={translated} words={words}",
        path.display()
    );
    if *per_run > 0 {
        line.push_str(&format!(" compared_per_run={per_run}"));
    }
    if *speculative > 0 {
        line.push_str(&format!(" flagged_by_prefetch={speculative}"));
    }
    line + &format!(" mismatches={mismatches}")
}

fn report(path: &Path, figures: &Figures) -> Value {
    json!({
        "file": path.display().to_string(), "scenes": figures.scenes, "queries": figures.queries,
        "translated": figures.translated, "words": figures.words,
        "compared_per_run": figures.per_run, "flagged_by_prefetch": figures.speculative,
        "mismatches": figures.mismatches,
    })
}

/// One mismatch with the walk that the model makes of it.
fn show(scene: &Scene, profile: Profile, mismatch: &Mismatch) -> String {
    match mismatch {
        Mismatch::Query { index, query, got } => {
            let got = got.map_or("nothing".to_owned(), |answer| answer.to_string());
            let access = query.access(scene);
            let context = Context {
                registers: scene.registers,
                profile,
            };
            let walk = ModelEngine::new(profile).machine(scene).walk(&access);
            let drawing = explain(&context, &access, &walk);
            format!(
                "    query {index}, {query}: got {got}; expected {}\n    tables as at the start of the scene:\n{}",
                query.expected,
                indented(&drawing)
            )
        }
        Mismatch::Word {
            address,
            expected,
            got,
        } => format!(
            "    memory [{address:#014x}] ended as {got:#018x}; expected {expected:#018x} (differs in {:#x})",
            got ^ expected
        ),
        Mismatch::RunState {
            address,
            entries,
            expected,
            got,
        } => format!(
            "    run of {entries} descriptors at {address:#014x} ended with AF {} AP[2] {}; expected AF {} AP[2] {}",
            u8::from(got.0),
            u8::from(got.1),
            u8::from(expected.0),
            u8::from(expected.1)
        ),
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("      {line}\n")).collect()
}
