// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The MMU of one core: registers, first-level TLBs, what lies behind them, invalidation, counters, and
// the access unit that drives them.
//
// Requests come in program order (valid/ready); responses leave on a lane that is always accepted.
// Two memory ports: data and walks. Latency: see access_unit and miss_unit.
module mmu
  import bus_pkg::*;
  import dvm_pkg::dvm_msg_t;
  import socket_pkg::*;
  import tlb_pkg::*;
  import vmsa_pkg::*;
  import walk_pkg::*;
#(
    parameter int unsigned ItlbEntries = 32,
    parameter int unsigned DtlbEntries = 48,
    parameter int unsigned L2SetsLog2 = 8,
    parameter int unsigned L2Ways = 5,
    parameter int unsigned WalkCacheEntries = 16,
    parameter int unsigned Walkers = 4
) (
    input logic clk_i,
    input logic rst_ni,

    input strap_t                    strap_i,
    input logic [DELAY_CHANNELS-1:0] go_i,
    input logic [7:0]                core_i,

    input  core_req_t req_i,
    output logic      req_ready_o,
    output core_rsp_t rsp_o,
    output core_obs_t obs_o,

    output logic     data_valid_o,
    output mem_req_t data_req_o,
    input  logic     data_remote_i,  // another node is home to the address requested
    input  logic     data_ready_i,
    input  mem_rsp_t data_rsp_i,

    output logic     walk_valid_o,
    output mem_req_t walk_req_o,
    input  logic     walk_remote_i,
    input  logic     walk_ready_i,
    input  mem_rsp_t walk_rsp_i,

    output logic     dvm_valid_o,
    output dvm_msg_t dvm_o,
    input  logic     dvm_ready_i,
    input  logic     dvm_done_i,
    input  logic     dvm_valid_i,
    input  dvm_msg_t dvm_i,
    output logic     dvm_ready_o,
    output logic       dvm_answer_o,
    output logic [7:0] dvm_answer_to_o,

    input  logic [7:0]  pmu_index_i,
    output logic [63:0] pmu_value_o
);

  // ---- registers ------------------------------------------------------------------------------

  regs_t regs;
  logic msr, msr_known, asid8;
  logic [5:0] sub;
  logic [63:0] operand;
  logic [15:0] asid;

  mmu_regs u_regs (
      .clk_i,
      .rst_ni,
      .write_i(msr),
      .index_i(sub),
      .value_i(operand),
      .known_o(msr_known),
      .regs_o(regs)
  );

  assign asid8 = strap_i.asid8 || !regs.tcr[TCR_AS];
  assign asid  = current_asid(regs, strap_i.asid8);

  // ---- first-level TLBs -----------------------------------------------------------------------

  logic itlb_lookup, dtlb_lookup, itlb_hit, dtlb_hit, itlb_conflict, dtlb_conflict;
  key_t lookup_key, fill_key, fill_mask;
  leaf_t itlb_leaf, dtlb_leaf;
  vpn_t itlb_span, dtlb_span;
  logic fill, fill_instr, inv_valid;
  invalidate_t inv;
  logic [7:0] itlb_victim, dtlb_victim, itlb_removed, dtlb_removed;
  miss_rsp_t miss_rsp;
  walk_req_t miss_rsp_req;

  l1_tlb #(
      .Entries(ItlbEntries)
  ) u_itlb (
      .clk_i,
      .rst_ni,
      .entries_in_use_i(strap_i.itlb_entries),
      .conflicts_i(strap_i.conflict_abort),
      .lookup_valid_i(itlb_lookup),
      .lookup_key_i(lookup_key),
      .hit_o(itlb_hit),
      .conflict_o(itlb_conflict),
      .leaf_o(itlb_leaf),
      .span_o(itlb_span),
      .fill_valid_i(fill && fill_instr),
      .fill_key_i(fill_key),
      .fill_mask_i(fill_mask),
      .fill_leaf_i(miss_rsp.rsp.leaf),
      .inv_valid_i(inv_valid),
      .inv_i(inv),
      .victim_o(itlb_victim),
      .removed_o(itlb_removed)
  );

  l1_tlb #(
      .Entries(DtlbEntries)
  ) u_dtlb (
      .clk_i,
      .rst_ni,
      .entries_in_use_i(strap_i.dtlb_entries),
      .conflicts_i(strap_i.conflict_abort),
      .lookup_valid_i(dtlb_lookup),
      .lookup_key_i(lookup_key),
      .hit_o(dtlb_hit),
      .conflict_o(dtlb_conflict),
      .leaf_o(dtlb_leaf),
      .span_o(dtlb_span),
      .fill_valid_i(fill && !fill_instr),
      .fill_key_i(fill_key),
      .fill_mask_i(fill_mask),
      .fill_leaf_i(miss_rsp.rsp.leaf),
      .inv_valid_i(inv_valid),
      .inv_i(inv),
      .victim_o(dtlb_victim),
      .removed_o(dtlb_removed)
  );

  // TLB-24: registers only change while no walk is under way, so the current ASID is that of the
  // walk's start.
  assign fill       = miss_rsp.valid && miss_rsp.rsp.cacheable && miss_rsp.tags != '0;
  assign fill_instr = miss_rsp_req.access == ACCESS_EXEC;
  always_comb begin
    fill_mask = '{
      live: 1'b1,
      asid: {16{!miss_rsp.rsp.is_global}},
      upper: 1'b1,
      vpn: miss_rsp.rsp.span
    };
    fill_key = '{
      live: 1'b1,
      asid: asid,
      upper: miss_rsp_req.va[55],
      vpn: miss_rsp_req.va[PA_BITS-1:12]
    };
    fill_key &= fill_mask;
  end

  // ---- behind them ----------------------------------------------------------------------------

  logic miss_valid, miss_ready, quiesce, inv_ready, walks_pending, walks_idle;
  walk_req_t miss;
  walk_obs_pkg::walk_view_t walk;
  logic [7:0] wc_removed, l2_count;
  logic l2_filled, l2_inv_done, l2_lookup, prefetched_hit, joined;
  l2_fill_t l2_fill;
  vpn_t l2_span;
  logic [15:0] l2_index, l2_inv_count;
  access_e l2_access;

  miss_unit #(
      .L2SetsLog2(L2SetsLog2),
      .L2Ways(L2Ways),
      .Walkers(Walkers),
      .WalkCacheEntries(WalkCacheEntries)
  ) u_miss_unit (
      .clk_i,
      .rst_ni,
      .strap_i,
      .regs_i(regs),
      .asid_i(asid),
      .go_i(go_i[DELAY_MISS]),
      .quiesce_i(quiesce),
      .req_valid_i(miss_valid),
      .req_i(miss),
      .req_ready_o(miss_ready),
      .rsp_o(miss_rsp),
      .rsp_req_o(miss_rsp_req),
      .inv_valid_i(inv_valid),
      .inv_i(inv),
      .inv_ready_o(inv_ready),
      .pending_o(walks_pending),
      .idle_o(walks_idle),
      .mem_valid_o(walk_valid_o),
      .mem_req_o(walk_req_o),
      .mem_ready_i(walk_ready_i),
      .mem_rsp_i(walk_rsp_i),
      .walk_o(walk),
      .wc_removed_o(wc_removed),
      .l2_filled_o(l2_filled),
      .l2_fill_o(l2_fill),
      .l2_span_o(l2_span),
      .l2_index_o(l2_index),
      .l2_count_o(l2_count),
      .l2_inv_done_o(l2_inv_done),
      .l2_inv_count_o(l2_inv_count),
      .l2_lookup_o(l2_lookup),
      .l2_access_o(l2_access),
      .prefetched_o(prefetched_hit),
      .joined_o(joined)
  );

  // ---- accesses -------------------------------------------------------------------------------

  logic operation, operation_done, operation_undef, operation_taken, el1, accesses_done, accesses_old;
  core_op_e op;
  access_events_pkg::access_events_t access_events;

  access_unit u_access_unit (
      .clk_i,
      .rst_ni,
      .ets0_i(strap_i.ets0),
      .go_req_i(go_i[DELAY_CORE_REQ]),
      .go_rsp_i(go_i[DELAY_CORE_RSP]),
      .asid_i(asid),
      .regs_i(regs),
      .req_i,
      .req_ready_o,
      .rsp_o,
      .itlb_lookup_o(itlb_lookup),
      .dtlb_lookup_o(dtlb_lookup),
      .lookup_key_o(lookup_key),
      .hit_i(itlb_lookup ? itlb_hit : dtlb_hit),
      .conflict_i(itlb_lookup ? itlb_conflict : dtlb_conflict),
      .leaf_i(itlb_lookup ? itlb_leaf : dtlb_leaf),
      .span_i(itlb_lookup ? itlb_span : dtlb_span),
      .miss_valid_o(miss_valid),
      .miss_o(miss),
      .miss_ready_i(miss_ready),
      .miss_rsp_i(miss_rsp),
      .operation_o(operation),
      .op_o(op),
      .sub_o(sub),
      .el1_o(el1),
      .operand_o(operand),
      .accesses_done_o(accesses_done),
      .operation_done_i(operation_done),
      .operation_undef_i(operation_undef),
      .operation_taken_o(operation_taken),
      .inv_i(inv_valid),
      .old_o(accesses_old),
      .mem_valid_o(data_valid_o),
      .mem_req_o(data_req_o),
      .mem_ready_i(data_ready_i),
      .mem_rsp_i(data_rsp_i),
      .events_o(access_events)
  );

  // ---- operations and invalidation ------------------------------------------------------------

  logic inv_local, dvm_inv_valid, dvm_inv_ready, send_valid, send_sync, send_ready, sync_done, clear;
  logic sync_waits;
  invalidate_t dvm_inv, send_inv;
  logic [7:0] send_tag, inv_source, inv_tag;
  assign clear = !accesses_old && !walks_pending;

  operation_unit u_operation_unit (
      .clk_i,
      .rst_ni,
      .asid8_i(asid8),
      .operation_i(operation),
      .op_i(op),
      .sub_i(sub),
      .el1_i(el1),
      .operand_i(operand),
      .accesses_done_i(accesses_done),
      .done_o(operation_done),
      .undef_o(operation_undef),
      .msr_known_i(msr_known),
      .msr_o(msr),
      .quiesce_o(quiesce),
      .walks_idle_i(walks_idle),
      .clear_i(clear),
      .inv_valid_o(inv_valid),
      .inv_o(inv),
      .inv_local_o(inv_local),
      .inv_ready_i(inv_ready),
      .dvm_inv_valid_i(dvm_inv_valid),
      .dvm_inv_i(dvm_inv),
      .dvm_inv_ready_o(dvm_inv_ready),
      .send_valid_o(send_valid),
      .send_sync_o(send_sync),
      .send_inv_o(send_inv),
      .send_ready_i(send_ready),
      .sync_done_i(sync_done)
  );

  dvm_port u_dvm_port (
      .clk_i,
      .rst_ni,
      .core_i,
      .go_i(go_i[DELAY_DVM]),
      .send_valid_i(send_valid),
      .send_sync_i(send_sync),
      .send_inv_i(send_inv),
      .send_ready_o(send_ready),
      .send_tag_o(send_tag),
      .sync_done_o(sync_done),
      .out_valid_o(dvm_valid_o),
      .out_o(dvm_o),
      .out_ready_i(dvm_ready_i),
      .out_done_i(dvm_done_i),
      .in_valid_i(dvm_valid_i),
      .in_i(dvm_i),
      .in_ready_o(dvm_ready_o),
      .answer_o(dvm_answer_o),
      .answer_to_o(dvm_answer_to_o),
      .inv_valid_o(dvm_inv_valid),
      .inv_source_o(inv_source),
      .inv_tag_o(inv_tag),
      .inv_o(dvm_inv),
      .inv_ready_i(dvm_inv_ready),
      .clear_i(clear),
      .waiting_o(sync_waits)
  );

  // ---- observation and counters ---------------------------------------------------------------

  mmu_view u_view (
      .clk_i,
      .rst_ni,
      .core_i,
      .asid_i(asid),
      .walk_i(walk),
      .miss_rsp_i(miss_rsp),
      .miss_rsp_req_i(miss_rsp_req),
      .l1_fill_i(fill),
      .l1_key_i(fill_key),
      .l1_mask_i(fill_mask),
      .l1_index_i(fill_instr ? itlb_victim : dtlb_victim),
      .l1_removed_i(itlb_removed + dtlb_removed),
      .l2_filled_i(l2_filled),
      .l2_fill_i(l2_fill),
      .l2_span_i(l2_span),
      .l2_index_i(l2_index),
      .l2_count_i(l2_count),
      .l2_lookup_i(l2_lookup),
      .l2_access_i(l2_access),
      .prefetched_hit_i(prefetched_hit),
      .joined_i(joined),
      .inv_valid_i(inv_valid),
      .inv_local_i(inv_local),
      .inv_source_i(inv_source),
      .inv_tag_i(inv_tag),
      .wc_removed_i(wc_removed),
      .l2_inv_done_i(l2_inv_done),
      .l2_inv_count_i(l2_inv_count),
      .inv_sent_i(send_valid && send_ready && !send_sync),
      .sync_sent_i(send_valid && send_ready && send_sync),
      .sent_tag_i(send_tag),
      .sync_done_i(sync_done),
      .sync_answered_i(dvm_answer_o),
      .sync_answered_to_i(dvm_answer_to_o),
      .sync_waits_i(sync_waits),
      .access_i(access_events),
      .ttbr_write_i(msr && sub <= REG_TTBR1),
      .rsp_i(rsp_o),
      .data_sent_i(data_valid_o && data_ready_i),
      .data_req_i(data_req_o),
      .data_remote_i,
      .walk_sent_i(walk_valid_o && walk_ready_i),
      .walk_req_i(walk_req_o),
      .walk_remote_i,
      .mem_errors_i({1'b0, data_rsp_i.valid && data_rsp_i.error} +
                     {1'b0, walk_rsp_i.valid && walk_rsp_i.error}),
      .obs_o,
      .pmu_index_i,
      .pmu_value_o
  );

  logic unused;
  assign unused = ^{1'b0, operation_taken, strap_i, go_i};

endmodule
