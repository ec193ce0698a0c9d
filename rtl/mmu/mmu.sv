// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The MMU of one core: registers, ITLB, DTLB, table walker, TLB invalidation, and the access unit that
// drives them.
//
// Requests come in program order (valid/ready); responses leave on a lane that is always accepted.
// Two memory ports: data and walks. Latency: see access_unit and walker.
module mmu
  import bus_pkg::*;
  import socket_pkg::*;
  import tlb_pkg::*;
  import vmsa_pkg::*;
  import walk_pkg::*;
#(
    parameter int unsigned ItlbEntries = 32,
    parameter int unsigned DtlbEntries = 48
) (
    input logic clk_i,
    input logic rst_ni,

    input strap_t strap_i,

    input  core_req_t req_i,
    output logic      req_ready_o,
    output core_rsp_t rsp_o,
    output core_obs_t obs_o,

    output logic     data_valid_o,
    output mem_req_t data_req_o,
    input  logic     data_ready_i,
    input  mem_rsp_t data_rsp_i,

    output logic     walk_valid_o,
    output mem_req_t walk_req_o,
    input  logic     walk_ready_i,
    input  mem_rsp_t walk_rsp_i
);

  // ---- registers and invalidation -------------------------------------------------------------

  regs_t regs;
  logic tlbi, msr, tlbi_known, msr_known, asid8;
  logic [5:0] sub;
  logic [63:0] operand;
  invalidate_t inv;

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

  tlbi_decode u_tlbi_decode (
      .sub_i(sub),
      .operand_i(operand),
      .asid8_i(asid8),
      .known_o(tlbi_known),
      .inv_o(inv)
  );

  // ---- TLBs -----------------------------------------------------------------------------------

  logic itlb_lookup, dtlb_lookup, itlb_hit, dtlb_hit;
  key_t lookup_key, fill_key, fill_mask;
  leaf_t itlb_leaf, dtlb_leaf;
  vpn_t itlb_span, dtlb_span;
  logic fill, fill_instr;
  logic [7:0] itlb_victim, dtlb_victim, itlb_removed, dtlb_removed;
  walk_rsp_t walk_rsp;

  l1_tlb #(
      .Entries(ItlbEntries)
  ) u_itlb (
      .clk_i,
      .rst_ni,
      .entries_in_use_i(strap_i.itlb_entries),
      .lookup_valid_i(itlb_lookup),
      .lookup_key_i(lookup_key),
      .hit_o(itlb_hit),
      .leaf_o(itlb_leaf),
      .span_o(itlb_span),
      .fill_valid_i(fill && fill_instr),
      .fill_key_i(fill_key),
      .fill_mask_i(fill_mask),
      .fill_leaf_i(walk_rsp.leaf),
      .inv_valid_i(tlbi),
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
      .lookup_valid_i(dtlb_lookup),
      .lookup_key_i(lookup_key),
      .hit_o(dtlb_hit),
      .leaf_o(dtlb_leaf),
      .span_o(dtlb_span),
      .fill_valid_i(fill && !fill_instr),
      .fill_key_i(fill_key),
      .fill_mask_i(fill_mask),
      .fill_leaf_i(walk_rsp.leaf),
      .inv_valid_i(tlbi),
      .inv_i(inv),
      .victim_o(dtlb_victim),
      .removed_o(dtlb_removed)
  );

  // ---- walker ---------------------------------------------------------------------------------

  logic walk_start, walk_busy, walk_done;
  walk_req_t walk_req, obs_req;
  walk_event_e obs_kind;
  logic obs_valid;
  level_t obs_level;
  pa_t obs_addr;
  logic [63:0] obs_value;

  walker u_walker (
      .clk_i,
      .rst_ni,
      .hafdbs_i(strap_i.hafdbs),
      .contiguous_i(strap_i.contiguous),
      .start_i(walk_start),
      .req_i(walk_req),
      .regs_i(regs),
      .busy_o(walk_busy),
      .done_o(walk_done),
      .rsp_o(walk_rsp),
      .mem_valid_o(walk_valid_o),
      .mem_req_o(walk_req_o),
      .mem_ready_i(walk_ready_i),
      .mem_rsp_i(walk_rsp_i),
      .obs_kind_o(obs_kind),
      .obs_valid_o(obs_valid),
      .obs_req_o(obs_req),
      .obs_level_o(obs_level),
      .obs_addr_o(obs_addr),
      .obs_value_o(obs_value)
  );

  // TLB-24: registers only change in program order, after a walk, so the current ASID is that of the
  // walk's start.
  assign fill       = walk_done && walk_rsp.cacheable;
  assign fill_instr = obs_req.access == ACCESS_EXEC;
  always_comb begin
    fill_mask = '{
      live: 1'b1,
      asid: {16{!walk_rsp.is_global}},
      upper: 1'b1,
      vpn: walk_rsp.span
    };
    fill_key = '{
      live: 1'b1,
      asid: current_asid(regs, strap_i.asid8),
      upper: obs_req.va[55],
      vpn: obs_req.va[PA_BITS-1:12]
    };
    fill_key &= fill_mask;
  end

  // ---- accesses -------------------------------------------------------------------------------

  access_unit u_access_unit (
      .clk_i,
      .rst_ni,
      .asid8_i(strap_i.asid8),
      .regs_i(regs),
      .req_i,
      .req_ready_o,
      .rsp_o,
      .itlb_lookup_o(itlb_lookup),
      .dtlb_lookup_o(dtlb_lookup),
      .lookup_key_o(lookup_key),
      .hit_i(itlb_lookup ? itlb_hit : dtlb_hit),
      .leaf_i(itlb_lookup ? itlb_leaf : dtlb_leaf),
      .span_i(itlb_lookup ? itlb_span : dtlb_span),
      .walk_start_o(walk_start),
      .walk_req_o(walk_req),
      .walk_done_i(walk_done),
      .walk_rsp_i(walk_rsp),
      .tlbi_o(tlbi),
      .msr_o(msr),
      .sub_o(sub),
      .operand_o(operand),
      .tlbi_known_i(tlbi_known),
      .msr_known_i(msr_known),
      .mem_valid_o(data_valid_o),
      .mem_req_o(data_req_o),
      .mem_ready_i(data_ready_i),
      .mem_rsp_i(data_rsp_i)
  );

  // ---- observation ----------------------------------------------------------------------------

  core_obs_t obs_q;
  assign obs_o = obs_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      obs_q <= '0;
    end else begin
      obs_q.walk_valid <= obs_valid;
      if (obs_valid) begin
        obs_q.walk_kind  <= obs_kind;
        obs_q.walk_instr <= obs_req.access == ACCESS_EXEC;
        obs_q.walk_level <= obs_level;
        obs_q.walk_fault <= obs_kind == WALK_END && walk_rsp.fault;
        obs_q.walk_fsc   <= walk_rsp.fsc;
        obs_q.walk_id    <= obs_req.id;
        obs_q.walk_va    <= obs_req.va;
        obs_q.walk_addr  <= 64'(obs_addr);
        obs_q.walk_value <= obs_value;
      end
      obs_q.tlb_valid <= fill || tlbi;
      if (fill || tlbi) begin
        obs_q.tlb_kind   <= fill ? TLB_FILL : TLB_INVALIDATE;
        obs_q.tlb_instr  <= fill && fill_instr;
        obs_q.tlb_level  <= walk_rsp.leaf.level;
        obs_q.tlb_global <= fill && walk_rsp.is_global;
        obs_q.tlb_index  <= fill_instr ? itlb_victim : dtlb_victim;
        obs_q.tlb_count  <= itlb_removed + dtlb_removed;
        obs_q.tlb_asid   <= fill ? fill_key.asid : inv.asid;
        obs_q.tlb_va     <= {{16{fill ? fill_key.upper : inv.upper}},
                             fill ? fill_key.vpn : inv.vpn, 12'd0};
        obs_q.tlb_pa     <= {16'd0, walk_rsp.leaf.oa, 12'd0};
        obs_q.tlb_mask   <= {16'd0, fill_mask.vpn, 12'd0};
      end
    end
  end

  logic unused;
  assign unused = ^{1'b0, strap_i, walk_busy, obs_req};

endmodule
