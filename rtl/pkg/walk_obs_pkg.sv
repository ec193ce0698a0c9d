// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// What the walker shows of its work in one cycle, for observation and counters.
package walk_obs_pkg;

  import tlb_pkg::key_t;
  import vmsa_pkg::*;
  import walk_pkg::walk_req_t;

  typedef struct packed {
    logic        begins;
    logic [1:0]  begin_slot;
    walk_req_t   begin_req;
    level_t      begin_level;
    pa_t         begin_addr;
    logic        cached;        // begins below a cached descriptor of cached_level
    level_t      cached_level;
    logic        steps;         // memory answered a read or a swap
    logic [1:0]  step_slot;
    walk_req_t   step_req;
    logic        step_swap;
    logic        step_error;
    logic        step_stale;    // of a walk cancelled meanwhile
    logic        step_swapped;  // the update was performed
    logic        step_af;       // it set the access flag
    logic        step_dirty;    // it set the dirty state
    level_t      step_level;
    pa_t         step_addr;
    logic [63:0] step_value;
    logic        ends;
    logic [1:0]  end_slot;
    level_t      end_level;
    logic [15:0] end_cycles;
    logic        wc_fill;
    walk_req_t   wc_req;
    key_t        wc_key;
    key_t        wc_mask;
    level_t      wc_level;
    pa_t         wc_table;
    logic [7:0]  wc_index;
    logic [3:0]  cancelled;
    logic [2:0]  cancelled_data;
    logic [2:0]  cancelled_instr;
    logic [2:0]  active_data;   // walks under way
    logic [2:0]  active_instr;
  } walk_view_t;

endpackage
