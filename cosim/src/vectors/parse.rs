// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Reading vector files: JSON lines, plain or gzip, each line one scene.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use vmsa::{El, Fsc, SysReg, VaRange};

use super::error::{Defect, VectorError};
use super::field::{
    hex, hex_up_to, joined, list, member, mend_name, object, physical, small, text,
};
use super::scene::{Answer, Query, QueryOp, Run, Scene};
use crate::arch::Registers;

const SCENE_KEYS: [&str; 5] = ["scene", "regs", "mem", "queries", "after"];
const QUERY_KEYS: [&str; 7] = ["va", "el", "op", "pa", "attr", "sh", "fsc"];
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Scenes of the file at `path`.
///
/// # Errors
/// [`VectorError`] naming file, line and field.
pub fn read_scenes(path: &Path) -> Result<Vec<Scene>, VectorError> {
    let file = File::open(path).map_err(|source| unreadable(path, source))?;
    scenes_from_reader(path, file)
}

/// Scenes of `reader`, plain or gzip by its first bytes; `path` is for messages.
///
/// # Errors
/// [`VectorError`] naming file, line and field.
pub fn scenes_from_reader(path: &Path, reader: impl Read) -> Result<Vec<Scene>, VectorError> {
    let mut reader = BufReader::new(reader);
    let head = reader
        .fill_buf()
        .map_err(|source| unreadable(path, source))?;
    if head.starts_with(&GZIP_MAGIC) {
        scenes_from_lines(path, BufReader::new(MultiGzDecoder::new(reader)))
    } else {
        scenes_from_lines(path, reader)
    }
}

fn scenes_from_lines(path: &Path, reader: impl BufRead) -> Result<Vec<Scene>, VectorError> {
    let mut scenes: Vec<Scene> = Vec::new();
    for (i, line) in reader.lines().enumerate() {
        let (line, number) = (line.map_err(|source| unreadable(path, source))?, i + 1);
        if line.trim().is_empty() {
            continue;
        }
        let scene = parse_line(&line, number).map_err(|defect| defect.at(path, number))?;
        if let Some(twin) = scenes.iter().find(|other| other.name == scene.name) {
            let problem = format!(
                "{:?} is already the scene of line {}",
                scene.name, twin.line
            );
            return Err(
                Defect::new("scene", problem, "give each scene its own name").at(path, number),
            );
        }
        scenes.push(scene);
    }
    if scenes.is_empty() {
        let mend = "expected one JSON object a line, each a scene";
        return Err(Defect::new("scene", "the file holds no scene", mend).at(path, 1));
    }
    Ok(scenes)
}

fn unreadable(path: &Path, source: std::io::Error) -> VectorError {
    VectorError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

fn parse_line(line: &str, number: usize) -> Result<Scene, Defect> {
    let value: Value = serde_json::from_str(line).map_err(|error| {
        let field = format!("column {}", error.column());
        let problem = format!("not JSON: {error}");
        Defect::new(field, problem, "each line shall be one JSON object")
    })?;
    let scene = object("", &value, &SCENE_KEYS).map_err(|mut defect| {
        if defect.field.is_empty() {
            defect.field = "line".to_owned();
        }
        defect
    })?;
    let name = text("scene", member("", scene, "scene")?)?.to_owned();
    let registers = registers(member("", scene, "regs")?)?;
    let memory = runs("mem", member("", scene, "mem")?)?;
    let after = scene
        .get("after")
        .map(|value| runs("after", value))
        .transpose()?;
    let queries = list("queries", member("", scene, "queries")?)?
        .iter()
        .enumerate()
        .map(|(i, value)| query(&format!("queries[{i}]"), value, &registers))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Scene {
        name,
        line: number,
        registers,
        memory,
        queries,
        after,
    })
}

fn registers(value: &Value) -> Result<Registers, Defect> {
    let names = SysReg::ALL.map(SysReg::name);
    let object = object("regs", value, &names).map_err(|mut defect| {
        defect.problem = defect.problem.replace("unknown key", "unknown register");
        defect
    })?;
    let mut registers = Registers::default();
    for register in SysReg::ALL {
        let field = joined("regs", register.name());
        registers.set(
            register,
            hex(&field, member("regs", object, register.name())?)?,
        );
    }
    let profile_lacks = registers.sctlr.m() && registers.tcr.ds();
    if profile_lacks {
        let problem = "DS = 1 asks for LPA2 descriptors, which are not built";
        return Err(Defect::new("regs.TCR_EL1", problem, "clear bit 59"));
    }
    Ok(registers)
}

