// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The system registers of one core's stage 1. A write shows from the next cycle. Reset clears them,
// so translation starts off.
module mmu_regs
  import socket_pkg::*;
  import vmsa_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input  logic        write_i,
    input  logic [5:0]  index_i,
    input  logic [63:0] value_i,
    output logic        known_o,  // the register exists
    output regs_t       regs_o
);

  regs_t regs_q;
  assign regs_o  = regs_q;
  assign known_o = index_i <= REG_SCTLR;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      regs_q <= '0;
    end else if (write_i) begin
      unique case (index_i)
        REG_TTBR0: regs_q.ttbr0 <= value_i;
        REG_TTBR1: regs_q.ttbr1 <= value_i;
        REG_TCR:   regs_q.tcr <= value_i;
        REG_MAIR:  regs_q.mair <= value_i;
        REG_SCTLR: regs_q.sctlr <= value_i;
        default:   ;
      endcase
    end
  end

endmodule
