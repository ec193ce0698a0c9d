// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A kernel on fresh hardware, and one program on its core 0.

use std::rc::Rc;

use cosim::experiment::{Context, ExperimentError};
use cosim::sim::{CoreHandle, RunEnd, SimHandle, Simulation};
use sw_mm::NoWitness;
use sw_mm::boot::{BootConfig, HardwareUpdate, RangeConfig, image};
use sw_mm::contpte;
use sw_mm::kernel::{Kernel, KernelConfig};
use sw_mm::mm::{AddressSpace, Error};
use sw_mm::thread::Thread;
use vmsa::Granule;

/// Most cycles of one simulation: far more than any needs.
const MOST_CYCLES: u64 = 400_000_000;
/// Memory of the kernel, and of its boot tables behind it.
const MEMORY: u64 = 0x4000_0000;
const MEMORY_BYTES: u64 = 128 << 20;
const TABLES_BYTES: u64 = 16 << 20;

/// A kernel to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub granule: Granule,
    /// Order of anonymous folios.
    pub order: u8,
    pub contpte: bool,
    pub batched: bool,
    /// Fold also after write protection and access flags, as before the series was merged.
    pub eager: bool,
}

impl Setting {
    /// Folios of the size of one contiguous run.
    pub fn large(granule: Granule, contpte: bool) -> Self {
        let order = match granule {
            Granule::K4 => 4,
            Granule::K16 => 7,
            Granule::K64 => 5,
        };
        Self {
            granule,
            order,
            contpte,
            batched: true,
            eager: false,
        }
    }

    /// The four kernels of the working sets.
    pub fn kernels(granule: Granule) -> [Self; 4] {
        let single = |contpte| Self {
            order: 0,
            ..Self::large(granule, contpte)
        };
        [
            single(false),
            single(true),
            Self::large(granule, false),
            Self::large(granule, true),
        ]
    }

    /// What it is called in tables.
    pub fn name(&self) -> String {
        let folios = if self.order == 0 {
            "order-0 pages".to_owned()
        } else {
            let bytes = self.granule.bytes() << self.order;
            if bytes >= 1 << 20 {
                format!("{} MiB folios", bytes >> 20)
            } else {
                format!("{} KiB folios", bytes >> 10)
            }
        };
        let contpte = if self.contpte {
            "contpte"
        } else {
            "no contpte"
        };
        format!("{folios}, {contpte}")
    }

    fn config(&self) -> KernelConfig {
        KernelConfig {
            granule: self.granule,
            hardware_update: HardwareUpdate::AccessFlagAndDirty,
            contpte: contpte::Config {
                enabled: self.contpte,
                eager: self.eager,
                ..contpte::Config::default()
            },
            anonymous_orders: if self.order == 0 {
                Vec::new()
            } else {
                vec![self.order]
            },
            batched: self.batched,
            ..KernelConfig::simple(MEMORY, MEMORY_BYTES)
        }
    }
}

/// What a program runs on.
pub struct Machine {
    pub thread: Thread<CoreHandle>,
    pub handle: SimHandle,
}

/// Boots a kernel and runs `program` in a fresh address space on core 0, to its end.
///
/// # Errors
/// [`ExperimentError::Broken`] if the program fails or does not end.
pub fn measure<T, F>(
    context: &Context<'_>,
    setting: &Setting,
    program: impl FnOnce(Machine) -> F + 'static,
) -> Result<T, ExperimentError>
where
    T: 'static,
    F: Future<Output = Result<T, Error>> + 'static,
{
    let broken = |text: String| ExperimentError::Broken(text);
    let config = setting.config();
    let boot = BootConfig {
        user: RangeConfig {
            granule: config.granule,
            va_bits: config.va_bits,
        },
        memory_base: MEMORY,
        memory_bytes: MEMORY_BYTES + TABLES_BYTES,
        tables_base: MEMORY + MEMORY_BYTES,
        tables_bytes: TABLES_BYTES,
        hardware_update: config.hardware_update,
        ..BootConfig::default()
    };
    let (memory, boot) = image(&boot).map_err(|error| broken(format!("boot: {error}")))?;
    let mut simulation = Simulation::new(context.parameters.simulation())?;
    simulation.set_interrupt(context.interrupt.flag());
    let handle = simulation.handle();
    for (at, words) in &memory {
        for (place, &word) in (*at..).step_by(8).zip(words) {
            handle.poke(place, word);
        }
    }
    let kernel = Kernel::new(config, boot.linear, Rc::new(NoWitness))
        .map_err(|error| broken(error.to_string()))?;
    let core = handle
        .core(0)
        .ok_or_else(|| ExperimentError::Unfit("no core".to_owned()))?;
    let registers = boot.registers;
    let task = simulation.spawn(async move {
        registers.load(&core).await;
        let thread = Thread::new(&kernel, core, 0);
        let space = AddressSpace::new(&thread).await?;
        thread.switch_to(&space).await;
        program(Machine { thread, handle }).await
    });
    match simulation.run(MOST_CYCLES)? {
        RunEnd::TasksDone => {}
        RunEnd::Interrupted => return Err(broken("interrupted".to_owned())),
        RunEnd::CycleBudget => {
            let text = format!("no end of a measurement after {MOST_CYCLES} cycles");
            return Err(broken(text));
        }
        RunEnd::Violation => {
            let first = simulation.violations().first();
            return Err(broken(first.map_or_else(String::new, ToString::to_string)));
        }
    }
    match task.take() {
        Some(result) => result.map_err(|error| broken(format!("{}: {error}", setting.name()))),
        None => Err(broken("the program did not end".to_owned())),
    }
}
