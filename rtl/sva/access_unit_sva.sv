// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Assertions on the order and number of accesses and responses of one core.
/* verilator lint_off UNUSEDSIGNAL */  // assertions read some fields of what they watch
module access_unit_sva
  import socket_pkg::*;
  import vmsa_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,
    input logic ets0_i,
    input core_req_t req_i,
    input logic req_ready_o,
    input core_rsp_t rsp_o,
    input core_req_t a_q,
    input core_req_t b_q,
    input logic [2:0] state_q,  // 0 is EMPTY, 6 is RESPOND
    input logic advance,
    input logic queue_empty,
    input logic push,
    input logic push_ready,
    input logic respond,
    input logic rsp_fault,
    input logic port_empty,
    input logic early_q,
    input fsc_t fsc_q,
    input logic b_simple_q,
    input logic b_bypass_q,
    input logic writes,
    input leaf_t b_leaf_q
);

  // Requests taken less responses given.
  logic [7:0] open_q;
  logic took;
  assign took = req_i.valid && req_ready_o;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) open_q <= '0;
    else open_q <= open_q + 8'(took) - 8'(rsp_o.valid);
  end

  assert property (@(posedge clk_i) disable iff (!rst_ni) rsp_o.valid |-> open_q != '0)
  else sva_pkg::sva_fired("MEM-22", "a response without a request");

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   state_q == '0 && !a_q.valid && queue_empty && port_empty && !rsp_o.valid |->
                   open_q == '0)
  else sva_pkg::sva_fired("MEM-22", "nothing is left to do, and a request has had no response");

  // A request waits unchanged until it is taken.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   req_i.valid && !req_ready_o |=> req_i.valid && $stable(req_i))
  else sva_pkg::sva_fired("MEM-22", "a core request changed while it waited");

  // A DSB ends when everything before it has.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   respond && b_q.op == OP_DSB |-> port_empty && queue_empty)
  else sva_pkg::sva_fired("ORD-23", "a DSB completed with accesses in flight");

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   respond && rsp_fault |-> !push)
  else sva_pkg::sva_fired("ORD-09", "a faulting access was sent to memory");

  // No write through an entry whose dirty state is not set.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   push && push_ready && writes |-> b_bypass_q || !b_leaf_q.clean)
  else sva_pkg::sva_fired("HAF-12", "a write used a writable-clean translation");

  // A store waits for the translations of all older accesses.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   advance && a_q.op inside {OP_STORE, OP_CAS, OP_TLBI, OP_DSB, OP_ISB, OP_MSR} |->
                   queue_empty)
  else sva_pkg::sva_fired("ORD-05", "an access that may not pass older ones passed one that waits for its translation");

  // A fault rests on descriptors read after every earlier access was performed.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   respond && rsp_fault && state_q == 3'd6 && !b_simple_q && fsc_q != FSC_EXTERNAL &&
                   !ets0_i |-> !early_q)
  else sva_pkg::sva_fired("WALK-27", "a fault of a walk that began with accesses in flight");

endmodule
/* verilator lint_on UNUSEDSIGNAL */

bind access_unit access_unit_sva u_sva (.state_q(3'(state_q)), .*);
