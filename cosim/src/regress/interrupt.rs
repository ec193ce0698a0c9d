// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Ctrl-C: the first one lets the runs stop and keeps the results so far, the second one exits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that runs look at between slices of simulated time.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// A flag that nothing raises but [`Interrupt::raise`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag that Ctrl-C raises. A second Ctrl-C ends the process at once with status 130.
    ///
    /// # Errors
    /// When the signal listener cannot be started.
    pub fn on_ctrl_c() -> std::io::Result<Self> {
        let flag = Self::new();
        let raised = flag.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        std::thread::Builder::new()
            .name("ctrl-c".into())
            .spawn(move || {
                runtime.block_on(async {
                    if tokio::signal::ctrl_c().await.is_ok() {
                        raised.raise();
                        if tokio::signal::ctrl_c().await.is_ok() {
                            std::process::exit(130);
                        }
                    }
                });
            })?;
        Ok(flag)
    }

    /// Asks every run to stop.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The flag itself, for a simulation to look at.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Whether runs were asked to stop.
    #[must_use]
    pub fn raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
