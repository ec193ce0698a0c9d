// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// One core's end of the invalidation network: INVs and SYNCs that it sends, and those that it gets.
//
// Sending: up to 4 messages wait in order for the distributor (DVM-07, DVM-08); send_* and out_* are
// valid/ready. Receiving: messages wait in order until the core can carry them out. An INV takes
// effect when inv_ready_i; a SYNC is answered once clear_i says that nothing older than the INVs
// before it is under way (DVM-03). Neither waits for anything that the core itself waits for, so that
// no cycle of waits can arise (DVM-05, DVM-06).
module dvm_port
  import dvm_pkg::*;
  import tlb_pkg::invalidate_t;
(
    input logic clk_i,
    input logic rst_ni,

    input logic [7:0] core_i,
    input logic       go_i,      // delay injection: a received message may be looked at

    input  logic        send_valid_i,
    input  logic        send_sync_i,
    input  invalidate_t send_inv_i,
    output logic        send_ready_o,
    output logic [7:0]  send_tag_o,
    output logic        sync_done_o,

    output logic     out_valid_o,
    output dvm_msg_t out_o,
    input  logic     out_ready_i,
    input  logic     out_done_i,     // this core's SYNC was answered by all

    input  logic     in_valid_i,
    input  dvm_msg_t in_i,
    output logic     in_ready_o,
    output logic       answer_o,
    output logic [7:0] answer_to_o,

    output logic        inv_valid_o,
    output logic [7:0]  inv_source_o,
    output logic [7:0]  inv_tag_o,
    output invalidate_t inv_o,
    input  logic        inv_ready_i,
    input  logic        clear_i,
    output logic        waiting_o    // a SYNC waits for older accesses
);

  localparam int unsigned Depth = 4;
  typedef logic [$clog2(Depth)-1:0] index_t;

  // ---- sending --------------------------------------------------------------------------------

  dvm_msg_t out_q[Depth];
  index_t out_head_q, out_tail_q;
  logic [2:0] out_count_q;
  logic [7:0] tag_q;
  logic push_out, pop_out;

  assign send_ready_o = out_count_q != 3'(Depth);
  assign send_tag_o   = tag_q;
  assign push_out     = send_valid_i && send_ready_o;
  assign out_valid_o  = out_count_q != '0;
  assign out_o        = out_q[out_head_q];
  assign pop_out      = out_valid_o && out_ready_i;
  assign sync_done_o  = out_done_i;

  // ---- receiving ------------------------------------------------------------------------------

  dvm_msg_t in_q[Depth], head;
  index_t in_head_q, in_tail_q;
  logic [2:0] in_count_q;
  logic push_in, pop_in, look;

  assign in_ready_o  = in_count_q != 3'(Depth);
  assign push_in     = in_valid_i && in_ready_o;
  assign head        = in_q[in_head_q];
  assign look        = in_count_q != '0 && go_i;
  assign inv_valid_o = look && !head.sync;
  assign inv_source_o = head.source;
  assign inv_tag_o    = head.tag;
  assign inv_o        = head.inv;
  assign answer_o     = look && head.sync && clear_i;
  assign answer_to_o  = head.source;
  assign waiting_o    = in_count_q != '0 && head.sync && !clear_i;
  assign pop_in       = (inv_valid_o && inv_ready_i) || answer_o;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      for (int unsigned i = 0; i < Depth; i++) begin
        out_q[i] <= '0;
        in_q[i] <= '0;
      end
      out_head_q <= '0;
      out_tail_q <= '0;
      out_count_q <= '0;
      in_head_q <= '0;
      in_tail_q <= '0;
      in_count_q <= '0;
      tag_q <= '0;
    end else if (push_out || out_valid_o || push_in || in_count_q != '0) begin
      if (push_out) begin
        out_q[out_tail_q] <= '{sync: send_sync_i, source: core_i, tag: tag_q, inv: send_inv_i};
        out_tail_q <= out_tail_q + index_t'(1);
        if (!send_sync_i) tag_q <= tag_q + 8'd1;
      end
      if (pop_out) out_head_q <= out_head_q + index_t'(1);
      out_count_q <= out_count_q + 3'(push_out) - 3'(pop_out);
      if (push_in) begin
        in_q[in_tail_q] <= in_i;
        in_tail_q <= in_tail_q + index_t'(1);
      end
      if (pop_in) in_head_q <= in_head_q + index_t'(1);
      in_count_q <= in_count_q + 3'(push_in) - 3'(pop_in);
    end
  end

endmodule
