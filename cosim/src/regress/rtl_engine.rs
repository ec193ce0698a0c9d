// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Translation vectors on the RTL: each scene on hardware fresh out of reset, with every checker on.
//! All cores have the context of the scene and answer its queries in turn, side by side.

use vmsa::SysReg;

use super::interrupt::Interrupt;
use crate::arch::Profile;
use crate::arch::access::{Access, AccessKind};
use crate::check;
use crate::dut::memory::MemorySystem;
use crate::dut::ports::{CoreRequest, CoreResponse, Straps};
use crate::sim::{CoreHandle, JoinHandle, RunEnd, SimConfig, Simulation};
use crate::vectors::{Answer, Engine, EngineError, Run, Scene, SceneResult};

/// Cycles that one query may take before the scene is given up.
const CYCLES_A_QUERY: u64 = 100_000;
/// Queries handed to the core at a time, to keep its queue short.
const BATCH: usize = 16;

/// The RTL as an engine.
#[derive(Debug, Clone)]
pub struct RtlEngine {
    setup: SimConfig,
    interrupt: Interrupt,
    cycles: u64,
}

impl RtlEngine {
    /// The hardware of the configuration called `config`, strapped so, with `memory_system`.
    ///
    /// # Errors
    /// When that hardware cannot be opened.
    pub fn new(config: &str, straps: Straps, memory_system: MemorySystem) -> Result<Self, String> {
        let setup = SimConfig {
            config: config.to_owned(),
            straps,
            memory_system,
            ..SimConfig::default()
        };
        Simulation::new(setup.clone()).map_err(|error| error.to_string())?;
        Ok(Self {
            setup,
            interrupt: Interrupt::new(),
            cycles: 0,
        })
    }

    /// The same, stopped by `interrupt`.
    #[must_use]
    pub fn stopped_by(self, interrupt: Interrupt) -> Self {
        Self { interrupt, ..self }
    }

    /// Cycles simulated so far.
    #[must_use]
    pub fn cycles(&self) -> u64 {
        self.cycles
    }

    fn run(&mut self, scene: &Scene) -> Result<SceneResult, String> {
        let mut simulation = Simulation::new(self.setup.clone()).map_err(|e| e.to_string())?;
        check::attach(&mut simulation, self.setup.straps);
        simulation.set_interrupt(self.interrupt.flag());
        let handle = simulation.handle();
        for (address, word) in scene.memory.iter().flat_map(Run::iter) {
            handle.poke(address, word);
        }
        let shares: Vec<_> = (0..handle.cores())
            .filter_map(|index| handle.core(index))
            .map(|core| simulation.spawn(answer_share(core, handle.cores(), scene.clone())))
            .collect();
        let budget = CYCLES_A_QUERY * (scene.queries.len() as u64 + 1);
        let end = simulation.run(budget).map_err(|error| error.to_string())?;
        let broken = simulation
            .finish()
            .map_err(|error| error.to_string())?
            .first()
            .cloned();
        self.cycles += simulation.now();
        if let Some(violation) = broken {
            let mut text = violation.to_string();
            for line in violation
                .permitted
                .iter()
                .map(|line| format!("permitted: {line}"))
                .chain(violation.walk)
            {
                text.push_str("\n    ");
                text.push_str(&line);
            }
            return Err(text);
        }
        let shares: Option<Vec<_>> = shares.iter().map(JoinHandle::take).collect();
        let mut answers: Vec<_> = shares
            .ok_or_else(|| match end {
                RunEnd::Interrupted => "interrupted".to_owned(),
                _ => format!("not every query was answered within {budget} cycles"),
            })?
            .into_iter()
            .flatten()
            .collect();
        answers.sort_by_key(|&(query, _)| query);
        let answers = answers.into_iter().map(|(_, answer)| answer).collect();
        let read = |run: &Run| Run {
            address: run.address,
            words: run
                .iter()
                .map(|(address, _)| handle.peek(address))
                .collect(),
        };
        Ok(SceneResult {
            answers,
            speculative: self.setup.straps.prefetch,
            memory: scene.memory.iter().map(read).collect(),
        })
    }
}

impl Engine for RtlEngine {
    fn name(&self) -> String {
        format!("rtl, configuration {}", self.setup.config)
    }

    fn profile(&self) -> Profile {
        check::profile(&self.setup.straps)
    }

    fn scene(&mut self, scene: &Scene) -> Result<SceneResult, EngineError> {
        self.run(scene).map_err(|problem| EngineError {
            scene: scene.name.clone(),
            problem,
        })
    }
}

/// Sets the context of `scene` and answers this core's share of its queries, in order: of each
/// `cores` batches one. Answers come with the index of their query.
async fn answer_share(core: CoreHandle, cores: usize, scene: Scene) -> Vec<(usize, Answer)> {
    for register in SysReg::ALL {
        core.access(CoreRequest::msr(register, scene.registers.get(register)))
            .await;
    }
    core.access(CoreRequest::isb()).await;
    let mut answers = Vec::with_capacity(scene.queries.len() / cores + BATCH);
    let queries: Vec<_> = scene.queries.iter().enumerate().collect();
    let share = queries.chunks(BATCH).skip(core.index().into());
    for batch in share.step_by(cores) {
        // Asked together: the core takes them in order, and hits go one a cycle.
        let asked: Vec<_> = batch
            .iter()
            .map(|&(index, query)| (index, core.issue(request(&query.access(&scene)))))
            .collect();
        for (index, access) in asked {
            answers.push((index, answer(&access.await)));
        }
    }
    answers
}

/// The request that makes `access`.
fn request(access: &Access) -> CoreRequest {
    let Access {
        va, el, pan, size, ..
    } = *access;
    let request = match access.kind {
        AccessKind::Execute => CoreRequest::fetch(va, el),
        kind if access.at => CoreRequest::at(va, el, kind.writes(), pan),
        AccessKind::Read => CoreRequest::load(va, size, el),
        AccessKind::Write => CoreRequest::store(va, size, el, 0),
        AccessKind::Cas => CoreRequest::cas(va, el, 0, 0),
    };
    CoreRequest { pan, ..request }
}

fn answer(response: &CoreResponse) -> Answer {
    match response.fault {
        Some(fsc) => Answer::Fault(fsc),
        None => Answer::Translated {
            pa: response.pa,
            attr: response.attr,
            sh: response.sh,
        },
    }
}
