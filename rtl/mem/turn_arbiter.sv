// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Merges several streams into one, round robin: every input is served after at most one message of
// each other one (NOC-08).
//
// Combinational from input to output. What is offered is not changed before it is accepted, so the
// choice is kept while the output is stalled.
module turn_arbiter #(
    parameter int unsigned Inputs = 1,
    parameter int unsigned Width = 8,
    localparam int unsigned IndexBits = Inputs > 1 ? $clog2(Inputs) : 1
) (
    input logic clk_i,
    input logic rst_ni,

    input  logic [Inputs-1:0]            valid_i,
    input  logic [Inputs-1:0][Width-1:0] payload_i,
    output logic [Inputs-1:0]            ready_o,

    output logic             valid_o,
    output logic [Width-1:0] payload_o,
    output logic [IndexBits-1:0] from_o,  // the input of the message
    input  logic             ready_i
);

  typedef logic [IndexBits-1:0] index_t;
  index_t last_q, choice, held_q;
  logic stalled_q;

  always_comb begin
    choice = '0;
    for (int unsigned i = Inputs; i >= 1; i--) begin
      if (valid_i[index_t'((32'(last_q) + i) % Inputs)]) choice = index_t'((32'(last_q) + i) % Inputs);
    end
    if (stalled_q) choice = held_q;
  end

  assign valid_o   = |valid_i;
  assign payload_o = payload_i[choice];
  assign from_o    = choice;

  always_comb begin
    ready_o = '0;
    ready_o[choice] = ready_i;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      last_q <= '0;
      held_q <= '0;
      stalled_q <= 1'b0;
    end else if (valid_o) begin
      held_q <= choice;
      stalled_q <= !ready_i;
      if (ready_i) last_q <= choice;
    end
  end

endmodule
