// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Requests in stimulus files: an operation by its name, and the operands that it has.

use serde::{Deserialize, Serialize};
use vmsa::{DsbKind, El, SysReg, Tlbi, TlbiOp, TlbiScope};

use crate::dut::ports::{CoreRequest, Op};
use crate::vectors::field::parse_hex;

/// A request as written: numbers in hex, operands that an operation does not have left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestText {
    /// `load`, `store`, `cas`, `fetch`, `at-read`, `at-write`, `isb`; or as assembly writes it:
    /// `TLBI VAE1IS`, `DSB ISH`, `MSR TTBR0_EL1`.
    op: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    id: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    va: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    el: Option<u8>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pan: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compare: Option<String>,
}

fn is_zero(id: &u16) -> bool {
    *id == 0
}

/// `value` in hex.
pub fn hex(value: u64) -> String {
    format!("{value:#x}")
}

/// The number that `text` writes in hex.
///
/// # Errors
/// What is wrong with it.
pub fn number(text: &str) -> Result<u64, String> {
    parse_hex(text).map_err(|(problem, mend)| format!("{problem}; {mend}"))
}

/// Every form of TLBI, by its name in assembly.
fn tlbi_named(name: &str) -> Option<(TlbiOp, TlbiScope)> {
    let scopes = [
        TlbiScope::Local,
        TlbiScope::InnerShareable,
        TlbiScope::OuterShareable,
    ];
    TlbiOp::ALL
        .into_iter()
        .flat_map(|op| scopes.map(|scope| (op, scope)))
        .find(|&(op, scope)| tlbi_name(op, scope) == name)
}

/// `TLBI` and the name of the form.
fn tlbi_name(op: TlbiOp, scope: TlbiScope) -> String {
    let tlbi = Tlbi {
        op,
        scope,
        operand: 0,
    };
    let text = tlbi.to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

impl RequestText {
    /// `request` as written.
    pub fn of(request: &CoreRequest) -> Self {
        let data = (request.data != 0).then(|| hex(request.data));
        let access = |op: &str| Self {
            op: op.to_owned(),
            id: request.id,
            va: Some(hex(request.va)),
            bytes: Some(1 << request.size),
            el: Some(u8::from(request.el == El::El1)),
            pan: request.pan,
            data: data.clone(),
            compare: (request.compare != 0).then(|| hex(request.compare)),
        };
        let plain = |op: String, operand: Option<u64>| Self {
            op,
            id: request.id,
            data: operand.map(hex),
            el: (request.el == El::El0).then_some(0),
            ..Self::default()
        };
        match request.op {
            Op::Load => access("load"),
            Op::Store => access("store"),
            Op::Cas => access("cas"),
            Op::Fetch => access("fetch"),
            Op::At(false) => access("at-read"),
            Op::At(true) => access("at-write"),
            Op::Tlbi(tlbi) => plain(tlbi_name(tlbi.op, tlbi.scope), Some(tlbi.operand)),
            Op::Dsb(kind) => plain(kind.to_string(), None),
            Op::Isb => plain("isb".to_owned(), None),
            Op::Msr(register) => plain(format!("MSR {register}"), Some(request.data)),
        }
    }

    /// The request that is written.
    ///
    /// # Errors
    /// What is wrong, and how to write it.
    pub fn request(&self) -> Result<CoreRequest, String> {
        let operand = |text: &Option<String>| text.as_deref().map_or(Ok(0), number);
        let (va, data) = (operand(&self.va)?, operand(&self.data)?);
        let size = match self.bytes.unwrap_or(8) {
            1 => 0,
            2 => 1,
            4 => 2,
            8 => 3,
            other => return Err(format!("bytes {other}: write 1, 2, 4 or 8")),
        };
        let el = match self.el.unwrap_or(1) {
            0 => El::El0,
            1 => El::El1,
            other => return Err(format!("el {other}: write 0 or 1")),
        };
        let op = match self.op.as_str() {
            "load" => Op::Load,
            "store" => Op::Store,
            "cas" => Op::Cas,
            "fetch" => Op::Fetch,
            "at-read" => Op::At(false),
            "at-write" => Op::At(true),
            "isb" => Op::Isb,
            other => self.instruction(other, data)?,
        };
        Ok(CoreRequest {
            id: self.id,
            va,
            size,
            el,
            pan: self.pan,
            data,
            compare: operand(&self.compare)?,
            ..CoreRequest::new(op)
        })
    }

    fn instruction(&self, name: &str, operand: u64) -> Result<Op, String> {
        if let Some((op, scope)) = tlbi_named(name) {
            return Ok(Op::Tlbi(Tlbi { op, scope, operand }));
        }
        let barrier = DsbKind::ALL
            .into_iter()
            .find(|kind| kind.to_string() == name);
        if let Some(kind) = barrier {
            return Ok(Op::Dsb(kind));
        }
        let register = name.strip_prefix("MSR ").and_then(|name| {
            SysReg::ALL
                .into_iter()
                .find(|register| register.to_string() == name)
        });
        register.map(Op::Msr).ok_or_else(|| {
            format!(
                "no operation is called {name:?}; there are load, store, cas, fetch, at-read, at-write, \
                 isb, \"TLBI ...\", \"DSB ...\" and \"MSR ...\""
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmsa::Granule;

    #[test]
    fn every_operation_comes_back_as_it_was_written() {
        let scopes = [
            TlbiScope::Local,
            TlbiScope::InnerShareable,
            TlbiScope::OuterShareable,
        ];
        let invalidations = TlbiOp::ALL.into_iter().flat_map(|op| {
            scopes.map(|scope| {
                CoreRequest::tlbi(Tlbi {
                    op,
                    scope,
                    operand: 0x1_2345,
                })
            })
        });
        let range = Tlbi::rvae1(
            TlbiScope::Local,
            Granule::K64,
            0x1000_0000,
            2,
            7,
            Some(2),
            9,
        );
        let accesses = [
            CoreRequest::load(0xffff_0000_0000_0fff, 1, El::El0),
            CoreRequest {
                pan: true,
                ..CoreRequest::store(8, 2, El::El1, 7)
            },
            CoreRequest::cas(16, El::El0, 1, 2),
            CoreRequest::fetch(0x40, El::El1),
            CoreRequest::at(0x40, El::El1, true, true),
            CoreRequest::at(0x40, El::El0, false, false),
            CoreRequest::isb(),
            CoreRequest::tlbi(range),
        ];
        let barriers = DsbKind::ALL.map(CoreRequest::dsb);
        let registers = SysReg::ALL.map(|register| CoreRequest::msr(register, 0xabc));
        let all = accesses.into_iter().chain(barriers).chain(registers);
        for request in all.chain(invalidations) {
            let text = serde_json::to_string(&RequestText::of(&request)).expect("text");
            let back: RequestText = serde_json::from_str(&text).expect("what was written");
            assert_eq!(back.request(), Ok(request), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_a_request_says_how_to_write_it() {
        for (text, part) in [
            (r#"{"op":"lod"}"#, "load, store"),
            (r#"{"op":"TLBI VAE9"}"#, "no operation"),
            (r#"{"op":"load","bytes":3}"#, "1, 2, 4 or 8"),
            (r#"{"op":"load","el":2}"#, "0 or 1"),
            (r#"{"op":"load","va":"12"}"#, "0x"),
        ] {
            let text: RequestText = serde_json::from_str(text).expect("an object");
            let error = text.request().expect_err("not a request");
            assert!(error.contains(part), "{error}");
        }
    }
}
