// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! What answers the queries of a scene: the trait, and the architectural model behind it.

use std::collections::BTreeSet;

use vmsa::SysReg;

use super::scene::{Answer, Run, Scene};
use crate::arch::machine::Machine;
use crate::arch::words::Words;
use crate::arch::{Fault, Profile, Translation};

/// An engine that could not run a scene at all.
#[derive(Debug, thiserror::Error)]
#[error("scene {scene}: {problem}")]
pub struct EngineError {
    /// Scene.
    pub scene: String,
    /// What went wrong.
    pub problem: String,
}

/// What an engine made of a scene.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SceneResult {
    /// One answer a query, in order.
    pub answers: Vec<Answer>,
    /// Whether walks that no query asked for may have set access flags (HAF-07).
    pub speculative: bool,
    /// The words of `Scene::memory` after the last query, run for run.
    pub memory: Vec<Run>,
}

/// Something that translates.
///
/// Each scene begins as after reset: empty TLBs, the registers and memory of the scene. Its queries
/// run in order, each as [`super::Query::access`] says: AT for reads and writes, or one-byte loads
/// and stores if [`Scene::real_accesses`]; a fetch for `x`.
pub trait Engine {
    /// Name for reports.
    fn name(&self) -> String;

    /// Choices that decide how results are compared: above all whether runs may coalesce.
    fn profile(&self) -> Profile;

    /// Answers the queries of `scene`.
    ///
    /// # Errors
    /// [`EngineError`] if the scene could not be run to its end.
    fn scene(&mut self, scene: &Scene) -> Result<SceneResult, EngineError>;
}

/// The architectural model as an engine: no TLB, every query walks.
#[derive(Clone, Debug)]
pub struct ModelEngine {
    profile: Profile,
}

impl Default for ModelEngine {
    fn default() -> Self {
        Self::new(Profile::default())
    }
}

impl ModelEngine {
    /// The model of `profile`. It holds no TLB, so it never coalesces.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self {
            profile: Profile {
                contiguous: false,
                ..profile
            },
        }
    }

    /// The machine in the state in which `scene` begins.
    #[must_use]
    pub fn machine(&self, scene: &Scene) -> Machine {
        let mut machine = Machine::new(self.profile);
        for register in SysReg::ALL {
            machine.msr(register, scene.registers.get(register));
        }
        load(machine.memory_mut(), &scene.memory);
        machine
    }
}

/// Writes `runs` into `memory`.
pub fn load(memory: &mut Words, runs: &[Run]) {
    for (address, word) in runs.iter().flat_map(Run::iter) {
        memory.set(address, word);
    }
}

/// The answer that an outcome of the model is.
#[must_use]
pub fn answer(outcome: &Result<Translation, Fault>) -> Answer {
    match outcome {
        Ok(Translation { pa, attributes, .. }) => Answer::Translated {
            pa: *pa,
            attr: attributes.attr,
            sh: attributes.sh,
        },
        Err(fault) => Answer::Fault(fault.fsc),
    }
}

impl Engine for ModelEngine {
    fn name(&self) -> String {
        "model".to_owned()
    }

    fn profile(&self) -> Profile {
        self.profile
    }

    fn scene(&mut self, scene: &Scene) -> Result<SceneResult, EngineError> {
        let mut machine = self.machine(scene);
        let answers = scene
            .queries
            .iter()
            .map(|query| answer(&machine.touch(&query.access(scene))))
            .collect();
        let words = machine.memory();
        let read = |run: &Run| Run {
            address: run.address,
            words: run.iter().map(|(address, _)| words.get(address)).collect(),
        };
        Ok(SceneResult {
            answers,
            speculative: false,
            memory: scene.memory.iter().map(read).collect(),
        })
    }
}

/// Addresses of the descriptors of contiguous runs through which queries of `scene` translate, one
/// set of addresses a run: the runs that a TLB may hold as one entry.
#[must_use]
pub fn coalescing_runs(profile: Profile, scene: &Scene) -> BTreeSet<(u64, u32)> {
    let machine = ModelEngine { profile }.machine(scene);
    let mut runs = BTreeSet::new();
    for query in &scene.queries {
        let walk = machine.walk(&query.access(scene));
        let (Some(regime), Some(last)) = (walk.regime, walk.steps().last()) else {
            continue;
        };
        let leaf = matches!(last.entry, crate::arch::walk::Entry::Leaf(_));
        if let Some(entries) = regime.run_entries(last.level)
            && leaf
            && profile.contiguous
            && last.descriptor.contiguous()
        {
            let bytes = 8 * u64::from(entries);
            runs.insert((last.address & !(bytes - 1), entries));
        }
    }
    runs
}
