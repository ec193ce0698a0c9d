// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Planted faults: a copy of the RTL in which each entry of `sva/plants.toml` can be switched on.
//!
//! In an entry's `replace` the word `PLANT` stands for "this plant is selected". The selection is a
//! package variable set once from C++ through DPI, before the first evaluation.

use crate::BuildError;
use crate::rtl::{Rtl, Source};
use serde::Deserialize;
use std::fmt::Write as _;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlantFile {
    #[serde(default)]
    plant: Vec<Plant>,
}

/// One planted fault.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plant {
    pub id: String,
    /// Relative to the RTL folder, as in files.f.
    pub file: String,
    /// Exact text that occurs once in the file.
    pub find: String,
    pub replace: String,
    /// The assertion or checker that must report the fault.
    pub fires: String,
    /// The detector that sees the fault first, as `mmu-cosim selftest` names it.
    pub sees: String,
    /// Other detectors that rightly speak as early.
    #[serde(default)]
    pub also: Vec<String>,
    /// The memory system with which the fault is run; empty for that of the load.
    #[serde(default)]
    pub memory: String,
    pub why: String,
}

/// The package whose variable `selected` is the number of the fault in force, 0 for none.
pub const PACKAGE: &str = "plant_pkg";

pub fn load(rtl: &Rtl) -> Result<Vec<Plant>, BuildError> {
    let path = rtl.dir.join("sva/plants.toml");
    println!("cargo::rerun-if-changed={}", path.display());
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let file: PlantFile =
        toml::from_str(&crate::read(&path)?).map_err(|e| format!("{}: {e}", path.display()))?;
    for (i, plant) in file.plant.iter().enumerate() {
        if file.plant[..i].iter().any(|other| other.id == plant.id) {
            return Err(format!(
                "{}: two plants have the id \"{}\"",
                path.display(),
                plant.id
            ));
        }
    }
    Ok(file.plant)
}

/// Writes the table that the crate's `plants()` returns.
pub fn write_table(plants: &[Plant], out_dir: &Path) -> Result<(), BuildError> {
    let mut table = String::from("[\n");
    for (i, p) in plants.iter().enumerate() {
        let _ = writeln!(
            table,
            "    PlantInfo {{ number: {}, id: {:?}, config: \"planted\", file: {:?}, fires: {:?}, sees: {:?}, also: &{:?}, memory: {:?}, why: {:?} }},",
            i + 1,
            p.id,
            p.file,
            p.fires,
            p.sees,
            p.also,
            p.memory,
            p.why
        );
    }
    table.push_str("]\n");
    crate::write_if_changed(&out_dir.join("plants.rs"), &table)
}

/// Writes the table that the crate's `assertions()` returns: requirement and text of each call of
/// `sva_fired` in `sva/*.sv`.
pub fn write_assertions(rtl: &Rtl, out_dir: &Path) -> Result<(), BuildError> {
    let dir = rtl.dir.join("sva");
    println!("cargo::rerun-if-changed={}", dir.display());
    let mut all = std::collections::BTreeSet::new();
    let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    for path in paths.filter(|path| path.extension().is_some_and(|ext| ext == "sv")) {
        let text = crate::read(&path)?;
        for call in text.split("sva_fired(\"").skip(1) {
            let strings: Vec<_> = call.split('"').take(3).collect();
            let [id, ", ", what] = strings[..] else {
                return Err(format!(
                    "{}: sva_fired takes a requirement and a text, not {strings:?}",
                    path.display()
                ));
            };
            if !all.insert((id.to_owned(), what.to_owned())) {
                return Err(format!("two assertions report {id}: {what}"));
            }
        }
    }
    let table = format!("{:?}", all.into_iter().collect::<Vec<_>>());
    crate::write_if_changed(&out_dir.join("assertions.rs"), &table)
}

/// Returns the sources of the planted model, edited files written below `dir`.
pub fn copy_with_plants(
    rtl: &Rtl,
    plants: &[Plant],
    dir: &Path,
) -> Result<Vec<Source>, BuildError> {
    let mut sources = rtl.sources();
    if plants.is_empty() {
        return Ok(sources);
    }
    for source in &mut sources {
        let text = edit(source, plants)?;
        if text != source.text {
            source.path = dir.join(&source.name);
            source.text = text;
            crate::write_if_changed(&source.path, &source.text)?;
        }
    }
    if let Some(p) = plants
        .iter()
        .find(|p| !sources.iter().any(|s| s.name == p.file))
    {
        return Err(format!(
            "plant \"{}\": files.f has no file {}",
            p.id, p.file
        ));
    }
    sources.insert(0, selection(dir)?);
    Ok(sources)
}

/// The package that tells the RTL which fault is in force, written below `dir`.
pub fn selection(dir: &Path) -> Result<Source, BuildError> {
    let text = format!(
        "package {PACKAGE};\n  import \"DPI-C\" function int plant_selected();\n  int selected = plant_selected();\nendpackage\n"
    );
    let name = format!("{PACKAGE}.sv");
    let path = dir.join(&name);
    crate::write_if_changed(&path, &text)?;
    Ok(Source { name, path, text })
}

/// Applies the plants of one file. Every `find` is looked up in the original text.
fn edit(source: &Source, plants: &[Plant]) -> Result<String, BuildError> {
    let mut edits: Vec<(usize, &Plant, String)> = Vec::new();
    for (i, plant) in plants
        .iter()
        .enumerate()
        .filter(|(_, p)| p.file == source.name)
    {
        let matches: Vec<usize> = source
            .text
            .match_indices(&plant.find)
            .map(|(at, _)| at)
            .collect();
        let [at] = matches[..] else {
            return Err(format!(
                "plant \"{}\": its `find` text occurs {} times in {}, it has to occur exactly once: {:?}",
                plant.id,
                matches.len(),
                plant.file,
                plant.find
            ));
        };
        if !plant.replace.contains("PLANT") {
            return Err(format!(
                "plant \"{}\": its `replace` text has no PLANT, so the fault could not be switched off",
                plant.id
            ));
        }
        let condition = format!("({PACKAGE}::selected == {})", i + 1);
        edits.push((at, plant, plant.replace.replace("PLANT", &condition)));
    }
    edits.sort_by_key(|(at, ..)| *at);
    for pair in edits.windows(2) {
        if pair[0].0 + pair[0].1.find.len() > pair[1].0 {
            return Err(format!(
                "plants \"{}\" and \"{}\" edit the same text of {}: shorten one `find`",
                pair[0].1.id, pair[1].1.id, source.name
            ));
        }
    }
    let mut text = source.text.clone();
    for (at, plant, replacement) in edits.iter().rev() {
        text.replace_range(*at..at + plant.find.len(), replacement);
    }
    Ok(text)
}
