// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Brings the answers of all nodes to one requester, one a cycle.
//
// An answer passes in the same cycle if nothing stands in its way, else it waits in a queue of its
// node, which holds as many as the requester can have in flight. Lowest node first among those that
// wait: answers are bounded by what is in flight, so none starves.
module response_merge
  import bus_pkg::*;
#(
    parameter int unsigned Nodes = 1
) (
    input logic clk_i,
    input logic rst_ni,

    input  logic                 go_i,  // delay injection: an answer may pass
    input  mem_rsp_t [Nodes-1:0] rsp_i,
    output mem_rsp_t             rsp_o
);

  localparam int unsigned Depth = 1 << TAG_BITS;
  typedef logic [TAG_BITS-1:0] index_t;

  mem_rsp_t queue_q[Nodes][Depth];
  index_t head_q[Nodes];
  logic [TAG_BITS:0] count_q[Nodes];
  logic [Nodes-1:0] offered, taken;

  always_comb begin
    rsp_o = '0;
    taken = '0;
    for (int n = int'(Nodes) - 1; n >= 0; n--) begin
      offered[n] = count_q[n] != '0 || rsp_i[n].valid;
      if (offered[n] && go_i) begin
        rsp_o = count_q[n] != '0 ? queue_q[n][head_q[n]] : rsp_i[n];
        taken = Nodes'(1) << n;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      for (int unsigned n = 0; n < Nodes; n++) begin
        head_q[n] <= '0;
        count_q[n] <= '0;
        for (int unsigned i = 0; i < Depth; i++) queue_q[n][i] <= '0;
      end
    end else if (offered != '0) begin
      for (int unsigned n = 0; n < Nodes; n++) begin
        if (rsp_i[n].valid) queue_q[n][head_q[n] + index_t'(count_q[n])] <= rsp_i[n];
        if (taken[n]) head_q[n] <= head_q[n] + index_t'(1);
        count_q[n] <= count_q[n] + (TAG_BITS+1)'(rsp_i[n].valid) - (TAG_BITS+1)'(taken[n]);
      end
    end
  end

endmodule
