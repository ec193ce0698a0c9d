// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! Translation vectors: scenes of registers and tables with queries whose answers were computed
//! elsewhere, and what it takes to hold an engine against them.

pub mod compare;
pub mod engine;
pub mod error;
pub mod field;
pub mod parse;
pub mod scene;

pub use compare::{Comparison, Mismatch, compare};
pub use engine::{Engine, EngineError, ModelEngine, SceneResult};
pub use error::VectorError;
pub use parse::{read_scenes, scenes_from_reader};
pub use scene::{Answer, Query, QueryOp, Run, Scene};
