// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Takes one core's requests in order: translates, checks, and sends accesses to memory; carries out
// AT, TLBI, DSB, ISB and register writes at their place in that order.
//
//   stage A   lookup in the ITLB or DTLB, checks on the address alone     va_check, l1_tlb
//   stage B   permission, attributes; other operations                    leaf_use
//   behind    misses wait in the miss queue, accesses in the data port    miss_queue, data_port
//
// Latency on a hit: A and B one cycle each, then memory; the response lane is a register. Hits flow
// one a cycle, also under misses. A request is taken when req_ready_o is 1.
//
// Choices: loads, fetches and ATs inside 8 bytes go on under older misses; every other operation waits
// in A until no older access lacks its translation, so a store never precedes an older access's walk
// (ORD-05). An access across an 8-byte boundary is two memory accesses, the lower first, and walks
// while nothing passes it. Across a page boundary it translates both pages without any update of their
// descriptors first, then again for real (HAF-08). A fault that a walk found while older accesses were
// under way is looked at again once they are done (WALK-27), unless ets0.
module access_unit
  import access_pkg::*;
  import bus_pkg::*;
  import socket_pkg::*;
  import tlb_pkg::key_t;
  import vmsa_pkg::*;
  import walk_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input logic        ets0_i,
    input logic        go_req_i,  // delay injection
    input logic        go_rsp_i,
    input logic [15:0] asid_i,
    input regs_t       regs_i,

    input  core_req_t req_i,
    output logic      req_ready_o,
    output core_rsp_t rsp_o,

    output logic  itlb_lookup_o,
    output logic  dtlb_lookup_o,
    output key_t  lookup_key_o,
    input  logic  hit_i,
    input  logic  conflict_i,
    input  leaf_t leaf_i,
    input  vpn_t  span_i,

    output logic      miss_valid_o,
    output walk_req_t miss_o,
    input  logic      miss_ready_i,
    input  miss_rsp_t miss_rsp_i,

    // The operation in stage B, for the units that carry out TLBI, MSR and DSB. done_i: it is.
    output logic        operation_o,   // it stands ready, every older access has its translation
    output core_op_e    op_o,
    output logic [5:0]  sub_o,
    output logic        el1_o,
    output logic [63:0] operand_o,
    output logic        accesses_done_o,
    input  logic        operation_done_i,
    input  logic        operation_undef_i,
    output logic        operation_taken_o,  // it ends in this cycle

    input  logic inv_i,    // an invalidation takes effect in this cycle
    output logic old_o,    // an access translated before an invalidation is under way

    output logic     mem_valid_o,
    output mem_req_t mem_req_o,
    input  logic     mem_ready_i,
    input  mem_rsp_t mem_rsp_i,

    output access_events_pkg::access_events_t events_o
);

  typedef enum logic [2:0] {
    EMPTY,
    CHECK,    // the lookup has answered
    LOOKUP,   // look up the next part of an access that crosses a page
    WALK,     // a miss that nothing may pass is to be asked for
    ASKED,    // and awaited
    SPLIT,    // the two halves of an access that crosses an 8-byte boundary go to memory in turn
    RESPOND   // the answer stands in fault_q and fsc_q, or in split_data_q
  } state_e;

  // ---- stage A --------------------------------------------------------------------------------

  core_req_t a_q, b_q;
  state_e state_q, state_d;
  logic advance, replay;  // the request in A, or one of the miss queue, moves to B
  logic b_leaves;
  logic a_alone, a_simple, a_passes, queue_empty, queue_full, collides, stop, replay_valid;
  logic b_writes_register;

  assign a_simple = translates(a_q.op) && !crosses_word(a_q.va[2:0], size_of(a_q.op, a_q.size));
  assign a_passes = a_simple && a_q.op inside {OP_LOAD, OP_FETCH, OP_AT};
  assign a_alone  = a_passes ? !collides && !queue_full : queue_empty && !queue_full;
  assign replay   = replay_valid && (state_q == EMPTY || b_leaves);
  // What A looked up in the cycle of a register write would be checked by the old value here and
  // walked by the new one (section 13.5: a walk uses one snapshot of each register).
  assign b_writes_register = state_q == CHECK && b_q.op == OP_MSR;
  assign advance  = a_q.valid && (state_q == EMPTY || b_leaves) && !replay_valid && !stop && a_alone &&
                    !b_writes_register;
  assign req_ready_o = (!a_q.valid || advance) && go_req_i;

  logic relookup;
  logic [63:0] part_va, lookup_va;
  core_req_t lookup_req;
  assign relookup   = state_q == LOOKUP;
  assign lookup_req = relookup ? b_q : a_q;
  assign lookup_va  = relookup ? part_va : a_q.va;

  logic lookup_translates, lookup_fetch, lookup_unaligned, lookup_misaligned;
  assign lookup_translates = (relookup || advance) && translates(lookup_req.op);
  assign lookup_fetch = lookup_req.op == OP_FETCH;
  assign lookup_unaligned = is_unaligned(lookup_req.va[2:0], size_of(lookup_req.op, lookup_req.size));
  assign lookup_misaligned = lookup_unaligned && (regs_i.sctlr[SCTLR_A] ||
                                                  lookup_req.op inside {OP_CAS, OP_FETCH});

  logic pre_bypass, pre_epd, pre_fault;
  fsc_t pre_fsc;

  va_check u_va_check (
      .regs_i(regs_i),
      .va_i(lookup_va),
      .fetch_i(lookup_fetch),
      .el1_i(lookup_req.el),
      .misaligned_i(lookup_misaligned),
      .bypass_o(pre_bypass),
      .epd_o(pre_epd),
      .fault_o(pre_fault),
      .fsc_o(pre_fsc)
  );

  assign itlb_lookup_o = lookup_translates && lookup_fetch && !pre_bypass && !pre_fault;
  assign dtlb_lookup_o = lookup_translates && !lookup_fetch && !pre_bypass && !pre_fault;
  assign lookup_key_o  = '{
    live: 1'b1,
    asid: asid_i,
    upper: lookup_va[55],
    vpn: lookup_va[PA_BITS-1:12]
  };

  always_ff @(posedge clk_i) begin
    if (!rst_ni) a_q <= '0;
    else if (!a_q.valid || advance) begin
      a_q <= req_i;
      a_q.valid <= req_i.valid && req_ready_o;
    end
  end

  // ---- stage B: registers ---------------------------------------------------------------------

  logic b_unaligned_q, b_bypass_q, b_epd_q, b_pre_fault_q, b_hit_q, b_conflict_q, b_lookup_q;
  logic b_refilled_q, b_walked_q, b_simple_q, b_old_q;
  hit_place_e b_place_q;
  logic [1:0] b_entry_q, free_entry, replay_entry;
  fsc_t b_pre_fsc_q;
  leaf_t b_leaf_q;
  vpn_t b_span_q;
  logic [1:0] phase_q, phase_d;  // page-crossing accesses: bit 0 the part, bit 1 no longer a probe
  pa_t low_pa_q;                 // output address and attributes of the lower part
  logic [7:0] low_attr_q;
  logic [1:0] low_sh_q;
  logic fault_q, fault_d, wnr_q, wnr_d;
  fsc_t fsc_q, fsc_d;
  pa_t high_pa_q, high_pa_d;
  logic high_q, high_d;          // the upper half of a split access is on its way
  logic sent_q, sent_d;
  logic early_q, early_d;        // the walk began with earlier accesses in flight
  logic again_q, again_d;        // its fault may be out of date: walk again once they are done
  logic [127:0] split_data_q, split_data_d;

  access_e access;
  logic is_at, b_translates, writes, probe, dry, crosses_page, b_crosses_word;
  assign is_at = b_q.op == OP_AT;
  assign b_translates = translates(b_q.op);
  assign access = access_of(b_q.op, b_q.sub);
  assign b_crosses_word = b_translates && !b_simple_q;
  assign crosses_page = b_crosses_word && b_q.va[11:3] == '1;
  assign writes = access == ACCESS_WRITE || access == ACCESS_RMW;
  assign dry   = crosses_page && !phase_q[1];
  assign probe = is_at || dry;
  // Which part of the access the lookup of the coming phase is for.
  assign part_va = phase_q[0] ? {b_q.va[63:3] + 61'd1, 3'd0} : b_q.va;

  pa_t pa;
  logic [7:0] attr;
  logic [1:0] sh;
  permission_t permission;

  leaf_use u_leaf_use (
      .regs_i,
      .op_i(b_q.op),
      .access_i(access),
      .el1_i(b_q.el),
      .pan_i(b_q.pan),
      .va_i(part_va),
      .bypass_i(b_bypass_q),
      .leaf_i(b_leaf_q),
      .span_i(b_span_q),
      .pa_o(pa),
      .attr_o(attr),
      .sh_o(sh),
      .permission_o(permission)
  );

  // ---- misses ---------------------------------------------------------------------------------

  logic finish, miss, queue_asks, queue_old, replay_from_l2, replay_walked, replay_old, rewalk;
  logic push, port_empty, port_old, queue_walked, queue_walked_instr, queue_refill, clean_write;
  core_req_t replay_req;
  walk_rsp_t replay_rsp;
  walk_req_t queue_ask;

  assign clean_write = b_leaf_q.clean && writes && !probe;  // HAF-12: it serves no write

  miss_queue u_miss_queue (
      .clk_i,
      .rst_ni,
      .ets0_i,
      .accesses_done_i(port_empty && !push),
      .inv_i,
      .word_i(a_q.va[11:3]),
      .collides_o(collides),
      .empty_o(queue_empty),
      .full_o(queue_full),
      .stop_o(stop),
      .alloc_i(advance && a_simple),
      .alloc_req_i(a_q),
      .alloc_entry_o(free_entry),
      .b_entry_i(b_entry_q),
      .finish_i(finish),
      .miss_i(miss),
      .miss_skip_l2_i(b_hit_q),
      .replay_valid_o(replay_valid),
      .replay_entry_o(replay_entry),
      .replay_req_o(replay_req),
      .replay_rsp_o(replay_rsp),
      .replay_from_l2_o(replay_from_l2),
      .replay_walked_o(replay_walked),
      .replay_old_o(replay_old),
      .replay_i(replay),
      .ask_valid_o(queue_asks),
      .ask_o(queue_ask),
      .ask_ready_i(miss_ready_i && state_q != WALK),
      .rsp_i(miss_rsp_i),
      .old_o(queue_old),
      .rewalk_o(rewalk),
      .refill_o(queue_refill),
      .walked_o(queue_walked),
      .walked_instr_o(queue_walked_instr)
  );

  logic b_asks, b_answered;
  assign b_asks       = state_q == WALK && (!again_q || port_empty);
  assign b_answered   = state_q == ASKED && miss_rsp_i.valid && miss_rsp_i.owner == TAG_BLOCKING;
  assign miss_valid_o = state_q == WALK ? b_asks : queue_asks;
  always_comb begin
    miss_o = queue_ask;
    if (state_q == WALK) begin
      miss_o = '{
        va: part_va,
        access: access,
        el1: b_q.el,
        pan: b_q.pan,
        probe: probe,
        dry: dry,
        unaligned: b_unaligned_q,
        skip_l2: b_hit_q || again_q,
        prefetch: 1'b0,
        tag: TAG_BLOCKING,
        id: b_q.id
      };
    end
  end

  // ---- data towards memory --------------------------------------------------------------------

  logic push_ready, port_stalled;
  mem_req_t push_req;
  done_t push_done;
  logic done, done_error;
  done_t done_access;
  logic [63:0] done_data;

  logic [15:0] wide_strb;
  logic [127:0] wide_data;
  assign wide_strb = {8'd0, byte_mask(size_of(b_q.op, b_q.size))} << b_q.va[2:0];
  assign wide_data = {64'd0, b_q.data} << {b_q.va[2:0], 3'd0};

  always_comb begin
    push_req.op      = b_q.op == OP_STORE ? MEM_WRITE : b_q.op == OP_CAS ? MEM_CAS : MEM_READ;
    push_req.update  = 1'b0;
    push_req.addr    = {pa[PA_BITS-1:3], 3'd0};
    push_req.strb    = wide_strb[7:0];
    push_req.data    = wide_data[63:0];
    push_req.compare = b_q.compare << {b_q.va[2:0], 3'd0};
    push_req.tag     = '0;
    if (state_q == SPLIT) begin
      push_req.addr = high_q ? high_pa_q : {low_pa_q[PA_BITS-1:3], 3'd0};
      if (high_q) begin
        push_req.strb = wide_strb[15:8];
        push_req.data = wide_data[127:64];
      end
    end
  end

  // RESPOND after SPLIT reports one page's translation, not a blend of two.
  assign push_done = '{
    op: b_q.op,
    id: b_q.id,
    size: size_of(b_q.op, b_q.size),
    va: b_q.va,
    pa: state_q == RESPOND ? low_pa_q : pa,
    attr: state_q == RESPOND ? low_attr_q : attr,
    sh: state_q == RESPOND ? low_sh_q : sh,
    place: b_place_q,
    lookup: b_lookup_q,
    walked: b_walked_q,
    split: state_q inside {SPLIT, RESPOND}
  };

  data_port u_data_port (
      .clk_i,
      .rst_ni,
      .push_i(push),
      .push_req_i(push_req),
      .push_done_i(push_done),
      .push_old_i(b_old_q || inv_i),
      .push_ready_o(push_ready),
      .mark_i(inv_i),
      .old_o(port_old),
      .done_o(done),
      .done_access_o(done_access),
      .done_error_o(done_error),
      .done_data_o(done_data),
      .empty_o(port_empty),
      .stalled_o(port_stalled),
      .mem_valid_o,
      .mem_req_o,
      .mem_ready_i,
      .mem_rsp_i
  );

  // Only accesses hold translations: a DSB that waits here must not wait for itself.
  assign old_o = (b_old_q && b_translates && state_q != EMPTY) || queue_old || port_old;
  assign accesses_done_o = port_empty;

  // ---- stage B: control -----------------------------------------------------------------------

  // Responses from memory have the lane first, since they cannot wait.
  logic lane_free, respond, rsp_fault, rsp_wnr, rsp_undef, good;
  fsc_t rsp_fsc;
  assign lane_free = !(done && !done_access.split) && go_rsp_i;

  assign operation_o = state_q == CHECK && !b_translates && lane_free;
  assign operation_taken_o = operation_o && respond;
  assign op_o      = b_q.op;
  assign sub_o     = b_q.sub;
  assign el1_o     = b_q.el;
  assign operand_o = b_q.data;

  always_comb begin
    state_d      = state_q;
    phase_d      = phase_q;
    fault_d      = fault_q;
    fsc_d        = fsc_q;
    wnr_d        = wnr_q;
    high_d       = high_q;
    high_pa_d    = high_pa_q;
    sent_d       = sent_q;
    early_d      = early_q;
    again_d      = again_q;
    split_data_d = split_data_q;
    b_leaves     = 1'b0;
    miss         = 1'b0;
    push         = 1'b0;
    respond      = 1'b0;
    rsp_fault    = 1'b0;
    rsp_fsc      = '0;
    rsp_wnr      = 1'b0;
    rsp_undef    = 1'b0;
    good         = 1'b0;

    unique case (state_q)
      CHECK: begin
        if (!b_translates) begin
          respond   = operation_o && operation_done_i;
          rsp_undef = operation_undef_i;
          b_leaves  = respond;
        end else begin
          rsp_wnr = access == ACCESS_WRITE;
          if (b_pre_fault_q) begin
            rsp_fault = 1'b1;
            rsp_fsc   = b_pre_fsc_q;
          end else if (!b_bypass_q && b_conflict_q) begin
            rsp_fault = 1'b1;  // TLB-10
            rsp_fsc   = FSC_TLB_CONFLICT;
          end else if (!b_bypass_q && (!b_hit_q || clean_write)) begin
            if (b_epd_q) begin
              rsp_fault = 1'b1;  // VMSA-09
              rsp_fsc   = FSC_TRANSLATION;
            end else if (b_simple_q) begin
              miss     = 1'b1;
              b_leaves = 1'b1;
            end else begin
              state_d = WALK;
            end
          end else if (b_unaligned_q && b_q.op != OP_FETCH && is_device(attr)) begin
            rsp_fault = 1'b1;  // VMSA-62, VMSA-44
            rsp_fsc   = FSC_ALIGNMENT;
          end else if (!b_bypass_q && !permission.allowed) begin
            rsp_fault = 1'b1;
            rsp_fsc   = fsc_at(FSC_PERMISSION, b_leaf_q.level);
            rsp_wnr   = permission.wnr;
          end else begin
            good = 1'b1;
          end

          if (rsp_fault || (good && is_at)) begin
            respond  = lane_free;
            b_leaves = respond;
          end else if (good && crosses_page && phase_q != 2'd3) begin
            phase_d = phase_q + 2'd1;
            state_d = LOOKUP;
          end else if (good && b_crosses_word) begin
            high_pa_d = crosses_page ? pa : {pa[PA_BITS-1:3] + 45'd1, 3'd0};
            high_d    = 1'b0;
            sent_d    = 1'b0;
            fault_d   = 1'b0;
            state_d   = SPLIT;
          end else if (good) begin
            push     = 1'b1;
            b_leaves = push_ready;
          end
        end
      end

      LOOKUP: state_d = CHECK;

      WALK: begin
        if (b_asks && miss_ready_i) begin
          early_d = !port_empty;
          state_d = ASKED;
        end
      end

      ASKED: begin
        if (b_answered) begin
          again_d = miss_rsp_i.rsp.fault && early_q && !ets0_i;
          state_d = !miss_rsp_i.rsp.fault ? CHECK : again_d ? WALK : RESPOND;
          fault_d = miss_rsp_i.rsp.fault;
          fsc_d   = miss_rsp_i.rsp.fsc;
          wnr_d   = miss_rsp_i.rsp.wnr;
        end
      end

      SPLIT: begin
        push = !sent_q;
        if (push && push_ready) sent_d = 1'b1;
        if (done && done_access.split) begin
          sent_d = 1'b0;
          high_d = 1'b1;
          if (high_q) split_data_d[127:64] = done_data;
          else split_data_d[63:0] = done_data;
          if (done_error) begin
            fault_d = 1'b1;
            fsc_d   = FSC_EXTERNAL;
            wnr_d   = access == ACCESS_WRITE;
          end
          if (high_q || done_error) state_d = RESPOND;
        end
      end

      RESPOND: begin
        respond   = lane_free;
        rsp_fault = fault_q;
        rsp_fsc   = fsc_q;
        rsp_wnr   = wnr_q;
        b_leaves  = respond;
      end

      default: ;
    endcase
    if (b_leaves) state_d = EMPTY;
  end

  assign finish = b_leaves && b_simple_q && !miss;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q       <= EMPTY;
      phase_q       <= '0;
      fault_q       <= '0;
      fsc_q         <= '0;
      wnr_q         <= '0;
      high_q        <= '0;
      high_pa_q     <= '0;
      sent_q        <= '0;
      early_q       <= '0;
      again_q       <= '0;
      split_data_q  <= '0;
      b_q           <= '0;
      b_unaligned_q <= '0;
      b_bypass_q    <= '0;
      b_epd_q       <= '0;
      b_pre_fault_q <= '0;
      b_pre_fsc_q   <= '0;
      b_hit_q       <= '0;
      b_conflict_q  <= '0;
      b_lookup_q    <= '0;
      b_walked_q    <= '0;
      b_refilled_q  <= '0;
      b_place_q     <= FROM_NONE;
      b_simple_q    <= '0;
      b_old_q       <= '0;
      b_entry_q     <= '0;
      b_leaf_q      <= '0;
      b_span_q      <= '0;
      low_pa_q      <= '0;
      low_attr_q    <= '0;
      low_sh_q      <= '0;
    end else if (state_q != EMPTY || advance || replay) begin
      state_q      <= replay && replay_rsp.fault ? RESPOND : advance || replay ? CHECK : state_d;
      phase_q      <= advance || replay ? 2'd0 : phase_d;
      fault_q      <= fault_d;
      fsc_q        <= fsc_d;
      wnr_q        <= wnr_d;
      high_q       <= high_d;
      high_pa_q    <= high_pa_d;
      sent_q       <= sent_d;
      early_q      <= early_d;
      again_q      <= (advance || relookup) ? 1'b0 : again_d;
      split_data_q <= split_data_d;
      b_old_q      <= inv_i || (replay ? replay_old : advance ? 1'b0 : b_old_q);
      if (advance) begin
        b_q          <= a_q;
        b_simple_q   <= a_simple;
        b_entry_q    <= free_entry;
        b_walked_q   <= 1'b0;
        b_refilled_q <= 1'b0;
        b_lookup_q   <= 1'b0;
      end
      if (advance || relookup) begin
        b_unaligned_q <= lookup_unaligned;
        b_bypass_q    <= pre_bypass;
        b_epd_q       <= pre_epd;
        b_pre_fault_q <= pre_fault;
        b_pre_fsc_q   <= pre_fsc;
        b_hit_q       <= hit_i;
        b_conflict_q  <= conflict_i;
        if (itlb_lookup_o || dtlb_lookup_o) b_lookup_q <= 1'b1;
        b_leaf_q      <= leaf_i;
        b_span_q      <= span_i;
        if (!(relookup && b_place_q == FROM_WALK)) b_place_q <= hit_i ? FROM_L1 : FROM_NONE;
      end
      if (replay) begin
        b_q           <= replay_req;
        b_simple_q    <= 1'b1;
        b_entry_q     <= replay_entry;
        b_walked_q    <= replay_walked;
        b_lookup_q    <= 1'b1;
        b_unaligned_q <= is_unaligned(replay_req.va[2:0], size_of(replay_req.op, replay_req.size));
        b_bypass_q    <= 1'b0;
        b_epd_q       <= 1'b0;
        b_pre_fault_q <= 1'b0;
        b_hit_q       <= 1'b1;
        b_conflict_q  <= 1'b0;
        b_leaf_q      <= replay_rsp.leaf;
        b_span_q      <= replay_rsp.span;
        b_place_q     <= replay_from_l2 ? FROM_L2 : FROM_WALK;
        fault_q       <= replay_rsp.fault;
        fsc_q         <= replay_rsp.fsc;
        wnr_q         <= replay_rsp.wnr;
      end
      if (b_answered) begin
        if (!miss_rsp_i.from_l2) b_walked_q <= 1'b1;
        if (miss_rsp_i.rsp.cacheable) b_refilled_q <= 1'b1;
        b_place_q <= miss_rsp_i.from_l2 ? FROM_L2 : FROM_WALK;
        if (!again_d) begin
          b_hit_q  <= 1'b1;
          b_leaf_q <= miss_rsp_i.rsp.leaf;
          b_span_q <= miss_rsp_i.rsp.span;
        end
      end
      if (state_q == CHECK && !phase_q[0]) begin
        low_pa_q   <= pa;
        low_attr_q <= attr;
        low_sh_q   <= sh;
      end
    end
  end

  // ---- response lane and events ---------------------------------------------------------------

  response_lane u_response_lane (
      .clk_i,
      .rst_ni,
      .done_i(done && !done_access.split),
      .done_access_i(done_access),
      .done_error_i(done_error),
      .done_data_i(done_data),
      .respond_i(respond),
      .b_i(push_done),
      .b_fault_i(rsp_fault),
      .b_fsc_i(rsp_fsc),
      .b_wnr_i(rsp_wnr),
      .b_undef_i(rsp_undef),
      .b_data_i(split_data_q),
      .rsp_o
  );

  // An access across a page may look up twice; it counts once, at its first lookup.
  logic counts;
  assign counts = advance && (itlb_lookup_o || dtlb_lookup_o);
  assign events_o = '{
    lookup_instr: counts && lookup_fetch,
    lookup_rd: counts && !lookup_fetch && !(access_of(a_q.op, a_q.sub) inside {ACCESS_WRITE, ACCESS_RMW}),
    lookup_wr: counts && !lookup_fetch && access_of(a_q.op, a_q.sub) inside {ACCESS_WRITE, ACCESS_RMW},
    conflict: state_q == CHECK && b_leaves && rsp_fault && rsp_fsc == FSC_TLB_CONFLICT,
    run_hit: state_q == CHECK && b_leaves && !miss && !rsp_fault && b_place_q == FROM_L1 && b_leaf_q.is_run,
    refill: queue_refill || (b_answered && miss_rsp_i.rsp.cacheable && !b_refilled_q),
    walk_data: (queue_walked && !queue_walked_instr) ||
               (b_answered && !miss_rsp_i.from_l2 && !b_walked_q && b_q.op != OP_FETCH),
    walk_instr: (queue_walked && queue_walked_instr) ||
                (b_answered && !miss_rsp_i.from_l2 && !b_walked_q && b_q.op == OP_FETCH),
    rewalk: rewalk || (b_answered && again_d),
    mem_rd: push && push_ready && push_req.op == MEM_READ,
    mem_wr: push && push_ready && push_req.op != MEM_READ,
    stall_mem: port_stalled,
    stall_tlb: a_q.valid && !advance && !queue_empty && a_q.op != OP_FETCH,
    stall_fetch: a_q.valid && !advance && !queue_empty && a_q.op == OP_FETCH,
    dsb_wait: state_q == CHECK && b_q.op == OP_DSB && !respond
  };

  logic unused;
  assign unused = ^{1'b0, lookup_req, b_q, miss_rsp_i, replay_rsp};

endmodule
