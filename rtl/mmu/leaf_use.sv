// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// What a translation means for one access: output address, memory attributes, permission.
//
// Combinational.
module leaf_use
  import socket_pkg::*;
  import vmsa_pkg::*;
(
    input regs_t       regs_i,
    input core_op_e    op_i,
    input access_e     access_i,
    input logic        el1_i,
    input logic        pan_i,
    input logic [63:0] va_i,
    input logic        bypass_i,  // translation is off
    input leaf_t       leaf_i,
    input vpn_t        span_i,

    output pa_t         pa_o,
    output logic [7:0]  attr_o,
    output logic [1:0]  sh_o,
    output permission_t permission_o
);

  // The VA, as far as it takes part in the output address.
  pa_t here;
  assign here = va_i[PA_BITS-1:0];
  assign pa_o = bypass_i ? here :
                {(leaf_i.oa & span_i) | (here[PA_BITS-1:12] & ~span_i), here[11:0]};

  logic cache_off;
  assign cache_off = op_i == OP_FETCH ? !regs_i.sctlr[SCTLR_I] : !regs_i.sctlr[SCTLR_C];
  always_comb begin
    attr_o = leaf_i.attr;
    sh_o   = leaf_i.sh;
    if (bypass_i) begin  // VMSA-03
      attr_o = op_i != OP_FETCH ? ATTR_DEVICE_NGNRNE : cache_off ? ATTR_NORMAL_NC
                                                                 : ATTR_NORMAL_WT_RA;
      sh_o = SH_OUTER;
    end else if (cache_off && !is_device(leaf_i.attr)) begin  // VMSA-61
      attr_o = ATTR_NORMAL_NC;
      sh_o   = SH_OUTER;
    end
  end

  assign permission_o = check_permission(leaf_i, access_i, el1_i, pan_i, regs_i.sctlr[SCTLR_EPAN],
                                         regs_i.sctlr[SCTLR_WXN]);

  logic unused;
  assign unused = ^{1'b0, regs_i, va_i};

endmodule
