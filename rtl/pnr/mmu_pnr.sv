// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The MMU of one core behind four pins, for place and route only: a chip has far fewer pins than the
// MMU has ports.
//
// Every input of the MMU is a bit of a shift register, so that tools can assume nothing about it; every
// output goes to a register of its own, and from there through registered XORs to one pin, so that
// nothing is unused. Both sides of the MMU meet registers, as they do in the socket.
module mmu_pnr
  import bus_pkg::*;
  import dvm_pkg::dvm_msg_t;
  import socket_pkg::*;
#(
    parameter int unsigned ItlbEntries = 32,
    parameter int unsigned DtlbEntries = 48,
    parameter int unsigned L2SetsLog2 = 8,
    parameter int unsigned L2Ways = 5,
    parameter int unsigned WalkCacheEntries = 16,
    parameter int unsigned Walkers = 4
) (
    input  logic clk_i,
    input  logic rst_ni,
    input  logic serial_i,
    output logic serial_o
);

  typedef struct packed {
    strap_t                    strap;
    logic [DELAY_CHANNELS-1:0] go;
    logic [7:0]                core;
    core_req_t                 req;
    logic                      data_remote;
    logic                      data_ready;
    mem_rsp_t                  data_rsp;
    logic                      walk_remote;
    logic                      walk_ready;
    mem_rsp_t                  walk_rsp;
    logic                      dvm_ready;
    logic                      dvm_done;
    logic                      dvm_valid;
    dvm_msg_t                  dvm;
    logic [7:0]                pmu_index;
  } inputs_t;

  typedef struct packed {
    logic        req_ready;
    core_rsp_t   rsp;
    core_obs_t   obs;
    logic        data_valid;
    mem_req_t    data_req;
    logic        walk_valid;
    mem_req_t    walk_req;
    logic        dvm_valid;
    dvm_msg_t    dvm;
    logic        dvm_ready;
    logic        dvm_answer;
    logic [7:0]  dvm_answer_to;
    logic [63:0] pmu_value;
  } outputs_t;

  localparam int unsigned InBits = $bits(inputs_t);
  localparam int unsigned OutBits = $bits(outputs_t);
  localparam int unsigned Fold = 4;  // one look-up table for each bit of the next stage
  localparam int unsigned OutBits1 = (OutBits + Fold - 1) / Fold;
  localparam int unsigned OutBits2 = (OutBits1 + Fold - 1) / Fold;
  localparam int unsigned OutBits3 = (OutBits2 + Fold - 1) / Fold;
  localparam int unsigned OutBits4 = (OutBits3 + Fold - 1) / Fold;

  logic rst_nq;
  inputs_t in_q;
  outputs_t out, out_q;
  logic [OutBits1-1:0] fold1_q;
  logic [OutBits2-1:0] fold2_q;
  logic [OutBits3-1:0] fold3_q;
  logic [OutBits4-1:0] fold4_q;

  logic [Fold*OutBits1-1:0] wide0;
  logic [Fold*OutBits2-1:0] wide1;
  logic [Fold*OutBits3-1:0] wide2;
  logic [Fold*OutBits4-1:0] wide3;
  always_comb begin
    wide0 = '0;
    wide1 = '0;
    wide2 = '0;
    wide3 = '0;
    wide0[OutBits-1:0]  = out_q;
    wide1[OutBits1-1:0] = fold1_q;
    wide2[OutBits2-1:0] = fold2_q;
    wide3[OutBits3-1:0] = fold3_q;
  end

  always_ff @(posedge clk_i) begin
    rst_nq <= rst_ni;
    in_q   <= {in_q[InBits-2:0], serial_i};
    out_q  <= out;
    for (int unsigned i = 0; i < OutBits1; i++) fold1_q[i] <= ^wide0[Fold*i+:Fold];
    for (int unsigned i = 0; i < OutBits2; i++) fold2_q[i] <= ^wide1[Fold*i+:Fold];
    for (int unsigned i = 0; i < OutBits3; i++) fold3_q[i] <= ^wide2[Fold*i+:Fold];
    for (int unsigned i = 0; i < OutBits4; i++) fold4_q[i] <= ^wide3[Fold*i+:Fold];
    serial_o <= ^fold4_q;
  end

  mmu #(
      .ItlbEntries(ItlbEntries),
      .DtlbEntries(DtlbEntries),
      .L2SetsLog2(L2SetsLog2),
      .L2Ways(L2Ways),
      .WalkCacheEntries(WalkCacheEntries),
      .Walkers(Walkers)
  ) u_mmu (
      .clk_i,
      .rst_ni(rst_nq),
      .strap_i(in_q.strap),
      .go_i(in_q.go),
      .core_i(in_q.core),
      .req_i(in_q.req),
      .req_ready_o(out.req_ready),
      .rsp_o(out.rsp),
      .obs_o(out.obs),
      .data_valid_o(out.data_valid),
      .data_req_o(out.data_req),
      .data_remote_i(in_q.data_remote),
      .data_ready_i(in_q.data_ready),
      .data_rsp_i(in_q.data_rsp),
      .walk_valid_o(out.walk_valid),
      .walk_req_o(out.walk_req),
      .walk_remote_i(in_q.walk_remote),
      .walk_ready_i(in_q.walk_ready),
      .walk_rsp_i(in_q.walk_rsp),
      .dvm_valid_o(out.dvm_valid),
      .dvm_o(out.dvm),
      .dvm_ready_i(in_q.dvm_ready),
      .dvm_done_i(in_q.dvm_done),
      .dvm_valid_i(in_q.dvm_valid),
      .dvm_i(in_q.dvm),
      .dvm_ready_o(out.dvm_ready),
      .dvm_answer_o(out.dvm_answer),
      .dvm_answer_to_o(out.dvm_answer_to),
      .pmu_index_i(in_q.pmu_index),
      .pmu_value_o(out.pmu_value)
  );

endmodule
