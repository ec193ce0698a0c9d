// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Configuration straps as people write them: `name=value`.

use super::strap::{Delays, Straps};
use crate::vectors::field::mend_name;

/// The straps with what they take.
const NAMES: [&str; 15] = [
    "itlb",
    "dtlb",
    "contiguous",
    "hafdbs",
    "asid8",
    "l2-ways",
    "l2-sets",
    "walk-caches",
    "walkers",
    "prefetch",
    "ets",
    "bbml",
    "conflict-abort",
    "delay",
    "delay-seed",
];

/// `straps` with every `name=value` of `settings` applied.
///
/// # Errors
/// What is wrong with the first bad setting, and how to write it.
pub fn apply(mut straps: Straps, settings: &[String]) -> Result<Straps, String> {
    for setting in settings {
        let Some((name, value)) = setting.split_once('=') else {
            return Err(format!(
                "{setting}: write it as name=value, such as contiguous=off"
            ));
        };
        match name {
            "itlb" => straps.itlb_entries = Some(number(setting, value, 1, u8::MAX)?),
            "dtlb" => straps.dtlb_entries = Some(number(setting, value, 1, u8::MAX)?),
            "contiguous" => straps.contiguous = switch(setting, value)?,
            "hafdbs" => straps.hafdbs = number(setting, value, 0, 2)?,
            "asid8" => straps.asid8 = switch(setting, value)?,
            "l2-ways" => straps.l2_ways = Some(number(setting, value, 0, 7)?),
            "l2-sets" => straps.l2_sets_log2 = Some(number(setting, value, 0, 15)?),
            "walk-caches" => straps.walk_caches = switch(setting, value)?,
            "walkers" => straps.walkers = Some(number(setting, value, 1, 7)?),
            "prefetch" => straps.prefetch = switch(setting, value)?,
            "ets" => straps.ets = ets(setting, value)?,
            "bbml" => straps.bbml = number(setting, value, 0, 2)?,
            "conflict-abort" => straps.conflict_abort = switch(setting, value)?,
            "delay" => straps.delay = delays(setting, value)?,
            "delay-seed" => straps.delay_seed = number(setting, value, 0, u16::MAX)?,
            _ => {
                let mend = mend_name(name, &NAMES);
                return Err(format!("{setting}: no strap is called {name:?}; {mend}"));
            }
        }
    }
    Ok(straps)
}

/// The settings that make `straps` out of the default ones: what [`apply`] takes.
#[must_use]
pub fn settings(straps: &Straps) -> Vec<String> {
    let default = Straps::default();
    let switch = |on: bool| if on { "on" } else { "off" }.to_owned();
    let part = |part: Option<u8>| part.map(|part| part.to_string());
    let mut settings = Vec::new();
    let mut given = |name: &str, value: Option<String>| {
        settings.extend(value.map(|value| format!("{name}={value}")));
    };
    given("itlb", part(straps.itlb_entries));
    given("dtlb", part(straps.dtlb_entries));
    given("l2-ways", part(straps.l2_ways));
    given("l2-sets", part(straps.l2_sets_log2));
    given("walkers", part(straps.walkers));
    for (name, own, other) in [
        ("contiguous", straps.contiguous, default.contiguous),
        ("asid8", straps.asid8, default.asid8),
        ("walk-caches", straps.walk_caches, default.walk_caches),
        ("prefetch", straps.prefetch, default.prefetch),
        (
            "conflict-abort",
            straps.conflict_abort,
            default.conflict_abort,
        ),
    ] {
        given(name, (own != other).then(|| switch(own)));
    }
    for (name, own, other) in [
        ("hafdbs", straps.hafdbs, default.hafdbs),
        ("ets", straps.ets, default.ets),
        ("bbml", straps.bbml, default.bbml),
    ] {
        given(name, (own != other).then(|| own.to_string()));
    }
    if straps.delay != default.delay {
        let channels = Delays::CHANNELS
            .iter()
            .filter(|(_, channel)| straps.delay.bits() & channel.bits() != 0);
        let names: Vec<_> = channels.map(|(name, _)| *name).collect();
        given("delay", Some(names.join("+")));
    }
    if straps.delay_seed != default.delay_seed {
        given("delay-seed", Some(straps.delay_seed.to_string()));
    }
    settings
}

fn ets(setting: &str, value: &str) -> Result<u8, String> {
    match value {
        "0" => Ok(0),
        "2" => Ok(2),
        _ => Err(format!("{setting}: {value:?} is neither 0 nor 2")),
    }
}

fn delays(setting: &str, value: &str) -> Result<Delays, String> {
    match value {
        "all" => return Ok(Delays::ALL),
        "none" => return Ok(Delays::NONE),
        _ => {}
    }
    let names = Delays::CHANNELS.map(|(name, _)| name);
    value.split('+').try_fold(Delays::NONE, |delays, name| {
        let channel = Delays::CHANNELS.iter().find(|(known, _)| *known == name);
        channel
            .map(|&(_, channel)| delays.with(channel))
            .ok_or_else(|| {
                let mend = mend_name(name, &names);
                format!("{setting}: no channel is called {name:?}; {mend}")
            })
    })
}

fn switch(setting: &str, value: &str) -> Result<bool, String> {
    match value {
        "on" | "1" => Ok(true),
        "off" | "0" => Ok(false),
        _ => Err(format!("{setting}: {value:?} is neither on nor off")),
    }
}

fn number<N>(setting: &str, value: &str, low: N, high: N) -> Result<N, String>
where
    N: Copy + std::str::FromStr + PartialOrd + std::fmt::Display,
{
    match value.parse() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(format!(
            "{setting}: {value:?} is not a number from {low} to {high}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply_one(setting: &str) -> Result<Straps, String> {
        apply(Straps::default(), &[setting.to_owned()])
    }

    #[test]
    fn settings_reach_their_strap() {
        let straps = apply(
            Straps::default(),
            &[
                "contiguous=off",
                "hafdbs=1",
                "asid8=on",
                "itlb=2",
                "dtlb=3",
                "l2-ways=0",
                "l2-sets=3",
                "walk-caches=off",
                "walkers=2",
                "prefetch=on",
                "ets=0",
                "bbml=1",
                "conflict-abort=on",
                "delay=miss+dvm",
                "delay-seed=300",
            ]
            .map(String::from),
        );
        let expected = Straps {
            itlb_entries: Some(2),
            dtlb_entries: Some(3),
            contiguous: false,
            hafdbs: 1,
            asid8: true,
            l2_ways: Some(0),
            l2_sets_log2: Some(3),
            walk_caches: false,
            walkers: Some(2),
            prefetch: true,
            ets: 0,
            bbml: 1,
            conflict_abort: true,
            delay: Delays::MISS.with(Delays::DVM),
            delay_seed: 300,
        };
        assert_eq!(straps, Ok(expected));
        assert_eq!(
            apply(Straps::default(), &settings(&expected)),
            Ok(expected),
            "and back"
        );
        assert!(settings(&Straps::default()).is_empty());
    }

    #[test]
    fn bad_settings_say_how_to_write_them() {
        for (setting, part) in [
            ("contiguous", "name=value"),
            ("contigous=off", "did you mean \"contiguous\"?"),
            ("contiguous=no", "neither on nor off"),
            ("hafdbs=3", "from 0 to 2"),
            ("itlb=0", "from 1 to 255"),
            ("ets=1", "neither 0 nor 2"),
            ("delay=mis", "did you mean \"miss\"?"),
            ("delay-seed=70000", "from 0 to 65535"),
        ] {
            let error = apply_one(setting).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
