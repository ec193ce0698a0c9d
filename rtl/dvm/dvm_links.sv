// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The way of invalidation messages between the distributor and the cores: what goes to or comes from
// a core of another node takes as long as the distance between the two (DVM-10).
//
// A message is accepted when there is room for it on the way to every core (valid_i with all of
// ready_o), and reaches each core in the order in which it was accepted (DVM-08). Answers are always
// accepted: a core has one SYNC outstanding, so no more are under way than there are cores. Without
// distance, messages and answers pass in the cycle in which they come.
module dvm_links
  import dvm_pkg::*;
  import memory_pkg::*;
#(
    parameter int unsigned CoresPerNode = 1,
    parameter int unsigned CpuNodes = 1,
    localparam int unsigned Cores = CoresPerNode * CpuNodes
) (
    input logic clk_i,
    input logic rst_ni,

    input clocks_t [CpuNodes-1:0][CpuNodes-1:0] distance_i,

    input  logic                 valid_i,
    input  dvm_msg_t             msg_i,
    output logic     [Cores-1:0] ready_o,

    output logic     [Cores-1:0] valid_o,  // only while that core is ready
    output dvm_msg_t [Cores-1:0] msg_o,
    input  logic     [Cores-1:0] ready_i,

    input  logic [Cores-1:0]      answer_i,
    input  logic [Cores-1:0][7:0] answer_to_i,
    output logic [Cores-1:0]      answer_o,
    output logic [Cores-1:0][7:0] answer_to_o
);

  localparam int unsigned AnswerDepth = Cores > 2 ? 1 << $clog2(Cores) : 2;

  for (genvar c = 0; c < Cores; c++) begin : gen_core
    localparam int unsigned Node = c / CoresPerNode;
    logic valid, room, stalled_in, stalled_back, ready_back;
    clocks_t delay_in, delay_back;
    assign delay_in   = distance_i[(32'(msg_i.source) / CoresPerNode) % CpuNodes][Node];
    assign delay_back = distance_i[Node][(32'(answer_to_i[c]) / CoresPerNode) % CpuNodes];

    delay_link #(
        .Width($bits(dvm_msg_t)),
        .Depth(4)
    ) u_in (
        .clk_i,
        .rst_ni,
        .delay_i(delay_in),
        .limit_i('0),
        .valid_i,
        .payload_i(msg_i),
        .bytes_i('0),
        .ready_o(ready_o[c]),
        .valid_o(valid),
        .payload_o(msg_o[c]),
        .ready_i(room),
        .stalled_o(stalled_in)
    );
    assign room       = ready_i[c];
    assign valid_o[c] = valid && room;

    delay_link #(
        .Width(8),
        .Depth(AnswerDepth)
    ) u_back (
        .clk_i,
        .rst_ni,
        .delay_i(delay_back),
        .limit_i('0),
        .valid_i(answer_i[c]),
        .payload_i(answer_to_i[c]),
        .bytes_i('0),
        .ready_o(ready_back),
        .valid_o(answer_o[c]),
        .payload_o(answer_to_o[c]),
        .ready_i(1'b1),
        .stalled_o(stalled_back)
    );

    logic unused;
    assign unused = ^{1'b0, stalled_in, stalled_back, ready_back};
  end

endmodule
