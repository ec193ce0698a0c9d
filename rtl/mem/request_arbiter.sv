// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Merges several requesters into one stream, round robin.
//
// Combinational from request to grant; an offered request is not withdrawn or changed before it is
// accepted, so the choice is kept while the output is stalled.
module request_arbiter
  import bus_pkg::*;
#(
    parameter int unsigned Ports = 2
) (
    input logic clk_i,
    input logic rst_ni,

    input  logic     [Ports-1:0] valid_i,
    input  mem_req_t [Ports-1:0] req_i,
    output logic     [Ports-1:0] ready_o,

    output logic                     valid_o,
    output mem_req_t                 req_o,
    output logic [$clog2(Ports)-1:0] port_o,
    input  logic                     ready_i
);

  typedef logic [$clog2(Ports)-1:0] port_t;
  port_t last_q, choice, held_q;
  logic stalled_q;

  // The first requester after the last one served.
  always_comb begin
    choice = '0;
    for (int unsigned i = Ports; i >= 1; i--) begin
      if (valid_i[port_t'((32'(last_q) + i) % Ports)]) choice = port_t'((32'(last_q) + i) % Ports);
    end
    if (stalled_q) choice = held_q;
  end

  assign valid_o = |valid_i;
  assign req_o   = req_i[choice];
  assign port_o  = choice;

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
