// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! `mmu-cosim litmus import`: herd-style tests of virtual memory become scenario files.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{CommandResult, UsageError, say};
use crate::litmus::import::{Kinds, Options, import};

/// Arguments of `litmus import`.
#[derive(Debug, Args)]
#[command(
    after_help = "A test that says what a scenario cannot is named with the first such thing and its line; the\n\
    others are written all the same.\n\n\
    Exit status: 0 every file imported, 2 not."
)]
pub struct Arguments {
    /// Tests in herd's format (AArch64, Variant=vmsa)
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Folder for the scenarios, each named as its test declares
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Verdict of every test, as a scenario has it: A, F, R, or A/F without and with FEAT_ETS2
    #[arg(long, value_name = "V", conflicts_with = "kinds")]
    pub verdict: Option<String>,
    /// List of published verdicts, a name and Allowed, Forbidden or Required a line: the first without
    /// FEAT_ETS2, a second one with it
    #[arg(long, value_name = "FILE", num_args = 1, action = clap::ArgAction::Append)]
    pub kinds: Vec<PathBuf>,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// Imports what the arguments name.
pub fn execute(arguments: &Arguments) -> CommandResult {
    let options = options(arguments)?;
    std::fs::create_dir_all(&arguments.out)
        .map_err(|error| UsageError(format!("--out {}: {error}", arguments.out.display())))?;
    let (mut written, mut refused) = (0u64, Vec::new());
    for path in &arguments.files {
        let imported = match import(&read(path)?, &options) {
            Ok(imported) => imported,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "{}: {error}", path.display());
                refused.push(json!({"file": path, "line": error.line, "why": error.message}));
                continue;
            }
        };
        let target = arguments.out.join(format!("{}.toml", imported.name));
        std::fs::write(&target, imported.toml)
            .map_err(|error| UsageError(format!("cannot write {}: {error}", target.display())))?;
        written += 1;
    }
    say(&format!("imported={written} refused={}", refused.len()));
    if !refused.is_empty() {
        return Err(UsageError(format!(
            "{} of {} tests say what a scenario cannot",
            refused.len(),
            arguments.files.len()
        )));
    }
    if arguments.json {
        say(&json!({"pass": true, "imported": written}).to_string());
    }
    Ok(true)
}

fn options(arguments: &Arguments) -> Result<Options, UsageError> {
    if arguments.kinds.len() > 2 {
        let text = "--kinds takes two lists at most: without FEAT_ETS2, and with it";
        return Err(UsageError(text.to_owned()));
    }
    let mut options = Options {
        verdict: arguments.verdict.clone(),
        ..Options::default()
    };
    for (slot, path) in options.kinds.iter_mut().zip(&arguments.kinds) {
        let (kinds, wrong) = Kinds::read(&read(path)?);
        for line in wrong {
            let _ = writeln!(std::io::stderr(), "warning: {}: {line}", path.display());
        }
        *slot = Some(kinds);
    }
    Ok(options)
}

fn read(path: &Path) -> Result<String, UsageError> {
    std::fs::read_to_string(path)
        .map_err(|error| UsageError(format!("cannot read {}: {error}", path.display())))
}
