// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// What a running model has to say: failed assertions and fatal errors, collected per model.
//
// Verilator and DPI report through plain global functions, so the model being evaluated is found
// through a thread-local pointer that a Reporting guard sets for the length of each call.
#ifndef MMU_COSIM_REPORTS_H
#define MMU_COSIM_REPORTS_H

#include <cstdint>
#include <deque>
#include <stdexcept>
#include <string>

namespace mmu_cosim {

struct Report {
    uint64_t cycle;
    std::string id;
    std::string text;
};

// Thrown out of an evaluation that cannot go on, such as logic that does not settle.
struct ModelDied : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Reports {
  public:
    // More reports than this are only counted: a failure may repeat every cycle.
    static constexpr size_t LIMIT = 1024;

    void add(const std::string& id, const std::string& text);
    bool pending() const { return pending_; }
    // Removes the oldest report; false if there is none.
    bool take(Report& out);
    // Text printed since the last report, for example the message of an $error.
    std::string take_text();

    uint64_t cycle = 0;      // cycle being evaluated
    uint32_t plant = 0;      // number of the selected plant, 0 for none
    std::string text;        // printed, not yet reported

  private:
    std::deque<Report> reports_;
    uint64_t dropped_ = 0;
    bool pending_ = false;
};

// Makes `reports` those of this thread while it lives.
class Reporting {
  public:
    explicit Reporting(Reports& reports);
    ~Reporting();
    Reporting(const Reporting&) = delete;
    Reporting& operator=(const Reporting&) = delete;

  private:
    Reports* previous_;
};

}  // namespace mmu_cosim

#endif
