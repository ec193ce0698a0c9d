// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What a kernel may forget, made to happen.

use super::task::Task;
use sw_mm::Cpu;
use sw_mm::functional::yield_now;
use sw_mm::page::{NodeId, Request};

/// What the kernel forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leak {
    /// A frame that it allocated.
    Frame,
    /// A reference to a folio.
    Reference,
    /// That an entry maps a page.
    Map,
    /// That an address space is a page larger.
    Resident,
}

impl Leak {
    /// It happens, once there is something to forget.
    pub async fn happen<C: Cpu>(self, task: &Task<C>) {
        let (kernel, space) = (&task.shared.kernel, &task.here().space);
        for _ in 0..500 {
            yield_now().await;
        }
        match self {
            Leak::Frame => {
                kernel.memory.allocate(&Request::new(0, NodeId(0)));
            }
            Leak::Resident => space.resident.set(space.resident.get() + 1),
            Leak::Reference | Leak::Map => {
                let folio = task.shared.folio(0);
                let Some(folio) = folio.filter(|folio| folio.mapcount() > 0) else {
                    return;
                };
                match self {
                    Leak::Map => folio.add_map(0, 1),
                    _ => folio.get(1),
                }
            }
        }
    }
}
