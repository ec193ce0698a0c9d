// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Invalidation messages between cores (docs/spec/memory_system.md, section 6).
package dvm_pkg;

  import tlb_pkg::invalidate_t;

  // An INV carries what to remove; a SYNC asks whether all earlier INVs are done with.
  typedef struct packed {
    logic        sync;
    logic [7:0]  source;
    logic [7:0]  tag;   // number of the INV among those of its source, modulo 256
    invalidate_t inv;
  } dvm_msg_t;

endpackage
