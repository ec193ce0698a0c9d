// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Each request is answered once, and the answer carries the syndrome bits that do not depend on
//! the translation.

use std::collections::BTreeMap;

use super::{Violation, Violations};
use crate::dut::ports::{CoreRequest, CoreResponse, Op, OpCode};
use crate::sim::Memory;
use crate::sim::event::{Event, EventKind, Monitor};

/// Name of this checker in reports.
pub const NAME: &str = "response";

/// Watches the request and response lanes of every core.
#[derive(Debug, Default)]
pub struct ResponseMonitor {
    waiting: BTreeMap<(u8, u16), (u64, CoreRequest)>,
}

impl ResponseMonitor {
    /// A monitor that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Monitor for ResponseMonitor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&mut self, event: &Event, _memory: &Memory, out: &mut Violations) {
        match &event.kind {
            EventKind::Issue { core, request } => {
                self.waiting
                    .insert((*core, request.id), (event.cycle, *request));
            }
            EventKind::Response {
                core,
                request,
                response,
                ..
            } => {
                let blame = |requirements: &[&str], came: String| {
                    Violation::new(event.cycle, NAME, requirements, came)
                        .on_core(*core)
                        .at_va(request.va)
                };
                if self.waiting.remove(&(*core, response.id)).is_none() {
                    let came = format!("a second answer to request #{} ({request})", response.id);
                    out.push(blame(&["SOCKET-RSP"], came).permitting("one answer a request"));
                }
                check_echo(request, response, out, &blame);
                check_syndrome(request, response, out, &blame);
            }
            _ => {}
        }
    }

    fn finish(&mut self, cycle: u64, _memory: &Memory, out: &mut Violations) {
        for ((core, id), (issued_at, request)) in &self.waiting {
            let came = format!("no answer to request #{id} ({request}) of cycle {issued_at}");
            out.push(
                Violation::new(cycle, NAME, &["SOCKET-RSP"], came)
                    .on_core(*core)
                    .at_va(request.va)
                    .permitting("one answer a request"),
            );
        }
    }
}

type Blame<'a> = &'a dyn Fn(&[&str], String) -> Violation;

fn check_echo(
    request: &CoreRequest,
    response: &CoreResponse,
    out: &mut Violations,
    blame: Blame<'_>,
) {
    if response.op != Some(request.op.code()) {
        let came = format!("answer to {request} is marked {:?}", response.op);
        out.push(blame(&["SOCKET-RSP"], came).permitting(format!("{:?}", request.op.code())));
    }
    if request.op.translates() && response.va != request.va {
        let came = format!("FAR_EL1 {:#018x}", response.va);
        out.push(
            blame(&["VMSA-52"], came)
                .permitting(format!("the address as issued, {:#018x}", request.va)),
        );
    }
}

fn check_syndrome(
    request: &CoreRequest,
    response: &CoreResponse,
    out: &mut Violations,
    blame: Blame<'_>,
) {
    let Some(fsc) = response.fault else {
        if response.wnr || response.cm || response.s1ptw {
            let bits = [response.wnr, response.cm, response.s1ptw].map(u8::from);
            let came = format!("WnR, CM, S1PTW = {bits:?} without a fault on {request}");
            out.push(blame(&["SOCKET-RSP"], came).permitting("no syndrome without a fault"));
        }
        return;
    };
    if response.s1ptw {
        let came = format!("S1PTW = 1 with {fsc}");
        out.push(blame(&["VMSA-53"], came).permitting("S1PTW = 0: there is no stage 2"));
    }
    let at = matches!(request.op, Op::At(_));
    if response.cm != at {
        let came = format!("CM = {} with {fsc} on {request}", u8::from(response.cm));
        out.push(blame(&["VMSA-51"], came).permitting(format!("CM = {}", u8::from(at))));
    }
    let permitted: &[bool] = match request.op.code() {
        // VMSA-30, VMSA-51: unknown for external aborts and 0x31; else only a Permission fault of an
        // atomic that may read says 1. The scoreboard decides which.
        OpCode::Cas => match fsc.0 {
            0x0c..=0x0f | 0x10 | 0x14..=0x17 | 0x31 => &[false, true],
            _ => &[false],
        },
        OpCode::Store | OpCode::At => &[true],
        _ => &[false],
    };
    if !permitted.contains(&response.wnr) {
        let came = format!("WnR = {} with {fsc} on {request}", u8::from(response.wnr));
        out.push(blame(&["VMSA-51"], came).permitting(format!("WnR = {}", u8::from(permitted[0]))));
    }
    if response.pa != 0 {
        let came = format!("output address {:#x} with {fsc}", response.pa);
        out.push(blame(&["SOCKET-RSP"], came).permitting("output address 0 with a fault"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::feed::{assert_fires, assert_quiet, issue, judge, response};
    use vmsa::{El, Fsc};

    fn store(id: u16) -> CoreRequest {
        CoreRequest {
            id,
            ..CoreRequest::store(0x8000, 3, El::El0, 1)
        }
    }

    fn judge_all(events: &[Event]) -> Violations {
        judge(&mut ResponseMonitor::new(), &Memory::default(), events)
    }

    #[test]
    fn one_answer_a_request_is_quiet() {
        assert_quiet(&judge_all(&[
            issue(1, store(1)),
            issue(2, store(2)),
            response(8, store(2), |_| ()),
            response(9, store(1), |r| (r.fault, r.wnr) = (Some(Fsc(7)), true)),
        ]));
    }

    #[test]
    fn a_lost_answer_fires() {
        assert_fires(&judge_all(&[issue(1, store(1))]), "SOCKET-RSP");
    }

    #[test]
    fn a_doubled_answer_fires() {
        let events = [
            issue(1, store(1)),
            response(5, store(1), |_| ()),
            response(6, store(1), |_| ()),
        ];
        assert_fires(&judge_all(&events), "SOCKET-RSP");
    }

    #[test]
    fn a_wrong_fault_address_fires() {
        let events = [issue(1, store(1)), response(5, store(1), |r| r.va = 0x9000)];
        assert_fires(&judge_all(&events), "VMSA-52");
    }

    #[test]
    fn a_store_fault_that_claims_a_read_fires() {
        let events = [
            issue(1, store(1)),
            response(5, store(1), |r| r.fault = Some(Fsc(7))),
        ];
        assert_fires(&judge_all(&events), "VMSA-51");
    }

    #[test]
    fn a_syndrome_without_a_fault_fires() {
        let events = [issue(1, store(1)), response(5, store(1), |r| r.cm = true)];
        assert_fires(&judge_all(&events), "SOCKET-RSP");
    }

    #[test]
    fn a_stage_2_syndrome_fires() {
        let events = [
            issue(1, store(1)),
            response(5, store(1), |r| {
                (r.fault, r.wnr, r.s1ptw) = (Some(Fsc(7)), true, true)
            }),
        ];
        assert_fires(&judge_all(&events), "VMSA-53");
    }
}
