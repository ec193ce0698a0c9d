// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// What happens to an access that misses the first level: second-level TLB, then a walk of its own or
// one that is under way for the same page; and a walk for the next page behind it (prefetch).
//
// A miss is taken by valid/ready, one at a time; it moves on to the walker when a walk is free.
// Answers come in any order, one a cycle, and are always accepted. Latency: 1 cycle, the second
// level's look-up, and on a miss there 1 cycle more and the walk.
// Nothing is answered in the cycle of an invalidation (inv_i).
module miss_unit
  import bus_pkg::*;
  import socket_pkg::strap_t;
  import tlb_pkg::*;
  import vmsa_pkg::*;
  import walk_pkg::*;
#(
    parameter int unsigned L2SetsLog2 = 8,
    parameter int unsigned L2Ways = 5,
    parameter int unsigned Walkers = 4,
    parameter int unsigned WalkCacheEntries = 16
) (
    input logic clk_i,
    input logic rst_ni,

    input strap_t      strap_i,
    input regs_t       regs_i,
    input logic [15:0] asid_i,
    input logic        go_i,        // delay injection: misses may be taken
    input logic        quiesce_i,   // registers are about to change: no more prefetches

    input  logic      req_valid_i,
    input  walk_req_t req_i,
    output logic      req_ready_o,

    output miss_rsp_t rsp_o,
    output walk_req_t rsp_req_o,    // what the answer's owner asked

    input  logic        inv_valid_i,
    input  invalidate_t inv_i,
    output logic        inv_ready_o,
    output logic        pending_o,  // memory accesses of cancelled walks are on their way
    output logic        idle_o,

    output logic     mem_valid_o,
    output mem_req_t mem_req_o,
    input  logic     mem_ready_i,
    input  mem_rsp_t mem_rsp_i,

    output walk_obs_pkg::walk_view_t walk_o,
    output logic [7:0]  wc_removed_o,
    output logic        l2_filled_o,
    output l2_fill_t    l2_fill_o,
    output vpn_t        l2_span_o,
    output logic [15:0] l2_index_o,
    output logic [7:0]  l2_count_o,
    output logic        l2_inv_done_o,
    output logic [15:0] l2_inv_count_o,
    output logic        l2_lookup_o,     // an access looks up the second level ...
    output access_e     l2_access_o,     // ... of this kind
    output logic        prefetched_o,    // a prefetched entry is hit for the first time
    output logic        joined_o
);

  typedef enum logic [1:0] {
    EMPTY,
    LOOKUP,  // in the second level
    WALK     // waits for a walk
  } state_e;

  state_e state_q;
  walk_req_t req_q;
  logic l2_busy_q;   // an invalidation is at work in the second level

  // ---- prefetch -------------------------------------------------------------------------------

  logic prefetch_q, take_prefetch;
  walk_req_t prefetch_req_q, taken;
  range_t range;
  pa_t in_range, next_page;
  logic next_ok;
  assign range = tcr_range(regs_i.tcr, req_q.va[55]);
  assign in_range = req_q.va[PA_BITS-1:0] & ones_below(6'(7'd64 - 7'(range.txsz)));
  assign next_page = (in_range | granule_offset(range.granule)) + pa_t'(1);
  assign next_ok = (next_page & ~ones_below(6'(7'd64 - 7'(range.txsz)))) == '0 && next_page != '0;

  // ---- taking ---------------------------------------------------------------------------------

  logic take, lookup, lookup_ready, looked_up, hit;
  assign req_ready_o   = state_q == EMPTY && go_i && !inv_valid_i;
  assign take          = req_valid_i && req_ready_o;
  assign take_prefetch = state_q == EMPTY && !req_valid_i && prefetch_q && !inv_valid_i && !quiesce_i;
  assign taken         = take ? req_i : prefetch_req_q;

  // ---- second level ---------------------------------------------------------------------------

  leaf_t hit_leaf;
  vpn_t hit_span;
  logic hit_global, prefetched;
  l2_fill_t fill_q;
  logic fill_q_valid, fill_ready;

  logic l2_inv_ready;
  range_t lookup_range;
  assign lookup_range = tcr_range(regs_i.tcr, req_q.va[55]);
  // A look-up is offered from the cycle after the miss was taken.
  logic asked_q;
  assign lookup = state_q == LOOKUP && !asked_q && !l2_busy_q && !inv_valid_i;

  l2_tlb #(
      .SetsLog2(L2SetsLog2),
      .Ways(L2Ways)
  ) u_l2_tlb (
      .clk_i,
      .rst_ni,
      .ways_in_use_i(strap_i.l2_ways),
      .sets_in_use_log2_i(strap_i.l2_sets_log2),
      .lookup_valid_i(lookup),
      .lookup_ready_o(lookup_ready),
      .lookup_key_i('{live: 1'b1, asid: asid_i, upper: req_q.va[55], vpn: req_q.va[PA_BITS-1:12]}),
      .lookup_granule_i(lookup_range.granule),
      .lookup_demand_i(!req_q.prefetch),
      .done_o(looked_up),
      .hit_o(hit),
      .leaf_o(hit_leaf),
      .span_o(hit_span),
      .is_global_o(hit_global),
      .prefetched_o(prefetched),
      .fill_valid_i(fill_q_valid && !inv_valid_i),
      .fill_ready_o(fill_ready),
      .fill_i(fill_q),
      .filled_o(l2_filled_o),
      .filled_fill_o(l2_fill_o),
      .filled_span_o(l2_span_o),
      .filled_index_o(l2_index_o),
      .filled_count_o(l2_count_o),
      .inv_valid_i,
      .inv_ready_o(l2_inv_ready),
      .inv_i,
      .inv_done_o(l2_inv_done_o),
      .inv_count_o(l2_inv_count_o)
  );

  assign prefetched_o = prefetched;
  // A miss that needs a fresh look at the descriptor passes the second level without a look-up, and
  // counts all the same: it may refill it (PMU-02).
  assign l2_lookup_o  = take && strap_i.l2_ways != '0;
  assign l2_access_o  = req_i.access;

  // ---- walks ----------------------------------------------------------------------------------

  logic start, join_walk, walk_free, joinable, walk_done, walk_taken, shield, walker_idle;
  miss_rsp_t walk_rsp;
  walk_req_t walk_req;

  assign join_walk = state_q == WALK && joinable && !req_q.prefetch && !inv_valid_i;
  assign start     = state_q == WALK && !joinable && walk_free && !inv_valid_i;

  walker #(
      .Slots(Walkers),
      .WalkCacheEntries(WalkCacheEntries)
  ) u_walker (
      .clk_i,
      .rst_ni,
      .strap_i,
      .regs_i,
      .asid_i,
      .start_i(start),
      .req_i(req_q),
      .free_o(walk_free),
      .joinable_o(joinable),
      .join_i(join_walk),
      .done_o(walk_done),
      .done_ready_i(walk_taken),
      .done_rsp_o(walk_rsp),
      .done_req_o(walk_req),
      .cancel_i(inv_valid_i),
      .inv_i,
      .shield_o(shield),
      .pending_o,
      .idle_o(walker_idle),
      .wc_removed_o,
      .mem_valid_o,
      .mem_req_o,
      .mem_ready_i,
      .mem_rsp_i,
      .view_o(walk_o)
  );

  assign joined_o    = join_walk;
  assign inv_ready_o = l2_inv_ready && !l2_busy_q && !shield;
  assign idle_o      = state_q == EMPTY && walker_idle && !prefetch_q && !fill_q_valid && !l2_filled_o;

  range_t fill_range;
  assign fill_range = tcr_range(regs_i.tcr, walk_req.va[55]);

  // ---- answers --------------------------------------------------------------------------------

  logic l2_answers;
  assign l2_answers = state_q == LOOKUP && looked_up && hit && !req_q.prefetch;
  assign walk_taken = walk_done && !l2_answers;

  always_comb begin
    rsp_o = walk_rsp;
    rsp_o.valid = walk_taken;
    rsp_req_o = walk_req;
    if (l2_answers) begin
      rsp_o.valid = 1'b1;
      rsp_o.tags = MISS_TAGS'(1) << req_q.tag;
      rsp_o.owner = req_q.tag;
      rsp_o.from_l2 = 1'b1;
      rsp_o.rsp = '{
        fault: 1'b0,
        fsc: '0,
        wnr: 1'b0,
        cacheable: 1'b1,
        is_global: hit_global,
        span: hit_span,
        leaf: hit_leaf
      };
      rsp_req_o = req_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= EMPTY;
      req_q <= '0;
      asked_q <= 1'b0;
      l2_busy_q <= 1'b0;
      prefetch_q <= 1'b0;
      prefetch_req_q <= '0;
      fill_q_valid <= 1'b0;
      fill_q <= '0;
    end else begin
      if (inv_valid_i) l2_busy_q <= !l2_inv_done_o;
      else if (l2_inv_done_o) l2_busy_q <= 1'b0;

      unique case (state_q)
        EMPTY: begin
          if (take || take_prefetch) begin
            req_q <= taken;
            asked_q <= 1'b0;
            state_q <= taken.skip_l2 ? WALK : LOOKUP;
          end
          if (take_prefetch || quiesce_i) prefetch_q <= 1'b0;
        end
        LOOKUP: begin
          if (lookup && lookup_ready) asked_q <= 1'b1;
          // While the second level is busy with an invalidation it is passed over.
          if (looked_up && (asked_q || (lookup && lookup_ready))) state_q <= hit ? EMPTY : WALK;
          else if (!asked_q && (l2_busy_q || inv_valid_i)) state_q <= WALK;
        end
        default: begin
          if (join_walk || start) begin
            state_q <= EMPTY;
            if (start && !req_q.prefetch && !req_q.dry && strap_i.prefetch && next_ok &&
                !quiesce_i) begin
              prefetch_q <= 1'b1;
              prefetch_req_q <= req_q;
              prefetch_req_q.va <= {req_q.va[63:PA_BITS],
                                    req_q.va[PA_BITS-1:0] & ~ones_below(6'(7'd64 - 7'(range.txsz)))
                                    | next_page};
              prefetch_req_q.access <= req_q.access == ACCESS_EXEC ? ACCESS_EXEC : ACCESS_READ;
              prefetch_req_q.probe <= 1'b1;
              prefetch_req_q.unaligned <= 1'b0;
              prefetch_req_q.skip_l2 <= 1'b0;
              prefetch_req_q.prefetch <= 1'b1;
            end
          end else if (req_q.prefetch && (!walk_free || joinable)) begin
            state_q <= EMPTY;  // not worth waiting for
          end
        end
      endcase

      if (fill_ready && fill_q_valid) fill_q_valid <= 1'b0;
      if (walk_taken && walk_rsp.rsp.cacheable && strap_i.l2_ways != '0 &&
          (!fill_q_valid || fill_ready)) begin
        fill_q_valid <= 1'b1;
        fill_q <= '{
          is_global: walk_rsp.rsp.is_global,
          prefetch: walk_req.prefetch,
          granule: fill_range.granule,
          asid: asid_i,
          va: walk_req.va,
          leaf: walk_rsp.rsp.leaf,
          instr: walk_req.access == ACCESS_EXEC,
          writes: walk_req.access inside {ACCESS_WRITE, ACCESS_RMW},
          id: walk_req.id
        };
      end
      if (inv_valid_i) fill_q_valid <= 1'b0;  // WALK-30
    end
  end


  logic unused;
  assign unused = ^{1'b0, range, lookup_range, fill_range, regs_i};

endmodule
