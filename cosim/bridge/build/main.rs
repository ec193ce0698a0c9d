// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Builds the simulated hardware: verilate each configuration, compile it, compile the bridge.
//!
//! Each configuration is a static library of its own under `OUT_DIR`, rebuilt only when the content
//! of what it is made of changed, so that editing the bridge does not verilate anything again.

#[path = "../src/configs.rs"]
mod configs;

mod compile;
mod fingerprint;
mod mutant;
mod plant;
mod rtl;
mod tool;
mod verilate;

use std::path::{Path, PathBuf};

/// A problem that stops the build, worded for the person who has to mend it.
pub type BuildError = String;

fn main() {
    if let Err(message) = build() {
        // Each `cargo::error` line fails the build. Leaving with success on top of that keeps
        // cargo from burying the message in a dump of everything that this script printed.
        for line in message.lines() {
            println!("cargo::error={line}");
        }
    }
}

fn build() -> Result<(), BuildError> {
    for file in ["build", "cpp", "src/configs.rs", "src/ffi.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let crate_dir = variable("CARGO_MANIFEST_DIR")?;
    let out_dir = variable("OUT_DIR")?;

    let verilator = tool::find()?;
    let rtl = rtl::Rtl::load(&crate_dir)?;
    let plants = plant::load(&rtl)?;
    plant::write_table(&plants, &out_dir)?;
    plant::write_assertions(&rtl, &out_dir)?;
    let mutants = mutant::load(&rtl)?;
    mutant::write_table(&mutants, &out_dir)?;

    let compiler = compile::Compiler::find(&out_dir, &crate_dir);
    let chosen = choose()?;
    let names: Vec<&str> = chosen.iter().map(|config| config.name).collect();
    write_if_changed(&out_dir.join("built.rs"), &format!("&{names:?}"))?;
    let mut models = Vec::new();
    for config in chosen {
        let sources = if config.planted {
            plant::copy_with_plants(&rtl, &plants, &out_dir.join("rtl_planted"))?
        } else if config.mutated {
            mutant::copy_with_mutants(&rtl, &mutants, &out_dir.join("rtl_mutated"))?
        } else {
            rtl.sources()
        };
        models.push(verilate::verilate(config, &sources, &verilator, &out_dir)?);
    }
    compiler.runtime(&verilator)?;
    for model in &models {
        compiler.model(model, &verilator)?;
    }
    compiler.bridge(&models, &verilator)?;
    compiler.link(&models, &verilator);
    Ok(())
}

/// Names, separated by commas, of the configurations to build; all if unset.
const CONFIGS_VARIABLE: &str = "MMU_COSIM_CONFIGS";

/// The configurations to build: a smaller choice makes work on the RTL faster.
fn choose() -> Result<Vec<&'static configs::ConfigInfo>, BuildError> {
    println!("cargo::rerun-if-env-changed={CONFIGS_VARIABLE}");
    let Ok(asked) = std::env::var(CONFIGS_VARIABLE) else {
        return Ok(configs::CONFIGS.iter().collect());
    };
    let find = |name: &str| {
        configs::CONFIGS
            .iter()
            .find(|config| config.name == name)
            .ok_or_else(|| {
                let known: Vec<&str> = configs::CONFIGS.iter().map(|config| config.name).collect();
                format!(
                    "{CONFIGS_VARIABLE} names {name:?}, which is no configuration: choose from {}",
                    known.join(", ")
                )
            })
    };
    asked
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(find)
        .collect()
}

/// Reads a directory that cargo hands to every build script.
fn variable(name: &str) -> Result<PathBuf, BuildError> {
    std::env::var_os(name)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{name} is not set: run this build script through cargo"))
}

/// Reads a text file, naming it in the error.
fn read(path: &Path) -> Result<String, BuildError> {
    std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// Writes a file only when its content changes, so that its time stamp means something.
fn write_if_changed(path: &Path, content: &str) -> Result<(), BuildError> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|e| format!("cannot create {}: {e}", parent.display()))?;
    }
    std::fs::write(path, content).map_err(|e| format!("cannot write {}: {e}", path.display()))
}
