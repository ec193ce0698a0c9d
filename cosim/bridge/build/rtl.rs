// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The RTL folder: which files make the socket, in which order.
//!
//! `MMU_COSIM_RTL_DIR` names another folder behind the same socket: it holds `files.f` and, if it has
//! assertions or plants of its own, `sva/files.f` and `sva/plants.toml`.

use crate::BuildError;
use std::path::{Path, PathBuf};

pub const RTL_DIR_VARIABLE: &str = "MMU_COSIM_RTL_DIR";

/// One SystemVerilog source (or Verilator `.vlt` waiver) with its content.
#[derive(Clone)]
pub struct Source {
    /// As the file list names it, relative to the RTL folder.
    pub name: String,
    /// Where Verilator reads it.
    pub path: PathBuf,
    pub text: String,
}

pub struct Rtl {
    pub dir: PathBuf,
    pub design: Vec<Source>,
    pub assertions: Vec<Source>,
}

impl Rtl {
    pub fn load(crate_dir: &Path) -> Result<Rtl, BuildError> {
        println!("cargo::rerun-if-env-changed={RTL_DIR_VARIABLE}");
        let dir = match std::env::var_os(RTL_DIR_VARIABLE) {
            Some(dir) => PathBuf::from(dir),
            None => crate_dir.join("../../rtl"),
        };
        let dir = dir.canonicalize().map_err(|e| {
            format!("the RTL folder {} cannot be opened: {e} (set {RTL_DIR_VARIABLE} to a folder with a files.f)", dir.display())
        })?;
        let design = read_list(&dir, "files.f")?
            .ok_or_else(|| format!("{} has no files.f: it lists the SystemVerilog files, one a line, in dependency order", dir.display()))?;
        let assertions = read_list(&dir, "sva/files.f")?.unwrap_or_default();
        Ok(Rtl {
            dir,
            design,
            assertions,
        })
    }

    pub fn sources(&self) -> Vec<Source> {
        self.design
            .iter()
            .chain(&self.assertions)
            .cloned()
            .collect()
    }
}

/// Reads a file list: one path a line, relative to the RTL folder; `//` and `#` start comments.
fn read_list(dir: &Path, list: &str) -> Result<Option<Vec<Source>>, BuildError> {
    let list_path = dir.join(list);
    println!("cargo::rerun-if-changed={}", list_path.display());
    if !list_path.is_file() {
        return Ok(None);
    }
    let mut sources = Vec::new();
    for (number, line) in crate::read(&list_path)?.lines().enumerate() {
        let name = line.split("//").next().unwrap_or_default();
        let name = name.split('#').next().unwrap_or_default().trim();
        if name.is_empty() {
            continue;
        }
        let path = dir.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|e| {
            format!(
                "{}:{}: cannot read {name}: {e}",
                list_path.display(),
                number + 1
            )
        })?;
        sources.push(Source {
            name: name.to_owned(),
            path,
            text,
        });
    }
    Ok(Some(sources))
}
