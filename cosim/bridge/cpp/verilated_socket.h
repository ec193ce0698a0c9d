// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The one implementation of SocketModel, a template over the class that Verilator generated.
//
// A cycle is: inputs, clk_i = 1, eval, (dump), clk_i = 0, eval, (dump). Outputs of cycle n are what
// the ports show after its rising edge; trace time is 10 n ns there and 10 n + 5 at the falling edge.
#ifndef MMU_COSIM_VERILATED_SOCKET_H
#define MMU_COSIM_VERILATED_SOCKET_H

#include "snapshot.h"
#include "socket_model.h"

#include "verilated.h"
#include "verilated_fst_c.h"

#include <cstring>
#include <mutex>

namespace mmu_cosim {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ports are copied as little-endian words");

// Seeding a context changes a process-wide epoch in Verilator's random generator, so that models
// constructed at the same time on two threads would disturb each other.
std::mutex& construction_mutex();

// Verilator takes a positive seed of 31 bits; 0 would mean the wall clock.
inline int verilator_seed(uint64_t seed) {
    const uint64_t mixed = (seed ^ (seed >> 31)) * 0x9e3779b97f4a7c15ULL;
    return static_cast<int>((mixed >> 33) | 1);
}

template <class Top>
class VerilatedSocket final : public SocketModel {
    static constexpr int RESET_CYCLES = 4;
    static constexpr uint64_t PERIOD = 10;  // ns

    // Geometry follows from the widths of the ports. The members are references, whose size is
    // that of the port.
    static constexpr size_t CORES = sizeof(decltype(Top::core_req_i)) / (8 * CORE_REQ_WORDS);
    static constexpr size_t NODES = sizeof(decltype(Top::dram_rsp_i)) / (8 * DRAM_RSP_WORDS);
    static constexpr size_t COMMANDS = sizeof(decltype(Top::command_o)) / (8 * COMMAND_WORDS);
    static constexpr size_t INPUT_WORDS = CORES * CORE_REQ_WORDS + NODES * DRAM_RSP_WORDS;
    static_assert(sizeof(decltype(Top::core_rsp_o)) == CORES * CORE_RSP_WORDS * 8, "core_rsp_o");
    static_assert(sizeof(decltype(Top::core_obs_o)) == CORES * CORE_OBS_WORDS * 8, "core_obs_o");
    static_assert(sizeof(decltype(Top::dram_req_o)) == NODES * DRAM_REQ_WORDS * 8, "dram_req_o");
    static_assert(sizeof(decltype(Top::node_obs_o)) == NODES * NODE_OBS_WORDS * 8, "node_obs_o");
    static_assert(sizeof(decltype(Top::strap_i)) == 8, "strap_i");
    static_assert(sizeof(decltype(Top::memory_i)) == MEMORY_WORDS * 8, "memory_i");
    static_assert(sizeof(decltype(Top::info_o)) == INFO_WORDS * 8, "info_o");
    static_assert(sizeof(decltype(Top::pmu_index_i)) == 1, "pmu_index_i");
    static_assert(sizeof(decltype(Top::pmu_value_o)) == CORES * 8, "pmu_value_o");
    static_assert(sizeof(decltype(Top::node_value_o)) == NODES * 8, "node_value_o");
    static_assert(CORES <= 64, "Stop::ready holds one bit a core");

  public:
    VerilatedSocket(uint64_t straps, const uint64_t* memory, uint32_t plant, uint64_t seed, const char* fingerprint)
        : fingerprint_{fingerprint} {
        reports.plant = plant;
        const std::lock_guard<std::mutex> lock{construction_mutex()};
        const Reporting reporting{reports};
        context_.reset(new VerilatedContext);
        Verilated::threadContextp(context_.get());
        context_->randReset(2);
        context_->randSeed(verilator_seed(seed));
        context_->traceEverOn(true);
        top_.reset(new Top{context_.get(), "TOP"});
        reset(straps, memory);
    }

    ~VerilatedSocket() override {
        const Reporting reporting{reports};
        Verilated::threadContextp(context_.get());
        close_trace();
        if (!dead_) top_->final();
    }

    size_t cores() const override { return CORES; }
    size_t nodes() const override { return NODES; }
    size_t channels() const override { return COMMANDS; }
    void info(uint64_t out[INFO_WORDS]) const override {
        std::memcpy(out, &top_->info_o, sizeof(top_->info_o));
    }

