// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Assertions on table walks and hardware updates.
/* verilator lint_off UNUSEDSIGNAL */  // assertions read some fields of what they watch
module walker_sva
  import bus_pkg::*;
  import vmsa_pkg::*;
  import walk_pkg::*;
#(
    parameter int unsigned Slots = 4,
    parameter int unsigned CycleLimit = 1 << 16,  // far above any memory latency in use
    localparam int unsigned SlotBits = Slots > 1 ? $clog2(Slots) : 1
) (
    input logic clk_i,
    input logic rst_ni,
    input logic start_i,
    input logic join_i,
    input walk_req_t req_i,
    input logic idle_o,
    input logic done_o,
    input logic done_ready_i,
    input miss_rsp_t done_rsp_o,
    input logic cancel_i,
    input logic wc_fill,
    input logic setting_up,
    input logic [SlotBits-1:0] setup_slot,
    input logic [SlotBits-1:0] done_slot,
    input walk_req_t setup_req,
    input regs_t regs_i,
    input logic big_endian,
    input logic mem_valid_o,
    input mem_req_t mem_req_o,
    input logic mem_ready_i,
    input mem_rsp_t mem_rsp_i,
    input walk_req_t req_q[Slots],
    input level_t level_q[Slots],
    input logic [63:0] desc_q[Slots],
    input logic [Slots-1:0] stale_q
);

  typedef logic [SlotBits-1:0] slot_t;

  slot_t out, in;
  assign out  = slot_t'(mem_req_o.tag);
  assign in   = slot_t'(mem_rsp_i.tag);

  logic [Slots-1:0] awaiting_q, swapping_q, swapped_q, read_q;
  level_t read_level_q[Slots];
  logic [63:0] expected_q[Slots];
  logic [31:0] age_q;
  logic offered;
  assign offered = mem_valid_o && mem_ready_i;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || idle_o) begin
      awaiting_q <= '0;
      swapping_q <= '0;
      swapped_q <= '0;
      read_q <= '0;
      age_q <= '0;
    end else begin
      age_q <= done_o && done_ready_i ? '0 : age_q + 32'd1;
      if (offered) begin
        awaiting_q[out] <= 1'b1;
        swapping_q[out] <= mem_req_o.op == MEM_CAS;
        expected_q[out] <= mem_req_o.compare;
        if (mem_req_o.op == MEM_READ) begin
          read_q[out] <= 1'b1;
          read_level_q[out] <= level_q[out];
        end
      end
      if (mem_rsp_i.valid) begin
        awaiting_q[in] <= 1'b0;
        swapped_q[in] <= swapping_q[in] && !mem_rsp_i.error && mem_rsp_i.data == expected_q[in];
      end
      if (setting_up) begin
        read_q[setup_slot] <= 1'b0;
        swapped_q[setup_slot] <= 1'b0;
      end
    end
  end

  logic [63:0] before_swap, after_swap;
  assign before_swap = big_endian ? byte_swap(mem_req_o.compare) : mem_req_o.compare;
  assign after_swap  = big_endian ? byte_swap(mem_req_o.data) : mem_req_o.data;

  level_t out_level, last_level;
  walk_req_t out_req;
  logic out_fresh, kept_valid, kept_af, answered;
  assign out_level  = level_q[out];
  assign last_level = read_level_q[out];
  assign out_req    = req_q[out];
  assign out_fresh  = !read_q[out] || stale_q[out];
  assign kept_valid = desc_q[done_slot][DESC_VALID];
  assign kept_af    = desc_q[done_slot][DESC_AF] || swapped_q[done_slot];
  assign answered   = awaiting_q[in];

  logic permission_fault;
  assign permission_fault = done_rsp_o.rsp.fault &&
                            (done_rsp_o.rsp.fsc[5:2] == FSC_PERMISSION[5:2] ||
                             done_rsp_o.rsp.fsc == FSC_ALIGNMENT);

  // A request waits unchanged until memory takes it.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   mem_valid_o && !mem_ready_i |=> mem_valid_o && $stable(mem_req_o))
  else sva_pkg::sva_fired("WALK-01", "a walker request changed while it waited");

  // Whole, aligned descriptors only.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   mem_valid_o |-> mem_req_o.addr[2:0] == '0 && mem_req_o.strb == '1)
  else sva_pkg::sva_fired("WALK-01", "a descriptor access is not 8 aligned bytes");

  // No walk with translation off, none in a disabled range.
  assert property (@(posedge clk_i) disable iff (!rst_ni) setting_up |-> regs_i.sctlr[SCTLR_M])
  else sva_pkg::sva_fired("WALK-21", "a walk started with SCTLR_EL1.M = 0");

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   setting_up |-> !(setup_req.va[55] ? regs_i.tcr[23] : regs_i.tcr[7]))
  else sva_pkg::sva_fired("VMSA-09", "a walk of a range with EPD = 1");

  // One context for the whole of a walk.
  assert property (@(posedge clk_i) disable iff (!rst_ni) !idle_o |=> $stable(regs_i) || idle_o)
  else sva_pkg::sva_fired("WALK-25", "a register changed while a walk was under way");

  // Every read goes one level down.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   offered && mem_req_o.op == MEM_READ && !out_fresh |->
                   out_level == last_level + 2'd1)
  else sva_pkg::sva_fired("WALK-20", "a descriptor read that does not go down one level");

  // An update sets AF or clears AP[2], and nothing else; the dirty state only for a write in earnest.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   mem_valid_o && mem_req_o.op == MEM_CAS |->
                   ((before_swap ^ after_swap) & ~64'h480) == '0 && before_swap != after_swap &&
                   !(before_swap[10] && !after_swap[10]) && !(after_swap[7] && !before_swap[7]))
  else sva_pkg::sva_fired("HAF-05", "a hardware update changes other bits than AF and AP[2]");

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   mem_valid_o && mem_req_o.op == MEM_CAS && before_swap[7] && !after_swap[7] |->
                   !out_req.probe && (out_req.access == ACCESS_WRITE || out_req.access == ACCESS_RMW))
  else sva_pkg::sva_fired("WALK-23", "the dirty state is set for an access that does not write");

  // Only a valid leaf with its access flag set is kept, and none that led to a fault other than
  // Permission or Device alignment.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   done_o && done_rsp_o.rsp.cacheable |-> kept_valid && kept_af)
  else sva_pkg::sva_fired("HAF-01", "a translation with AF = 0 would be kept");

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   done_o && done_rsp_o.rsp.cacheable && done_rsp_o.rsp.fault |-> permission_fault)
  else sva_pkg::sva_fired("VMSA-47", "a faulting translation would be kept");

  // Nothing gets out, and nothing is kept, in the cycle of an invalidation.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   cancel_i |-> !wc_fill && !(done_o && done_ready_i) && !start_i && !join_i)
  else sva_pkg::sva_fired("TLBI-07", "a walk began or ended in the cycle of an invalidation");

  // Answers come to questions.
  assert property (@(posedge clk_i) disable iff (!rst_ni) mem_rsp_i.valid |-> answered)
  else sva_pkg::sva_fired("WALK-01", "the walker was answered without having asked");

  assert property (@(posedge clk_i) disable iff (!rst_ni) age_q < CycleLimit)
  else sva_pkg::sva_fired("WALK-10", "a walk does not end");

endmodule
/* verilator lint_on UNUSEDSIGNAL */

bind walker walker_sva #(.Slots(Slots)) u_sva (.*);
