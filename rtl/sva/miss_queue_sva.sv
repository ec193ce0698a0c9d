// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Assertions on the accesses that wait for a translation.
/* verilator lint_off UNUSEDSIGNAL */
module miss_queue_sva
  import socket_pkg::core_req_t;
  import walk_pkg::*;
#(
    parameter int unsigned CycleLimit = 1 << 16  // far above any memory latency in use
) (
    input logic clk_i,
    input logic rst_ni,
    input logic ets0_i,
    input logic alloc_i,
    input core_req_t alloc_req_i,
    input logic full_o,
    input logic replay_i,
    input logic [1:0] replay_entry_o,
    input walk_rsp_t replay_rsp_o,
    input logic ask_valid_o,
    input walk_req_t ask_o,
    input logic ask_ready_i,
    input miss_rsp_t rsp_i,
    input logic [3:0] busy,
    input logic [3:0] leaving,
    input logic [3:0] early_q
);

  logic [3:0] asked_q;
  logic early;
  assign early = early_q[replay_entry_o];
  logic [31:0] age_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      asked_q <= '0;
      age_q <= '0;
    end else begin
      asked_q <= (asked_q & ~(rsp_i.valid ? 4'(rsp_i.tags) : 4'd0)) |
                 (ask_valid_o && ask_ready_i ? 4'd1 << ask_o.tag : 4'd0);
      age_q <= busy == '0 || leaving != '0 ? '0 : age_q + 32'd1;
    end
  end

  assert property (@(posedge clk_i) disable iff (!rst_ni) alloc_i |-> !full_o)
  else sva_pkg::sva_fired("MEM-22", "an access entered a full miss queue");

  // Each question has one answer.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   rsp_i.valid |-> (4'(rsp_i.tags) & ~asked_q) == '0)
  else sva_pkg::sva_fired("MEM-22", "a translation came for an access that had not asked");

  // WALK-27: a fault goes on only if every older access was done before its walk began.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   replay_i && replay_rsp_o.fault |-> ets0_i || !early)
  else sva_pkg::sva_fired("WALK-27", "a fault of a walk that began with older accesses under way");

  assert property (@(posedge clk_i) disable iff (!rst_ni) age_q < CycleLimit)
  else sva_pkg::sva_fired("WALK-10", "an access waits for its translation without end");

endmodule
/* verilator lint_on UNUSEDSIGNAL */

bind miss_queue miss_queue_sva u_sva (.*);
