// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! A memory system for one simulation, in which nothing happens but what the test asks for, and the
//! clocks that a load takes in it.

use cosim::dut::configs;
use cosim::dut::memory::{DramTiming, MemoryConfig, MemorySystem, NodeTiming, node_base};
use cosim::dut::ports::{CoreRequest, Info};
use cosim::regress::{Bench, Failure};
use cosim::sim::{CoreHandle, SimHandle};
use vmsa::El;

/// Period of the socket's clock in picoseconds.
pub const CLOCK_PS: u64 = 500;
/// Longest time that a configuration can name, in picoseconds.
pub const LONGEST_PS: u64 = 0xffff * CLOCK_PS;
/// Clocks between the request lane and the response lane of a core beside what the memory system is
/// told to take, for a load that is not translated: from an open row, without a link.
pub const BESIDE: u64 = 7;
/// Clocks after which a row not used is closed.
pub const IDLE: u64 = 1500;

/// `ps` in clocks, rounded up as the configuration does.
#[must_use]
pub const fn clocks(ps: u64) -> u64 {
    ps.div_ceil(CLOCK_PS)
}

/// What the hardware that `bench` runs on is.
///
/// # Errors
/// When the configuration is not built.
pub fn info(bench: &Bench) -> Result<Info, Failure> {
    let named = configs().iter().find(|known| known.name == bench.config());
    let missing = || Failure::setup(format!("configuration {} is not built", bench.config()));
    named.map(Info::of_config).ok_or_else(missing)
}

/// DDR4-2666 without refresh for as long as can be told.
#[must_use]
pub const fn quiet_node() -> NodeTiming {
    let mut dram = DramTiming::DDR4_2666;
    dram.t_refi = LONGEST_PS;
    NodeTiming::new(dram)
}

/// A memory system in which only the test makes anything wait: DDR4-2666 at every node, no refresh,
/// no limit of bandwidth, no distance.
///
/// # Errors
/// As [`info`].
pub fn quiet(bench: &Bench) -> Result<MemoryConfig, Failure> {
    let info = info(bench)?;
    let mut config = MemorySystem::Ddr4.resolve(&info, 0);
    config.latency_unit_ps = 0;
    config.links = Default::default();
    for node in config.nodes.iter_mut().flatten() {
        *node = quiet_node();
    }
    Ok(config)
}

/// Ends the simulation of `bench` and has the next one with `config`.
///
/// # Errors
/// What the simulation that ends broke.
pub fn with(bench: &mut Bench, config: MemoryConfig) -> Result<(), Failure> {
    bench.restart()?;
    bench.setup().memory_system = MemorySystem::Custom(Box::new(config));
    Ok(())
}

/// The first core of each node that has cores.
#[must_use]
pub fn first_cores(handle: &SimHandle) -> Vec<CoreHandle> {
    let info = handle.info();
    let each = usize::from(info.cores / info.cpu_nodes);
    (0..usize::from(info.cpu_nodes))
        .filter_map(|node| handle.core(node * each))
        .collect()
}

/// An aligned load of 8 bytes.
#[must_use]
pub fn load(address: u64) -> CoreRequest {
    CoreRequest::load(address, 3, El::El1)
}

/// An aligned store of 8 bytes.
#[must_use]
pub fn store(address: u64, data: u64) -> CoreRequest {
    CoreRequest::store(address, 3, El::El1, data)
}

/// Clocks from the edge that takes `request` on the idle `core` to its answer.
pub async fn lasts(handle: &SimHandle, core: &CoreHandle, request: CoreRequest) -> u64 {
    let asked = handle.now();
    core.access(request).await;
    // The edge after the cycle in which it is asked for takes it.
    handle.now() - asked - 1
}

/// Where the rows of a node's DRAM lie in its addresses.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    base: u64,
    channels: u64,
}

impl Rows {
    /// Those of `node`, in the span that it owns.
    #[must_use]
    pub fn of(info: &Info, node: u8) -> Self {
        Self {
            base: node_base(node),
            channels: u64::from(info.channels),
        }
    }

    /// The address of line `column` (0 to 3) in row `row` of one bank of channel 0.
    #[must_use]
    pub fn line(&self, row: u64, column: u64) -> u64 {
        // 9 bits of bank and column below the row; four more rows bits are XORed into the bank.
        self.base + 64 * self.channels * (column + (row << (9 + 4)))
    }
}