fn runs(field: &str, value: &Value) -> Result<Vec<Run>, Defect> {
    let mend = "write a run as [\"0x<address>\", [\"0x<word>\", ...]]";
    let mut runs = Vec::new();
    for (i, entry) in list(field, value)?.iter().enumerate() {
        let field = format!("{field}[{i}]");
        let [address, words] = list(&field, entry)? else {
            return Err(Defect::new(field, "not a pair of address and words", mend));
        };
        let at = format!("{field}[0]");
        let address = physical(&at, address)?;
        if address % 8 != 0 {
            let problem = format!("{address:#x} is not a multiple of 8");
            return Err(Defect::new(at, problem, "begin each run at a 64-bit word"));
        }
        let words = list(&format!("{field}[1]"), words)?
            .iter()
            .enumerate()
            .map(|(j, word)| hex(&format!("{field}[1][{j}]"), word))
            .collect::<Result<Vec<_>, _>>()?;
        let end = address + 8 * words.len() as u64;
        if end > 1 << 48 {
            let problem = format!("the run ends at {end:#x}, beyond 48 bits");
            return Err(Defect::new(field, problem, "shorten the run"));
        }
        runs.push(Run { address, words });
    }
    Ok(runs)
}

fn query(field: &str, value: &Value, registers: &Registers) -> Result<Query, Defect> {
    let object = object(field, value, &QUERY_KEYS)?;
    let get = |key| member(field, object, key);
    let at = |key| joined(field, key);
    let va = hex(&at("va"), get("va")?)?;
    let el = match small(&at("el"), get("el")?, &[0, 1])? {
        0 => El::El0,
        _ => El::El1,
    };
    let letter = text(&at("op"), get("op")?)?;
    let op = QueryOp::from_letter(letter).ok_or_else(|| {
        Defect::new(
            at("op"),
            format!("unknown operation {letter:?}"),
            mend_name(letter, &["r", "w", "x"]),
        )
    })?;
    if op == QueryOp::Execute && va % 4 != 0 {
        let problem = format!("{va:#x} is not a multiple of 4");
        return Err(Defect::new(
            at("va"),
            problem,
            "an instruction begins at a multiple of 4",
        ));
    }
    known_granule(registers, va)?;
    let expected = if let Some(fsc) = object.get("fsc") {
        if let Some(extra) = ["pa", "attr", "sh"]
            .into_iter()
            .find(|key| object.contains_key(*key))
        {
            let mend = "a query has either fsc or pa, attr and sh";
            return Err(Defect::new(at(extra), "stands next to fsc", mend));
        }
        let code = Fsc(hex_up_to(&at("fsc"), fsc, 0x3f)? as u8);
        if code.decode().is_none() {
            let problem = format!("{:#04x} is not a fault of stage 1", code.0);
            return Err(Defect::new(
                at("fsc"),
                problem,
                "see the syndrome table, section 8 of vmsa.md",
            ));
        }
        Answer::Fault(code)
    } else {
        Answer::Translated {
            pa: physical(&at("pa"), get("pa")?)?,
            attr: hex_up_to(&at("attr"), get("attr")?, 0xff)? as u8,
            sh: small(&at("sh"), get("sh")?, &[0, 2, 3])? as u8,
        }
    };
    Ok(Query {
        va,
        el,
        op,
        expected,
    })
}

/// Vectors hold nothing that the architecture leaves open: a query to a range that is walked shall
/// find a granule in TGx.
fn known_granule(registers: &Registers, va: u64) -> Result<(), Defect> {
    let (range, tcr) = (VaRange::of(va), registers.tcr);
    if !registers.sctlr.m() || tcr.epd(range) || tcr.granule(range).is_some() {
        return Ok(());
    }
    let (x, code) = (range.number(), tcr.tg(range));
    let mend = match range {
        VaRange::Lower => "set bits 15:14 to 00 (4K), 01 (64K) or 10 (16K)",
        VaRange::Upper => "set bits 31:30 to 01 (16K), 10 (4K) or 11 (64K)",
    };
    let problem = format!("TG{x} = {code:#04b} names no granule");
    Err(Defect::new("regs.TCR_EL1", problem, mend))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
