// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Bins that are argued never to come: patterns of names, each with the argument, in
//! `unreachable.toml`. One that comes all the same refutes its argument.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::group::bins;

/// Bins that cannot come, for one reason.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unreachable {
    /// Names; `*` stands for any part of a name between dots, `{a,b}` for one of those listed.
    pub bins: Vec<String>,
    /// Why this hardware, or any, cannot do it.
    pub why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    unreachable: Vec<Unreachable>,
}

/// Every declaration of the repository.
///
/// # Errors
/// What is wrong with `unreachable.toml`: its syntax, or a pattern that names no bin.
pub fn declared() -> Result<BTreeMap<String, String>, String> {
    parse(include_str!("unreachable.toml"))
}

/// The name of each bin that `text` declares unreachable, with the argument.
fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let names: Vec<String> = bins().map(|bin| bin.name).collect();
    let mut all = BTreeMap::new();
    for Unreachable { bins, why } in file.unreachable {
        for pattern in bins {
            let before = all.len();
            for name in names.iter().filter(|name| matches(&pattern, name)) {
                all.insert(name.clone(), why.clone());
            }
            if all.len() == before {
                return Err(format!(
                    "`{pattern}` names no bin that is not named before it"
                ));
            }
        }
    }
    Ok(all)
}

/// Whether `name` fits `pattern`, part by part.
fn matches(pattern: &str, name: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('.'), name.split('.'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if part_matches(pattern, part) => {}
            _ => return false,
        }
    }
}

fn part_matches(pattern: &str, part: &str) -> bool {
    let choice = pattern
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    match choice {
        Some(choice) => choice.split(',').any(|one| one.trim() == part),
        None => pattern == "*" || pattern == part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declarations_of_the_repository_are_in_order() {
        let declared = declared().unwrap();
        assert!(declared.values().all(|why| why.len() > 20));
    }

    #[test]
    fn patterns_match_whole_parts() {
        assert!(matches("a.*.c", "a.b.c"));
        assert!(matches("a.{b,x}.c", "a.x.c"));
        assert!(!matches("a.{b,x}.c", "a.y.c"));
        assert!(!matches("a.*", "a.b.c"));
        assert!(!matches("a.b.c", "a.b"));
        assert!(!matches("a.b", "a.bc"));
    }

    #[test]
    fn a_pattern_that_names_nothing_is_refused() {
        let text = "[[unreachable]]\nbins = ['dvm.sync-skiped']\nwhy = 'x'\n";
        assert!(parse(text).is_err_and(|why| why.contains("sync-skiped")));
    }
}
