// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Assertions on a link: nothing is lost, nothing leaves before its time or without tokens.
/* verilator lint_off UNUSEDSIGNAL */
module delay_link_sva
  import memory_pkg::*;
#(
    parameter int unsigned Depth = 32
) (
    input logic clk_i,
    input logic rst_ni,
    input clocks_t delay_i,
    input link_config_t limit_i,
    input logic valid_i,
    input logic ready_o,
    input logic push,
    input logic pop,
    input logic sent,
    input logic through,
    input logic limited,
    input logic [$clog2(Depth):0] count_q,
    input logic signed [25:0] tokens_q,
    input logic signed [25:0] most
);

  // When each message may leave, kept beside the link's own record.
  typedef logic [$clog2(Depth)-1:0] index_t;
  int unsigned now_q, due_q[Depth];
  index_t head_q, tail_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      now_q  <= '0;
      head_q <= '0;
      tail_q <= '0;
    end else begin
      now_q <= now_q + 32'd1;
      if (push) begin
        due_q[tail_q] <= now_q + 32'(delay_i);
        tail_q <= tail_q + index_t'(1);
      end
      if (pop) head_q <= head_q + index_t'(1);
    end
  end

  assert property (@(posedge clk_i) disable iff (!rst_ni) push |-> 32'(count_q) < Depth)
  else sva_pkg::sva_fired("NOC-04", "a full link took a message");

  // Whoever does not look at ready_o must not need to.
  assert property (@(posedge clk_i) disable iff (!rst_ni) valid_i && !ready_o |=> valid_i)
  else sva_pkg::sva_fired("MEM-12", "a message was lost at a full link");

  logic early;
  assign early = pop && now_q < due_q[head_q];
  assert property (@(posedge clk_i) disable iff (!rst_ni) !early)
  else sva_pkg::sva_fired("NOC-01", "a message left a link before its delay was over");

  assert property (@(posedge clk_i) disable iff (!rst_ni) limited && sent |-> tokens_q > 26'sd0)
  else sva_pkg::sva_fired("NOC-04", "a message passed a link without tokens");

  assert property (@(posedge clk_i) disable iff (!rst_ni) limited |-> tokens_q <= most)
  else sva_pkg::sva_fired("NOC-04", "a link saved more tokens than its burst");

endmodule
/* verilator lint_on UNUSEDSIGNAL */

bind delay_link delay_link_sva #(.Depth(Depth)) u_sva (.*);
