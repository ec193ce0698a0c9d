// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Assertions on the way of invalidation messages: they reach every core, in order, after its distance.
/* verilator lint_off UNUSEDSIGNAL */
module dvm_links_sva
  import dvm_pkg::*;
  import memory_pkg::*;
#(
    parameter int unsigned CoresPerNode = 1,
    parameter int unsigned CpuNodes = 1,
    parameter int unsigned Cores = 1
) (
    input logic clk_i,
    input logic rst_ni,
    input clocks_t [CpuNodes-1:0][CpuNodes-1:0] distance_i,
    input logic valid_i,
    input dvm_msg_t msg_i,
    input logic [Cores-1:0] ready_o,
    input logic [Cores-1:0] valid_o,
    input dvm_msg_t [Cores-1:0] msg_o
);

  // What each core has to get, and when at the earliest. A message may pass in the cycle in which it
  // comes, so that it is looked for among those sent before and the one sent now.
  localparam int unsigned Kept = 16;
  typedef logic [$clog2(Kept)-1:0] index_t;
  int unsigned now_q;
  dvm_msg_t sent_q[Kept];
  int unsigned sent_at_q[Kept];
  index_t tail_q, head_q[Cores];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      now_q  <= '0;
      tail_q <= '0;
      for (int unsigned c = 0; c < Cores; c++) head_q[c] <= '0;
    end else begin
      now_q <= now_q + 32'd1;
      if (valid_i) begin
        sent_q[tail_q] <= msg_i;
        sent_at_q[tail_q] <= now_q;
        tail_q <= tail_q + index_t'(1);
      end
      for (int unsigned c = 0; c < Cores; c++) if (valid_o[c]) head_q[c] <= head_q[c] + index_t'(1);
    end
  end

  logic [Cores-1:0] other, early;
  always_comb begin
    for (int unsigned c = 0; c < Cores; c++) begin
      other[c] = 1'b0;
      early[c] = 1'b0;
      if (valid_o[c] && head_q[c] == tail_q) begin
        other[c] = !valid_i || msg_o[c] != msg_i;
        early[c] = distance_i[(32'(msg_o[c].source)/CoresPerNode)%CpuNodes][c/CoresPerNode] != '0;
      end else if (valid_o[c]) begin
        other[c] = msg_o[c] != sent_q[head_q[c]];
        early[c] = now_q - sent_at_q[head_q[c]]
            < 32'(distance_i[(32'(msg_o[c].source)/CoresPerNode)%CpuNodes][c/CoresPerNode]);
      end
    end
  end

  assert property (@(posedge clk_i) disable iff (!rst_ni) valid_i |-> &ready_o)
  else sva_pkg::sva_fired("DVM-01", "an invalidation message was sent without room for it on every way");

  assert property (@(posedge clk_i) disable iff (!rst_ni) other == '0)
  else sva_pkg::sva_fired("DVM-08", "a core got another invalidation message than was sent next");

  assert property (@(posedge clk_i) disable iff (!rst_ni) early == '0)
  else sva_pkg::sva_fired("DVM-10", "an invalidation message came before its distance was over");

endmodule
/* verilator lint_on UNUSEDSIGNAL */

bind dvm_links dvm_links_sva #(
    .CoresPerNode(CoresPerNode),
    .CpuNodes(CpuNodes),
    .Cores(Cores)
) u_sva (
    .*
);
