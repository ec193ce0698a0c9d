// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// What a memory channel tells the counters of its node: of each column command whether its row was open,
// closed, or in the way of another, and on which side the data bus was.
module dram_events
  import dram_pkg::*;
  import memory_pkg::*;
  import node_pmu_pkg::*;
  import socket_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    /* verilator lint_off UNUSEDSIGNAL */  // neither row nor column
    input dram_command_t command_i,        // goes now
    /* verilator lint_on UNUSEDSIGNAL */
    input logic closes_i,                  // and closes a row for a request
    input logic refresh_wait_i,
    input logic aged_go_i,
    input logic forwarded_i,
    input logic merged_i,
    input logic [5:0] reads_i,
    input logic [5:0] writes_i,

    output channel_events_t events_o
);

  // Banks that nothing was read from or written to since their row was opened, those whose row before
  // was closed for a request, and the direction of the data bus.
  logic [BANKS-1:0] fresh_q, conflict_q;
  logic writing_q;
  logic column_go, write;
  assign write = command_i.kind == DRAM_WRITE;
  assign column_go = command_i.valid && (write || command_i.kind == DRAM_READ);
  assign events_o = '{
    row_hit: column_go && !fresh_q[command_i.bank],
    row_closed: column_go && fresh_q[command_i.bank] && !conflict_q[command_i.bank],
    row_conflict: column_go && fresh_q[command_i.bank] && conflict_q[command_i.bank],
    activate: command_i.valid && command_i.kind == DRAM_ACTIVATE,
    refresh: command_i.valid && command_i.kind == DRAM_REFRESH,
    turnaround: column_go && writing_q != write,
    refresh_wait: refresh_wait_i,
    age_override: aged_go_i,
    forwarded: forwarded_i,
    merged: merged_i,
    reads: reads_i,
    writes: writes_i
  };

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fresh_q <= '0;
      conflict_q <= '0;
      writing_q <= 1'b0;
    end else if (command_i.valid) begin
      unique case (command_i.kind)
        DRAM_ACTIVATE: fresh_q[command_i.bank] <= 1'b1;
        DRAM_PRECHARGE: conflict_q[command_i.bank] <= closes_i;
        DRAM_PRECHARGE_ALL: begin
          for (int unsigned b = 0; b < BANKS; b++) begin
            if (rank_of(bank_t'(b)) == rank_of(command_i.bank)) conflict_q[b] <= 1'b0;
          end
        end
        DRAM_READ, DRAM_WRITE: begin
          fresh_q[command_i.bank] <= 1'b0;
          conflict_q[command_i.bank] <= 1'b0;
          writing_q <= write;
        end
        default: ;
      endcase
    end
  end

endmodule