    uint64_t step(const Lanes& lanes, const Stop& stop, uint64_t max_cycles) override {
        const Reporting reporting{reports};
        Verilated::threadContextp(context_.get());
        drive(lanes.core_req, lanes.dram_rsp);
        uint64_t ran = 0;
        if (dead_) {
            ran = max_cycles ? max_cycles : 1;
            reports.cycle += ran;
        } else {
            try {
                do {
                    cycle_once();
                    ++ran;
                    release();
                } while (ran < max_cycles && !stopped(stop));
            } catch (const ModelDied& died) {
                die(died);
                ran = ran ? ran : 1;
            }
        }
        std::memcpy(lanes.core_rsp, &top_->core_rsp_o, sizeof(top_->core_rsp_o));
        std::memcpy(lanes.core_obs, &top_->core_obs_o, sizeof(top_->core_obs_o));
        std::memcpy(lanes.dram_req, &top_->dram_req_o, sizeof(top_->dram_req_o));
        std::memcpy(lanes.node_obs, &top_->node_obs_o, sizeof(top_->node_obs_o));
        std::memcpy(lanes.command, &top_->command_o, sizeof(top_->command_o));
        return ran;
    }

    // The value follows the index within the cycle. The index rests at 0 again before anything else is
    // evaluated or dumped.
    uint64_t counter(size_t core, uint8_t index) override {
        return show(index, [&] { return word(top_->pmu_value_o, 1, core, 0); });
    }

    uint64_t node_counter(size_t node, uint8_t index) override {
        return show(index, [&] { return word(top_->node_value_o, 1, node, 0); });
    }

    uint64_t replay(const uint64_t* words, size_t count) override {
        const Reporting reporting{reports};
        Verilated::threadContextp(context_.get());
        const size_t record = RECORD_HEADER_WORDS + INPUT_WORDS;
        const uint64_t start = reports.cycle;
        if (dead_) return 0;
        try {
            for (const uint64_t* end = words + count / record * record; words != end; words += record) {
                drive(words + 1, words + 1 + CORES * CORE_REQ_WORDS);
                for (uint64_t n = words[0]; n != 0; --n) {
                    cycle_once();
                    release();
                }
            }
        } catch (const ModelDied& died) {
            die(died);
        }
        return reports.cycle - start;
    }

    void assertions(bool on) override { context_->assertOn(on); }

    bool open_trace(const char* path) override {
        const Reporting reporting{reports};
        Verilated::threadContextp(context_.get());
        close_trace();
        trace_.reset(new VerilatedFstC);
        top_->trace(trace_.get(), 99);
        trace_->open(path);
        if (trace_->isOpen()) return true;
        trace_.reset();
        return false;
    }

    void close_trace() override {
        if (!trace_) return;
        trace_->close();
        trace_.reset();
    }

    std::vector<uint8_t> save() override {
        std::vector<uint8_t> out(fingerprint_.begin(), fingerprint_.end());
        append(out, &reports.cycle, sizeof(reports.cycle));
        append(out, &driven_, sizeof(driven_));
        MemoryWriter writer{out};
        writer << *top_;
        writer.finish();
        const uint64_t size = out.size() + sizeof(size);
        append(out, &size, sizeof(size));
        return out;
    }

    bool restore(const uint8_t* data, size_t size) override {
        const size_t head = fingerprint_.size() + sizeof(reports.cycle) + sizeof(driven_);
        uint64_t stored_size = 0;
        if (size < head + sizeof(stored_size)) return false;
        std::memcpy(&stored_size, data + size - sizeof(stored_size), sizeof(stored_size));
        if (stored_size != size || std::memcmp(data, fingerprint_.data(), fingerprint_.size()) != 0) {
            return false;
        }
        std::memcpy(&reports.cycle, data + fingerprint_.size(), sizeof(reports.cycle));
        std::memcpy(&driven_, data + head - sizeof(driven_), sizeof(driven_));
        const bool assertions_on = context_->assertOn();  // a setting, not state
        try {
            MemoryReader reader{data + head, size - head - sizeof(stored_size)};
            reader >> *top_;
            reader.finish();
        } catch (const ModelDied& died) {
            die(died);
            return false;
        }
        context_->assertOn(assertions_on);
        dead_ = false;
        return true;
    }

  private:
    static void append(std::vector<uint8_t>& out, const void* data, size_t size) {
        const uint8_t* bytes = static_cast<const uint8_t*>(data);
        out.insert(out.end(), bytes, bytes + size);
    }

