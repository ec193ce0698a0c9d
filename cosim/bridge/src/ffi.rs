// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The cxx bridge: the lane types and the C++ functions behind `Socket`.

#![allow(unsafe_code, reason = "this file is the boundary to C++")]

#[cxx::bridge(namespace = "mmu_cosim")]
mod bridge {
    /// A request to one core, the words of `core_req_t` in `rtl/pkg/socket_pkg.sv`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CoreReq {
        /// The words, word 0 first; its bit 0 is `valid`.
        w: [u64; 4],
    }

    /// A response of one core, the words of `core_rsp_t`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CoreRsp {
        /// The words, word 0 first; its bit 0 is `valid`, its bit 63 `req_ready`.
        w: [u64; 4],
    }

    /// Events inside one core's MMU, the words of `core_obs_t`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CoreObs {
        /// The words, word 0 first; its bit 0 says that any of the others is valid.
        w: [u64; 24],
    }

    /// A request of one node to its memory, the words of `dram_req_t`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct DramReq {
        /// The words, word 0 first; its bit 0 is `valid`.
        w: [u64; 3],
    }

    /// Memory's answer to one node, the words of `dram_rsp_t`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct DramRsp {
        /// The words, word 0 first; its bit 0 is `valid`.
        w: [u64; 2],
    }

    /// A commit in one node, the words of `node_obs_t`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct NodeObs {
        /// The words, word 0 first; its bit 0 is `valid`.
        w: [u64; 4],
    }

    /// A command on the bus of one memory channel, the word of `command_obs_t`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CommandObs {
        /// The word; its bit 0 is `valid`.
        w: [u64; 1],
    }

    /// One report of an assertion in the RTL.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct AssertionFired {
        /// Cycle in which it fired.
        cycle: u64,
        /// What the RTL passes to `sva_fired`, or for `$error` the name of the assertion.
        id: String,
        /// What the RTL says about it.
        text: String,
    }

    // SAFETY: every function below is a plain call that keeps no pointer beyond its return. They
    // are safe to call with any argument, except that `open_model`, `model_step` and `model_replay`
    // rely on slice lengths, `model_counter` on a core number and `model_node_counter` on a node
    // number, which `Socket` (the only caller) checks against `model_cores`, `model_nodes` and
    // `model_channels` or fixes by type. No function may be called for one model from two threads at a time; the
    // opaque type is neither Send nor Sync, so Rust rules that out. C++ exceptions are caught by
    // cxx in the one function that returns Result and inside the model in all others.
    unsafe extern "C++" {
        include!("bridge.h");

        type SocketModel;

        fn open_model(
            config: &str,
            straps: u64,
            memory: &[u64],
            plant: u32,
            seed: u64,
        ) -> Result<UniquePtr<SocketModel>>;
        fn model_cores(model: &SocketModel) -> usize;
        fn model_nodes(model: &SocketModel) -> usize;
        fn model_channels(model: &SocketModel) -> usize;
        fn model_cycle(model: &SocketModel) -> u64;
        fn model_info(model: &SocketModel, word: usize) -> u64;
        fn model_fired(model: &SocketModel) -> bool;
        #[allow(clippy::too_many_arguments, reason = "one crossing carries every lane")]
        fn model_step(
            model: Pin<&mut SocketModel>,
            core_req: &[CoreReq],
            dram_rsp: &[DramRsp],
            core_rsp: &mut [CoreRsp],
            core_obs: &mut [CoreObs],
            dram_req: &mut [DramReq],
            node_obs: &mut [NodeObs],
            command: &mut [CommandObs],
            stop_obs: bool,
            stop_ready: u64,
            max_cycles: u64,
        ) -> u64;
        fn model_counter(model: Pin<&mut SocketModel>, core: usize, index: u8) -> u64;
        fn model_node_counter(model: Pin<&mut SocketModel>, node: usize, index: u8) -> u64;
        fn model_replay(model: Pin<&mut SocketModel>, words: &[u64]) -> u64;
        fn model_assertions(model: Pin<&mut SocketModel>, on: bool);
        fn model_take_report(model: Pin<&mut SocketModel>, out: &mut AssertionFired) -> bool;
        fn model_open_trace(model: Pin<&mut SocketModel>, path: &str) -> bool;
        fn model_close_trace(model: Pin<&mut SocketModel>);
        fn model_save(model: Pin<&mut SocketModel>) -> Vec<u8>;
        fn model_restore(model: Pin<&mut SocketModel>, snapshot: &[u8]) -> bool;
    }
}

pub(crate) use bridge::*;
pub use bridge::{
    AssertionFired, CommandObs, CoreObs, CoreReq, CoreRsp, DramReq, DramRsp, NodeObs,
};
