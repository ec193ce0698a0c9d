// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// One way of the second-level TLB: two memories with one port each, for tags and leaves.
//
// Latency: what is read in one cycle is at the outputs in the next, and stays until the next read.
// Never read and write in one cycle.
module l2_way
  import tlb_pkg::*;
  import vmsa_pkg::*;
#(
    parameter int unsigned SetsLog2 = 8
) (
    input logic clk_i,

    input  logic [SetsLog2-1:0] set_i,
    input  logic                read_i,
    output l2_tag_t             tag_o,
    output leaf_t               leaf_o,

    input logic    write_tag_i,
    input l2_tag_t tag_i,
    input logic    write_leaf_i,
    input leaf_t   leaf_i
);

  localparam int unsigned Sets = 1 << SetsLog2;

  l2_tag_t tag_q[Sets];
  leaf_t   leaf_q[Sets];

  always_ff @(posedge clk_i) begin
    if (read_i) tag_o <= tag_q[set_i];
    else if (write_tag_i) tag_q[set_i] <= tag_i;
  end

  always_ff @(posedge clk_i) begin
    if (read_i) leaf_o <= leaf_q[set_i];
    else if (write_leaf_i) leaf_q[set_i] <= leaf_i;
  end

endmodule
