// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Generated faults: a copy of the RTL in which each entry of `sva/mutants.toml` can be selected.
//!
//! All faults stand in one text: an expression becomes `(selected == 7 ? (faulty) : (as it was))`, a
//! statement runs only if its removal is not selected. Several may concern one expression or lie in
//! one another. The selection is that of the planted faults.

use crate::BuildError;
use crate::plant;
use crate::rtl::{Rtl, Source};
use serde::Deserialize;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MutantFile {
    mutant: Vec<Entry>,
}

/// One entry of `sva/mutants.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    category: String,
    operator: String,
    module: String,
    /// Relative to the RTL folder, as in files.f.
    file: String,
    /// `before`, `original` and `after` in a row occur once in the file.
    before: String,
    original: String,
    after: String,
    mutated: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EquivalentFile {
    #[serde(default)]
    equivalent: Vec<Equivalent>,
}

/// One entry of `sva/equivalent.toml`: a mutant, with its texts so that the argument cannot come to
/// stand for another one, and why nothing can tell it from the original.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Equivalent {
    id: String,
    original: String,
    mutated: String,
    why: String,
}

/// A mutant with its place in the RTL as it is now.
pub struct Mutant {
    entry: Entry,
    /// Of the original in its file.
    place: Range<usize>,
    line: usize,
    equivalent: Option<String>,
}

