// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
#include "reports.h"

#include <cstdarg>
#include <cstdio>

namespace mmu_cosim {

namespace {

thread_local Reports* t_current = nullptr;

// Reports of code that runs outside any call of the bridge have nowhere to go but stderr.
void report(const std::string& id, const std::string& text) {
    if (t_current) {
        t_current->add(id, text);
    } else {
        std::fprintf(stderr, "mmu-cosim: %s: %s\n", id.c_str(), text.c_str());
    }
}

// "[120] %Error: mmu.sv:12: Assertion failed in socket.u_mmu.OneHit: text" has the id "OneHit".
std::string assertion_name(const std::string& message, const std::string& fallback) {
    static const std::string marker = "Assertion failed in ";
    const size_t start = message.find(marker);
    if (start == std::string::npos) return fallback;
    const size_t name = start + marker.size();
    const size_t end = message.find(':', name);
    const std::string path = message.substr(name, end == std::string::npos ? end : end - name);
    const size_t dot = path.rfind('.');
    return dot == std::string::npos ? path : path.substr(dot + 1);
}

std::string place(const char* file, int line) {
    if (!file || !file[0]) return std::string();
    return std::string(file) + ":" + std::to_string(line);
}

}  // namespace

void Reports::add(const std::string& id, const std::string& message) {
    pending_ = true;
    if (reports_.size() < LIMIT) {
        reports_.push_back(Report{cycle, id, message});
    } else {
        ++dropped_;
    }
}

bool Reports::take(Report& out) {
    if (!reports_.empty()) {
        out = reports_.front();
        reports_.pop_front();
        pending_ = !reports_.empty() || dropped_;
        return true;
    }
    if (dropped_) {
        out = Report{cycle, "more", std::to_string(dropped_) + " further reports were dropped"};
        dropped_ = 0;
        pending_ = false;
        return true;
    }
    return false;
}

std::string Reports::take_text() {
    std::string out;
    out.swap(text);
    while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
    return out;
}

Reporting::Reporting(Reports& reports) : previous_{t_current} { t_current = &reports; }

Reporting::~Reporting() {
    // What was printed without an error after it is ordinary output of the RTL.
    if (t_current && !t_current->text.empty()) {
        std::fprintf(stderr, "%s", t_current->text.c_str());
        t_current->text.clear();
    }
    t_current = previous_;
}

}  // namespace mmu_cosim

using mmu_cosim::place;
using mmu_cosim::t_current;

extern "C" int mmu_cosim_model_printf(const char* format, ...) {
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    const int length = std::vsnprintf(nullptr, 0, format, args);
    va_end(args);
    if (length > 0) {
        std::string out(static_cast<size_t>(length) + 1, '\0');
        std::vsnprintf(&out[0], out.size(), format, again);
        out.resize(static_cast<size_t>(length));
        if (t_current) {
            t_current->text += out;
        } else {
            std::fprintf(stderr, "%s", out.c_str());
        }
    }
    va_end(again);
    return length;
}

// DPI imports of the RTL.
extern "C" void sva_fired(const char* id, const char* text) { mmu_cosim::report(id, text); }

extern "C" int plant_selected() { return t_current ? static_cast<int>(t_current->plant) : 0; }

// Verilator's hooks, declared in verilated_funcs.h.
void vl_stop(const char* file, int line, const char*) {
    const std::string text = t_current ? t_current->take_text() : std::string();
    mmu_cosim::report(mmu_cosim::assertion_name(text, place(file, line)), text);
}

void vl_finish(const char* file, int line, const char*) {
    mmu_cosim::report("$finish", "the RTL called $finish at " + place(file, line));
}

void vl_fatal(const char* file, int line, const char*, const char* message) {
    throw mmu_cosim::ModelDied(place(file, line) + ": " + message);
}

void vl_warn(const char* file, int line, const char*, const char* message) {
    std::fprintf(stderr, "mmu-cosim: warning: %s: %s\n", place(file, line).c_str(), message);
}
