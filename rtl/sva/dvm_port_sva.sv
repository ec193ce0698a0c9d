// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Assertions on invalidation messages at one core.
/* verilator lint_off UNUSEDSIGNAL */
module dvm_port_sva
  import dvm_pkg::dvm_msg_t;
#(
    parameter int unsigned CycleLimit = 1 << 16  // far above any memory latency in use
) (
    input logic clk_i,
    input logic rst_ni,
    input logic send_valid_i,
    input logic send_ready_o,
    input logic send_sync_i,
    input logic out_valid_o,
    input dvm_msg_t out_o,
    input logic out_ready_i,
    input logic out_done_i,
    input logic in_valid_i,
    input logic in_ready_o,
    input logic answer_o,
    input logic clear_i,
    input logic inv_valid_o,
    input logic pop_in,
    input logic [2:0] in_count_q
);

  logic sync_open_q;
  logic [31:0] wait_q, sync_age_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      sync_open_q <= 1'b0;
      wait_q <= '0;
      sync_age_q <= '0;
    end else begin
      if (send_valid_i && send_ready_o && send_sync_i) sync_open_q <= 1'b1;
      else if (out_done_i) sync_open_q <= 1'b0;
      wait_q <= in_count_q == '0 || pop_in ? '0 : wait_q + 32'd1;
      sync_age_q <= sync_open_q ? sync_age_q + 32'd1 : '0;
    end
  end

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   out_valid_o && !out_ready_i |=> out_valid_o && $stable(out_o))
  else sva_pkg::sva_fired("DVM-08", "an invalidation message changed while it waited");

  assert property (@(posedge clk_i) disable iff (!rst_ni) in_valid_i |-> in_ready_o)
  else sva_pkg::sva_fired("DVM-01", "an invalidation message came that the core has no room for");

  assert property (@(posedge clk_i) disable iff (!rst_ni) answer_o |-> clear_i)
  else sva_pkg::sva_fired("DVM-03", "a SYNC was answered with older accesses under way");

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   send_valid_i && send_ready_o && send_sync_i |-> !sync_open_q)
  else sva_pkg::sva_fired("DVM-07", "a second SYNC was sent before the first was answered");

  assert property (@(posedge clk_i) disable iff (!rst_ni) out_done_i |-> sync_open_q)
  else sva_pkg::sva_fired("DVM-07", "a SYNC was answered that was not sent");

  assert property (@(posedge clk_i) disable iff (!rst_ni) wait_q < CycleLimit)
  else sva_pkg::sva_fired("DVM-05", "a received invalidation message is not carried out");

  assert property (@(posedge clk_i) disable iff (!rst_ni) sync_age_q < CycleLimit)
  else sva_pkg::sva_fired("TLBI-28", "a SYNC is not answered by all");

endmodule
/* verilator lint_on UNUSEDSIGNAL */

bind dvm_port dvm_port_sva u_sva (.*);
