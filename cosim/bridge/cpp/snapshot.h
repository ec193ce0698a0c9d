// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Saves and restores a verilated model in memory.
//
// Verilator's stream classes are meant for files; these subclasses only move their buffer. The
// reader insists on slack behind the last byte, hence the padding.
#ifndef MMU_COSIM_SNAPSHOT_H
#define MMU_COSIM_SNAPSHOT_H

#include "verilated_save.h"

#include <cstdint>
#include <cstring>
#include <vector>

namespace mmu_cosim {

class MemoryWriter final : public VerilatedSerialize {
  public:
    explicit MemoryWriter(std::vector<uint8_t>& out) : out_{out} {
        m_isOpen = true;
        header();
    }
    ~MemoryWriter() override = default;
    void finish() {
        trailer();
        flush();
    }
    void flush() override {
        out_.insert(out_.end(), m_bufp, m_cp);
        m_cp = m_bufp;
    }

  private:
    std::vector<uint8_t>& out_;
};

class MemoryReader final : public VerilatedDeserialize {
  public:
    MemoryReader(const uint8_t* data, size_t size) : bytes_(size + PADDING), own_buffer_{m_bufp} {
        std::memcpy(bytes_.data(), data, size);
        m_filename = "snapshot";
        m_isOpen = true;
        m_bufp = m_cp = bytes_.data();
        m_endp = bytes_.data() + bytes_.size();
        header();
    }
    // The base class frees the buffer that it allocated.
    ~MemoryReader() override { m_bufp = own_buffer_; }
    void finish() { trailer(); }
    void fill() override {}

  private:
    static constexpr size_t PADDING = 64 * 1024;
    std::vector<uint8_t> bytes_;
    uint8_t* own_buffer_;
};

}  // namespace mmu_cosim

#endif
