// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Where a walk begins: level and address of its first descriptor, from the registers, or from the
// table that the walk cache remembers.
//
// Combinational.
module walk_setup
  import vmsa_pkg::*;
(
    input regs_t       regs_i,
    input logic [63:0] va_i,

    input logic   cached_i,  // begin at the table that the descriptor of cached_level_i names
    input level_t cached_level_i,
    input pa_t    cached_table_i,

    output level_t level_o,
    output pa_t    addr_o,
    output logic   too_big_o  // the base register lies beyond the output size
);

  range_t range;
  logic [5:0] iasize;
  assign range  = tcr_range(regs_i.tcr, va_i[55]);
  assign iasize = 6'(7'd64 - 7'(range.txsz));

  // VMSA-12: at the start level only bits below IASIZE index the table.
  pa_t va_in_range;
  assign va_in_range = va_i[PA_BITS-1:0] & ones_below(iasize);

  // The base is aligned to the size of the (partial) start table (section 1.1).
  level_t first_level;
  pa_t base;
  assign first_level = start_level(range.granule, iasize);
  assign base = pa_t'({va_i[55] ? regs_i.ttbr1[47:1] : regs_i.ttbr0[47:1], 1'b0}) &
                ~ones_below(iasize - level_lsb(range.granule, first_level) + 6'd3);

  assign level_o   = cached_i ? cached_level_i + 2'd1 : first_level;
  assign addr_o    = (cached_i ? cached_table_i : base) |
                     descriptor_offset(range.granule, level_o, va_in_range);
  assign too_big_o = !cached_i && (base & beyond_output_size(regs_i.tcr[34:32])) != '0;

  logic unused;
  assign unused = ^{1'b0, regs_i, va_i, range};

endmodule