/// Reads the mutants and the arguments for equivalence, and finds each mutant's place.
pub fn load(rtl: &Rtl) -> Result<Vec<Mutant>, BuildError> {
    let path = rtl.dir.join("sva/mutants.toml");
    let arguments = rtl.dir.join("sva/equivalent.toml");
    for file in [&path, &arguments] {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let file: MutantFile =
        toml::from_str(&crate::read(&path)?).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut mutants = Vec::new();
    for entry in file.mutant {
        let mutant = locate(entry, rtl).map_err(|e| {
            format!(
                "{}: {e}: run scripts/mutants, or mend the entry",
                path.display()
            )
        })?;
        if mutants
            .iter()
            .any(|other: &Mutant| other.entry.id == mutant.entry.id)
        {
            return Err(format!(
                "{}: two mutants have the id \"{}\"",
                path.display(),
                mutant.entry.id
            ));
        }
        mutants.push(mutant);
    }
    if arguments.is_file() {
        let file: EquivalentFile = toml::from_str(&crate::read(&arguments)?)
            .map_err(|e| format!("{}: {e}", arguments.display()))?;
        for equivalent in file.equivalent {
            argue(equivalent, &mut mutants).map_err(|e| format!("{}: {e}", arguments.display()))?;
        }
    }
    Ok(mutants)
}

fn locate(entry: Entry, rtl: &Rtl) -> Result<Mutant, BuildError> {
    let Entry {
        id, before, after, ..
    } = &entry;
    let source = rtl
        .design
        .iter()
        .find(|source| source.name == entry.file)
        .ok_or_else(|| format!("mutant \"{id}\": files.f has no file {}", entry.file))?;
    let text = format!("{before}{}{after}", entry.original);
    let found: Vec<usize> = source.text.match_indices(&text).map(|(at, _)| at).collect();
    let [at] = found[..] else {
        return Err(format!(
            "mutant \"{id}\": its text occurs {} times in {}, it has to occur exactly once: {text:?}",
            found.len(),
            entry.file
        ));
    };
    let start = at + before.len();
    Ok(Mutant {
        place: start..start + entry.original.len(),
        line: source.text[..start].matches('\n').count() + 1,
        equivalent: None,
        entry,
    })
}

fn argue(argument: Equivalent, mutants: &mut [Mutant]) -> Result<(), BuildError> {
    let Equivalent {
        id,
        original,
        mutated,
        why,
    } = argument;
    let mutant = mutants
        .iter_mut()
        .find(|mutant| mutant.entry.id == id)
        .ok_or_else(|| format!("no mutant is called \"{id}\""))?;
    if mutant.entry.original != original || mutant.entry.mutated != mutated {
        return Err(format!(
            "\"{id}\" is now {:?} for {:?}: does the argument still hold?",
            mutant.entry.mutated, mutant.entry.original
        ));
    }
    if mutant.equivalent.replace(why).is_some() {
        return Err(format!("\"{id}\" is argued twice"));
    }
    Ok(())
}

/// Writes the table that the crate's `mutants()` returns.
pub fn write_table(mutants: &[Mutant], out_dir: &Path) -> Result<(), BuildError> {
    let mut table = String::from("[\n");
    for (i, mutant) in mutants.iter().enumerate() {
        let Entry {
            id,
            category,
            operator,
            file,
            original,
            mutated,
            module,
            ..
        } = &mutant.entry;
        let why = match &mutated[..] {
            "" => format!("{module} without {original:?}"),
            _ => format!("{module} with {mutated:?} for {original:?}"),
        };
        let plant = format!(
            "PlantInfo {{ number: {}, id: {id:?}, config: \"mutated\", file: {file:?}, fires: \"\", sees: \"\", also: &[], memory: \"\", why: {why:?} }}",
            i + 1
        );
        let _ = writeln!(
            table,
            "    MutantInfo {{ plant: {plant}, category: {category:?}, operator: {operator:?}, line: {}, original: {original:?}, mutated: {mutated:?}, equivalent: {:?} }},",
            mutant.line, mutant.equivalent
        );
    }
    table.push_str("]\n");
    crate::write_if_changed(&out_dir.join("mutants.rs"), &table)
}

/// Returns the sources of the mutated model, edited files written below `dir`.
pub fn copy_with_mutants(
    rtl: &Rtl,
    mutants: &[Mutant],
    dir: &Path,
) -> Result<Vec<Source>, BuildError> {
    let mut sources = rtl.sources();
    if mutants.is_empty() {
        return Ok(sources);
    }
    for source in &mut sources {
        let mut here: Vec<(usize, &Mutant)> = (1..)
            .zip(mutants)
            .filter(|(_, mutant)| mutant.entry.file == source.name)
            .collect();
        if here.is_empty() {
            continue;
        }
        // Outer places before those inside them.
        here.sort_by_key(|(number, m)| (m.place.start, usize::MAX - m.place.end, *number));
        source.text = edit(&source.text, 0..source.text.len(), &here)?;
        source.path = dir.join(&source.name);
        crate::write_if_changed(&source.path, &source.text)?;
    }
    sources.insert(0, plant::selection(dir)?);
    Ok(sources)
}

/// `text[range]` with `mutants`, which all lie in it, outer ones first.
fn edit(
    text: &str,
    range: Range<usize>,
    mutants: &[(usize, &Mutant)],
) -> Result<String, BuildError> {
    let mut out = String::new();
    let (mut at, mut rest) = (range.start, mutants);
    while let Some((_, first)) = rest.first() {
        let place = first.place.clone();
        let same = rest.partition_point(|(_, m)| m.place == place);
        let inside = rest.partition_point(|(_, m)| m.place.start < place.end);
        if let Some((_, other)) = rest[..inside].iter().find(|(_, m)| m.place.end > place.end) {
            return Err(format!(
                "mutants \"{}\" and \"{}\" overlap: one has to lie inside the other",
                first.entry.id, other.entry.id
            ));
        }
        out.push_str(&text[at..place.start]);
        let original = edit(text, place.clone(), &rest[same..inside])?;
        out.push_str(&choice(&rest[..same], original));
        (at, rest) = (place.end, &rest[inside..]);
    }
    out.push_str(&text[at..range.end]);
    Ok(out)
}

/// `original`, unless one of `mutants`, which all stand in its place, is selected.
fn choice(mutants: &[(usize, &Mutant)], original: String) -> String {
    let selected = |number| format!("{}::selected == {number}", plant::PACKAGE);
    mutants
        .iter()
        .rev()
        .fold(original, |kept, (number, mutant)| {
            match &mutant.entry.mutated[..] {
                "" => format!("begin if (!({})) {kept} end", selected(number)),
                mutated => format!("({} ? ({mutated}) : ({kept}))", selected(number)),
            }
        })
}
