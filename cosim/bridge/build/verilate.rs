// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Runs Verilator for one configuration.
//!
//! Facts about Verilator's output that this build relies on:
//! - the top class is named by `--prefix` and declared in `<prefix>.h`;
//! - every `.cpp` of a freshly emptied `--Mdir` belongs to the model, and nothing else does;
//! - DPI imports are declared in `<prefix>__Dpi.h` and looked up by the linker by their plain C names.

use crate::BuildError;
use crate::configs::ConfigInfo;
use crate::fingerprint::Fingerprint;
use crate::rtl::Source;
use crate::tool::Verilator;
use std::path::{Path, PathBuf};

pub struct Model {
    pub name: &'static str,
    /// The name as part of a C++ identifier: a configuration may begin with a digit.
    pub symbol: String,
    pub class: String,
    /// Folder below OUT_DIR, relative to it, that holds the generated C++.
    pub dir: PathBuf,
    /// Of RTL, parameters, flags and Verilator: equal models are interchangeable.
    pub fingerprint: String,
}

/// Flags of every configuration. Warnings are errors. Tracing and saving cost nothing until used.
/// Unset and unknown bits are random (a seed decides), so that a missing reset shows. Output is split,
/// so that the files of one model compile in parallel.
const FLAGS: &[&str] = &[
    "--cc",
    "-O3",
    "-Wall",
    "--assert",
    "--savable",
    "--trace-fst",
    "--trace-structs",
    "--trace-max-array",
    "128",
    "--trace-max-width",
    "12288",
    "--x-assign",
    "unique",
    "--x-initial",
    "unique",
    "--output-split",
    "20000",
    "--timescale-override",
    "1ns/1ns",
    "--top-module",
    "socket",
];

pub fn verilate(
    config: &'static ConfigInfo,
    sources: &[Source],
    verilator: &Verilator,
    out_dir: &Path,
) -> Result<Model, BuildError> {
    let symbol = format!("socket_{}", config.name);
    let class = format!("V{symbol}");
    let mut arguments: Vec<String> = FLAGS.iter().map(|s| (*s).to_owned()).collect();
    arguments.extend(["--prefix".to_owned(), class.clone()]);
    if config.planted || config.mutated {
        // The same RTL without its faults has passed every warning; a fault may well cause one.
        arguments.push("-Wno-fatal".to_owned());
    }
    arguments.extend(
        config
            .parameters
            .iter()
            .map(|(name, value)| format!("-G{name}={value}")),
    );

    let mut fingerprint = Fingerprint::new();
    fingerprint
        .add(&verilator.version_line)
        .add(verilator.root.to_string_lossy().as_bytes());
    arguments.iter().for_each(|a| {
        fingerprint.add(a);
    });
    sources.iter().for_each(|s| {
        fingerprint.add(&s.name).add(&s.text);
    });
    let model = Model {
        name: config.name,
        symbol,
        class,
        dir: PathBuf::from(config.name),
        fingerprint: fingerprint.text(),
    };

    let stamp = out_dir.join(&model.dir).join("verilated.stamp");
    if std::fs::read_to_string(&stamp).is_ok_and(|old| old == model.fingerprint) {
        return Ok(model);
    }
    let mdir = out_dir.join(&model.dir);
    if mdir.exists() {
        std::fs::remove_dir_all(&mdir)
            .map_err(|e| format!("cannot empty {}: {e}", mdir.display()))?;
    }
    std::fs::create_dir_all(&mdir).map_err(|e| format!("cannot create {}: {e}", mdir.display()))?;

    let output = verilator
        .command()
        .args(&arguments)
        .arg("--Mdir")
        .arg(&mdir)
        .args(sources.iter().map(|s| s.path.as_os_str()))
        .output()
        .map_err(|e| format!("cannot run {}: {e}", verilator.binary.display()))?;
    if !output.status.success() {
        return Err(format!(
            "verilator ({}) rejected configuration {}:\n{}{}",
            verilator.version_line,
            config.name,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    crate::write_if_changed(&stamp, &model.fingerprint)?;
    Ok(model)
}

impl Model {
    /// The generated C++ files, relative to OUT_DIR, in a fixed order.
    pub fn cpp_files(&self, out_dir: &Path) -> Result<Vec<PathBuf>, BuildError> {
        let entries = std::fs::read_dir(out_dir.join(&self.dir))
            .map_err(|e| format!("cannot list {}: {e}", self.dir.display()))?;
        let mut files: Vec<PathBuf> = entries
            .filter_map(|e| e.ok())
            .map(|e| self.dir.join(e.file_name()))
            .filter(|p| p.extension().is_some_and(|x| x == "cpp"))
            .collect();
        files.sort();
        Ok(files)
    }
}
