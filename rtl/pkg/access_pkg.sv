// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// What stays of an access once its translation is done: all that its response needs.
package access_pkg;

  import socket_pkg::*;
  import vmsa_pkg::*;

  typedef struct packed {
    core_op_e    op;
    logic [15:0] id;
    logic [1:0]  size;
    logic [63:0] va;
    pa_t         pa;
    logic [7:0]  attr;
    logic [1:0]  sh;
    hit_place_e  place;
    logic        split;  // one half of an access that crosses an 8-byte boundary
  } done_t;

  function automatic logic [7:0] byte_mask(logic [1:0] size);
    unique case (size)
      2'd0:    return 8'h01;
      2'd1:    return 8'h03;
      2'd2:    return 8'h0f;
      default: return 8'hff;
    endcase
  endfunction

  function automatic logic [63:0] size_mask(logic [1:0] size);
    unique case (size)
      2'd0:    return 64'h0000_0000_0000_00ff;
      2'd1:    return 64'h0000_0000_0000_ffff;
      2'd2:    return 64'h0000_0000_ffff_ffff;
      default: return '1;
    endcase
  endfunction

endpackage
