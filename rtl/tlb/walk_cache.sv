// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Remembers table descriptors, so that a walk can begin at the deepest table known for its address.
//
// Fully associative; an entry stands for the whole walk down to its descriptor: it holds the next
// table and the limits collected so far. It matches the VA above the bits that its descriptor
// indexes, and always by ASID, whatever the leaves below are (TLB-23).
// Latency: a lookup answers in the same cycle; a fill or an invalidation shows from the next. The
// user never fills and invalidates in one cycle. Victim: the entry of the same key, else a free one,
// else round robin.
module walk_cache
  import tlb_pkg::*;
  import vmsa_pkg::*;
#(
    parameter int unsigned Entries = 16
) (
    input logic clk_i,
    input logic rst_ni,

    input  logic    lookup_valid_i,
    input  key_t    lookup_key_i,
    output logic    hit_o,
    output level_t  level_o,   // of the descriptor remembered, the deepest that matches
    output pa_t     table_o,
    output limits_t limits_o,

    input logic    fill_valid_i,
    input key_t    fill_key_i,   // already masked
    input key_t    fill_mask_i,
    input level_t  fill_level_i,
    input pa_t     fill_table_i,
    input limits_t fill_limits_i,

    input logic        inv_valid_i,
    input invalidate_t inv_i,

    output logic [7:0] victim_o,   // entry that a fill in this cycle takes
    output logic [7:0] removed_o   // entries that the invalidation in this cycle removes
);

  localparam int unsigned IndexBits = Entries > 1 ? $clog2(Entries) : 1;
  typedef logic [IndexBits-1:0] index_t;

  typedef struct packed {
    level_t  level;
    pa_t     base;
    limits_t limits;
  } table_t;

  // What an entry held before it was removed stays in the arrays: only live_q tells.
  logic [Entries-1:0] live_q;
  key_t   key_q  [Entries];
  key_t   mask_q [Entries];
  table_t table_q[Entries];
  index_t turn_q;

  // Of the matches of the deepest level the first: there is but one, since a fill replaces its like,
  // unless software changed the granule and invalidated nothing.
  logic [Entries-1:0] match, best;
  logic at_1, at_2;
  always_comb begin
    match = '0;
    best = '0;
    at_1 = 1'b0;
    at_2 = 1'b0;
    if (lookup_valid_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        match[i] = live_q[i] && (lookup_key_i & mask_q[i]) == key_q[i];
        if (match[i] && table_q[i].level == 2'd1) at_1 = 1'b1;
        if (match[i] && table_q[i].level == 2'd2) at_2 = 1'b1;
      end
      for (int unsigned i = 0; i < Entries; i++) begin
        best[i] = match[i] && table_q[i].level == (at_2 ? 2'd2 : at_1 ? 2'd1 : 2'd0);
      end
      best &= -best;
    end
  end

  table_t found;
  always_comb begin
    found = '0;
    for (int unsigned i = 0; i < Entries; i++) if (best[i]) found |= table_q[i];
  end

  assign hit_o    = match != '0;
  assign level_o  = found.level;
  assign table_o  = found.base;
  assign limits_o = found.limits;

  logic [Entries-1:0] remove;
  index_t victim;
  always_comb begin
    remove = '0;
    victim = turn_q;
    if (fill_valid_i) begin
      for (int unsigned i = 0; i < Entries; i++) if (!live_q[i]) victim = index_t'(i);
      for (int unsigned i = 0; i < Entries; i++) begin
        if (live_q[i] && key_q[i] == fill_key_i && table_q[i].level == fill_level_i) victim = index_t'(i);
      end
    end
    if (inv_valid_i && !inv_i.last_level) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        remove[i] = live_q[i] && names(inv_i, key_q[i], mask_q[i]);
      end
    end
  end

  always_comb begin
    removed_o = '0;
    if (inv_valid_i) for (int unsigned i = 0; i < Entries; i++) removed_o += 8'(remove[i]);
  end

  assign victim_o = 8'(victim);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      live_q <= '0;
      turn_q <= '0;
    end else if (fill_valid_i || inv_valid_i) begin
      live_q <= live_q & ~remove;
      if (fill_valid_i) begin
        live_q[victim]  <= 1'b1;
        key_q[victim]   <= fill_key_i;
        mask_q[victim]  <= fill_mask_i;
        table_q[victim] <= '{level: fill_level_i, base: fill_table_i, limits: fill_limits_i};
        if (victim == turn_q) begin
          turn_q <= 32'(turn_q) + 32'd1 >= Entries ? '0 : turn_q + index_t'(1);
        end
      end
    end
  end

endmodule
