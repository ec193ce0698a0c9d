// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A missing page of an area whose pages a handler in user space brings (userfaultfd, section 14).

use super::error::{Error, Signal};
use super::fault::{Fault, Outcome};
use crate::contpte;
use crate::cpu::Cpu;
use crate::pte::PtePtr;
use crate::thread::Thread;

impl<C: Cpu> Thread<C> {
    /// What the access to the page at `ptr`, which is missing, has to wait for; `None` if nobody brings
    /// it.
    pub(crate) async fn fault_missing(
        &self,
        fault: &Fault,
        ptr: PtePtr,
    ) -> Result<Option<Outcome>, Error> {
        let context = fault.vma.user_fault_context();
        let Some(context) = context.filter(|context| !context.is_closed()) else {
            return Ok(None);
        };
        if context.features()?.sigbus {
            let (signal, va) = (Signal::Bus, fault.va);
            return Err(Error::Signal { signal, va });
        }
        let waiting = context.enqueue(fault.va, fault.write);
        // It may have come since it was looked for, and who brought it found nobody to wake.
        if contpte::get_lockless(self, ptr).await?.is_none() {
            return Ok(Some(Outcome::UserFault(waiting)));
        }
        Ok(Some(Outcome::Done))
    }
}
