// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The unified second-level TLB of one core: set associative, pages, blocks and contiguous runs are
// single entries.
//
// One operation at a time: lookup, fill or invalidation.
//   lookup        taken when lookup_ready_o; one cycle for each size that entries of the granule
//                 have, smallest first, until one matches; done_o in the cycle of the answer.
//   fill          taken when fill_ready_o; 2 cycles. It replaces what it overlaps at the same size.
//   invalidation  taken when inv_ready_o; inv_done_o at its end. One page: up to 2 cycles for each
//                 size held. Anything else: 1 cycle for each set in use, 2 if an entry goes.
// An invalidation in the cycle of a lookup's answer or of a fill's write turns the one into a miss
// and drops the other, so that nothing older than it gets out or in after it (WALK-30). While it is
// at work, users take lookups for missed and drop fills: it is complete for them at once.
// After reset every set is cleared first, in one cycle each.
module l2_tlb
  import tlb_pkg::*;
  import vmsa_pkg::*;
#(
    parameter int unsigned SetsLog2 = 8,
    parameter int unsigned Ways = 5
) (
    input logic clk_i,
    input logic rst_ni,

    input logic [2:0] ways_in_use_i,       // 0: none, every lookup misses
    input logic [3:0] sets_in_use_log2_i,

    input  logic     lookup_valid_i,
    output logic     lookup_ready_o,
    input  key_t     lookup_key_i,
    input  granule_e lookup_granule_i,
    input  logic     lookup_demand_i,  // for an access, not for a prefetch
    output logic     done_o,
    output logic     hit_o,
    output leaf_t    leaf_o,
    output vpn_t     span_o,       // mask of the VPN bits that the entry translates
    output logic     is_global_o,
    output logic     prefetched_o, // the first hit of an access on a prefetched entry

    input  logic     fill_valid_i,
    output logic     fill_ready_o,
    input  l2_fill_t fill_i,
    output logic        filled_o,     // the fill below is written
    output l2_fill_t    filled_fill_o,
    output vpn_t        filled_span_o,
    output logic [15:0] filled_index_o,
    output logic [7:0]  filled_count_o,

    input  logic        inv_valid_i,
    output logic        inv_ready_o,
    input  invalidate_t inv_i,
    output logic        inv_done_o,
    output logic [15:0] inv_count_o
);

  typedef logic [SetsLog2-1:0] set_t;
  typedef logic [$clog2(Ways)-1:0] way_t;

  typedef enum logic [2:0] {
    CLEAR,      // after reset
    IDLE,
    LOOKUP,     // the tags of size_q are at the outputs
    FILL,       // the set of the fill is at the outputs
    PAGE_READ,  // invalidate one page: read the set of size_q
    PAGE_CHECK,
    SWEEP       // invalidate set by set
  } state_e;

  state_e state_q, state_d;
  key_t key_q;
  granule_e granule_q, granule_d;
  class_t size_q, size_d;
  set_t set_q, set_d;
  l2_fill_t fill_q;
  invalidate_t inv_q;
  logic sweep_last_q, sweep_last_d, swept_q, swept_d;  // SWEEP: set_q was read / the last one was
  logic [15:0] count_q, count_d;
  way_t turn_q;
  logic demand_q;
  // Sizes that any entry may have, by granule.
  logic [CLASSES-1:0] present_q[3];

  l2_tag_t [Ways-1:0] tag;
  leaf_t   [Ways-1:0] leaf;
  logic read;
  set_t set;
  logic [Ways-1:0] write_tag, write_live, write_leaf;  // write_live: valid bit of the tag written
  l2_tag_t write_value;

  for (genvar w = 0; w < Ways; w++) begin : gen_way
    l2_way #(
        .SetsLog2(SetsLog2)
    ) u_way (
        .clk_i,
        .set_i(set),
        .read_i(read),
        .tag_o(tag[w]),
        .leaf_o(leaf[w]),
        .write_tag_i(write_tag[w]),
        .tag_i({write_live[w], write_value[$bits(l2_tag_t)-2:0]}),
        .write_leaf_i(write_leaf[w]),
        .leaf_i(fill_q.leaf)
    );
  end

  // ---- sizes and sets -------------------------------------------------------------------------

  set_t last_set;
  assign last_set = set_t'((32'd1 << sets_in_use_log2_i) - 32'd1);

  function automatic vpn_t span_of(granule_e granule, class_t size);
    return {VPN_BITS{1'b1}} << class_shift(granule, size);
  endfunction

  function automatic set_t set_of(vpn_t vpn, granule_e granule, class_t size, set_t mask);
    return set_t'(vpn >> class_shift(granule, size)) & mask;
  endfunction

  typedef struct packed {
    logic   found;
    class_t size;
  } next_t;

  // The smallest size present from `from` on.
  function automatic next_t next_size(logic [CLASSES-1:0] present, logic [3:0] from);
    next_size = '{found: 1'b0, size: '0};
    for (int i = int'(CLASSES) - 1; i >= 0; i--) begin
      if (present[i] && 4'(i) >= from) next_size = '{found: 1'b1, size: class_t'(i)};
    end
  endfunction

  // ---- comparison -----------------------------------------------------------------------------

  vpn_t wanted_vpn;
  logic wanted_upper, wanted_any_asid;
  logic [15:0] wanted_asid;
  always_comb begin
    wanted_vpn = key_q.vpn;
    wanted_upper = key_q.upper;
    wanted_asid = key_q.asid;
    wanted_any_asid = 1'b0;
    if (state_q == FILL) begin
      wanted_vpn = fill_q.va[PA_BITS-1:12];
      wanted_upper = fill_q.va[55];
      wanted_asid = fill_q.asid;
      wanted_any_asid = fill_q.is_global;
    end else if (state_q == PAGE_CHECK) begin
      wanted_vpn = inv_q.low;
      wanted_upper = inv_q.upper;
      wanted_asid = inv_q.asid;
      wanted_any_asid = inv_q.any_asid;
    end
  end

  logic [Ways-1:0] match, named;
  way_t hit_way, free_way;
  logic any_free;
  always_comb begin
    match = '0;
    named = '0;
    hit_way = '0;
    free_way = '0;
    any_free = 1'b0;
    if (state_q inside {LOOKUP, FILL, PAGE_CHECK}) begin
      for (int unsigned w = 0; w < Ways; w++) begin
        match[w] = tag[w].valid && tag[w].granule == granule_q && tag[w].size == size_q &&
                   tag[w].upper == wanted_upper &&
                   tag[w].vpn == (wanted_vpn & span_of(granule_q, size_q)) &&
                   (tag[w].is_global || wanted_any_asid || tag[w].asid == wanted_asid);
        if (match[w]) hit_way = way_t'(w);
        if (!tag[w].valid && 3'(w) < ways_in_use_i) begin
          any_free = 1'b1;
          free_way = way_t'(w);
        end
      end
    end
    if (state_q == SWEEP && swept_q) begin
      for (int unsigned w = 0; w < Ways; w++) begin
        named[w] = tag[w].valid &&
                   names(inv_q,
                         '{live: 1'b1, asid: tag[w].asid, upper: tag[w].upper, vpn: tag[w].vpn},
                         '{live: 1'b1, asid: {16{!tag[w].is_global}}, upper: 1'b1,
                           vpn: span_of(tag[w].granule, tag[w].size)});
      end
    end
  end

  // ---- control --------------------------------------------------------------------------------

  logic off, one_page;
  assign off      = ways_in_use_i == '0;
  assign one_page = inv_i.by_va && inv_i.low == inv_i.high;

  assign inv_ready_o    = state_q inside {IDLE, LOOKUP, FILL};
  assign fill_ready_o   = state_q == IDLE && !inv_valid_i;
  assign lookup_ready_o = state_q == IDLE && !inv_valid_i && !fill_valid_i;

  // Sizes that an invalidation of one page has to look at.
  function automatic logic [CLASSES-1:0] sizes_of(logic [CLASSES-1:0] present, granule_e granule,
                                                  logic hinted, granule_e hint, level_t level);
    sizes_of = present;
    if (hinted) begin
      if (granule != hint) return '0;
      for (int unsigned i = 0; i < CLASSES; i++) begin
        if (class_level(class_t'(i)) != level) sizes_of[i] = 1'b0;
      end
    end
  endfunction

  next_t first, next, page_next;
  granule_e page_granule;
  assign first = next_size(present_q[lookup_granule_i], 4'd0);
  assign next  = next_size(present_q[granule_q], 4'(size_q) + 4'd1);

  // The next size of an invalidation of one page: this granule's, else the first of a later granule.
  logic [3:0] page_from;
  invalidate_t page_inv;
  assign page_from = state_q == PAGE_CHECK ? 4'(size_q) + 4'd1 : 4'd0;
  assign page_inv  = inv_valid_i ? inv_i : inv_q;
  always_comb begin
    page_next = '{found: 1'b0, size: '0};
    page_granule = GRANULE_4K;
    for (int g = 2; g >= 0; g--) begin
      next_t n;
      n = next_size(sizes_of(present_q[g], granule_e'(2'(g)), page_inv.hinted, page_inv.granule,
                             page_inv.level),
                    state_q == PAGE_CHECK && 2'(g) == granule_q ? page_from : 4'd0);
      if (n.found && (state_q != PAGE_CHECK || 2'(g) >= granule_q)) begin
        page_next = n;
        page_granule = granule_e'(2'(g));
      end
    end
  end

  logic any_present;
  assign any_present = (present_q[0] | present_q[1] | present_q[2]) != '0;

  l2_tag_t fill_tag;
  assign fill_tag = '{
    valid: 1'b1,
    is_global: fill_q.is_global,
    prefetched: fill_q.prefetch,
    granule: granule_q,
    size: size_q,
    asid: fill_q.asid,
    upper: fill_q.va[55],
    vpn: fill_q.va[PA_BITS-1:12] & span_of(granule_q, size_q)
  };

  way_t victim;
  assign victim = match != '0 ? hit_way : any_free ? free_way :
                  3'(turn_q) < ways_in_use_i ? turn_q : '0;

  logic [3:0] removed;
  always_comb begin
    removed = '0;
    for (int unsigned w = 0; w < Ways; w++) removed += 4'(match[w]) + 4'(named[w]);
  end

  always_comb begin
    state_d = state_q;
    granule_d = granule_q;
    size_d = size_q;
    set_d = set_q;
    sweep_last_d = sweep_last_q;
    swept_d = swept_q;
    count_d = count_q;
    read = 1'b0;
    set = set_q;
    write_tag = '0;
    write_live = '0;
    write_leaf = '0;
    write_value = tag[hit_way];
    done_o = 1'b0;
    hit_o = 1'b0;
    filled_o = 1'b0;
    inv_done_o = 1'b0;

    unique case (state_q)
      CLEAR: begin
        write_tag = '1;
        set_d = set_q + set_t'(1);
        if (set_q == '1) state_d = IDLE;
      end

      IDLE: begin
        if (fill_valid_i) begin
          read = 1'b1;
          granule_d = fill_i.granule;
          size_d = class_of(fill_i.leaf.level, fill_i.leaf.is_run);
          set = set_of(fill_i.va[PA_BITS-1:12], granule_d, size_d, last_set);
          set_d = set;
          state_d = FILL;
        end else if (lookup_valid_i) begin
          granule_d = lookup_granule_i;
          size_d = first.size;
          set = set_of(lookup_key_i.vpn, granule_d, size_d, last_set);
          set_d = set;
          if (off || !first.found) begin
            done_o = 1'b1;
          end else begin
            read = 1'b1;
            state_d = LOOKUP;
          end
        end
      end

      LOOKUP: begin
        if (match != '0) begin
          done_o = 1'b1;
          hit_o = !inv_valid_i;
          state_d = IDLE;
          if (tag[hit_way].prefetched && demand_q) begin
            write_tag[hit_way] = !inv_valid_i;
            write_live[hit_way] = 1'b1;
            write_value.prefetched = 1'b0;
          end
        end else if (next.found && !inv_valid_i) begin
          read = 1'b1;
          size_d = next.size;
          set = set_of(key_q.vpn, granule_q, next.size, last_set);
          set_d = set;
        end else begin
          done_o = 1'b1;
          state_d = IDLE;
        end
      end

      FILL: begin
        state_d = IDLE;
        if (!off && !inv_valid_i) begin
          filled_o = 1'b1;
          write_tag = match;
          write_tag[victim] = 1'b1;
          write_leaf[victim] = 1'b1;
          // Others that match end here: at most one entry of a size matches any access (TLB-11).
          write_live[victim] = 1'b1;
          write_value = fill_tag;
        end
      end

      PAGE_READ: begin
        read = 1'b1;
        set = set_of(inv_q.low, granule_q, size_q, last_set);
        set_d = set;
        state_d = PAGE_CHECK;
      end

      PAGE_CHECK: begin
        write_tag = match;
        count_d = count_q + 16'(removed);
        granule_d = page_granule;
        size_d = page_next.size;
        state_d = page_next.found ? PAGE_READ : IDLE;
        inv_done_o = !page_next.found;
      end

      SWEEP: begin
        write_tag = named;
        count_d = count_q + 16'(removed);
        if (named == '0 && !sweep_last_q) begin
          read = 1'b1;
          set = swept_q ? set_q + set_t'(1) : set_q;
          set_d = set;
          swept_d = 1'b1;
          sweep_last_d = set == last_set;
        end else if (!sweep_last_q) begin
          // This cycle writes; the next one reads on.
          swept_d = 1'b0;
          set_d = set_q + set_t'(1);
        end else begin
          state_d = IDLE;
          inv_done_o = 1'b1;
        end
      end

      default: state_d = CLEAR;
    endcase

    if (inv_valid_i && inv_ready_o) begin
      count_d = '0;
      set_d = '0;
      swept_d = 1'b0;
      sweep_last_d = 1'b0;
      granule_d = page_granule;
      size_d = page_next.size;
      read = 1'b0;
      if (one_page ? !page_next.found : !any_present) begin
        state_d = IDLE;
        inv_done_o = 1'b1;
        count_d = '0;
      end else begin
        state_d = one_page ? PAGE_READ : SWEEP;
      end
    end
  end

  logic unused;
  assign unused = ^{1'b0, key_q, write_value, page_inv};

  assign leaf_o        = leaf[hit_way];
  assign span_o        = span_of(granule_q, size_q);
  assign is_global_o   = tag[hit_way].is_global;
  assign prefetched_o  = hit_o && tag[hit_way].prefetched && demand_q;
  assign filled_fill_o  = fill_q;
  assign filled_span_o  = span_of(granule_q, size_q);
  assign filled_index_o = {5'd0, 3'(victim), 8'(set_q)};
  assign filled_count_o = 8'(removed);
  assign inv_count_o    = count_d;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= CLEAR;
      set_q <= '0;
      key_q <= '0;
      granule_q <= GRANULE_4K;
      size_q <= '0;
      fill_q <= '0;
      inv_q <= '0;
      sweep_last_q <= 1'b0;
      swept_q <= 1'b0;
      count_q <= '0;
      turn_q <= '0;
      demand_q <= 1'b0;
      for (int unsigned g = 0; g < 3; g++) present_q[g] <= '0;
    end else if (state_q != IDLE || inv_valid_i || fill_valid_i || lookup_valid_i) begin
      state_q <= state_d;
      set_q <= set_d;
      granule_q <= granule_d;
      size_q <= size_d;
      sweep_last_q <= sweep_last_d;
      swept_q <= swept_d;
      count_q <= count_d;
      if (state_q == IDLE) begin
        key_q <= lookup_key_i;
        demand_q <= lookup_demand_i;
        fill_q <= fill_i;
      end
      if (inv_valid_i && inv_ready_o) begin
        inv_q <= inv_i;
        if (inv_i.every) for (int unsigned g = 0; g < 3; g++) present_q[g] <= '0;
      end
      if (filled_o) begin
        present_q[granule_q][size_q] <= 1'b1;
        turn_q <= 3'(turn_q) + 3'd1 >= ways_in_use_i ? '0 : turn_q + way_t'(1);
      end
    end
  end

endmodule
