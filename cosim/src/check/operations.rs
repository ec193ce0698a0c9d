// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The TLB invalidations on their way: which operation an observed effect, message or answer belongs
//! to.

use std::collections::VecDeque;
use std::rc::Rc;

use vmsa::{El, Tlbi, TlbiScope};

use super::registers::Registers;
use crate::dut::ports::{DvmEvent, Invalidation, Op};
use crate::sim::event::{Event, EventKind};

/// Broadcast operations remembered a core: the tag that names one has eight bits.
const REMEMBERED: usize = 256;

/// One operation that has an effect.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Core that issued it.
    pub source: u8,
    /// Whether it reaches that core only.
    pub local: bool,
    /// Its number among the operations of its core that go as far.
    pub number: u64,
    /// What it names.
    pub tlbi: Tlbi,
    /// The issuing core's registers that could be in force.
    pub registers: Rc<Registers>,
    /// Cycle of its issue.
    pub issued_at: u64,
}

#[derive(Debug)]
struct Broadcast {
    operation: Rc<Operation>,
    /// Cores on which it took effect, one bit each.
    effects: u64,
}

/// The operations of one core.
#[derive(Debug, Default)]
struct Issuer {
    /// Numbers given so far to broadcast and to local operations.
    issued: [u64; 2],
    broadcast: VecDeque<Broadcast>,
    local: VecDeque<Rc<Operation>>,
    /// Broadcast operations sent so far.
    sent: u64,
    /// Broadcast operations that the last SYNC covers.
    synced: u64,
}

/// The operations of every core.
#[derive(Debug, Default)]
pub struct Operations {
    issuers: Vec<Issuer>,
}

impl Operations {
    /// Follows issues and messages. `registers` are those of the core that the event is about.
    pub fn event(&mut self, event: &Event, registers: Option<&Rc<Registers>>) {
        match &event.kind {
            EventKind::Issue { core, request } => {
                let Op::Tlbi(tlbi) = request.op else { return };
                // TLBI-14, TLBI-09: with EL0 attributes or without a granule it does nothing.
                let nothing = tlbi.range().is_some_and(|range| range.granule.is_none());
                if request.el != El::El1 || nothing {
                    return;
                }
                let local = tlbi.scope == TlbiScope::Local;
                let issuer = self.issuer(*core);
                let next = &mut issuer.issued[usize::from(local)];
                let operation = Rc::new(Operation {
                    source: *core,
                    local,
                    number: *next,
                    tlbi,
                    registers: registers.cloned().unwrap_or_default(),
                    issued_at: event.cycle,
                });
                *next += 1;
                if local {
                    issuer.local.push_back(operation);
                } else {
                    if issuer.broadcast.len() == REMEMBERED {
                        issuer.broadcast.pop_front();
                    }
                    issuer.broadcast.push_back(Broadcast {
                        operation,
                        effects: 0,
                    });
                }
            }
            EventKind::Dvm { core, event } => self.message(*core, event),
            _ => {}
        }
    }

    fn message(&mut self, core: u8, event: &DvmEvent) {
        let issuer = self.issuer(core);
        issuer.sent += u64::from(event.inv_sent.is_some());
        if event.sync_sent {
            issuer.synced = issuer.sent;
        }
    }

    fn issuer(&mut self, core: u8) -> &mut Issuer {
        let index = usize::from(core);
        if self.issuers.len() <= index {
            self.issuers.resize_with(index + 1, Issuer::default);
        }
        &mut self.issuers[index]
    }

    /// The operation whose effect on `core` is `change`, each once (DVM-01); `None` if none that
    /// waits for its effect there fits.
    pub fn take_effect(&mut self, core: u8, change: &Invalidation) -> Option<Rc<Operation>> {
        if change.local {
            return match change.source == core {
                true => self.issuer(core).local.pop_front(),
                false => None,
            };
        }
        let bit = 1u64.checked_shl(u32::from(core)).unwrap_or(0);
        let issuer = self.issuers.get_mut(usize::from(change.source))?;
        let found = issuer.broadcast.iter_mut().find(|broadcast| {
            broadcast.operation.number as u8 == change.tag && broadcast.effects & bit == 0
        })?;
        found.effects |= bit;
        Some(Rc::clone(&found.operation))
    }

    /// Numbers given so far to broadcast operations of `core`, or to its local ones.
    #[must_use]
    pub fn issued(&self, core: u8, local: bool) -> u64 {
        let issuer = self.issuers.get(usize::from(core));
        issuer.map_or(0, |issuer| issuer.issued[usize::from(local)])
    }

    /// Broadcast operations that `core` has sent.
    #[must_use]
    pub fn sent(&self, core: u8) -> u64 {
        let issuer = self.issuers.get(usize::from(core));
        issuer.map_or(0, |issuer| issuer.sent)
    }

    /// Broadcast operations of `core` that its last SYNC covers: those of smaller number.
    #[must_use]
    pub fn synced(&self, core: u8) -> u64 {
        let issuer = self.issuers.get(usize::from(core));
        issuer.map_or(0, |issuer| issuer.synced)
    }

    /// The broadcast operations of `source` that are remembered, oldest first, each with the cores on
    /// which it took effect, one bit a core.
    pub fn broadcasts(&self, source: u8) -> impl Iterator<Item = (&Rc<Operation>, u64)> {
        let issuer = self.issuers.get(usize::from(source));
        issuer
            .into_iter()
            .flat_map(|issuer| &issuer.broadcast)
            .map(|broadcast| (&broadcast.operation, broadcast.effects))
    }

    /// Local operations of `core` that have not taken effect, oldest first.
    pub fn waiting_local(&self, core: u8) -> impl Iterator<Item = &Rc<Operation>> {
        let issuer = self.issuers.get(usize::from(core));
        issuer.into_iter().flat_map(|issuer| &issuer.local)
    }
}