    template <class Read>
    uint64_t show(uint8_t index, Read read) {
        const Reporting reporting{reports};
        Verilated::threadContextp(context_.get());
        if (dead_) return 0;
        uint64_t value = 0;
        try {
            top_->pmu_index_i = index;
            top_->eval();
            value = read();
        } catch (const ModelDied& died) {
            die(died);
        }
        top_->pmu_index_i = 0;
        return value;
    }

    void reset(uint64_t straps, const uint64_t* memory) {
        top_->clk_i = 0;
        top_->rst_ni = 0;
        top_->strap_i = straps;
        std::memcpy(&top_->memory_i, memory, sizeof(top_->memory_i));
        top_->pmu_index_i = 0;
        driven_ = true;
        release();
        for (int i = 0; i < RESET_CYCLES; ++i) {
            top_->clk_i = 1;
            top_->eval();
            top_->clk_i = 0;
            top_->eval();
        }
        top_->rst_ni = 1;
        top_->eval();
        reports.cycle = 0;
    }

    void drive(const uint64_t* core_req, const uint64_t* dram_rsp) {
        uint64_t valid = 0;
        for (size_t c = 0; c < CORES; ++c) valid |= core_req[c * CORE_REQ_WORDS];
        for (size_t n = 0; n < NODES; ++n) valid |= dram_rsp[n * DRAM_RSP_WORDS];
        if (!(valid & 1)) return;  // the inputs are at rest already
        std::memcpy(&top_->core_req_i, core_req, sizeof(top_->core_req_i));
        std::memcpy(&top_->dram_rsp_i, dram_rsp, sizeof(top_->dram_rsp_i));
        driven_ = true;
    }

    // Puts the inputs back to rest after the one cycle in which they are valid.
    void release() {
        if (!driven_) return;
        std::memset(&top_->core_req_i, 0, sizeof(top_->core_req_i));
        std::memset(&top_->dram_rsp_i, 0, sizeof(top_->dram_rsp_i));
        driven_ = false;
    }

    void cycle_once() {
        ++reports.cycle;
        context_->time(PERIOD * reports.cycle);
        top_->clk_i = 1;
        top_->eval();
        if (trace_) trace_->dump(PERIOD * reports.cycle);
        top_->clk_i = 0;
        top_->eval();
        if (trace_) trace_->dump(PERIOD * reports.cycle + PERIOD / 2);
    }

    // Word `word` of lane `lane` of a port.
    template <class Port>
    static uint64_t word(const Port& port, size_t lane_words, size_t lane, size_t word) {
        uint64_t out;
        std::memcpy(&out, reinterpret_cast<const char*>(&port) + 8 * (lane * lane_words + word), 8);
        return out;
    }

    bool stopped(const Stop& stop) const {
        uint64_t valid = reports.pending();
        uint64_t ready = 0;
        for (size_t c = 0; c < CORES; ++c) {
            const uint64_t rsp = word(top_->core_rsp_o, CORE_RSP_WORDS, c, 0);
            valid |= rsp;
            ready |= (rsp >> 63) << c;
            if (stop.obs) valid |= word(top_->core_obs_o, CORE_OBS_WORDS, c, 0);
        }
        for (size_t n = 0; n < NODES; ++n) {
            valid |= word(top_->dram_req_o, DRAM_REQ_WORDS, n, 0);
            if (stop.obs) valid |= word(top_->node_obs_o, NODE_OBS_WORDS, n, 0);
        }
        if (stop.obs) {
            for (size_t c = 0; c < COMMANDS; ++c) valid |= word(top_->command_o, COMMAND_WORDS, c, 0);
        }
        return (valid & 1) || (ready & stop.ready);
    }

    // After a fatal error the state means nothing: the error is reported and time only passes.
    void die(const ModelDied& died) {
        dead_ = true;
        reports.take_text();
        reports.add("fatal", died.what());
    }

    std::string fingerprint_;
    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Top> top_;
    std::unique_ptr<VerilatedFstC> trace_;
    bool driven_ = false;
    bool dead_ = false;
};

}  // namespace mmu_cosim

// Defines the factory of one configuration.
#define MMU_COSIM_DEFINE_CONFIG(name, symbol, Top, fingerprint)                                   \
    namespace mmu_cosim {                                                                         \
    std::unique_ptr<SocketModel> open_##symbol(uint64_t straps, const uint64_t* memory,           \
                                               uint32_t plant, uint64_t seed) {                   \
        return std::unique_ptr<SocketModel>(                                                      \
            new VerilatedSocket<Top>(straps, memory, plant, seed, name " " fingerprint));         \
    }                                                                                             \
    }

#endif
