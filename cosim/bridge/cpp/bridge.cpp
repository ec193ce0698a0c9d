// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
#include "bridge.h"

#include "cosim-bridge/src/ffi.rs.h"

#include <mutex>
#include <string>

namespace mmu_cosim {

#define MMU_COSIM_CONFIG(name, symbol) \
    std::unique_ptr<SocketModel> open_##symbol(uint64_t straps, const uint64_t* memory, uint32_t plant, uint64_t seed);
#include "configs.inc"
#undef MMU_COSIM_CONFIG

static_assert(sizeof(CoreReq) == 8 * CORE_REQ_WORDS, "CoreReq");
static_assert(sizeof(CoreRsp) == 8 * CORE_RSP_WORDS, "CoreRsp");
static_assert(sizeof(CoreObs) == 8 * CORE_OBS_WORDS, "CoreObs");
static_assert(sizeof(DramReq) == 8 * DRAM_REQ_WORDS, "DramReq");
static_assert(sizeof(DramRsp) == 8 * DRAM_RSP_WORDS, "DramRsp");
static_assert(sizeof(NodeObs) == 8 * NODE_OBS_WORDS, "NodeObs");
static_assert(sizeof(CommandObs) == 8 * COMMAND_WORDS, "CommandObs");

std::mutex& construction_mutex() {
    static std::mutex mutex;
    return mutex;
}

std::unique_ptr<SocketModel> open_model(rust::Str config, uint64_t straps,
                                        rust::Slice<const uint64_t> memory, uint32_t plant, uint64_t seed) {
    const std::string name{config.data(), config.size()};
#define MMU_COSIM_CONFIG(known, symbol) \
    if (name == known) return open_##symbol(straps, memory.data(), plant, seed);
#include "configs.inc"
#undef MMU_COSIM_CONFIG
    throw std::runtime_error("no model is named " + name);
}

size_t model_cores(const SocketModel& model) { return model.cores(); }
size_t model_nodes(const SocketModel& model) { return model.nodes(); }
size_t model_channels(const SocketModel& model) { return model.channels(); }
uint64_t model_cycle(const SocketModel& model) { return model.cycle(); }
bool model_fired(const SocketModel& model) { return model.reports.pending(); }

uint64_t model_info(const SocketModel& model, size_t word) {
    uint64_t words[INFO_WORDS];
    model.info(words);
    return words[word % INFO_WORDS];
}

uint64_t model_step(SocketModel& model, rust::Slice<const CoreReq> core_req,
                    rust::Slice<const DramRsp> dram_rsp, rust::Slice<CoreRsp> core_rsp,
                    rust::Slice<CoreObs> core_obs, rust::Slice<DramReq> dram_req,
                    rust::Slice<NodeObs> node_obs, rust::Slice<CommandObs> command, bool stop_obs, uint64_t stop_ready,
                    uint64_t max_cycles) {
    return model.step(Lanes{core_req.data()->w.data(), dram_rsp.data()->w.data(),
                            core_rsp.data()->w.data(), core_obs.data()->w.data(),
                            dram_req.data()->w.data(), node_obs.data()->w.data(),
                            command.data()->w.data()},
                      Stop{stop_obs, stop_ready}, max_cycles);
}

uint64_t model_counter(SocketModel& model, size_t core, uint8_t index) {
    return model.counter(core, index);
}

uint64_t model_node_counter(SocketModel& model, size_t node, uint8_t index) {
    return model.node_counter(node, index);
}

uint64_t model_replay(SocketModel& model, rust::Slice<const uint64_t> words) {
    return model.replay(words.data(), words.size());
}

void model_assertions(SocketModel& model, bool on) { model.assertions(on); }

bool model_take_report(SocketModel& model, AssertionFired& out) {
    Report report;
    if (!model.reports.take(report)) return false;
    out.cycle = report.cycle;
    out.id = rust::String::lossy(report.id);
    out.text = rust::String::lossy(report.text);
    return true;
}

bool model_open_trace(SocketModel& model, rust::Str path) {
    return model.open_trace(std::string{path.data(), path.size()}.c_str());
}

void model_close_trace(SocketModel& model) { model.close_trace(); }

rust::Vec<uint8_t> model_save(SocketModel& model) {
    const std::vector<uint8_t> bytes = model.save();
    rust::Vec<uint8_t> out;
    out.reserve(bytes.size());
    for (const uint8_t byte : bytes) out.push_back(byte);
    return out;
}

bool model_restore(SocketModel& model, rust::Slice<const uint8_t> snapshot) {
    return model.restore(snapshot.data(), snapshot.size());
}

}  // namespace mmu_cosim
