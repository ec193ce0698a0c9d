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

  key_t   key_q  [Entries];
  key_t   mask_q [Entries];
  table_t table_q[Entries];
  index_t turn_q;

  index_t hit_index;
  always_comb begin
    hit_o = 1'b0;
    hit_index = '0;
    if (lookup_valid_i) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        if ((lookup_key_i & mask_q[i]) == key_q[i] &&
            (!hit_o || table_q[i].level > table_q[hit_index].level)) begin
          hit_o = 1'b1;
          hit_index = index_t'(i);
        end
      end
    end
  end

  assign level_o  = table_q[hit_index].level;
  assign table_o  = table_q[hit_index].base;
  assign limits_o = table_q[hit_index].limits;

  logic [Entries-1:0] remove;
  index_t victim;
  always_comb begin
    remove = '0;
    victim = turn_q;
    if (fill_valid_i) begin
      for (int unsigned i = 0; i < Entries; i++) if (!key_q[i].live) victim = index_t'(i);
      for (int unsigned i = 0; i < Entries; i++) begin
        if (key_q[i] == fill_key_i && table_q[i].level == fill_level_i) victim = index_t'(i);
      end
    end
    if (inv_valid_i && !inv_i.last_level) begin
      for (int unsigned i = 0; i < Entries; i++) remove[i] = names(inv_i, key_q[i], mask_q[i]);
    end
  end

  always_comb begin
    removed_o = '0;
    if (inv_valid_i) for (int unsigned i = 0; i < Entries; i++) removed_o += 8'(remove[i]);
  end

  assign victim_o = 8'(victim);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      for (int unsigned i = 0; i < Entries; i++) begin
        key_q[i] <= '0;
        mask_q[i] <= '1;
        table_q[i] <= '0;
      end
      turn_q <= '0;
    end else begin
      if (inv_valid_i) begin
        for (int unsigned i = 0; i < Entries; i++) begin
          if (remove[i]) begin
            key_q[i]  <= '0;
            mask_q[i] <= '1;
          end
        end
      end
      if (fill_valid_i) begin
        key_q[victim]   <= fill_key_i;
        mask_q[victim]  <= fill_mask_i;
        table_q[victim] <= '{level: fill_level_i, base: fill_table_i, limits: fill_limits_i};
        turn_q <= victim == turn_q ? (32'(turn_q) + 32'd1 >= Entries ? '0 : turn_q + index_t'(1)) : turn_q;
      end
    end
  end

endmodule
