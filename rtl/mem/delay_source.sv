// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Pseudo-random permission to proceed, to inject delays for tests: on a channel that is switched on,
// go_o is 1 in about one cycle of four, and never for long 0.
//
// A Fibonacci register of 32 bits, started from the seed and an index of this instance.
module delay_source
  import socket_pkg::DELAY_CHANNELS;
#(
    parameter logic [7:0] Index = 8'd0
) (
    input logic clk_i,
    input logic rst_ni,

    input  logic [DELAY_CHANNELS-1:0] channels_i,
    input  logic [15:0]               seed_i,
    output logic [DELAY_CHANNELS-1:0] go_o
);

  logic [31:0] lfsr_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) lfsr_q <= {8'ha5, Index, seed_i};
    else if (channels_i != '0) begin
      lfsr_q <= {lfsr_q[30:0], lfsr_q[31] ^ lfsr_q[21] ^ lfsr_q[1] ^ lfsr_q[0]};
    end
  end

  always_comb begin
    for (int unsigned i = 0; i < DELAY_CHANNELS; i++) begin
      go_o[i] = !channels_i[i] || lfsr_q[5*i+:2] == 2'd0;
    end
  end

endmodule
