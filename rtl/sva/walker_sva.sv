// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Assertions on table walks and hardware updates.
/* verilator lint_off UNUSEDSIGNAL */  // assertions read some fields of what they watch
module walker_sva
  import bus_pkg::*;
  import vmsa_pkg::*;
  import walk_pkg::*;
#(
    parameter int unsigned CycleLimit = 1 << 16  // far above any memory latency in use
) (
    input logic clk_i,
    input logic rst_ni,
    input logic start_i,
    input logic busy_o,
    input logic done_o,
    input regs_t regs_i,
    input walk_req_t req_q,
    input regs_t regs_q,
    input walk_rsp_t rsp_o,
    input logic [63:0] desc_q,
    input level_t level_q,
    input logic big_endian,
    input logic mem_valid_o,
    input mem_req_t mem_req_o,
    input logic mem_ready_i,
    input mem_rsp_t mem_rsp_i
);

  // Whether this walk's last descriptor was rewritten by its own update.
  logic swapping_q, swapped_q, awaiting_q;
  logic [2:0] reads_q;
  logic [31:0] age_q;
  level_t read_level_q;
  logic [63:0] expected_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || !busy_o) begin
      swapping_q <= 1'b0;
      swapped_q <= 1'b0;
      awaiting_q <= 1'b0;
      reads_q <= '0;
      age_q <= '0;
    end else begin
      age_q <= age_q + 32'd1;
      if (mem_valid_o && mem_ready_i) begin
        awaiting_q <= 1'b1;
        swapping_q <= mem_req_o.op == MEM_CAS;
        expected_q <= mem_req_o.compare;
        if (mem_req_o.op == MEM_READ) begin
          reads_q <= reads_q + 3'd1;
          read_level_q <= level_q;
        end
      end
      if (mem_rsp_i.valid) begin
        awaiting_q <= 1'b0;
        swapped_q <= swapping_q && !mem_rsp_i.error && mem_rsp_i.data == expected_q;
      end
    end
  end

  logic [63:0] before_swap, after_swap;
  assign before_swap = big_endian ? byte_swap(mem_req_o.compare) : mem_req_o.compare;
  assign after_swap  = big_endian ? byte_swap(mem_req_o.data) : mem_req_o.data;

  logic permission_fault;
  assign permission_fault = rsp_o.fault && (rsp_o.fsc[5:2] == FSC_PERMISSION[5:2] ||
                                            rsp_o.fsc == FSC_ALIGNMENT);

  // A request waits unchanged until memory takes it.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   mem_valid_o && !mem_ready_i |=> mem_valid_o && $stable(mem_req_o))
  else sva_pkg::sva_fired("WALK-01", "a walker request changed while it waited");

  // Whole, aligned descriptors only.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   mem_valid_o |-> mem_req_o.addr[2:0] == '0 && mem_req_o.strb == '1)
  else sva_pkg::sva_fired("WALK-01", "a descriptor access is not 8 aligned bytes");

  // No walk with translation off, none in a disabled range.
  assert property (@(posedge clk_i) disable iff (!rst_ni) start_i |-> regs_i.sctlr[SCTLR_M])
  else sva_pkg::sva_fired("WALK-21", "a walk started with SCTLR_EL1.M = 0");

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   busy_o |-> !(req_q.va[55] ? regs_q.tcr[23] : regs_q.tcr[7]))
  else sva_pkg::sva_fired("VMSA-09", "a walk of a range with EPD = 1");

  // Every read goes one level down.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   mem_valid_o && mem_req_o.op == MEM_READ && reads_q != '0 |->
                   level_q == read_level_q + 2'd1 && reads_q < 3'd4)
  else sva_pkg::sva_fired("WALK-20", "a descriptor read that does not go down one level");

  // An update sets AF or clears AP[2], and nothing else; the dirty state only for a write in earnest.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   mem_valid_o && mem_req_o.op == MEM_CAS |->
                   ((before_swap ^ after_swap) & ~64'h480) == '0 && before_swap != after_swap &&
                   !(before_swap[10] && !after_swap[10]) && !(after_swap[7] && !before_swap[7]))
  else sva_pkg::sva_fired("HAF-05", "a hardware update changes other bits than AF and AP[2]");

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   mem_valid_o && mem_req_o.op == MEM_CAS && before_swap[7] && !after_swap[7] |->
                   !req_q.probe && (req_q.access == ACCESS_WRITE || req_q.access == ACCESS_RMW))
  else sva_pkg::sva_fired("WALK-23", "the dirty state is set for an access that does not write");

  // Only a valid leaf with its access flag set is kept, and none that led to a fault other than
  // Permission or Device alignment.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   done_o && rsp_o.cacheable |-> desc_q[DESC_VALID] &&
                                                 (desc_q[DESC_AF] || swapped_q))
  else sva_pkg::sva_fired("HAF-01", "a translation with AF = 0 would be kept");

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   done_o && rsp_o.cacheable && rsp_o.fault |-> permission_fault)
  else sva_pkg::sva_fired("VMSA-47", "a faulting translation would be kept");

  // Answers come to questions.
  assert property (@(posedge clk_i) disable iff (!rst_ni) mem_rsp_i.valid |-> awaiting_q)
  else sva_pkg::sva_fired("WALK-01", "the walker was answered without having asked");

  assert property (@(posedge clk_i) disable iff (!rst_ni) age_q < CycleLimit)
  else sva_pkg::sva_fired("WALK-10", "a walk does not end");

endmodule
/* verilator lint_on UNUSEDSIGNAL */

bind walker walker_sva u_sva (.*);
