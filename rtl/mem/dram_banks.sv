// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The open rows of a memory channel, and for every bank, group and rank the first cycle in which a command
// may go (MEM-01, MEM-02): what each command that goes leaves behind.
module dram_banks
  import dram_pkg::*;
  import memory_pkg::*;
  import socket_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input node_config_t timing_i,
    input instant_t     now_i,

    /* verilator lint_off UNUSEDSIGNAL */  // no column
    input dram_command_t command_i,        // goes now
    /* verilator lint_on UNUSEDSIGNAL */
    output instant_t data_end_o,           // the clock after its last beat, if it is a column command

    dram_banks_if.banks state
);

  logic write;
  assign write = command_i.kind == DRAM_WRITE;

  // Clocks from one column command to the next of its kind: their data must not overlap either.
  instant_t column_gap;
  assign column_gap = timing_i.ccd_s > timing_i.burst ? instant_t'(timing_i.ccd_s)
                                                      : instant_t'(timing_i.burst);

  assign data_end_o = now_i + (write ? instant_t'(timing_i.cwl) : instant_t'(timing_i.cl))
      + instant_t'(timing_i.burst);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state.open_q <= '0;
      state.read_at_q <= '0;
      state.write_at_q <= '0;
      for (int unsigned b = 0; b < BANKS; b++) begin
        state.act_at_q[b] <= '0;
        state.pre_at_q[b] <= '0;
        state.col_at_q[b] <= '0;
        state.used_q[b] <= '0;
        state.row_q[b] <= '0;
      end
      for (int unsigned g = 0; g < RANKS * GROUPS; g++) begin
        state.group_act_at_q[g] <= '0;
        state.group_read_at_q[g] <= '0;
        state.group_write_at_q[g] <= '0;
      end
      for (int unsigned r = 0; r < RANKS; r++) begin
        state.rank_act_at_q[r] <= '0;
        state.four_next_q[r] <= '0;
        for (int unsigned i = 0; i < 4; i++) state.four_at_q[r][i] <= instant_t'(timing_i.faw);
        state.busy_until_q[r] <= '0;
      end
    end else if (command_i.valid) begin
      unique case (command_i.kind)
        DRAM_ACTIVATE: begin
          state.open_q[command_i.bank] <= 1'b1;
          state.row_q[command_i.bank] <= command_i.row;
          state.used_q[command_i.bank] <= now_i;
          state.col_at_q[command_i.bank] <= now_i + instant_t'(timing_i.rcd);
          state.pre_at_q[command_i.bank] <= now_i + instant_t'(timing_i.ras);
          state.act_at_q[command_i.bank] <= now_i + instant_t'(timing_i.rc);
          state.rank_act_at_q[rank_of(command_i.bank)] <= now_i + instant_t'(timing_i.rrd_s);
          state.group_act_at_q[group_of(command_i.bank)] <= now_i + instant_t'(timing_i.rrd_l);
          state.four_at_q[rank_of(command_i.bank)][state.four_next_q[rank_of(command_i.bank)]]
              <= now_i + instant_t'(timing_i.faw);
          state.four_next_q[rank_of(command_i.bank)] <= state.four_next_q[rank_of(command_i.bank)] + 2'd1;
        end
        DRAM_PRECHARGE: begin
          state.open_q[command_i.bank] <= 1'b0;
          state.act_at_q[command_i.bank]
              <= later(state.act_at_q[command_i.bank], now_i + instant_t'(timing_i.rp));
        end
        DRAM_PRECHARGE_ALL: begin
          for (int unsigned b = 0; b < BANKS; b++) begin
            if (rank_of(bank_t'(b)) == rank_of(command_i.bank)) begin
              state.open_q[b] <= 1'b0;
              state.act_at_q[b] <= later(state.act_at_q[b], now_i + instant_t'(timing_i.rp));
            end
          end
        end
        DRAM_REFRESH: state.busy_until_q[rank_of(command_i.bank)] <= now_i + instant_t'(timing_i.rfc);
        DRAM_READ, DRAM_WRITE: begin
          state.used_q[command_i.bank] <= now_i;
          state.group_read_at_q[group_of(command_i.bank)] <= write ? data_end_o + instant_t'(timing_i.wtr_l)
                                                             : now_i + instant_t'(timing_i.ccd_l);
          state.group_write_at_q[group_of(command_i.bank)] <= now_i + instant_t'(timing_i.ccd_l);
          state.read_at_q <= write ? data_end_o + instant_t'(timing_i.wtr_s) : now_i + column_gap;
          // A write's data follows a read's after two clocks of turnaround.
          state.write_at_q <= write ? now_i + column_gap
              : later(data_end_o + 32'd2 - instant_t'(timing_i.cwl), now_i + instant_t'(timing_i.ccd_s));
          state.pre_at_q[command_i.bank] <= later(state.pre_at_q[command_i.bank],
              write ? data_end_o + instant_t'(timing_i.wr) : now_i + instant_t'(timing_i.rtp));
        end
        default: ;
      endcase
    end
  end

  logic unused;
  assign unused = ^{1'b0, timing_i};

endmodule
