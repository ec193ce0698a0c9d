// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// One channel of a memory controller: queues, the state of every bank, and the choice of one command
// a clock. It moves no data: the home agent has done that by the time a request comes here. What
// this module decides is when.
//
// Requests: push_i with *_ready_o of its kind in the same cycle. A read is done (done_o, done_id_o)
// at its last data beat, or in the next cycle if a queued write holds its line. A write is done when
// it is queued; writes to one line become one entry. Idle service of a read, from push to done:
// 1 + CL + burst clocks with its row open, tRCD more with the bank closed, tRP more with another row
// open (MEM-03).
//
// Choice: the oldest request once it is older than the age cap, then row hits, then the oldest; walks
// before others of one kind. While the oldest is over age, others may go, but nothing at its bank.
// Writes wait until there are enough of them, or they are old and nothing else waits. Reads and writes
// take turns: a drain is as long as what was queued at its begin above the low mark, also if more comes, and
// the next one begins after the reads that waited then (MEM-07). Each rank is refreshed when it is idle;
// with eight refreshes owing nothing else is begun in it, hits of open rows included (MEM-08).
module dram_channel
  import memory_pkg::*;
  import node_pmu_pkg::*;
  import socket_pkg::*;
#(
    parameter int unsigned ReadEntries = 32,
    parameter int unsigned WriteEntries = 32,
    parameter int unsigned IdBits = 6
) (
    input logic clk_i,
    input logic rst_ni,

    input node_config_t timing_i,

    input  logic              push_i,
    input  logic              push_write_i,
    input  logic              push_walk_i,   // a descriptor read or compare-and-swap
    input  logic [IdBits-1:0] push_id_i,
    input  line_t             push_line_i,
    output logic              read_ready_o,
    output logic              write_ready_o,

    output logic              done_o,
    output logic [IdBits-1:0] done_id_o,

    output dram_command_t command_o,
    output channel_events_t events_o  // in the cycle before the command stands at command_o
);

  // Within a 64-bit word: what a simulator handles fast.
  typedef struct packed {
    logic              walk;
    logic [IdBits-1:0] id;
    location_t         at;
  } entry_t;

  typedef logic [$clog2(ReadEntries+1)-1:0] read_count_t;
  typedef logic [$clog2(WriteEntries+1)-1:0] write_count_t;
  typedef logic [$clog2((ReadEntries > WriteEntries ? ReadEntries : WriteEntries)+1)-1:0] turn_t;

  instant_t now_q;

  // Oldest first.
  entry_t read_q[ReadEntries];
  entry_t write_q[WriteEntries];
  instant_t read_arrival_q[ReadEntries], write_arrival_q[WriteEntries];
  read_count_t reads_q;
  write_count_t writes_q;
  logic draining_q;
  turn_t turn_left_q;  // of this drain: writes; before the next one: reads

  // ---- state of banks, groups and ranks: the first cycle in which a command may go -----------------

  logic [BANKS-1:0] open_q;
  logic [ROW_BITS-1:0] row_q[BANKS];
  instant_t act_at_q[BANKS], pre_at_q[BANKS], col_at_q[BANKS], used_q[BANKS];
  instant_t rank_act_at_q[RANKS], group_act_at_q[RANKS*GROUPS];
  instant_t four_q[RANKS][4];  // the last four ACTIVATEs
  logic [1:0] four_next_q[RANKS];
  instant_t read_at_q, write_at_q, group_read_at_q[RANKS*GROUPS], group_write_at_q[RANKS*GROUPS];
  instant_t refresh_due_q[RANKS];
  logic [3:0] owing_q[RANKS];
  instant_t busy_until_q[RANKS];

  typedef logic [RANK_BITS-1:0] rank_t;
  typedef logic [RANK_BITS+GROUP_BITS-1:0] group_t;

  function automatic rank_t rank_of(bank_t bank);
    return rank_t'(bank >> (GROUP_BITS + BANK_BITS));
  endfunction

  function automatic group_t group_of(bank_t bank);
    return group_t'(bank >> BANK_BITS);
  endfunction

  // Instants wrap: none compared are further apart than half their range.
  function automatic logic reached(instant_t now, instant_t at);
    return signed'(now - at) >= 0;
  endfunction

  // ---- what comes in --------------------------------------------------------------------------------

  entry_t pushed;
  assign pushed = '{walk: push_walk_i, id: push_id_i, at: locate(push_line_i)};

  logic in_writes, in_reads;
  always_comb begin
    in_writes = 1'b0;
    in_reads  = 1'b0;
    if (push_i) begin
      for (int unsigned i = 0; i < WriteEntries; i++) begin
        if (i < 32'(writes_q) && write_q[i].at == pushed.at) in_writes = 1'b1;
      end
      for (int unsigned i = 0; i < ReadEntries; i++) begin
        if (i < 32'(reads_q) && read_q[i].at == pushed.at) in_reads = 1'b1;
      end
    end
  end

  // A write stands back while an older read of its line waits (MEM-04).
  assign read_ready_o  = reads_q != read_count_t'(ReadEntries);
  assign write_ready_o = writes_q != write_count_t'(WriteEntries) && !in_reads;

  logic push_read, push_write, forwarded;
  assign push_read  = push_i && !push_write_i && read_ready_o && !in_writes;
  assign forwarded  = push_i && !push_write_i && read_ready_o && in_writes;
  assign push_write = push_i && push_write_i && write_ready_o && !in_writes;

  // ---- refresh --------------------------------------------------------------------------------------

  logic [RANKS-1:0] wanted, pressing, rank_open;
  always_comb begin
    for (int unsigned r = 0; r < RANKS; r++) begin
      rank_open[r] = open_q[r*(BANKS/RANKS)+:BANKS/RANKS] != '0;
      pressing[r]  = owing_q[r] >= 4'd8;
      wanted[r]    = pressing[r] || (owing_q[r] != '0 && reads_q == '0 && !draining_q);
    end
  end

  // ---- choice ---------------------------------------------------------------------------------------

  logic serve_writes;
  assign serve_writes = draining_q;

  // Places looked at: all of a queue, and so many that a simulator keeps the loop. Unrolled it is three
  // times the code, of which most cycles need nothing.
  localparam int unsigned Entries = ReadEntries > WriteEntries ? ReadEntries : WriteEntries;
  localparam int unsigned Scan = Entries > 65 ? Entries : 65;

  // The state of the entry at place i of the queue being served.
  typedef enum logic [1:0] {
    NOTHING,   // no command for it may go now
    COLUMN,
    OPEN,
    CLOSE
  } step_e;

  dram_command_t command;
  logic take_read, take_write;
  int unsigned place;
  logic rank_pre_ready;
  logic closes;                 // a row is closed for a request
  logic aged_go, refresh_wait;   // a request goes for its age; one waits for a refresh
  logic [BANKS-1:0] hit_wanted;  // banks whose open row has a request in the queue being served

  always_comb begin
    /* verilator lint_off UNUSEDSIGNAL */  // a choice needs no id
    entry_t entry;
    /* verilator lint_on UNUSEDSIGNAL */
    bank_t bank;
    rank_t rank;
    group_t group;
    step_e step, chosen;
    logic aged, better, chosen_walk, first;
    bank_t first_bank;
    int unsigned count;

    command = '0;
    take_read = 1'b0;
    take_write = 1'b0;
    place = 0;
    hit_wanted = '0;
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
    rank_pre_ready = 1'b0;
    aged_go = 1'b0;
    refresh_wait = 1'b0;
    closes = 1'b0;
    count = serve_writes ? 32'(writes_q) : 32'(reads_q);
    aged = 1'b0;

    if (count != 0) begin
      aged = reached(now_q, (serve_writes ? write_arrival_q[0] : read_arrival_q[0])
                            + instant_t'(timing_i.age_cap));
      entry = serve_writes ? write_q[0] : read_q[0];
      first_bank = entry.at.bank;
      for (int unsigned i = 0; i < Scan; i++) begin
        if (i < count) begin
          entry = serve_writes ? write_q[i % WriteEntries] : read_q[i % ReadEntries];
          bank  = entry.at.bank;
          if (open_q[bank] && row_q[bank] == entry.at.row) hit_wanted[bank] = 1'b1;
        end
      end
      for (int unsigned i = 0; i < Scan; i++) begin
        if (i < count) begin
          entry = serve_writes ? write_q[i % WriteEntries] : read_q[i % ReadEntries];
          bank  = entry.at.bank;
          rank  = rank_of(bank);
          group = group_of(bank);
          step  = NOTHING;
          if (pressing[rank] || !reached(now_q, busy_until_q[rank])) refresh_wait = 1'b1;
          else if (aged && i != 0 && bank == first_bank) step = NOTHING;
          else if (open_q[bank] && row_q[bank] == entry.at.row) begin
            if (reached(now_q, col_at_q[bank])
                && reached(now_q, serve_writes ? write_at_q : read_at_q)
                && reached(now_q, serve_writes ? group_write_at_q[group] : group_read_at_q[group])) begin
              step = COLUMN;
            end
          end else if (!open_q[bank]) begin
            if (reached(now_q, act_at_q[bank]) && reached(now_q, rank_act_at_q[rank])
                && reached(now_q, group_act_at_q[group])
                && reached(now_q, four_q[rank][four_next_q[rank]] + instant_t'(timing_i.faw))) begin
              step = OPEN;
            end
          end else if (reached(now_q, pre_at_q[bank]) && (i == 0 && aged || !hit_wanted[bank])) begin
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
            place = i;
            command.bank = bank;
            command.row = entry.at.row;
            command.column = entry.at.column;
          end
        end
      end
    end
    unique case (chosen)
      COLUMN: begin
        command.valid = 1'b1;
        command.kind = serve_writes ? DRAM_WRITE : DRAM_READ;
        take_read = !serve_writes;
        take_write = serve_writes;
        aged_go = aged && count != 1;
      end
      OPEN: begin
        command.valid = 1'b1;
        command.kind = DRAM_ACTIVATE;
      end
      CLOSE: begin
        command.valid = 1'b1;
        command.kind = DRAM_PRECHARGE;
        closes = 1'b1;
      end
      default: ;
    endcase

    // Refresh, and rows nobody uses.
    if (!command.valid && (wanted != '0 || open_q != '0)) begin
      for (int unsigned r = 0; r < RANKS; r++) begin
        if (!command.valid && wanted[r] && reached(now_q, busy_until_q[r])) begin
          rank_pre_ready = 1'b1;
          for (int unsigned b = 0; b < BANKS / RANKS; b++) begin
            if (open_q[r*(BANKS/RANKS)+b]) begin
              rank_pre_ready &= reached(now_q, pre_at_q[r*(BANKS/RANKS)+b]);
            end else rank_pre_ready &= reached(now_q, act_at_q[r*(BANKS/RANKS)+b]);
          end
          if (rank_pre_ready) begin
            command.valid = 1'b1;
            command.bank  = bank_t'(r * (BANKS / RANKS));
            command.kind  = rank_open[r] ? DRAM_PRECHARGE_ALL : DRAM_REFRESH;
          end
        end
      end
      if (!command.valid && open_q != '0) begin
        for (int unsigned b = 0; b < BANKS; b++) begin
          if (!command.valid && open_q[b] && !hit_wanted[b] && reached(now_q, pre_at_q[b])
              && (timing_i.closed_page
                  || reached(now_q, used_q[b] + instant_t'(timing_i.page_timeout)))) begin
            command.valid = 1'b1;
            command.kind  = DRAM_PRECHARGE;
            command.bank  = bank_t'(b);
          end
        end
      end
    end
  end

  dram_command_t command_q;
  assign command_o = command_q;

  // ---- what is counted ------------------------------------------------------------------------------

  // Banks that nothing was read from or written to since their row was opened, those whose row before
  // was closed for a request, and the direction of the data bus.
  logic [BANKS-1:0] fresh_q, conflict_q;
  logic writing_q;
  logic column_go;
  assign column_go = take_read || take_write;
  assign events_o = '{
    row_hit: column_go && !fresh_q[command.bank],
    row_closed: column_go && fresh_q[command.bank] && !conflict_q[command.bank],
    row_conflict: column_go && fresh_q[command.bank] && conflict_q[command.bank],
    activate: command.valid && command.kind == DRAM_ACTIVATE,
    refresh: command.valid && command.kind == DRAM_REFRESH,
    turnaround: column_go && writing_q != serve_writes,
    refresh_wait: refresh_wait,
    age_override: aged_go,
    forwarded: forwarded,
    merged: push_i && push_write_i && write_ready_o && in_writes,
    reads: 6'(reads_q),
    writes: 6'(writes_q)
  };

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fresh_q <= '0;
      conflict_q <= '0;
      writing_q <= 1'b0;
    end else if (command.valid) begin
      unique case (command.kind)
        DRAM_ACTIVATE: fresh_q[command.bank] <= 1'b1;
        DRAM_PRECHARGE: conflict_q[command.bank] <= closes;
        DRAM_PRECHARGE_ALL: begin
          for (int unsigned b = 0; b < BANKS; b++) begin
            if (rank_of(bank_t'(b)) == rank_of(command.bank)) conflict_q[b] <= 1'b0;
          end
        end
        DRAM_READ, DRAM_WRITE: begin
          fresh_q[command.bank] <= 1'b0;
          conflict_q[command.bank] <= 1'b0;
          writing_q <= serve_writes;
        end
        default: ;
      endcase
    end
  end

  // ---- reads on their way back ----------------------------------------------------------------------

  localparam int unsigned Flight = 64;  // as many as the home agent has slots
  typedef logic [$clog2(Flight)-1:0] flight_t;
  instant_t flight_at_q[Flight];
  logic [IdBits-1:0] flight_id_q[Flight];
  flight_t flight_head_q, flight_tail_q;
  logic landing, forwarded_q;
  logic [IdBits-1:0] forwarded_id_q;
  assign landing = flight_head_q != flight_tail_q && reached(now_q, flight_at_q[flight_head_q])
      && !forwarded_q;
  assign done_o = landing || forwarded_q;
  assign done_id_o = forwarded_q ? forwarded_id_q : flight_id_q[flight_head_q];

  // ---- the next state ---------------------------------------------------------------------------------

  function automatic instant_t later(instant_t a, instant_t b);
    return reached(a, b) ? a : b;
  endfunction

  // Clocks from one column command to the next of its kind: their data must not overlap either.
  instant_t column_gap;
  assign column_gap = timing_i.ccd_s > timing_i.burst ? instant_t'(timing_i.ccd_s)
                                                      : instant_t'(timing_i.burst);

  instant_t data_end;  // the clock after the last beat of a column command going now
  assign data_end = now_q + (serve_writes ? instant_t'(timing_i.cwl) : instant_t'(timing_i.cl))
      + instant_t'(timing_i.burst);

  logic active;
  assign active = push_i || reads_q != '0 || writes_q != '0 || open_q != '0
      || flight_head_q != flight_tail_q || forwarded_q || command_q.valid;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      now_q <= '0;
      reads_q <= '0;
      writes_q <= '0;
      draining_q <= 1'b0;
      turn_left_q <= '0;
      open_q <= '0;
      command_q <= '0;
      flight_head_q <= '0;
      flight_tail_q <= '0;
      forwarded_q <= 1'b0;
      forwarded_id_q <= '0;
      read_at_q <= '0;
      write_at_q <= '0;
      for (int unsigned b = 0; b < BANKS; b++) begin
        act_at_q[b] <= '0;
        pre_at_q[b] <= '0;
        col_at_q[b] <= '0;
        used_q[b] <= '0;
        row_q[b] <= '0;
      end
      for (int unsigned g = 0; g < RANKS * GROUPS; g++) begin
        group_act_at_q[g] <= '0;
        group_read_at_q[g] <= '0;
        group_write_at_q[g] <= '0;
      end
      for (int unsigned r = 0; r < RANKS; r++) begin
        rank_act_at_q[r] <= '0;
        four_next_q[r] <= '0;
        for (int unsigned i = 0; i < 4; i++) four_q[r][i] <= '0;
        // Ranks take their refreshes in turn.
        refresh_due_q[r] <= instant_t'(timing_i.refi) + instant_t'((32'(timing_i.refi) * r) / RANKS);
        owing_q[r] <= '0;
        busy_until_q[r] <= '0;
      end
    end else if (timing_i.timed) begin
      now_q <= now_q + 32'd1;
      for (int unsigned r = 0; r < RANKS; r++) begin
        if (now_q == refresh_due_q[r]) begin
          refresh_due_q[r] <= now_q + instant_t'(timing_i.refi);
          if (!(command.valid && command.kind == DRAM_REFRESH && 32'(rank_of(command.bank)) == r)) begin
            owing_q[r] <= owing_q[r] + 4'd1;
          end
        end else if (command.valid && command.kind == DRAM_REFRESH && 32'(rank_of(command.bank)) == r) begin
          owing_q[r] <= owing_q[r] - 4'd1;
        end
      end
      command_q <= command;
      if (command.valid) begin
        unique case (command.kind)
          DRAM_ACTIVATE: begin
            open_q[command.bank] <= 1'b1;
            row_q[command.bank] <= command.row;
            used_q[command.bank] <= now_q;
            col_at_q[command.bank] <= now_q + instant_t'(timing_i.rcd);
            pre_at_q[command.bank] <= now_q + instant_t'(timing_i.ras);
            act_at_q[command.bank] <= now_q + instant_t'(timing_i.rc);
            rank_act_at_q[rank_of(command.bank)] <= now_q + instant_t'(timing_i.rrd_s);
            group_act_at_q[group_of(command.bank)] <= now_q + instant_t'(timing_i.rrd_l);
            four_q[rank_of(command.bank)][four_next_q[rank_of(command.bank)]] <= now_q;
            four_next_q[rank_of(command.bank)] <= four_next_q[rank_of(command.bank)] + 2'd1;
          end
          DRAM_PRECHARGE: begin
            open_q[command.bank] <= 1'b0;
            act_at_q[command.bank] <= later(act_at_q[command.bank], now_q + instant_t'(timing_i.rp));
          end
          DRAM_PRECHARGE_ALL: begin
            for (int unsigned b = 0; b < BANKS; b++) begin
              if (rank_of(bank_t'(b)) == rank_of(command.bank)) begin
                open_q[b] <= 1'b0;
                act_at_q[b] <= later(act_at_q[b], now_q + instant_t'(timing_i.rp));
              end
            end
          end
          DRAM_REFRESH: busy_until_q[rank_of(command.bank)] <= now_q + instant_t'(timing_i.rfc);
          DRAM_READ, DRAM_WRITE: begin
            used_q[command.bank] <= now_q;
            for (int unsigned g = 0; g < RANKS * GROUPS; g++) begin
              if (g == 32'(group_of(command.bank))) begin
                group_read_at_q[g] <= serve_writes ? data_end + instant_t'(timing_i.wtr_l)
                                                   : now_q + instant_t'(timing_i.ccd_l);
                group_write_at_q[g] <= now_q + instant_t'(timing_i.ccd_l);
              end
            end
            read_at_q <= serve_writes ? data_end + instant_t'(timing_i.wtr_s)
                                      : now_q + column_gap;
            // A write's data follows a read's after two clocks of turnaround.
            write_at_q <= serve_writes ? now_q + column_gap
                : later(data_end + 32'd2 - instant_t'(timing_i.cwl), now_q + instant_t'(timing_i.ccd_s));
            pre_at_q[command.bank] <= later(pre_at_q[command.bank],
                serve_writes ? data_end + instant_t'(timing_i.wr) : now_q + instant_t'(timing_i.rtp));
          end
          default: ;
        endcase
      end

      // Queues.
      if (active) begin
        if (take_read) begin
          for (int unsigned i = 0; i + 1 < ReadEntries; i++) begin
            if (i >= place) begin
              read_q[i] <= read_q[i+1];
              read_arrival_q[i] <= read_arrival_q[i+1];
            end
          end
          flight_at_q[flight_tail_q] <= data_end - 32'd1;
          flight_id_q[flight_tail_q] <= read_q[place % ReadEntries].id;
          flight_tail_q <= flight_tail_q + flight_t'(1);
        end
        if (push_read) begin
          read_q[(32'(reads_q) - 32'(take_read)) % ReadEntries] <= pushed;
          read_arrival_q[(32'(reads_q) - 32'(take_read)) % ReadEntries] <= now_q;
        end
        reads_q <= reads_q + read_count_t'(push_read) - read_count_t'(take_read);
        if (take_write) begin
          for (int unsigned i = 0; i + 1 < WriteEntries; i++) begin
            if (i >= place) begin
              write_q[i] <= write_q[i+1];
              write_arrival_q[i] <= write_arrival_q[i+1];
            end
          end
        end
        if (push_write) begin
          write_q[(32'(writes_q) - 32'(take_write)) % WriteEntries] <= pushed;
          write_arrival_q[(32'(writes_q) - 32'(take_write)) % WriteEntries] <= now_q;
        end
        writes_q <= writes_q + write_count_t'(push_write) - write_count_t'(take_write);

        if (turn_left_q != '0 && (take_read || take_write)) turn_left_q <= turn_left_q - turn_t'(1);
        if (draining_q) begin
          if (writes_q == '0 || (reads_q != '0 && (turn_left_q == '0
                                                   || 32'(writes_q) <= 32'(timing_i.drain_low)))) begin
            draining_q  <= 1'b0;
            turn_left_q <= turn_t'(reads_q);
          end
        end else if ((reads_q == '0 || turn_left_q == '0)
                     && (32'(writes_q) >= 32'(timing_i.drain_high)
                         || (reads_q == '0 && writes_q != '0 && reached(
            now_q, write_arrival_q[0] + instant_t'(timing_i.write_age)
        )))) begin
          draining_q  <= 1'b1;
          turn_left_q <= 32'(writes_q) > 32'(timing_i.drain_low)
              ? turn_t'(32'(writes_q) - 32'(timing_i.drain_low)) : turn_t'(writes_q);
        end

        if (landing) flight_head_q <= flight_head_q + flight_t'(1);
        forwarded_q <= forwarded;
        forwarded_id_q <= push_id_i;
      end
    end
  end

  logic unused;
  assign unused = ^{1'b0, timing_i};

endmodule
