// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Turns a TLBI operation and its operand into what the TLBs shall remove (section 11.2).
//
// Combinational. Level hints are ignored, which is always allowed, and there are no walk caches, so
// the last-level forms act as the others. The range forms are not implemented.
module tlbi_decode
  import socket_pkg::*;
  import tlb_pkg::*;
(
    input logic [5:0]  sub_i,
    input logic [63:0] operand_i,
    input logic        asid8_i,  // 8-bit ASIDs in use: operand bits 63:56 count as zero (TLBI-13)

    output logic        known_o,
    output invalidate_t inv_o
);

  tlbi_op_e op;
  assign op = tlbi_op_e'(sub_i[2:0]);

  // One core: broadcast and local operations have the same scope.
  assign known_o = sub_i[5:3] inside {TLBI_LOCAL, TLBI_IS, TLBI_OS} &&
                   op inside {TLBI_VMALL, TLBI_VA, TLBI_ASID, TLBI_VAA, TLBI_VAL, TLBI_VAAL};

  always_comb begin
    inv_o.every    = op == TLBI_VMALL;
    inv_o.by_va    = op != TLBI_ASID;
    inv_o.any_asid = op == TLBI_VAA || op == TLBI_VAAL;
    inv_o.asid     = asid8_i ? {8'd0, operand_i[55:48]} : operand_i[63:48];
    inv_o.upper    = operand_i[43];
    inv_o.vpn      = operand_i[35:0];
  end

  logic unused;
  assign unused = ^{1'b0, operand_i};

endmodule
