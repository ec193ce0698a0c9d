// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The variables of a transaction file and how a value of each is written.

use std::io::{self, Write};

use vcd::{IdCode, Value, VarType, Writer};

/// A vector variable.
#[derive(Debug, Clone, Copy)]
pub struct Bits {
    id: IdCode,
    width: u32,
}

impl Bits {
    /// Declares `name`, `width` bits wide.
    pub fn declare<W: Write>(out: &mut Writer<W>, name: &str, width: u32) -> io::Result<Self> {
        Ok(Self {
            id: out.add_wire(width, name)?,
            width,
        })
    }

    /// Writes `value`.
    pub fn set<W: Write>(self, out: &mut Writer<W>, value: u64) -> io::Result<()> {
        let bit = |place: u32| {
            if value >> place & 1 == 1 {
                Value::V1
            } else {
                Value::V0
            }
        };
        if self.width == 1 {
            return out.change_scalar(self.id, bit(0));
        }
        out.change_vector(self.id, (0..self.width).rev().map(bit))
    }

    /// Marks the value unknown.
    pub fn clear<W: Write>(self, out: &mut Writer<W>) -> io::Result<()> {
        if self.width == 1 {
            return out.change_scalar(self.id, Value::V0);
        }
        out.change_vector(self.id, (0..self.width).map(|_| Value::X))
    }
}

/// A text variable.
#[derive(Debug, Clone, Copy)]
pub struct Text(IdCode);

impl Text {
    /// Declares `name`.
    pub fn declare<W: Write>(out: &mut Writer<W>, name: &str) -> io::Result<Self> {
        Ok(Self(out.add_var(VarType::String, 1, name, None)?))
    }

    /// Writes `value`. A space would end the value in a VCD file, so words are joined by `_`.
    pub fn set<W: Write>(self, out: &mut Writer<W>, value: &str) -> io::Result<()> {
        out.change_string(self.0, &value.replace(char::is_whitespace, "_"))
    }
}

/// A group of variables that belong to one kind of transaction of one place.
#[derive(Debug)]
pub struct Lane {
    /// High for the one cycle of the transaction.
    pub valid: Bits,
    /// The transaction in words.
    pub text: Text,
    /// Its numbers.
    pub bits: Vec<Bits>,
}

impl Lane {
    /// Declares the scope `name` with `valid`, `text` and the given vectors.
    pub fn declare<W: Write>(
        out: &mut Writer<W>,
        name: &str,
        vectors: &[(&str, u32)],
    ) -> io::Result<Self> {
        out.add_module(name)?;
        let valid = Bits::declare(out, "valid", 1)?;
        let text = Text::declare(out, "text")?;
        let bits = vectors
            .iter()
            .map(|(name, width)| Bits::declare(out, name, *width))
            .collect::<io::Result<_>>()?;
        out.upscope()?;
        Ok(Self { valid, text, bits })
    }

    /// Writes the values before the first transaction.
    pub fn clear<W: Write>(&self, out: &mut Writer<W>) -> io::Result<()> {
        self.valid.clear(out)?;
        self.text.set(out, "-")?;
        self.bits.iter().try_for_each(|bits| bits.clear(out))
    }

    /// Writes one transaction; `values` in the order of the declaration.
    pub fn set<W: Write>(&self, out: &mut Writer<W>, text: &str, values: &[u64]) -> io::Result<()> {
        self.valid.set(out, 1)?;
        self.text.set(out, text)?;
        self.bits
            .iter()
            .zip(values)
            .try_for_each(|(bits, &value)| bits.set(out, value))
    }
}
