// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Single fields of a scene: numbers as hex strings, small integers, and keys with a nearest name.

use serde_json::{Map, Value};

use super::error::Defect;
use crate::nearest::nearest;

/// Bits of physical address in this project's profile.
const PA_BITS: u32 = 48;

/// How to mend an unknown `name`: the nearest known one, and all of them.
#[must_use]
pub fn mend_name(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}? Known: {}", known.join(", ")),
        None => format!("known: {}", known.join(", ")),
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text,
    }
}

/// The object `value`, none of whose keys is outside `known`.
pub fn object<'a>(
    field: &str,
    value: &'a Value,
    known: &[&str],
) -> Result<&'a Map<String, Value>, Defect> {
    let object = value.as_object().ok_or_else(|| {
        let problem = format!("{} is not an object", shown(value));
        Defect::new(field, problem, "write it as {\"key\": value, ...}")
    })?;
    for key in object.keys() {
        if !known.contains(&key.as_str()) {
            let problem = format!("unknown key {key:?}");
            return Err(Defect::new(
                joined(field, key),
                problem,
                mend_name(key, known),
            ));
        }
    }
    Ok(object)
}

/// The member `key` of the object at `field`.
pub fn member<'a>(
    field: &str,
    object: &'a Map<String, Value>,
    key: &str,
) -> Result<&'a Value, Defect> {
    object
        .get(key)
        .ok_or_else(|| Defect::new(joined(field, key), "missing", format!("add {key:?}")))
}

/// `field.key`; top-level keys stand alone.
#[must_use]
pub fn joined(field: &str, key: &str) -> String {
    if field.is_empty() {
        key.to_owned()
    } else {
        format!("{field}.{key}")
    }
}

/// The list `value`.
pub fn list<'a>(field: &str, value: &'a Value) -> Result<&'a [Value], Defect> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| {
        Defect::new(
            field,
            format!("{} is not a list", shown(value)),
            "write it as [...]",
        )
    })
}

/// The text `value`.
pub fn text<'a>(field: &str, value: &'a Value) -> Result<&'a str, Defect> {
    value.as_str().ok_or_else(|| {
        Defect::new(
            field,
            format!("{} is not a string", shown(value)),
            "put it in quotes",
        )
    })
}

/// Parses `0x` and 1 to 16 hex digits.
///
/// # Errors
/// What is wrong with `text`, and how to write it.
pub fn parse_hex(text: &str) -> Result<u64, (String, String)> {
    let mend = "write 0x and up to 16 hex digits, such as 0xffff800008001000".to_owned();
    let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) else {
        return Err((format!("{text:?} does not begin with 0x"), mend));
    };
    if digits.is_empty() {
        return Err((format!("{text:?} has no digits"), mend));
    }
    if let Some(bad) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
        return Err((
            format!("{text:?} has {bad:?}, which is not a hex digit"),
            mend,
        ));
    }
    u64::from_str_radix(digits, 16).map_err(|_| (format!("{text:?} exceeds 64 bits"), mend))
}

/// The 64-bit number `value`, a hex string.
pub fn hex(field: &str, value: &Value) -> Result<u64, Defect> {
    let Some(text) = value.as_str() else {
        let problem = format!("{} is not a hex string", shown(value));
        return Err(Defect::new(
            field,
            problem,
            "write numbers as strings, such as \"0x1f\"",
        ));
    };
    parse_hex(text).map_err(|(problem, mend)| Defect::new(field, problem, mend))
}

/// A hex string of at most `max`.
pub fn hex_up_to(field: &str, value: &Value, max: u64) -> Result<u64, Defect> {
    match hex(field, value)? {
        number if number <= max => Ok(number),
        number => {
            let problem = format!("{number:#x} is too large");
            Err(Defect::new(field, problem, format!("use at most {max:#x}")))
        }
    }
}

/// A physical address.
pub fn physical(field: &str, value: &Value) -> Result<u64, Defect> {
    hex_up_to(field, value, (1 << PA_BITS) - 1)
}

/// The small JSON integer `value`, one of `allowed`.
pub fn small(field: &str, value: &Value, allowed: &[u64]) -> Result<u64, Defect> {
    match value.as_u64() {
        Some(number) if allowed.contains(&number) => Ok(number),
        _ => {
            let list: Vec<_> = allowed.iter().map(u64::to_string).collect();
            let problem = format!("{} is not allowed", shown(value));
            Err(Defect::new(
                field,
                problem,
                format!("use one of {}", list.join(", ")),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hex_round_trips(number in any::<u64>()) {
            prop_assert_eq!(parse_hex(&format!("{number:#x}")), Ok(number));
        }

        #[test]
        fn hex_never_panics(text in ".*") {
            let _ = parse_hex(&text);
        }
    }
}
