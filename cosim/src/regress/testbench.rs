// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A registered testbench: its name, what it is for, what it proves and its body.

use cosim_bridge::PlantInfo;

use super::bench::Bench;
use super::failure::Failure;
use crate::nearest::nearest;

/// One registered testbench. A crate lists its own in a static slice and hands that to
/// [`crate::cli::main`].
///
/// ```
/// use cosim::regress::{Bench, Failure, Testbench};
///
/// fn body(_bench: &mut Bench) -> Result<(), Failure> {
///     Ok(())
/// }
///
/// static REGISTRY: &[Testbench] = &[Testbench {
///     name: "nothing",
///     purpose: "shows how a testbench is registered",
///     requirements: &["VMSA-01"],
///     run: body,
/// }];
/// assert_eq!(REGISTRY[0].name, "nothing");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Testbench {
    /// Name on the command line: lower case, words joined by `-`.
    pub name: &'static str,
    /// What it is for, in one line.
    pub purpose: &'static str,
    /// Ids of the requirements that it proves.
    pub requirements: &'static [&'static str],
    /// The body: runs once per configuration and seed.
    ///
    /// # Errors
    /// A [`Failure`] says what broke; the runner adds how to reproduce it.
    pub run: fn(&mut Bench) -> Result<(), Failure>,
}

/// The testbench called `name`.
///
/// # Errors
/// Without one, the registered name nearest to `name`, if any is near.
pub fn find<'a>(registry: &'a [Testbench], name: &str) -> Result<&'a Testbench, Option<&'a str>> {
    registry
        .iter()
        .find(|testbench| testbench.name == name)
        .ok_or_else(|| nearest(name, registry.iter().map(|testbench| testbench.name)))
}

/// The configuration that has the planted faults.
pub const PLANTED: &str = "planted";

/// The configuration that has the generated faults.
pub const MUTATED: &str = "mutated";

/// The testbench that plants each fault itself.
pub const PLANTS: &str = "plants";

/// The fault called `id`, planted by hand or generated.
///
/// # Errors
/// What to tell who asked for it: there is none, and which name is nearest.
pub fn find_plant(id: &str) -> Result<&'static PlantInfo, String> {
    let mutants = cosim_bridge::mutants().iter().map(|mutant| &mutant.plant);
    let plants = || cosim_bridge::plants().iter().chain(mutants.clone());
    plants().find(|plant| plant.id == id).ok_or_else(|| {
        let near = nearest(id, plants().map(|plant| plant.id));
        let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        format!(
            "no planted fault is called `{id}`{hint}; rtl/sva/plants.toml and `mmu-cosim mutate --list` \
             list them"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(_: &mut Bench) -> Result<(), Failure> {
        Ok(())
    }

    const fn named(name: &'static str) -> Testbench {
        Testbench {
            name,
            purpose: "",
            requirements: &[],
            run: pass,
        }
    }

    static REGISTRY: &[Testbench] = &[
        named("permissions"),
        named("contiguous-run"),
        named("dirty-state"),
    ];

    #[test]
    fn a_known_name_is_found() {
        assert!(find(REGISTRY, "dirty-state").is_ok_and(|t| t.name == "dirty-state"));
    }

    #[test]
    fn a_typo_offers_the_nearest_name() {
        assert_eq!(
            find(REGISTRY, "permisions").err(),
            Some(Some("permissions"))
        );
        assert_eq!(find(REGISTRY, "contig").err(), Some(Some("contiguous-run")));
    }

    #[test]
    fn a_name_far_from_all_offers_none() {
        assert_eq!(find(REGISTRY, "zzz").err(), Some(None));
    }
}
