// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Converts a waveform from FST to VCD.
//!
//! A verilated model can contain the code for only one of the two formats, and FST is the one worth
//! having; whoever wants text pays for the conversion.

use fst_reader::{
    FstFilter, FstHierarchyEntry, FstReader, FstScopeType, FstSignalValue, FstVarType,
};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use vcd::{IdCode, ReferenceIndex, ScopeType, TimescaleUnit, Value, VarType, Writer};

/// Converts the whole file. Errors are texts, without the path.
pub fn fst_to_vcd(fst: &Path, vcd: &Path) -> Result<(), String> {
    let input = File::open(fst).map_err(|e| e.to_string())?;
    let mut reader = FstReader::open(BufReader::new(input)).map_err(|e| e.to_string())?;
    let output = File::create(vcd).map_err(|e| e.to_string())?;
    let mut writer = Writer::new(BufWriter::new(output));
    let widths = write_header(&mut reader, &mut writer)?;
    write_changes(&mut reader, &mut writer, &widths)?;
    writer.flush().map_err(|e| e.to_string())
}

/// A signal of the VCD file.
#[derive(Clone, Copy)]
struct Signal {
    id: IdCode,
    width: u32,
}

type Input = FstReader<BufReader<File>>;

/// Writes scopes and variables; returns the signals by the index of their FST handle.
fn write_header(
    reader: &mut Input,
    writer: &mut Writer<impl Write>,
) -> Result<Vec<Option<Signal>>, String> {
    let exponent = reader.get_header().timescale_exponent;
    let (factor, unit) = timescale(exponent).ok_or_else(|| format!("time unit 10^{exponent} s"))?;
    writer.timescale(factor, unit).map_err(|e| e.to_string())?;

    let mut signals: Vec<Option<Signal>> = Vec::new();
    let mut next_id = IdCode::FIRST;
    let mut failure = None;
    let read = reader.read_hierarchy(|entry| {
        let written = match entry {
            FstHierarchyEntry::Scope { tpe, name, .. } => writer.scope_def(scope_type(tpe), &name),
            FstHierarchyEntry::UpScope => writer.upscope(),
            FstHierarchyEntry::Var {
                tpe,
                name,
                length,
                handle,
                ..
            } => {
                let index = handle.get_index();
                if signals.len() <= index {
                    signals.resize(index + 1, None);
                }
                let signal = *signals[index].get_or_insert_with(|| {
                    let signal = Signal {
                        id: next_id,
                        width: length,
                    };
                    next_id = next_id.next();
                    signal
                });
                let (name, range) = split_range(&name);
                writer.var_def(var_type(tpe), length, signal.id, name, range)
            }
            _ => Ok(()),
        };
        if let Err(e) = written {
            failure.get_or_insert(e.to_string());
        }
    });
    read.map_err(|e| e.to_string())?;
    match failure {
        Some(e) => Err(e),
        None => writer
            .enddefinitions()
            .map_err(|e| e.to_string())
            .map(|()| signals),
    }
}

fn write_changes(
    reader: &mut Input,
    writer: &mut Writer<impl Write>,
    signals: &[Option<Signal>],
) -> Result<(), String> {
    let mut now = None;
    reader
        .read_signals(
            &FstFilter::all(),
            |time, handle, value| -> std::io::Result<()> {
                let Some(Some(signal)) = signals.get(handle.get_index()) else {
                    return Ok(());
                };
                if now != Some(time) {
                    now = Some(time);
                    writer.timestamp(time)?;
                }
                match value {
                    FstSignalValue::String(bits) if signal.width == 1 => {
                        writer.change_scalar(signal.id, bit(bits.first().copied().unwrap_or(b'x')))
                    }
                    FstSignalValue::String(bits) => {
                        writer.change_vector(signal.id, bits.iter().map(|b| bit(*b)))
                    }
                    FstSignalValue::Real(real) => writer.change_real(signal.id, real),
                }
            },
        )
        .map_err(|e| e.to_string())
}

fn bit(character: u8) -> Value {
    match character {
        b'0' => Value::V0,
        b'1' => Value::V1,
        b'z' | b'Z' => Value::Z,
        _ => Value::X,
    }
}

fn timescale(exponent: i8) -> Option<(u32, TimescaleUnit)> {
    let unit = match exponent.div_euclid(3) {
        0 => TimescaleUnit::S,
        -1 => TimescaleUnit::MS,
        -2 => TimescaleUnit::US,
        -3 => TimescaleUnit::NS,
        -4 => TimescaleUnit::PS,
        -5 => TimescaleUnit::FS,
        _ => return None,
    };
    Some((10u32.pow(exponent.rem_euclid(3) as u32), unit))
}

/// VCD has no scopes for packages and structs; older readers reject them.
fn scope_type(fst: FstScopeType) -> ScopeType {
    match fst {
        FstScopeType::Task => ScopeType::Task,
        FstScopeType::Function => ScopeType::Function,
        FstScopeType::Begin | FstScopeType::Generate => ScopeType::Begin,
        FstScopeType::Fork => ScopeType::Fork,
        _ => ScopeType::Module,
    }
}

fn var_type(fst: FstVarType) -> VarType {
    match fst {
        FstVarType::Integer | FstVarType::Int => VarType::Integer,
        FstVarType::Parameter => VarType::Parameter,
        FstVarType::Real | FstVarType::RealParameter | FstVarType::ShortReal => VarType::Real,
        FstVarType::Reg | FstVarType::Logic | FstVarType::Bit => VarType::Reg,
        _ => VarType::Wire,
    }
}

/// FST keeps a range in the name: "core_rsp_o [255:0]".
fn split_range(name: &str) -> (&str, Option<ReferenceIndex>) {
    match name.rsplit_once(' ') {
        Some((base, range)) => match range.parse() {
            Ok(index) => (base, Some(index)),
            Err(_) => (name, None),
        },
        None => (name, None),
    }
}
