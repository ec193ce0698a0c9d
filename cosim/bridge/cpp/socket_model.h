// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// A simulated socket, whatever its configuration. Lanes are the words of rtl/pkg/socket_pkg.sv.
#ifndef MMU_COSIM_SOCKET_MODEL_H
#define MMU_COSIM_SOCKET_MODEL_H

#include "reports.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mmu_cosim {

// Words of each lane.
constexpr size_t CORE_REQ_WORDS = 4;
constexpr size_t CORE_RSP_WORDS = 4;
constexpr size_t CORE_OBS_WORDS = 24;
constexpr size_t DRAM_REQ_WORDS = 3;
constexpr size_t DRAM_RSP_WORDS = 2;
constexpr size_t NODE_OBS_WORDS = 4;
constexpr size_t COMMAND_WORDS = 1;
constexpr size_t INFO_WORDS = 3;
constexpr size_t MEMORY_WORDS = 113;  // the memory configuration

// What ends a step early besides responses, DRAM requests and reports.
struct Stop {
    bool obs;        // a valid observation lane
    uint64_t ready;  // one of these cores can take a request, one bit a core
};

// One step of a recorded run: `cycles`, then every core_req lane, then every dram_rsp lane.
constexpr size_t RECORD_HEADER_WORDS = 1;

struct Lanes {
    const uint64_t* core_req;
    const uint64_t* dram_rsp;
    uint64_t* core_rsp;
    uint64_t* core_obs;
    uint64_t* dram_req;
    uint64_t* node_obs;
    uint64_t* command;
};

class SocketModel {
  public:
    virtual ~SocketModel() = default;

    virtual size_t cores() const = 0;
    virtual size_t nodes() const = 0;
    virtual size_t channels() const = 0;  // of all nodes
    virtual void info(uint64_t out[INFO_WORDS]) const = 0;
    virtual uint64_t step(const Lanes& lanes, const Stop& stop, uint64_t max_cycles) = 0;
    virtual uint64_t counter(size_t core, uint8_t index) = 0;
    virtual uint64_t node_counter(size_t node, uint8_t index) = 0;
    virtual uint64_t replay(const uint64_t* words, size_t count) = 0;
    virtual void assertions(bool on) = 0;
    virtual bool open_trace(const char* path) = 0;
    virtual void close_trace() = 0;
    virtual std::vector<uint8_t> save() = 0;
    virtual bool restore(const uint8_t* data, size_t size) = 0;

    uint64_t cycle() const { return reports.cycle; }

    Reports reports;
};

}  // namespace mmu_cosim

#endif
