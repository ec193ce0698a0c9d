// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The functions that Rust calls through cxx.
#ifndef MMU_COSIM_BRIDGE_H
#define MMU_COSIM_BRIDGE_H

#include "rust/cxx.h"
#include "socket_model.h"

#include <memory>

namespace mmu_cosim {

// Shared with Rust, defined in the header that cxx generates.
struct CoreReq;
struct CoreRsp;
struct CoreObs;
struct DramReq;
struct DramRsp;
struct NodeObs;
struct CommandObs;
struct AssertionFired;

// Throws for an unknown configuration and for a model that dies during reset.
std::unique_ptr<SocketModel> open_model(rust::Str config, uint64_t straps,
                                        rust::Slice<const uint64_t> memory, uint32_t plant, uint64_t seed);

size_t model_cores(const SocketModel& model);
size_t model_nodes(const SocketModel& model);
size_t model_channels(const SocketModel& model);
uint64_t model_cycle(const SocketModel& model);
uint64_t model_info(const SocketModel& model, size_t word);
bool model_fired(const SocketModel& model);

// Every slice holds one lane for each core, node or channel; the caller has checked their lengths.
uint64_t model_step(SocketModel& model, rust::Slice<const CoreReq> core_req,
                    rust::Slice<const DramRsp> dram_rsp, rust::Slice<CoreRsp> core_rsp,
                    rust::Slice<CoreObs> core_obs, rust::Slice<DramReq> dram_req,
                    rust::Slice<NodeObs> node_obs, rust::Slice<CommandObs> command, bool stop_obs, uint64_t stop_ready,
                    uint64_t max_cycles);
uint64_t model_counter(SocketModel& model, size_t core, uint8_t index);
uint64_t model_node_counter(SocketModel& model, size_t node, uint8_t index);
uint64_t model_replay(SocketModel& model, rust::Slice<const uint64_t> words);

void model_assertions(SocketModel& model, bool on);
bool model_take_report(SocketModel& model, AssertionFired& out);

bool model_open_trace(SocketModel& model, rust::Str path);
void model_close_trace(SocketModel& model);

rust::Vec<uint8_t> model_save(SocketModel& model);
bool model_restore(SocketModel& model, rust::Slice<const uint8_t> snapshot);

}  // namespace mmu_cosim

#endif
