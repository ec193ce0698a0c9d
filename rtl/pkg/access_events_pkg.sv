// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// What the access unit did in one cycle, for the counters.
package access_events_pkg;

  typedef struct packed {
    logic lookup_instr;  // an access looked up the first level
    logic lookup_rd;
    logic lookup_wr;
    logic conflict;      // its lookup matched two entries
    logic run_hit;       // it was served by a contiguous run of the first level
    logic refill;        // an access's first fill of the first level
    logic walk_data;     // an access began its first walk
    logic walk_instr;
    logic rewalk;        // a fault is looked for again
    logic mem_rd;        // sent to memory
    logic mem_wr;
    logic stall_mem;
    logic stall_tlb;     // the head waits for a translation
    logic stall_fetch;
    logic dsb_wait;
  } access_events_t;

endpackage
