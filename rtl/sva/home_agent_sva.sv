// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Assertions on the coherence point: stalled requests, answers, atomic compare-and-swap.
/* verilator lint_off UNUSEDSIGNAL */  // assertions read some fields of what they watch
module home_agent_sva
  import bus_pkg::*;
  import socket_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,
    input logic valid_i,
    input mem_req_t req_i,
    input logic ready_o,
    input logic [2:0] state_q,  // 0 is PASS
    input logic pass,
    input logic cas_read,
    input dram_rsp_t in_q,
    input logic [63:0] dram_q,  // not answered by DRAM
    input dram_req_t dram_req_o,
    input node_obs_t obs_o
);

  // From its start to its end nothing but a compare-and-swap's own accesses reaches memory.
  assert property (@(posedge clk_i) disable iff (!rst_ni) pass |-> state_q == '0)
  else sva_pkg::sva_fired("HAF-02", "memory was accessed in the middle of a compare-and-swap");

  assert property (@(posedge clk_i) disable iff (!rst_ni) cas_read |-> dram_q == '0)
  else sva_pkg::sva_fired("MEM-10", "a compare-and-swap began with accesses in flight");

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   valid_i && !ready_o |=> valid_i && $stable(req_i))
  else sva_pkg::sva_fired("MEM-12", "a memory request changed while it waited");

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   in_q.valid |-> in_q.tag[15:6] == '0 && dram_q[in_q.tag[5:0]])
  else sva_pkg::sva_fired("MEM-12", "memory answered a request that is not in flight");

  // Each write to memory is reported in its own cycle.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   (dram_req_o.valid && dram_req_o.write) == obs_o.valid)
  else sva_pkg::sva_fired("MEM-21", "a write to memory and its commit event do not agree");

endmodule
/* verilator lint_on UNUSEDSIGNAL */

bind home_agent home_agent_sva u_sva (.state_q(3'(state_q)), .*);
