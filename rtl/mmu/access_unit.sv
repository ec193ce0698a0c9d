// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Takes one core's requests in order: translates, checks, and sends accesses to memory; carries out
// AT, TLBI, DSB, ISB and register writes at their place in that order.
//
//   stage A   lookup in the ITLB or DTLB, checks on the address alone     va_check, l1_tlb
//   stage B   permission, attributes; walk on a miss; other operations
//   memory    data_port, several accesses in flight
//
// Latency on a hit: A and B one cycle each, then memory; the response lane is a register. Hits flow
// one a cycle. A request is accepted when req_ready_o is 1. Responses of accesses in flight may be
// overtaken by those of later operations that need no memory.
//
// Choices: a walk starts only once memory has accepted all earlier accesses. A fault is reported only
// once all of them are performed; one that a walk found before is walked again (ETS2, WALK-27). An
// access across a page boundary translates both pages without any update of their descriptors, then
// again for real (HAF-08); one across an 8-byte boundary is two memory accesses, the lower first.
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

    input logic  asid8_i,
    input regs_t regs_i,

    input  core_req_t req_i,
    output logic      req_ready_o,
    output core_rsp_t rsp_o,

    output logic  itlb_lookup_o,
    output logic  dtlb_lookup_o,
    output key_t  lookup_key_o,
    input  logic  hit_i,
    input  leaf_t leaf_i,
    input  vpn_t  span_i,

    output logic      walk_start_o,
    output walk_req_t walk_req_o,
    input  logic      walk_done_i,
    input  walk_rsp_t walk_rsp_i,

    // The operation in stage B, for the units that carry out TLBI and MSR.
    output logic        tlbi_o,
    output logic        msr_o,
    output logic [5:0]  sub_o,
    output logic [63:0] operand_o,
    input  logic        tlbi_known_i,
    input  logic        msr_known_i,

    output logic     mem_valid_o,
    output mem_req_t mem_req_o,
    input  logic     mem_ready_i,
    input  mem_rsp_t mem_rsp_i
);

  typedef enum logic [2:0] {
    EMPTY,
    CHECK,    // the lookup has answered
    LOOKUP,   // look up the next part of an access that crosses a page
    WALK,     // the walker works for this access
    SPLIT,    // the two halves of an access that crosses an 8-byte boundary go to memory in turn
    RESPOND   // the answer stands in fault_q and fsc_q, or in split_data_q
  } state_e;

  // ---- stage A --------------------------------------------------------------------------------

  core_req_t a_q, b_q;
  state_e state_q, state_d;
  logic advance;     // the request in A moves to B
  logic b_finished;  // the access in B leaves in this cycle and changed nothing that A has looked at

  assign advance = a_q.valid && (state_q == EMPTY || b_finished);
  assign req_ready_o = !a_q.valid || advance;

  logic relookup;
  logic [63:0] part_va, lookup_va;
  core_req_t lookup_req;
  assign relookup   = state_q == LOOKUP;
  assign lookup_req = relookup ? b_q : a_q;
  assign lookup_va  = relookup ? part_va : a_q.va;

  logic lookup_translates, lookup_fetch, lookup_unaligned, lookup_misaligned;
  assign lookup_translates = lookup_req.valid &&
                             lookup_req.op inside {OP_LOAD, OP_STORE, OP_CAS, OP_FETCH, OP_AT};
  assign lookup_fetch = lookup_req.op == OP_FETCH;

  function automatic logic is_unaligned(logic [2:0] va, logic [1:0] size);
    return (size >= 2'd1 && va[0]) || (size >= 2'd2 && va[1]) || (size == 2'd3 && va[2]);
  endfunction

  assign lookup_unaligned = lookup_req.op != OP_AT &&
                            is_unaligned(lookup_req.va[2:0], lookup_fetch ? 2'd2 : lookup_req.size);
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

  assign itlb_lookup_o = lookup_translates && lookup_fetch && !pre_bypass;
  assign dtlb_lookup_o = lookup_translates && !lookup_fetch && !pre_bypass;
  assign lookup_key_o  = '{
    live: 1'b1,
    asid: current_asid(regs_i, asid8_i),
    upper: lookup_va[55],
    vpn: lookup_va[PA_BITS-1:12]
  };

  always_ff @(posedge clk_i) begin
    if (!rst_ni) a_q <= '0;
    else if (req_ready_o) a_q <= req_i;
  end

  // ---- stage B: registers ---------------------------------------------------------------------

  logic b_unaligned_q, b_bypass_q, b_epd_q, b_pre_fault_q, b_hit_q, b_walked_q;
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
  logic is_at, translates, writes, probe, dry, crosses_page, crosses_word;
  assign is_at = b_q.op == OP_AT;
  assign translates = b_q.op inside {OP_LOAD, OP_STORE, OP_CAS, OP_FETCH, OP_AT};
  always_comb begin
    unique case (b_q.op)
      OP_STORE: access = ACCESS_WRITE;
      OP_CAS:   access = ACCESS_RMW;
      OP_FETCH: access = ACCESS_EXEC;
      OP_AT:    access = b_q.sub[0] ? ACCESS_WRITE : ACCESS_READ;
      default:  access = ACCESS_READ;
    endcase
  end

  logic [15:0] wide_strb;
  assign wide_strb = {8'd0, byte_mask(b_q.op == OP_FETCH ? 2'd2 : b_q.size)} << b_q.va[2:0];
  assign crosses_word = b_unaligned_q && wide_strb[15:8] != '0;
  assign crosses_page = crosses_word && b_q.va[11:3] == '1;
  assign writes = access == ACCESS_WRITE || access == ACCESS_RMW;
  assign dry   = crosses_page && !phase_q[1];
  assign probe = is_at || dry;
  // Which part of the access the lookup of the coming phase is for.
  assign part_va = phase_q[0] ? {b_q.va[63:3] + 61'd1, 3'd0} : b_q.va;

  // ---- stage B: judgement of a translation ----------------------------------------------------

  // The VA of the part at hand, as far as it takes part in the output address.
  pa_t here, pa;
  assign here = part_va[PA_BITS-1:0];
  assign pa = b_bypass_q ? here :
              {(b_leaf_q.oa & b_span_q) | (here[PA_BITS-1:12] & ~b_span_q), here[11:0]};

  logic [7:0] attr;
  logic [1:0] sh;
  logic cache_off;
  assign cache_off = b_q.op == OP_FETCH ? !regs_i.sctlr[SCTLR_I] : !regs_i.sctlr[SCTLR_C];
  always_comb begin
    attr = b_leaf_q.attr;
    sh   = b_leaf_q.sh;
    if (b_bypass_q) begin  // VMSA-03
      attr = b_q.op != OP_FETCH ? ATTR_DEVICE_NGNRNE : cache_off ? ATTR_NORMAL_NC
                                                                 : ATTR_NORMAL_WT_RA;
      sh = SH_OUTER;
    end else if (cache_off && !is_device(attr)) begin  // VMSA-61
      attr = ATTR_NORMAL_NC;
      sh   = SH_OUTER;
    end
  end

  permission_t permission;
  assign permission = check_permission(b_leaf_q, access, b_q.el, b_q.pan, regs_i.sctlr[SCTLR_EPAN],
                                       regs_i.sctlr[SCTLR_WXN]);

  // ---- stage B: data towards memory -----------------------------------------------------------

  logic push, push_ready, unsent, port_empty;
  mem_req_t push_req;
  done_t push_done;
  logic done, done_error;
  done_t done_access;
  logic [63:0] done_data;

  logic [127:0] wide_data;
  logic [63:0] compare;
  assign wide_data = {64'd0, b_q.data} << {b_q.va[2:0], 3'd0};
  assign compare   = b_q.compare << {b_q.va[2:0], 3'd0};

  always_comb begin
    push_req.op      = b_q.op == OP_STORE ? MEM_WRITE : b_q.op == OP_CAS ? MEM_CAS : MEM_READ;
    push_req.update  = 1'b0;
    push_req.addr    = {pa[PA_BITS-1:3], 3'd0};
    push_req.strb    = wide_strb[7:0];
    push_req.data    = wide_data[63:0];
    push_req.compare = compare;
    push_req.tag     = '0;
    if (state_q == SPLIT) begin
      push_req.addr = high_q ? high_pa_q : {low_pa_q[PA_BITS-1:3], 3'd0};
      if (high_q) begin
        push_req.strb = wide_strb[15:8];
        push_req.data = wide_data[127:64];
      end
    end
  end

  assign push_done = '{
    op: b_q.op,
    id: b_q.id,
    size: b_q.op == OP_FETCH ? 2'd2 : b_q.size,
    va: b_q.va,
    pa: pa,
    attr: attr,
    sh: sh,
    place: b_walked_q ? FROM_WALK : b_hit_q ? FROM_L1 : FROM_NONE,
    split: state_q == SPLIT
  };

  data_port u_data_port (
      .clk_i,
      .rst_ni,
      .push_i(push),
      .push_req_i(push_req),
      .push_done_i(push_done),
      .push_ready_o(push_ready),
      .done_o(done),
      .done_access_o(done_access),
      .done_error_o(done_error),
      .done_data_o(done_data),
      .unsent_o(unsent),
      .empty_o(port_empty),
      .mem_valid_o,
      .mem_req_o,
      .mem_ready_i,
      .mem_rsp_i
  );

  // ---- stage B: control -----------------------------------------------------------------------

  // Responses from memory have the lane first, since they cannot wait.
  logic lane_free;
  assign lane_free = !(done && !done_access.split);

  logic respond;      // stage B answers in this cycle ...
  logic rsp_fault, rsp_wnr, rsp_undef, translated;
  fsc_t rsp_fsc;
  logic clean_write;  // HAF-12: such an entry serves no write
  assign clean_write = b_leaf_q.clean && writes && !probe;

  assign sub_o     = b_q.sub;
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
    b_finished   = 1'b0;
    push         = 1'b0;
    respond      = 1'b0;
    rsp_fault    = 1'b0;
    rsp_fsc      = '0;
    rsp_wnr      = 1'b0;
    rsp_undef    = 1'b0;
    translated   = 1'b0;
    walk_start_o = 1'b0;
    tlbi_o       = 1'b0;
    msr_o        = 1'b0;

    unique case (state_q)
      CHECK: begin
        if (!translates) begin
          unique case (b_q.op)
            OP_DSB: respond = lane_free && port_empty;
            OP_TLBI: begin
              respond   = lane_free;
              tlbi_o    = lane_free && tlbi_known_i && b_q.el;  // TLBI-14
              rsp_undef = !tlbi_known_i;
            end
            OP_MSR: begin
              respond   = lane_free;
              msr_o     = lane_free && msr_known_i;
              rsp_undef = !msr_known_i;
            end
            OP_ISB: respond = lane_free;
            default: begin
              respond   = lane_free;
              rsp_undef = 1'b1;
            end
          endcase
          if (respond) state_d = EMPTY;
        end else begin
          if (b_pre_fault_q) begin
            rsp_fault = 1'b1;
            rsp_fsc   = b_pre_fsc_q;
            rsp_wnr   = access == ACCESS_WRITE;
          end else if (!b_bypass_q && (!b_hit_q || clean_write)) begin
            if (b_epd_q) begin
              rsp_fault = 1'b1;  // VMSA-09
              rsp_fsc   = FSC_TRANSLATION;
              rsp_wnr   = access == ACCESS_WRITE;
            end else if (!unsent && (!again_q || port_empty)) begin
              walk_start_o = 1'b1;
              early_d = !port_empty;
              state_d = WALK;
            end
          end else if (b_unaligned_q && b_q.op != OP_FETCH && is_device(attr)) begin
            rsp_fault = 1'b1;                                  // VMSA-62, VMSA-44
            rsp_fsc   = FSC_ALIGNMENT;
            rsp_wnr   = access == ACCESS_WRITE;
          end else if (!b_bypass_q && !permission.allowed) begin
            rsp_fault = 1'b1;
            rsp_fsc   = fsc_at(FSC_PERMISSION, b_leaf_q.level);
            rsp_wnr   = permission.wnr;
          end else begin
            translated = 1'b1;
          end

          if (rsp_fault || (translated && is_at)) begin
            respond    = lane_free && (!rsp_fault || port_empty);
            b_finished = respond;
          end else if (translated && crosses_page && phase_q != 2'd3) begin
            phase_d = phase_q + 2'd1;
            state_d = LOOKUP;
          end else if (translated && crosses_word) begin
            high_pa_d = crosses_page ? pa : {pa[PA_BITS-1:3] + 45'd1, 3'd0};
            high_d    = 1'b0;
            sent_d    = 1'b0;
            fault_d   = 1'b0;
            state_d   = SPLIT;
          end else if (translated) begin
            push       = 1'b1;
            b_finished = push_ready;
          end
          if (b_finished) state_d = EMPTY;
        end
      end

      LOOKUP: state_d = CHECK;

      WALK: begin
        if (walk_done_i) begin
          // WALK-27: a fault found before all earlier accesses were performed is looked at again.
          again_d = walk_rsp_i.fault && early_q;
          state_d = walk_rsp_i.fault && !again_d ? RESPOND : CHECK;
          fault_d = walk_rsp_i.fault;
          fsc_d   = walk_rsp_i.fsc;
          wnr_d   = walk_rsp_i.wnr;
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
        if (lane_free) state_d = EMPTY;
      end

      default: ;
    endcase
  end

  assign walk_req_o = '{
    va: part_va,
    access: access,
    el1: b_q.el,
    pan: b_q.pan,
    probe: probe,
    dry: dry,
    unaligned: b_unaligned_q,
    id: b_q.id
  };

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
      b_walked_q    <= '0;
      b_leaf_q      <= '0;
      b_span_q      <= '0;
      low_pa_q      <= '0;
      low_attr_q    <= '0;
      low_sh_q      <= '0;
      low_attr_q    <= '0;
      low_sh_q      <= '0;
    end else if (state_q != EMPTY || advance) begin
      state_q      <= advance ? CHECK : state_d;
      phase_q      <= advance ? 2'd0 : phase_d;
      fault_q      <= fault_d;
      fsc_q        <= fsc_d;
      wnr_q        <= wnr_d;
      high_q       <= high_d;
      high_pa_q    <= high_pa_d;
      sent_q       <= sent_d;
      early_q      <= early_d;
      again_q      <= (advance || relookup) ? 1'b0 : again_d;
      split_data_q <= split_data_d;
      if (advance) b_q <= a_q;
      if (advance || relookup) begin
        b_unaligned_q <= lookup_unaligned;
        b_bypass_q    <= pre_bypass;
        b_epd_q       <= pre_epd;
        b_pre_fault_q <= pre_fault;
        b_pre_fsc_q   <= pre_fsc;
        b_hit_q       <= hit_i;
        b_walked_q    <= 1'b0;
        b_leaf_q      <= leaf_i;
        b_span_q      <= span_i;
      end
      if (state_q == WALK && walk_done_i && !again_d) begin
        b_hit_q    <= 1'b1;
        b_walked_q <= 1'b1;
        b_leaf_q   <= walk_rsp_i.leaf;
        b_span_q   <= walk_rsp_i.span;
      end
      if (state_q == CHECK && !phase_q[0]) begin
        low_pa_q   <= pa;
        low_attr_q <= attr;
        low_sh_q   <= sh;
      end
    end
  end

  // ---- response lane --------------------------------------------------------------------------

  core_rsp_t rsp_q, rsp_d;

  always_comb begin
    rsp_d = '0;
    if (!lane_free) begin
      rsp_d.valid = 1'b1;
      rsp_d.fault = done_error;
      rsp_d.fsc   = done_error ? FSC_EXTERNAL : '0;
      rsp_d.wnr   = done_error && done_access.op == OP_STORE;
      rsp_d.op    = done_access.op;
      rsp_d.id    = done_access.id;
      rsp_d.va    = done_access.va;
      rsp_d.pa    = 64'(done_access.pa);
      rsp_d.attr  = done_access.attr;
      rsp_d.sh    = done_access.sh;
      rsp_d.place = done_access.place;
      rsp_d.data  = (done_data >> {done_access.va[2:0], 3'd0}) & size_mask(done_access.size);
    end else if (respond) begin
      rsp_d.valid = 1'b1;
      rsp_d.fault = rsp_fault;
      rsp_d.fsc   = rsp_fsc;
      rsp_d.wnr   = rsp_fault && (is_at || rsp_wnr);
      rsp_d.cm    = rsp_fault && is_at;  // VMSA-51
      rsp_d.undef = rsp_undef;
      rsp_d.op    = b_q.op;
      rsp_d.id    = b_q.id;
      rsp_d.va    = b_q.va;
      if (translates && !b_pre_fault_q) rsp_d.place = push_done.place;
      if (translates && !rsp_fault) begin
        rsp_d.pa   = {16'd0, state_q == RESPOND ? low_pa_q : pa};
        // One page's translation, not a blend of two.
        rsp_d.attr = state_q == RESPOND ? low_attr_q : attr;
        rsp_d.sh   = state_q == RESPOND ? low_sh_q : sh;
      end
      if (state_q == RESPOND && !fault_q) begin
        rsp_d.data = 64'(split_data_q >> {b_q.va[2:0], 3'd0}) & size_mask(b_q.size);
      end
    end
    if (rsp_d.fault) begin
      rsp_d.pa   = '0;
      rsp_d.data = '0;
    end
    if (rsp_d.op == OP_STORE) rsp_d.data = '0;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) rsp_q <= '0;
    else rsp_q <= rsp_d;
  end

  assign rsp_o = rsp_q;

  logic unused;
  assign unused = ^{1'b0, lookup_req, b_q, walk_rsp_i};

endmodule
