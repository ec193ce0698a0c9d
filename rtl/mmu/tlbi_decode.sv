// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Turns a TLBI operation and its operand into what the TLBs shall remove (section 11.2).
//
// Combinational. Level hints of the single-page forms are passed on; those of the range forms are
// ignored, which is always allowed. A range of another granule than the one in use is carried out as
// it stands; one of the reserved granule names nothing.
module tlbi_decode
  import socket_pkg::*;
  import tlb_pkg::*;
  import vmsa_pkg::*;
(
    input logic [5:0]  sub_i,
    input logic [63:0] operand_i,
    input logic        asid8_i,  // 8-bit ASIDs in use: operand bits 63:56 count as zero (TLBI-13)

    output logic        known_o,
    output logic        nothing_o,    // it names no entry
    output logic        broadcast_o,
    output invalidate_t inv_o
);

  tlbi_op_e op;
  tlbi_group_e group;
  logic is_range;
  assign op    = tlbi_op_e'(sub_i[2:0]);
  assign group = tlbi_group_e'(sub_i[5:3]);
  assign is_range = group inside {TLBI_RANGE_LOCAL, TLBI_RANGE_IS, TLBI_RANGE_OS};

  assign known_o = is_range ? op inside {TLBI_VA, TLBI_VAA, TLBI_VAL, TLBI_VAAL} :
                   group inside {TLBI_LOCAL, TLBI_IS, TLBI_OS} &&
                   op inside {TLBI_VMALL, TLBI_VA, TLBI_ASID, TLBI_VAA, TLBI_VAL, TLBI_VAAL};
  assign broadcast_o = !(group inside {TLBI_LOCAL, TLBI_RANGE_LOCAL});

  // Range operand (section 11.1). TG uses the code of TTL: 1 4K, 2 16K, 3 64K.
  logic [1:0] tg;
  logic [5:0] page_shift;   // log2 of the granule in 4 KiB pages
  logic [51:0] pages, base, last;  // pages: (NUM + 1) << (5 * SCALE + 1)
  assign tg = operand_i[47:46];
  assign page_shift = {3'd0, tg - 2'd1, 1'b0};
  assign pages = (52'(operand_i[43:39]) + 52'd1) << ({2'd0, operand_i[45:44], 2'd0} + {4'd0, operand_i[45:44]} + 6'd1 + page_shift);
  assign base  = 52'(operand_i[35:0]) << page_shift;
  assign last  = base + pages - 52'd1;
  assign nothing_o = is_range && tg == 2'd0;

  granule_e hint_granule;
  always_comb begin
    unique case (operand_i[47:46])
      2'd2:    hint_granule = GRANULE_16K;
      2'd3:    hint_granule = GRANULE_64K;
      default: hint_granule = GRANULE_4K;
    endcase
  end

  always_comb begin
    inv_o.every      = op == TLBI_VMALL;
    inv_o.by_va      = op != TLBI_ASID && op != TLBI_VMALL;
    inv_o.any_asid   = op == TLBI_VAA || op == TLBI_VAAL;
    inv_o.last_level = op == TLBI_VAL || op == TLBI_VAAL;
    inv_o.asid       = asid8_i ? {8'd0, operand_i[55:48]} : operand_i[63:48];
    inv_o.granule    = hint_granule;
    inv_o.level      = operand_i[45:44];
    if (is_range) begin
      inv_o.hinted = 1'b0;
      inv_o.upper  = operand_i[36];
      inv_o.low    = base[VPN_BITS-1:0];
      // A range stops at the end of its half and does not wrap.
      inv_o.high   = last[51:VPN_BITS] != base[51:VPN_BITS] ? '1 : last[VPN_BITS-1:0];
    end else begin
      // Level 0, and level 1 with 16K, are reserved: no hint.
      inv_o.hinted = operand_i[47:46] != 2'd0 && operand_i[45:44] != 2'd0 &&
                     !(operand_i[47:46] == 2'd2 && operand_i[45:44] == 2'd1);
      inv_o.upper  = operand_i[43];
      inv_o.low    = operand_i[35:0];
      inv_o.high   = operand_i[35:0];
    end
  end

  logic unused;
  assign unused = ^{1'b0, operand_i};

endmodule
