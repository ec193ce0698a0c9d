// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Runs of one scenario in one simulation, judged by every checker as a testbench is.
//!
//! A simulation makes several runs. Between two of them nothing is left of the first: a broadcast
//! VMALLE1 and a DSB complete, which ends every walk and empties every TLB and walk cache, then
//! memory is put back behind the hardware's back, then every core writes its registers anew and
//! synchronises. Run number k of a simulation depends on the seed and k alone.

use std::cell::RefCell;
use std::rc::Rc;

use rand::Rng;
use rand::seq::SliceRandom;
use vmsa::{DsbKind, El, Tlbi, TlbiScope};

use super::agent::Agent;
use super::evaluate::{Ending, Judge};
use super::layout::{Layout, PAGE};
use super::machine::Machine;
use super::variation::{Mode, Pace, Surroundings, assignment, scale};
use crate::check::any_misuse;
use crate::dut::memory::MemorySystem;
use crate::dut::ports::CoreRequest;
use crate::litmus::scenario::{Page, Place, Scenario};
use crate::regress::{Bench, Failure};
use crate::sim::{CoreHandle, Seed, SimHandle};

/// Cycles that one run may take.
const BUDGET: u64 = 200_000;

/// Runs of one scenario that one simulation makes.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The scenario.
    pub scenario: std::sync::Arc<Scenario>,
    /// Mode of its runs.
    pub mode: Mode,
    /// FEAT_ETS level of the hardware: 0 or 2.
    pub ets: u8,
    /// Configuration.
    pub config: String,
    /// Fault planted in the hardware, if any.
    pub plant: Option<&'static cosim_bridge::PlantInfo>,
    /// Links and memory controllers.
    pub memory: MemorySystem,
    /// Seed of the simulation.
    pub seed: u64,
    /// Runs.
    pub runs: u64,
}

/// The runs of a simulation that ended, and where the scenario lay.
#[derive(Debug, Default)]
pub struct Endings {
    /// In order.
    pub runs: Vec<Ending>,
    /// Where the scenario lay.
    pub layout: Option<Rc<Layout>>,
}

/// Makes the runs of `batch` on `bench`; `endings` gets those that ended, also when the simulation
/// fails.
///
/// # Errors
/// What a checker found, a run that did not end, or a scenario that cannot be laid out.
pub fn simulate(bench: &mut Bench, batch: &Batch, endings: &mut Endings) -> Result<(), Failure> {
    let scenario = Rc::new(Scenario::clone(&batch.scenario));
    let seed = bench.seed().child(&scenario.name).child(batch.mode.name());
    let seed = seed.indexed(batch.ets.into());
    let drawn = Surroundings::draw(batch.mode, batch.ets, scenario.setup.bbml, seed);
    bench.setup().straps = drawn.straps;
    bench.setup().memory = drawn.memory;
    bench.setup().memory_system = batch.memory.clone();
    let layout = Layout::new(&scenario, &mut seed.child("layout").rng());
    let wrong = |message| Failure::setup(format!("{}: {message}", scenario.name));
    let machine = Machine::new(&scenario, layout.map_err(wrong)?).map_err(wrong)?;
    let layout = Rc::clone(&machine.layout);
    endings.layout = Some(Rc::clone(&layout));
    for (&address, &word) in layout.words() {
        bench.load(address, &[word])?;
    }
    let shared = Rc::new(RefCell::new(Vec::new()));
    if scenario.breaks_bbm {
        for expectation in any_misuse() {
            bench.expect_violation(expectation)?;
        }
    }
    let host = Host {
        handle: bench.handle()?,
        scenario,
        machine,
        mode: batch.mode,
        ended: Rc::clone(&shared),
    };
    if host.handle.cores() < host.scenario.cores.len() {
        return Err(Failure::setup(format!(
            "{} needs {} cores, configuration {} has {}",
            host.scenario.name,
            host.scenario.cores.len(),
            bench.config(),
            host.handle.cores()
        )));
    }
    let (rounds, budget) = (batch.runs, BUDGET * batch.runs);
    let task = bench.simulation()?.spawn(async move {
        for round in 0..rounds {
            host.round(round, seed.child("round").indexed(round)).await;
        }
    });
    let ran = bench.run_within(budget);
    endings.runs = shared.take();
    drop(task);
    ran
}

/// Makes runs.
struct Host {
    handle: SimHandle,
    scenario: Rc<Scenario>,
    machine: Machine,
    mode: Mode,
    ended: Rc<RefCell<Vec<Ending>>>,
}

