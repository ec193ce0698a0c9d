// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Assertions on the second-level TLB.
/* verilator lint_off UNUSEDSIGNAL */
module l2_tlb_sva #(
    parameter int unsigned Ways = 5
) (
    input logic clk_i,
    input logic rst_ni,
    input logic [2:0] ways_in_use_i,
    input logic [2:0] state_q,  // 2 is LOOKUP
    input logic [Ways-1:0] match,
    input logic filled_o,
    input logic [15:0] filled_index_o,
    input logic hit_o,
    input logic inv_valid_i,
    input logic inv_ready_o,
    input logic read,
    input logic [Ways-1:0] write_tag
);

  assert property (@(posedge clk_i) disable iff (!rst_ni) state_q == 3'd2 |-> $onehot0(match))
  else sva_pkg::sva_fired("TLB-11", "two entries of one size match a lookup of the second level");

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   filled_o |-> filled_index_o[10:8] < ways_in_use_i)
  else sva_pkg::sva_fired("TLB-29", "a fill of the second level took a way beyond those in use");

  assert property (@(posedge clk_i) disable iff (!rst_ni) inv_valid_i |-> !hit_o && !filled_o)
  else sva_pkg::sva_fired("TLBI-07", "the second level answered or filled in the cycle of an invalidation");

  assert property (@(posedge clk_i) disable iff (!rst_ni) inv_valid_i |-> inv_ready_o)
  else sva_pkg::sva_fired("TLBI-01", "an invalidation came while the second level worked at another");

  assert property (@(posedge clk_i) disable iff (!rst_ni) read |-> write_tag == '0)
  else sva_pkg::sva_fired("TLB-20", "the second level read and wrote in one cycle");

endmodule
/* verilator lint_on UNUSEDSIGNAL */

bind l2_tlb l2_tlb_sva #(.Ways(Ways)) u_sva (.state_q(3'(state_q)), .*);
