// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Makes the response of an access that memory has answered, or else of the operation that stage B
// answers. The lane is a register: one cycle of latency.
module response_lane
  import access_pkg::*;
  import socket_pkg::*;
  import vmsa_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input logic        done_i,        // memory has answered; it has the lane first
    input done_t       done_access_i,
    input logic        done_error_i,
    input logic [63:0] done_data_i,

    input logic         respond_i,    // stage B answers, if the lane is free
    input done_t        b_i,
    input logic         b_fault_i,
    input fsc_t         b_fsc_i,
    input logic         b_wnr_i,
    input logic         b_undef_i,
    input logic [127:0] b_data_i,     // of an access across an 8-byte boundary

    output core_rsp_t rsp_o
);

  core_rsp_t rsp_q, rsp_d;

  always_comb begin
    rsp_d = '0;
    if (done_i) begin
      rsp_d.valid = 1'b1;
      rsp_d.fault = done_error_i;
      rsp_d.fsc   = done_error_i ? FSC_EXTERNAL : '0;
      rsp_d.wnr   = done_error_i && done_access_i.op == OP_STORE;
      rsp_d.op    = done_access_i.op;
      rsp_d.id    = done_access_i.id;
      rsp_d.va    = done_access_i.va;
      rsp_d.pa    = 64'(done_access_i.pa);
      rsp_d.attr  = done_access_i.attr;
      rsp_d.sh    = done_access_i.sh;
      rsp_d.place = done_access_i.place;
      rsp_d.lookup = done_access_i.lookup;
      rsp_d.walked = done_access_i.walked;
      rsp_d.data  = (done_data_i >> {done_access_i.va[2:0], 3'd0}) & size_mask(done_access_i.size);
    end else if (respond_i) begin
      rsp_d.valid = 1'b1;
      rsp_d.fault = b_fault_i;
      rsp_d.fsc   = b_fsc_i;
      rsp_d.wnr   = b_fault_i && (b_i.op == OP_AT || b_wnr_i);
      rsp_d.cm    = b_fault_i && b_i.op == OP_AT;  // VMSA-51
      rsp_d.undef = b_undef_i;
      rsp_d.op    = b_i.op;
      rsp_d.id    = b_i.id;
      rsp_d.va    = b_i.va;
      rsp_d.place = b_i.place;
      rsp_d.lookup = b_i.lookup;
      rsp_d.walked = b_i.walked;
      if (translates(b_i.op)) begin
        rsp_d.pa   = 64'(b_i.pa);
        rsp_d.attr = b_fault_i ? '0 : b_i.attr;
        rsp_d.sh   = b_fault_i ? '0 : b_i.sh;
      end
      if (b_i.split) rsp_d.data = 64'(b_data_i >> {b_i.va[2:0], 3'd0}) & size_mask(b_i.size);
    end
    if (rsp_d.fault) begin
      rsp_d.pa   = '0;
      rsp_d.data = '0;
    end
    if (rsp_d.op == OP_STORE) rsp_d.data = '0;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) rsp_q <= '0;
    else if (done_i || respond_i || rsp_q.valid) rsp_q <= rsp_d;
  end

  assign rsp_o = rsp_q;

  logic unused;
  assign unused = ^{1'b0, done_access_i, b_i};

endmodule
