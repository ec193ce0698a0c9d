// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Assertions on the contents of a first-level TLB.
module l1_tlb_sva
  import tlb_pkg::*;
  import vmsa_pkg::*;
#(
    parameter int unsigned Entries = 48
) (
    input logic clk_i,
    input logic rst_ni,
    input logic [7:0] entries_in_use_i,
    input logic conflicts_i,
    input logic fill_valid_i,
    input key_t fill_key_i,
    input key_t fill_mask_i,
    input logic inv_valid_i,
    input invalidate_t inv_i,
    input logic [7:0] victim_o,
    input logic [Entries-1:0] live_q
);

  localparam int unsigned IndexBits = Entries > 1 ? $clog2(Entries) : 1;

  // If no fill leaves two entries that overlap, no access ever matches two. Looking only after a
  // fill costs nothing in the cycles of lookups.
  logic filled_q, invalidated_q;
  logic [IndexBits-1:0] victim_q;
  invalidate_t inv_q;
  always_ff @(posedge clk_i) begin
    filled_q <= rst_ni && fill_valid_i;
    invalidated_q <= rst_ni && inv_valid_i;
    if (fill_valid_i) victim_q <= IndexBits'(victim_o);
    if (inv_valid_i) inv_q <= inv_i;
  end

  logic overlap, survivor;
  always_comb begin
    overlap = 1'b0;
    if (filled_q) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        if (i != 32'(victim_q) && live_q[i] &&
            ((l1_tlb.key_q[i] ^ l1_tlb.key_q[victim_q]) & l1_tlb.mask_q[i] & l1_tlb.mask_q[victim_q]) == '0) overlap = 1'b1;
      end
    end
  end

  always_comb begin
    survivor = 1'b0;
    if (invalidated_q) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        if (live_q[i] && names(inv_q, l1_tlb.key_q[i], l1_tlb.mask_q[i])) survivor = 1'b1;
      end
    end
  end

  // At most one entry matches an access.
  assert property (@(posedge clk_i) disable iff (!rst_ni) filled_q && !conflicts_i |-> !overlap)
  else sva_pkg::sva_fired("TLB-11", "two live entries of one TLB overlap after a fill");

  // A victim is an entry that the straps put in use.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   fill_valid_i |-> victim_o < entries_in_use_i)
  else sva_pkg::sva_fired("TLB-29", "a fill took an entry beyond those in use");

  // What a TLBI names is gone in the next cycle.
  assert property (@(posedge clk_i) disable iff (!rst_ni) invalidated_q |-> !survivor)
  else sva_pkg::sva_fired("TLBI-01", "an entry that a TLBI names is still live after it");

  // The two ways to change an entry never meet.
  assert property (@(posedge clk_i) disable iff (!rst_ni) !(fill_valid_i && inv_valid_i))
  else sva_pkg::sva_fired("TLBI-07", "a fill in the cycle of an invalidation");

  // An entry's key has no bit outside its mask, else it could never match (or match too much).
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   fill_valid_i |-> (fill_key_i & ~fill_mask_i) == '0 && fill_key_i.live &&
                                    (fill_mask_i.asid inside {'0, '1}) && fill_mask_i.upper)
  else sva_pkg::sva_fired("TLB-31", "a fill with a malformed key or mask");

endmodule

bind l1_tlb l1_tlb_sva #(.Entries(Entries)) u_sva (.*);
