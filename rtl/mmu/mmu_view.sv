// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Shows what happens inside one core's MMU: the observation lane and the event counters.
//
// Never drives the rest. The lane is a register: an event shows one cycle after it happens.
module mmu_view
  import bus_pkg::*;
  import pmu_pkg::*;
  import socket_pkg::*;
  import tlb_pkg::*;
  import vmsa_pkg::*;
  import walk_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input logic [7:0]  core_i,
    input logic [15:0] asid_i,

    input walk_obs_pkg::walk_view_t walk_i,
    input miss_rsp_t   miss_rsp_i,
    input walk_req_t   miss_rsp_req_i,
    input logic        l1_fill_i,
    input key_t        l1_key_i,
    input key_t        l1_mask_i,
    input logic [7:0]  l1_index_i,
    input logic [7:0]  l1_removed_i,   // by the fill or invalidation of this cycle
    input logic        l2_filled_i,
    input l2_fill_t    l2_fill_i,
    input vpn_t        l2_span_i,
    input logic [15:0] l2_index_i,
    input logic [7:0]  l2_count_i,
    input logic        l2_lookup_i,
    input access_e     l2_access_i,
    input logic        prefetched_hit_i,
    input logic        joined_i,

    input logic        inv_valid_i,
    input logic        inv_local_i,
    input logic [7:0]  inv_source_i,
    input logic [7:0]  inv_tag_i,
    input logic [7:0]  wc_removed_i,
    input logic        l2_inv_done_i,
    input logic [15:0] l2_inv_count_i,
    input logic        inv_sent_i,
    input logic        sync_sent_i,
    input logic [7:0]  sent_tag_i,
    input logic        sync_done_i,
    input logic        sync_answered_i,
    input logic [7:0]  sync_answered_to_i,
    input logic        sync_waits_i,

    input access_events_pkg::access_events_t access_i,
    input logic      ttbr_write_i,
    input core_rsp_t rsp_i,
    input logic      data_sent_i,
    input mem_req_t  data_req_i,
    input logic      data_remote_i,
    input logic      walk_sent_i,
    input mem_req_t  walk_req_i,
    input logic      walk_remote_i,
    input logic [1:0] mem_errors_i,   // data and walks may be answered in one cycle

    output core_obs_t obs_o,

    input  logic [7:0]  pmu_index_i,
    output logic [63:0] pmu_value_o
);

  logic any_walk, any_dvm, any;
  assign any_walk = walk_i.begins || walk_i.steps || walk_i.ends || walk_i.wc_fill;
  assign any_dvm  = inv_sent_i || sync_sent_i || sync_done_i || sync_answered_i;
  assign any = any_walk || any_dvm || l1_fill_i || l2_filled_i || inv_valid_i || l2_inv_done_i;

  function automatic logic [63:0] extended(logic upper, vpn_t vpn);
    return {{16{upper}}, vpn, 12'd0};
  endfunction

  /* verilator lint_off UNUSEDSIGNAL */
  function automatic walk_obs_t walk_event(walk_event_e kind, logic valid, walk_req_t req,
                                           logic [1:0] slot, level_t level);
    walk_event = '0;
    walk_event.valid    = valid;
    walk_event.kind     = kind;
    walk_event.instr    = req.access == ACCESS_EXEC;
    walk_event.level    = level;
    walk_event.prefetch = req.prefetch;
    walk_event.slot     = slot;
    walk_event.id       = req.id;
  endfunction
  /* verilator lint_on UNUSEDSIGNAL */

  // ---- observation ----------------------------------------------------------------------------

  core_obs_t obs_q, obs_d;
  logic active_q;
  assign obs_o = obs_q;

  always_comb begin
    obs_d = '0;
    if (any) begin
      obs_d.valid = 1'b1;
      if (walk_i.begins) begin
        obs_d.walk_begin = walk_event(WALK_BEGIN, 1'b1, walk_i.begin_req, walk_i.begin_slot,
                                      walk_i.begin_level);
        obs_d.walk_begin.flag = walk_i.cached;
        obs_d.begin_va   = walk_i.begin_req.va;
        obs_d.begin_addr = 64'(walk_i.begin_addr);
      end
      if (walk_i.steps) begin
        obs_d.walk_step = walk_event(walk_i.step_swap ? WALK_SWAP : WALK_STEP, 1'b1, walk_i.step_req,
                                     walk_i.step_slot, walk_i.step_level);
        obs_d.walk_step.flag = walk_i.step_error;
        obs_d.walk_step.discarded = walk_i.step_stale;
        obs_d.step_va    = walk_i.step_req.va;
        obs_d.step_addr  = 64'(walk_i.step_addr);
        obs_d.step_value = walk_i.step_value;
      end
      if (walk_i.ends) begin
        obs_d.walk_end = walk_event(WALK_END, 1'b1, miss_rsp_req_i, walk_i.end_slot, walk_i.end_level);
        obs_d.walk_end.flag   = miss_rsp_i.rsp.fault;
        obs_d.walk_end.fsc    = miss_rsp_i.rsp.fsc;
        obs_d.walk_end.merged = miss_rsp_req_i.prefetch ? miss_rsp_i.tags != '0 :
                                                          !$onehot0(miss_rsp_i.tags);
        obs_d.end_va = miss_rsp_req_i.va;
      end
      if (l1_fill_i) begin
        obs_d.l1.valid      = 1'b1;
        obs_d.l1.instr      = miss_rsp_req_i.access == ACCESS_EXEC;
        obs_d.l1.from_l2    = miss_rsp_i.from_l2;
        obs_d.l1.prefetch   = miss_rsp_req_i.prefetch;
        obs_d.l1.level      = miss_rsp_i.rsp.leaf.level;
        obs_d.l1.is_global  = miss_rsp_i.rsp.is_global;
        obs_d.l1.contiguous = miss_rsp_i.rsp.leaf.is_run;
        obs_d.l1.count      = l1_removed_i;
        obs_d.l1.index      = 16'(l1_index_i);
        obs_d.l1.asid       = l1_key_i.asid;
        obs_d.l1.id         = miss_rsp_req_i.id;
        obs_d.l1_va   = extended(l1_key_i.upper, l1_key_i.vpn);
        obs_d.l1_pa   = {16'd0, miss_rsp_i.rsp.leaf.oa, 12'd0};
        obs_d.l1_mask = {16'd0, l1_mask_i.vpn, 12'd0};
      end
      if (l2_filled_i) begin
        obs_d.l2.valid      = 1'b1;
        obs_d.l2.instr      = l2_fill_i.instr;
        obs_d.l2.prefetch   = l2_fill_i.prefetch;
        obs_d.l2.level      = l2_fill_i.leaf.level;
        obs_d.l2.is_global  = l2_fill_i.is_global;
        obs_d.l2.contiguous = l2_fill_i.leaf.is_run;
        obs_d.l2.count      = l2_count_i;
        obs_d.l2.index      = l2_index_i;
        obs_d.l2.asid       = l2_fill_i.is_global ? '0 : l2_fill_i.asid;
        obs_d.l2.id         = l2_fill_i.id;
        obs_d.l2_va   = extended(l2_fill_i.va[55], l2_fill_i.va[PA_BITS-1:12] & l2_span_i);
        obs_d.l2_pa   = {16'd0, l2_fill_i.leaf.oa, 12'd0};
        obs_d.l2_mask = {16'd0, l2_span_i, 12'd0};
      end
      if (walk_i.wc_fill) begin
        obs_d.wc.valid    = 1'b1;
        obs_d.wc.instr    = walk_i.wc_req.access == ACCESS_EXEC;
        obs_d.wc.prefetch = walk_i.wc_req.prefetch;
        obs_d.wc.level    = walk_i.wc_level;
        obs_d.wc.index    = 16'(walk_i.wc_index);
        obs_d.wc.asid     = walk_i.wc_key.asid;
        obs_d.wc.id       = walk_i.wc_req.id;
        obs_d.wc_va   = extended(walk_i.wc_key.upper, walk_i.wc_key.vpn);
        obs_d.wc_pa   = 64'(walk_i.wc_table);
        obs_d.wc_mask = {16'd0, walk_i.wc_mask.vpn, 12'd0};
      end
      obs_d.inv.valid      = inv_valid_i;
      obs_d.inv.l2_done    = l2_inv_done_i;
      if (inv_valid_i) begin
        obs_d.inv.local_only = inv_local_i;
        obs_d.inv.cancelled  = walk_i.cancelled;
        obs_d.inv.source     = inv_local_i ? core_i : inv_source_i;
        obs_d.inv.tag        = inv_local_i ? '0 : inv_tag_i;
        obs_d.inv.l1_count   = 16'(l1_removed_i);
        obs_d.inv.wc_count   = wc_removed_i;
      end
      obs_d.inv.l2_count   = l2_inv_done_i ? l2_inv_count_i : '0;
      obs_d.dvm.valid      = any_dvm;
      obs_d.dvm.inv_sent   = inv_sent_i;
      obs_d.dvm.sync_sent  = sync_sent_i;
      obs_d.dvm.sync_done  = sync_done_i;
      obs_d.dvm.answered   = sync_answered_i;
      obs_d.dvm.source     = sync_answered_i ? sync_answered_to_i : '0;
      obs_d.dvm.tag        = inv_sent_i ? sent_tag_i : '0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      obs_q <= '0;
      active_q <= 1'b0;
    end else begin
      active_q <= any;
      if (any || active_q) obs_q <= obs_d;
    end
  end

  // ---- counters -------------------------------------------------------------------------------

  logic end_instr, step_instr, begin_instr, l2_wr, fill_wr, refill, refilled_wr, is_large;
  assign end_instr   = miss_rsp_req_i.access == ACCESS_EXEC;
  assign step_instr  = walk_i.step_req.access == ACCESS_EXEC;
  assign begin_instr = walk_i.begin_req.access == ACCESS_EXEC;
  assign l2_wr       = l2_access_i inside {ACCESS_WRITE, ACCESS_RMW};
  assign fill_wr     = miss_rsp_req_i.access inside {ACCESS_WRITE, ACCESS_RMW};
  assign is_large    = miss_rsp_i.rsp.leaf.level != 2'd3 || miss_rsp_i.rsp.leaf.is_run;

  assign refill = access_i.refill;
  assign refilled_wr = refill && fill_wr;

  logic l2_refill, l2_refill_wr;
  assign l2_refill    = l2_filled_i && !l2_fill_i.prefetch;
  assign l2_refill_wr = l2_refill && l2_fill_i.writes;

  // Only what happens is worked out: most of it happens in few cycles.
  logic [PMU_COUNT-1:0] ev;
  logic fault_instr, fault_data;
  assign fault_instr = rsp_i.op == OP_FETCH;
  // VMSA-54, VMSA-55: of an AT only an external abort is an exception.
  assign fault_data  = rsp_i.op != OP_FETCH &&
                       (rsp_i.op != OP_AT || rsp_i.fsc[5:2] inside {FSC_EXTERNAL[5:2],
                                                                    FSC_EXTERNAL_WALK[5:2]});
  always_comb begin
    ev = '0;
    if (access_i != '0) begin
      ev[PMU_L1D_TLB_REFILL] = refill && !end_instr;
      ev[PMU_L1I_TLB_REFILL] = refill && end_instr;
      ev[PMU_L1D_TLB_REFILL_RD] = refill && !end_instr && !fill_wr;
      ev[PMU_L1D_TLB_REFILL_WR] = refilled_wr;
      ev[PMU_L1I_TLB] = access_i.lookup_instr;
      ev[PMU_L1D_TLB] = access_i.lookup_rd || access_i.lookup_wr;
      ev[PMU_L1D_TLB_RD] = access_i.lookup_rd;
      ev[PMU_L1D_TLB_WR] = access_i.lookup_wr;
      ev[PMU_DTLB_WALK] = access_i.walk_data;
      ev[PMU_ITLB_WALK] = access_i.walk_instr;
      ev[PMU_CONTIGUOUS_HIT] = access_i.run_hit;
      ev[PMU_ETS_REWALK] = access_i.rewalk;
      ev[PMU_TLB_CONFLICT] = access_i.conflict;
      ev[PMU_MEM_ACCESS] = access_i.mem_rd || access_i.mem_wr;
      ev[PMU_MEM_ACCESS_RD] = access_i.mem_rd;
      ev[PMU_MEM_ACCESS_WR] = access_i.mem_wr;
      ev[PMU_STALL_BACKEND_MEM] = access_i.stall_mem;
      ev[PMU_STALL_BACKEND_TLB] = access_i.stall_tlb;
      ev[PMU_STALL_FRONTEND_TLB] = access_i.stall_fetch;
      ev[PMU_DSB_WAIT] = access_i.dsb_wait;
    end
    if (l2_lookup_i) begin
      ev[PMU_L2D_TLB] = 1'b1;
      ev[PMU_L2D_TLB_RD] = !l2_wr;
      ev[PMU_L2D_TLB_WR] = l2_wr;
    end
    if (l2_filled_i) begin
      ev[PMU_L2D_TLB_REFILL] = l2_refill;
      ev[PMU_L2D_TLB_REFILL_RD] = l2_refill && !l2_refill_wr;
      ev[PMU_L2D_TLB_REFILL_WR] = l2_refill_wr;
      ev[PMU_PREFETCH_FILL] = l2_fill_i.prefetch;
    end
    ev[PMU_CONTIGUOUS_FILL] = l1_fill_i && miss_rsp_i.rsp.leaf.is_run;
    ev[PMU_PREFETCH_USED] = prefetched_hit_i;
    ev[PMU_WALK_MERGED] = joined_i;
    if (walk_i.steps) begin
      ev[PMU_DTLB_HWUPD] = walk_i.step_swapped && !step_instr;
      ev[PMU_ITLB_HWUPD] = walk_i.step_swapped && step_instr;
      ev[PMU_DTLB_STEP] = !walk_i.step_swap && !step_instr;
      ev[PMU_ITLB_STEP] = !walk_i.step_swap && step_instr;
      ev[PMU_AF_UPDATE] = walk_i.step_swapped && walk_i.step_af;
      ev[PMU_DIRTY_UPDATE] = walk_i.step_swapped && walk_i.step_dirty;
      ev[PMU_UPDATE_MISMATCH] = walk_i.step_swap && !walk_i.step_swapped && !walk_i.step_error;
    end
    if (walk_i.begins) begin
      ev[PMU_DTLB_WALK_PRFM] = walk_i.begin_req.prefetch && !begin_instr;
      ev[PMU_ITLB_WALK_PRFM] = walk_i.begin_req.prefetch && begin_instr;
      ev[PMU_DTLB_WALK_BEGUN] = !begin_instr;
      ev[PMU_ITLB_WALK_BEGUN] = begin_instr;
      ev[PMU_WALK_CACHE_HIT_L0] = walk_i.cached && walk_i.cached_level == 2'd0;
      ev[PMU_WALK_CACHE_HIT_L1] = walk_i.cached && walk_i.cached_level == 2'd1;
      ev[PMU_WALK_CACHE_HIT_L2] = walk_i.cached && walk_i.cached_level == 2'd2;
    end
    if (walk_i.ends) begin
      ev[PMU_DTLB_WALK_LARGE] = !miss_rsp_i.rsp.fault && !end_instr && is_large;
      ev[PMU_ITLB_WALK_LARGE] = !miss_rsp_i.rsp.fault && end_instr && is_large;
      ev[PMU_DTLB_WALK_SMALL] = !miss_rsp_i.rsp.fault && !end_instr && !is_large;
      ev[PMU_ITLB_WALK_SMALL] = !miss_rsp_i.rsp.fault && end_instr && !is_large;
      ev[PMU_DTLB_WALK_FAULT] = miss_rsp_i.rsp.fault && !end_instr;
      ev[PMU_ITLB_WALK_FAULT] = miss_rsp_i.rsp.fault && end_instr;
      ev[PMU_WALK_CYCLES_16] = walk_i.end_cycles < 16'd16;
      ev[PMU_WALK_CYCLES_32] = walk_i.end_cycles inside {[16'd16:16'd31]};
      ev[PMU_WALK_CYCLES_64] = walk_i.end_cycles inside {[16'd32:16'd63]};
      ev[PMU_WALK_CYCLES_128] = walk_i.end_cycles inside {[16'd64:16'd127]};
      ev[PMU_WALK_CYCLES_256] = walk_i.end_cycles inside {[16'd128:16'd255]};
      ev[PMU_WALK_CYCLES_512] = walk_i.end_cycles inside {[16'd256:16'd511]};
      ev[PMU_WALK_CYCLES_1024] = walk_i.end_cycles inside {[16'd512:16'd1023]};
      ev[PMU_WALK_CYCLES_MORE] = walk_i.end_cycles >= 16'd1024;
    end
    if (walk_sent_i && walk_req_i.op == MEM_READ) begin
      ev[PMU_WALK_READ_LOCAL] = !walk_remote_i;
      ev[PMU_WALK_READ_REMOTE] = walk_remote_i;
    end
    if (data_sent_i) begin
      ev[PMU_REMOTE_ACCESS] = data_remote_i;
      ev[PMU_REMOTE_ACCESS_RD] = data_remote_i && data_req_i.op == MEM_READ;
    end
    if (rsp_i.valid && rsp_i.fault) begin
      ev[PMU_EXC_PABORT] = fault_instr;
      ev[PMU_EXC_DABORT] = fault_data;
      ev[PMU_EXC_TAKEN] = fault_instr || fault_data;
    end
    ev[PMU_TTBR_WRITE_RETIRED] = ttbr_write_i;
    if (any_dvm || inv_valid_i) begin
      ev[PMU_DVM_INV_SENT] = inv_sent_i;
      ev[PMU_DVM_SYNC_SENT] = sync_sent_i;
      ev[PMU_DVM_INV_RECEIVED] = inv_valid_i && !inv_local_i;
      ev[PMU_DVM_SYNC_ANSWERED] = sync_answered_i;
    end
    ev[PMU_DVM_SYNC_WAIT] = sync_waits_i;
  end

  // Data and walks may leave the core in one cycle: the two are added below.
  logic [15:0] removed;
  assign removed = (inv_valid_i ? 16'(l1_removed_i) + 16'(wc_removed_i) : '0) +
                   (l2_inv_done_i ? l2_inv_count_i : '0);

  pmu u_pmu (
      .clk_i,
      .rst_ni,
      .event_i(ev),
      .walks_data_i(walk_i.active_data),
      .walks_instr_i(walk_i.active_instr),
      .cancelled_data_i(walk_i.cancelled_data),
      .cancelled_instr_i(walk_i.cancelled_instr),
      .bus_rd_i({1'b0, data_sent_i && data_req_i.op == MEM_READ} +
                {1'b0, walk_sent_i && walk_req_i.op == MEM_READ}),
      .bus_wr_i({1'b0, data_sent_i && data_req_i.op != MEM_READ} +
                {1'b0, walk_sent_i && walk_req_i.op != MEM_READ}),
      .errors_i(mem_errors_i),
      .removed_i(removed),
      .index_i(pmu_index_i),
      .value_o(pmu_value_o)
  );

  logic unused;
  assign unused = ^{1'b0, asid_i, data_req_i, walk_req_i, rsp_i, walk_i, miss_rsp_i,
                    miss_rsp_req_i, l1_key_i, l1_mask_i, l2_fill_i};

endmodule