impl Host {
    async fn round(&self, round: u64, seed: Seed) {
        let cores: Vec<CoreHandle> = (0..self.handle.cores())
            .filter_map(|core| self.handle.core(core))
            .collect();
        if round > 0 {
            self.clean(&cores[0]).await;
        }
        let entered: Vec<_> = cores
            .iter()
            .map(|core| {
                let (core, machine) = (core.clone(), self.machine.clone());
                self.handle.spawn(async move { machine.enter(&core).await })
            })
            .collect();
        for core in entered {
            core.await;
        }
        let mut rng = seed.child("cores").rng();
        let chosen = assignment(&mut rng, self.scenario.cores.len(), cores.len());
        let scale = scale(&mut rng);
        for (program, &core) in (0..).zip(&chosen) {
            self.touch(&cores[core], seed.child("touch").indexed(program))
                .await;
        }
        let mut running = Vec::new();
        for (program, &core) in chosen.iter().enumerate() {
            let rng = seed.child("pace").indexed(program as u64).rng();
            let distractions = match self.mode {
                Mode::Prefetch => self.machine.layout.neighbours().to_vec(),
                _ => Vec::new(),
            };
            let agent = Agent::new(
                cores[core].clone(),
                self.handle.clone(),
                &self.scenario,
                program,
                &self.machine,
                Pace::draw(rng, scale),
                distractions,
            );
            running.push(self.handle.spawn(agent.run()));
        }
        let mut given = Vec::new();
        for core in running {
            given.push(core.await);
        }
        let layout = &self.machine.layout;
        let judge = Judge {
            scenario: &self.scenario,
            layout,
        };
        let asked = judge.asked().into_iter();
        self.ended.borrow_mut().push(Ending {
            given,
            words: asked.map(|pa| (pa, self.handle.peek(pa))).collect(),
            cycle: self.handle.now(),
        });
    }

    /// Leaves nothing of the run before.
    async fn clean(&self, core: &CoreHandle) {
        let all = Tlbi::vmalle1(TlbiScope::InnerShareable);
        core.access(CoreRequest::tlbi(all)).await;
        core.access(CoreRequest::dsb(DsbKind::SY)).await;
        for (&address, &word) in self.machine.layout.words() {
            if self.handle.peek(address) != word {
                self.handle.poke(address, word);
            }
        }
    }

    /// The pages that programs name, but for those that nothing else may touch.
    fn named_pages(&self) -> Vec<Page> {
        let mut pages = Vec::new();
        for instruction in self.scenario.cores.iter().flatten() {
            pages.extend(
                instruction
                    .operation
                    .places()
                    .into_iter()
                    .map(|place| match place {
                        Place::Data(page) => page,
                        Place::Descriptor(slot) => slot.page,
                    }),
            );
        }
        pages.retain(|page| !self.scenario.setup.untouched.contains(&page.variable));
        pages.sort();
        pages.dedup();
        pages
    }

    /// Has `core` use pages before its program, where that leaves memory as it is.
    async fn touch(&self, core: &CoreHandle, seed: Seed) {
        let mut rng = seed.rng();
        let layout = &self.machine.layout;
        let mut requests = Vec::new();
        if rng.random_bool(0.5) {
            // The linear map, so that stores to descriptors need no walk.
            let at = layout.linear(layout.upper_root());
            requests.push(CoreRequest::load(at, 3, El::El1));
        }
        let touched = match self.mode {
            Mode::Cold => false,
            Mode::Touched => true,
            Mode::Delay | Mode::Prefetch => rng.random_bool(0.5),
        };
        if touched {
            let often = [0.5, 0.5, 1.0][rng.random_range(0..3)];
            let mut pages = self.named_pages();
            pages.shuffle(&mut rng);
            pages.truncate(24);
            for page in pages {
                let Some((leaf, pa)) = self.machine.first_leaf(&page) else {
                    continue;
                };
                if !leaf.af() || !rng.random_bool(often) {
                    continue;
                }
                let el = match leaf.ap_el0() && rng.random() {
                    true => El::El0,
                    false => El::El1,
                };
                let va = layout.va(&page);
                // A store of what is there already; never to a clean page, which it would dirty.
                let store = !leaf.ap_read_only() && rng.random_bool(0.3);
                requests.push(match store {
                    true => CoreRequest::store(va, 3, el, layout.word(pa | va & (PAGE - 1))),
                    false => CoreRequest::load(va, 3, el),
                });
            }
        }
        for request in requests {
            core.access(request).await;
        }
    }
}
