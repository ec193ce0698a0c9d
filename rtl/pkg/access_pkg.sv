// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// What stays of an access once its translation is done, and small facts about accesses.
package access_pkg;

  import socket_pkg::*;
  import vmsa_pkg::*;

  // All that the response of an access in memory needs.
  typedef struct packed {
    core_op_e    op;
    logic [15:0] id;
    logic [1:0]  size;
    logic [63:0] va;
    pa_t         pa;
    logic [7:0]  attr;
    logic [1:0]  sh;
    hit_place_e  place;
    logic        lookup;
    logic        walked;
    logic        split;  // one half of an access that crosses an 8-byte boundary
  } done_t;

  function automatic logic translates(core_op_e op);
    return op inside {OP_LOAD, OP_STORE, OP_CAS, OP_FETCH, OP_AT};
  endfunction

  /* verilator lint_off UNUSEDSIGNAL */
  function automatic access_e access_of(core_op_e op, logic [5:0] sub);
    unique case (op)
      OP_STORE: return ACCESS_WRITE;
      OP_CAS:   return ACCESS_RMW;
      OP_FETCH: return ACCESS_EXEC;
      OP_AT:    return sub[0] ? ACCESS_WRITE : ACCESS_READ;
      default:  return ACCESS_READ;
    endcase
  endfunction
  /* verilator lint_on UNUSEDSIGNAL */

  // log2 of the bytes that an access touches.
  function automatic logic [1:0] size_of(core_op_e op, logic [1:0] size);
    return op == OP_FETCH ? 2'd2 : op == OP_AT ? 2'd0 : size;
  endfunction

  function automatic logic is_unaligned(logic [2:0] va, logic [1:0] size);
    return (size >= 2'd1 && va[0]) || (size >= 2'd2 && va[1]) || (size == 2'd3 && va[2]);
  endfunction

  // Whether it touches bytes of two 8-byte words.
  function automatic logic crosses_word(logic [2:0] va, logic [1:0] size);
    return ({8'd0, byte_mask(size)} << va) > 16'h00ff;
  endfunction

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
