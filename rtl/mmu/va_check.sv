// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// What can be said of an access from its address and the registers alone, before any lookup: whether
// translation is off, and the faults that stand above a TLB hit (section 7, items 1 to 4).
//
// Combinational.
module va_check
  import vmsa_pkg::*;
(
    input regs_t       regs_i,
    input logic [63:0] va_i,
    input logic        fetch_i,
    input logic        el1_i,
    input logic        misaligned_i,  // an alignment fault whatever the memory type

    output logic bypass_o,  // SCTLR_EL1.M = 0: the output address is the input address
    output logic epd_o,     // the range is not walked: an access that misses the TLB faults
    output logic fault_o,
    output fsc_t fsc_o
);

  range_t range;
  assign range = tcr_range(regs_i.tcr, va_i[55]);

  // VMSA-07: TBI can be kept from instruction fetches. Ignored tag bits are taken out of the check.
  logic tbi;
  logic [63:0] checked, iasize_up;
  assign tbi = range.tbi && !(fetch_i && range.tbid);
  assign checked = tbi ? 64'h00ff_ffff_ffff_ffff : '1;
  assign iasize_up = {64{1'b1}} << (7'd64 - 7'(range.txsz));

  logic out_of_range, out_of_pa;
  assign out_of_range = ((va_i ^ {64{va_i[55]}}) & checked & iasize_up) != '0;       // VMSA-05
  assign out_of_pa    = (va_i & checked & ({64{1'b1}} << PA_BITS)) != '0;            // VMSA-02

  assign epd_o    = range.epd;
  assign bypass_o = !regs_i.sctlr[SCTLR_M];

  always_comb begin
    fault_o = 1'b0;
    fsc_o   = FSC_TRANSLATION;
    if (misaligned_i) begin
      fault_o = 1'b1;
      fsc_o   = FSC_ALIGNMENT;
    end else if (bypass_o) begin
      fault_o = out_of_pa;
      fsc_o   = FSC_ADDRESS_SIZE;
    end else begin
      fault_o = !txsz_legal(range) || out_of_range || (range.e0pd && !el1_i);        // VMSA-41
    end
  end

  logic unused;
  assign unused = ^{1'b0, range.hpd, regs_i};

endmodule
