// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Included first in every C++ file of a verilated model: text that the RTL prints ($display, the
// message of $error) goes to the bridge instead of stdout.
#ifndef MMU_COSIM_MODEL_OUTPUT_H
#define MMU_COSIM_MODEL_OUTPUT_H

extern "C" int mmu_cosim_model_printf(const char* format, ...)
    __attribute__((format(printf, 1, 2)));

#endif
