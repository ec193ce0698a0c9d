// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// A fully associative first-level TLB. Pages, blocks and contiguous runs are single entries.
//
// Latency: a lookup answers in the cycle it is presented (combinational); a fill or an invalidation
// shows from the next cycle. The user never fills and invalidates in one cycle.
// A fill first removes every entry that overlaps it in the same context, so that at most one entry
// matches any access (TLB-11, TLB-27). With `conflicts_i` it removes only one of the same span;
// then a lookup may match two entries, and says so (TLB-10). Victim: an entry that the fill removes,
// else a free one, else round robin.
module l1_tlb
  import tlb_pkg::*;
  import vmsa_pkg::*;
#(
    parameter int unsigned Entries = 48
) (
    input logic clk_i,
    input logic rst_ni,

    input logic [7:0] entries_in_use_i,
    input logic       conflicts_i,

    input  logic  lookup_valid_i,
    input  key_t  lookup_key_i,
    output logic  hit_o,
    output logic  conflict_o,  // more than one entry matches
    output leaf_t leaf_o,
    output vpn_t  span_o,  // mask of the VPN bits that the entry translates

    input logic  fill_valid_i,
    input key_t  fill_key_i,   // already masked
    input key_t  fill_mask_i,
    input leaf_t fill_leaf_i,

    input logic        inv_valid_i,
    input invalidate_t inv_i,

    output logic [7:0] victim_o,  // entry that a fill in this cycle takes
    output logic [7:0] removed_o  // entries that the fill or invalidation in this cycle removes
);

  localparam int unsigned IndexBits = Entries > 1 ? $clog2(Entries) : 1;
  typedef logic [IndexBits-1:0] index_t;

  // What an entry held before it was removed stays in the arrays: only live_q tells.
  logic [Entries-1:0] live_q;
  key_t  key_q [Entries];
  key_t  mask_q[Entries];
  leaf_t leaf_q[Entries];
  index_t turn_q;

  // ---- lookup ---------------------------------------------------------------------------------

  always_comb begin
    hit_o = 1'b0;
    conflict_o = 1'b0;
    leaf_o = '0;
    span_o = '0;
    if (lookup_valid_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        if (live_q[i] && (lookup_key_i & mask_q[i]) == key_q[i]) begin
          conflict_o |= hit_o;
          hit_o = 1'b1;
          // One entry matches, or what is found is not used.
          leaf_o |= leaf_q[i];
          span_o |= mask_q[i].vpn;
        end
      end
    end
  end

  // ---- what a fill or an invalidation removes -------------------------------------------------

  logic [Entries-1:0] remove;
  index_t victim;

  always_comb begin
    remove = '0;
    victim = turn_q;
    if (fill_valid_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        if (!live_q[i] && 8'(i) < entries_in_use_i) victim = index_t'(i);
      end
      for (int unsigned i = 0; i < Entries; i++) begin
        if (live_q[i] && ((fill_key_i ^ key_q[i]) & fill_mask_i & mask_q[i]) == '0 &&
            (!conflicts_i || mask_q[i].vpn == fill_mask_i.vpn)) begin
          remove[i] = 1'b1;
          victim = index_t'(i);
        end
      end
    end
    if (inv_valid_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        remove[i] = live_q[i] && names(inv_i, key_q[i], mask_q[i]);
      end
    end
  end

  always_comb begin
    removed_o = '0;
    if (fill_valid_i || inv_valid_i) begin
      for (int unsigned i = 0; i < Entries; i++) removed_o = removed_o + 8'(remove[i]);
    end
  end

  assign victim_o = 8'(victim);

  // ---- state ----------------------------------------------------------------------------------

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      live_q <= '0;
      turn_q <= '0;
    end else if (fill_valid_i || inv_valid_i) begin
      live_q <= live_q & ~remove;
      if (fill_valid_i) begin
        live_q[victim] <= 1'b1;
        key_q[victim]  <= fill_key_i;
        mask_q[victim] <= fill_mask_i;
        leaf_q[victim] <= fill_leaf_i;
        turn_q <= 8'(turn_q) + 8'd1 >= entries_in_use_i ? '0 : turn_q + index_t'(1);
      end
    end
  end

endmodule
