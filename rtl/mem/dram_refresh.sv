// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The refreshes that the ranks of a memory channel owe: one more each tREFI, one less with each
// REFRESH. A rank is refreshed when nothing is waiting for it; with eight owing, nothing else is begun in
// it (MEM-08).
module dram_refresh
  import dram_pkg::*;
  import memory_pkg::*;
  import socket_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input logic     timed_i,
    input clocks_t  interval_i,  // tREFI
    input instant_t now_i,

    /* verilator lint_off UNUSEDSIGNAL */  // neither row nor column
    input dram_command_t command_i,        // goes now
    /* verilator lint_on UNUSEDSIGNAL */
    input logic          idle_i,           // nothing is served

    output logic [RANKS-1:0] wanted_o,
    output logic [RANKS-1:0] pressing_o    // nothing else is begun in the rank
);

  logic [RANKS-1:0][3:0] owing_q;
  instant_t due_q[RANKS];

  logic [RANKS-1:0] done;  // the REFRESH of the rank goes now
  always_comb begin
    for (int unsigned r = 0; r < RANKS; r++) begin
      done[r] = command_i.valid && command_i.kind == DRAM_REFRESH && 32'(rank_of(command_i.bank)) == r;
      pressing_o[r] = owing_q[r] >= 4'd8;
      wanted_o[r]   = pressing_o[r] || (owing_q[r] != '0 && idle_i);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      owing_q <= '0;
      for (int unsigned r = 0; r < RANKS; r++) begin
        // Ranks take their refreshes in turn.
        due_q[r] <= instant_t'(interval_i) + instant_t'((32'(interval_i) * r) / RANKS);
      end
    end else if (timed_i) begin
      for (int unsigned r = 0; r < RANKS; r++) begin
        if (now_i == due_q[r]) begin
          due_q[r] <= now_i + instant_t'(interval_i);
          if (!done[r]) owing_q[r] <= owing_q[r] + 4'd1;
        end else if (done[r]) owing_q[r] <= owing_q[r] - 4'd1;
      end
    end
  end

endmodule
