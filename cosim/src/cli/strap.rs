// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Configuration straps as written on the command line: `name=value`.

use crate::dut::ports::Straps;
use crate::vectors::field::mend_name;

const NAMES: [&str; 5] = [
    "contiguous",
    "hafdbs",
    "asid8",
    "itlb_entries",
    "dtlb_entries",
];

/// `straps` with every `name=value` of `settings` applied.
///
/// # Errors
/// What is wrong with the first bad setting, and how to write it.
pub fn apply(mut straps: Straps, settings: &[String]) -> Result<Straps, String> {
    for setting in settings {
        let Some((name, value)) = setting.split_once('=') else {
            return Err(format!(
                "--strap {setting}: write it as name=value, such as contiguous=off"
            ));
        };
        match name {
            "contiguous" => straps.contiguous = switch(setting, value)?,
            "asid8" => straps.asid8 = switch(setting, value)?,
            "hafdbs" => straps.hafdbs = number(setting, value, 0, 2)?,
            "itlb_entries" => straps.itlb_entries = Some(number(setting, value, 1, u8::MAX)?),
            "dtlb_entries" => straps.dtlb_entries = Some(number(setting, value, 1, u8::MAX)?),
            _ => {
                let mend = mend_name(name, &NAMES);
                return Err(format!(
                    "--strap {setting}: no strap is called {name:?}; {mend}"
                ));
            }
        }
    }
    Ok(straps)
}

fn switch(setting: &str, value: &str) -> Result<bool, String> {
    match value {
        "on" | "1" => Ok(true),
        "off" | "0" => Ok(false),
        _ => Err(format!(
            "--strap {setting}: {value:?} is neither on nor off"
        )),
    }
}

fn number(setting: &str, value: &str, low: u8, high: u8) -> Result<u8, String> {
    match value.parse() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(format!(
            "--strap {setting}: {value:?} is not a number from {low} to {high}"
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
                "itlb_entries=2",
                "dtlb_entries=3",
            ]
            .map(String::from),
        );
        let expected = Straps {
            itlb_entries: Some(2),
            dtlb_entries: Some(3),
            contiguous: false,
            hafdbs: 1,
            asid8: true,
            ..Straps::default()
        };
        assert_eq!(straps, Ok(expected));
    }

    #[test]
    fn bad_settings_say_how_to_write_them() {
        for (setting, part) in [
            ("contiguous", "name=value"),
            ("contigous=off", "did you mean \"contiguous\"?"),
            ("contiguous=no", "neither on nor off"),
            ("hafdbs=3", "from 0 to 2"),
            ("itlb_entries=0", "from 1 to 255"),
        ] {
            let error = apply_one(setting).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
