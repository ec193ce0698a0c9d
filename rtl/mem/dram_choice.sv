// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The command that a memory channel sends next, if one may go.
//
// The oldest request once it is older than the age cap, then row hits, then the oldest; walks before
// others of one kind. While the oldest is over age, others may go, but nothing at its bank. When nothing
// goes for a request: refreshes, and rows that nobody uses. Combinational.
module dram_choice
  import dram_pkg::*;
  import memory_pkg::*;
  import socket_pkg::*;
#(
    parameter int unsigned ReadEntries = 32,
    parameter int unsigned WriteEntries = 32
) (
    /* verilator lint_off UNUSEDSIGNAL */  // of the timing what no command leaves behind
    input node_config_t timing_i,
    /* verilator lint_on UNUSEDSIGNAL */
    input instant_t     now_i,

    // The queues; one of them is served.
    input logic serve_writes_i,
    dram_queue_if.choice reads,
    dram_queue_if.choice writes,

    // Refresh.
    input logic [RANKS-1:0] wanted_i,
    input logic [RANKS-1:0] pressing_i,

    dram_banks_if.choice state,

    output dram_command_t command_o,
    output logic          take_o,         // a column command: the request at that place is served
    output int unsigned   place_o,
    output logic          closes_o,       // a row is closed for a request
    output logic          aged_go_o,      // a request goes for its age
    output logic          refresh_wait_o  // one waits for a refresh
);

  // What may go now for a request.
  typedef enum logic [1:0] {
    NOTHING,
    COLUMN,
    OPEN,
    CLOSE
  } step_e;

  logic [BANKS-1:0] hit_wanted;  // banks whose open row has a request in the queue being served
  logic rank_ready;

  always_comb begin
    queued_t entry;
    bank_t bank, first_bank;
    rank_t rank;
    group_t group;
    step_e step, chosen;
    logic aged, better, chosen_walk, first;
    int unsigned count;

    command_o = '0;
    take_o = 1'b0;
    place_o = 0;
    closes_o = 1'b0;
    aged_go_o = 1'b0;
    refresh_wait_o = 1'b0;
    hit_wanted = '0;
    rank_ready = 1'b0;
    chosen = NOTHING;
    chosen_walk = 1'b0;
    entry = '0;
    bank = '0;
    rank = '0;
    group = '0;
    step = NOTHING;
    better = 1'b0;
    first = 1'b0;
    first_bank = '0;
    aged = 1'b0;
    count = serve_writes_i ? 32'(writes.count_q) : 32'(reads.count_q);

    if (count != 0) begin
      aged = reached(now_i, (serve_writes_i ? writes.oldest : reads.oldest)
                            + instant_t'(timing_i.age_cap));
      entry = serve_writes_i ? writes.entry_q[0] : reads.entry_q[0];
      first_bank = entry.at.bank;
      for (int unsigned i = 0; i < count; i++) begin
        entry = serve_writes_i ? writes.entry_q[i % WriteEntries] : reads.entry_q[i % ReadEntries];
        bank  = entry.at.bank;
        if (state.open_q[bank] && state.row_q[bank] == entry.at.row) hit_wanted[bank] = 1'b1;
      end
      for (int unsigned i = 0; i < count; i++) begin
        entry = serve_writes_i ? writes.entry_q[i % WriteEntries] : reads.entry_q[i % ReadEntries];
        bank  = entry.at.bank;
        rank  = rank_of(bank);
        group = group_of(bank);
        step  = NOTHING;
        if (pressing_i[rank] || !reached(now_i, state.busy_until_q[rank])) refresh_wait_o = 1'b1;
        else if (aged && i != 0 && bank == first_bank) step = NOTHING;
        else if (state.open_q[bank] && state.row_q[bank] == entry.at.row) begin
          if (reached(now_i, state.col_at_q[bank])
              && reached(now_i, serve_writes_i ? state.write_at_q : state.read_at_q)
              && reached(now_i, serve_writes_i ? state.group_write_at_q[group]
                                               : state.group_read_at_q[group])) begin
            step = COLUMN;
          end
        end else if (!state.open_q[bank]) begin
          if (reached(now_i, state.act_at_q[bank]) && reached(now_i, state.rank_act_at_q[rank])
              && reached(now_i, state.group_act_at_q[group])
              && reached(now_i, state.four_at_q[rank][state.four_next_q[rank]])) begin
            step = OPEN;
          end
        end else if (reached(now_i, state.pre_at_q[bank]) && (i == 0 && aged || !hit_wanted[bank])) begin
          step = CLOSE;
        end
        better = step != NOTHING && !first
            && (chosen == NOTHING || (step == COLUMN && chosen != COLUMN)
                || (timing_i.walks_first && entry.walk && !chosen_walk
                    && (step == COLUMN) == (chosen == COLUMN)));
        if (better) begin
          chosen = step;
          chosen_walk = entry.walk;
          first = aged && i == 0;
          place_o = i;
          command_o.bank = bank;
          command_o.row = entry.at.row;
          command_o.column = entry.at.column;
        end
      end
    end
    unique case (chosen)
      COLUMN: begin
        command_o.valid = 1'b1;
        command_o.kind = serve_writes_i ? DRAM_WRITE : DRAM_READ;
        take_o = 1'b1;
        aged_go_o = aged && count != 1;
      end
      OPEN: begin
        command_o.valid = 1'b1;
        command_o.kind = DRAM_ACTIVATE;
      end
      CLOSE: begin
        command_o.valid = 1'b1;
        command_o.kind = DRAM_PRECHARGE;
        closes_o = 1'b1;
      end
      default: ;
    endcase

    // Refresh, and rows nobody uses.
    if (!command_o.valid && (wanted_i != '0 || state.open_q != '0)) begin
      for (int unsigned r = 0; r < RANKS; r++) begin
        if (!command_o.valid && wanted_i[r] && reached(now_i, state.busy_until_q[r])) begin
          rank_ready = 1'b1;
          for (int unsigned b = r * (BANKS / RANKS); b < (r + 1) * (BANKS / RANKS); b++) begin
            rank_ready &= reached(now_i, state.open_q[b] ? state.pre_at_q[b] : state.act_at_q[b]);
          end
          if (rank_ready) begin
            command_o.valid = 1'b1;
            command_o.bank = bank_t'(r * (BANKS / RANKS));
            command_o.kind = state.open_q[r*(BANKS/RANKS)+:BANKS/RANKS] != '0 ? DRAM_PRECHARGE_ALL
                                                                              : DRAM_REFRESH;
          end
        end
      end
      if (!command_o.valid && state.open_q != '0) begin
        for (int unsigned b = 0; b < BANKS; b++) begin
          if (!command_o.valid && state.open_q[b] && !hit_wanted[b] && reached(now_i, state.pre_at_q[b])
              && (timing_i.closed_page
                  || reached(now_i, state.used_q[b] + instant_t'(timing_i.page_timeout)))) begin
            command_o.valid = 1'b1;
            command_o.kind  = DRAM_PRECHARGE;
            command_o.bank  = bank_t'(b);
          end
        end
      end
    end
  end

endmodule
