// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// One channel of a memory controller: takes requests into its queues, serves reads or writes in turn,
// and tells when each is done. It moves no data: the home agent has done that by the time a request comes
// here. What this module decides is when.
//
// Requests: push_i with *_ready_o of its kind in the same cycle. A read is done (done_o, done_id_o)
// at its last data beat, or in the next cycle if a queued write holds its line. A write is done when
// it is queued; writes to one line become one entry. Idle service of a read, from push to done:
// 1 + CL + burst clocks with its row open, tRCD more with the bank closed, tRP more with another row
// open (MEM-03).
//
// Writes wait until there are enough of them, or they are old and nothing else waits. Reads and writes
// take turns: a drain is as long as what was queued at its begin above the low mark, also if more comes,
// and the next one begins after the reads that waited then (MEM-07). A rank is refreshed when no read
// waits; with eight refreshes owing nothing else is begun in it, hits of open rows included (MEM-08).
module dram_channel
  import dram_pkg::*;
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

  typedef logic [$clog2(ReadEntries+1)-1:0] read_count_t;
  typedef logic [$clog2(WriteEntries+1)-1:0] write_count_t;
  typedef logic [$clog2((ReadEntries > WriteEntries ? ReadEntries : WriteEntries)+1)-1:0] turn_t;

  instant_t now_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) now_q <= '0;
    else if (timing_i.timed) now_q <= now_q + 32'd1;
  end

  dram_command_t command;  // goes now, stands at command_o in the next cycle
  logic take, take_read, take_write;
  int unsigned place;
  logic draining_q;
  assign take_read  = take && !draining_q;
  assign take_write = take && draining_q;

  // ---- what comes in --------------------------------------------------------------------------------

  queued_t pushed;
  assign pushed = '{walk: push_walk_i, at: locate(push_line_i)};

  dram_queue_if #(.Entries(ReadEntries)) read_queue ();
  dram_queue_if #(.Entries(WriteEntries)) write_queue ();
  read_count_t reads_q;
  write_count_t writes_q;
  assign reads_q  = read_queue.count_q;
  assign writes_q = write_queue.count_q;
  logic in_reads, in_writes;

  // A write stands back while an older read of its line waits (MEM-04).
  assign read_ready_o  = reads_q != read_count_t'(ReadEntries);
  assign write_ready_o = writes_q != write_count_t'(WriteEntries) && !in_reads;

  logic push_read, push_write, forwarded;
  assign push_read  = push_i && !push_write_i && read_ready_o && !in_writes;
  assign forwarded  = push_i && !push_write_i && read_ready_o && in_writes;
  assign push_write = push_i && push_write_i && write_ready_o && !in_writes;

  logic [IdBits-1:0] read_id;
  dram_queue #(
      .Entries(ReadEntries),
      .IdBits(IdBits)
  ) u_reads (
      .clk_i,
      .rst_ni,
      .now_i(now_q),
      .search_i(push_i && push_write_i),
      .request_i(pushed),
      .id_i(push_id_i),
      .push_i(push_read),
      .holds_o(in_reads),
      .take_i(take_read),
      .place_i(place),
      .id_o(read_id),
      .queue(read_queue)
  );

  logic [0:0] write_id;  // done when it was queued
  dram_queue #(
      .Entries(WriteEntries),
      .IdBits(1)
  ) u_writes (
      .clk_i,
      .rst_ni,
      .now_i(now_q),
      .search_i(push_i),
      .request_i(pushed),
      .id_i('0),
      .push_i(push_write),
      .holds_o(in_writes),
      .take_i(take_write),
      .place_i(place),
      .id_o(write_id),
      .queue(write_queue)
  );

  // ---- turns of reads and writes --------------------------------------------------------------------

  turn_t turn_left_q;  // of this drain: writes; before the next one: reads

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      draining_q  <= 1'b0;
      turn_left_q <= '0;
    end else if (reads_q != '0 || writes_q != '0 || draining_q) begin
      if (turn_left_q != '0 && take) turn_left_q <= turn_left_q - turn_t'(1);
      if (draining_q) begin
        if (writes_q == '0 || (reads_q != '0 && (turn_left_q == '0
                                                 || 32'(writes_q) <= 32'(timing_i.drain_low)))) begin
          draining_q  <= 1'b0;
          turn_left_q <= turn_t'(reads_q);
        end
      end else if ((reads_q == '0 || turn_left_q == '0)
                   && (32'(writes_q) >= 32'(timing_i.drain_high)
                       || (reads_q == '0 && writes_q != '0
                           && reached(now_q, write_queue.oldest + instant_t'(timing_i.write_age))))) begin
        draining_q  <= 1'b1;
        turn_left_q <= 32'(writes_q) > 32'(timing_i.drain_low)
            ? turn_t'(32'(writes_q) - 32'(timing_i.drain_low)) : turn_t'(writes_q);
      end
    end
  end

  // ---- the next command -----------------------------------------------------------------------------

  logic [RANKS-1:0] wanted, pressing;
  dram_refresh u_refresh (
      .clk_i,
      .rst_ni,
      .timed_i(timing_i.timed),
      .interval_i(timing_i.refi),
      .now_i(now_q),
      .command_i(command),
      .idle_i(reads_q == '0 && !draining_q),
      .wanted_o(wanted),
      .pressing_o(pressing)
  );

  instant_t data_end;
  dram_banks_if state ();
  dram_banks u_banks (
      .clk_i,
      .rst_ni,
      .timing_i,
      .now_i(now_q),
      .command_i(command),
      .data_end_o(data_end),
      .state
  );

  logic closes, aged_go, refresh_wait;
  dram_choice #(
      .ReadEntries(ReadEntries),
      .WriteEntries(WriteEntries)
  ) u_choice (
      .timing_i,
      .now_i(now_q),
      .serve_writes_i(draining_q),
      .reads(read_queue),
      .writes(write_queue),
      .wanted_i(wanted),
      .pressing_i(pressing),
      .state,
      .command_o(command),
      .take_o(take),
      .place_o(place),
      .closes_o(closes),
      .aged_go_o(aged_go),
      .refresh_wait_o(refresh_wait)
  );

  dram_command_t command_q;
  assign command_o = command_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) command_q <= '0;
    else command_q <= command;
  end

  dram_events u_events (
      .clk_i,
      .rst_ni,
      .command_i(command),
      .closes_i(closes),
      .refresh_wait_i(refresh_wait),
      .aged_go_i(aged_go),
      .forwarded_i(forwarded),
      .merged_i(push_i && push_write_i && write_ready_o && in_writes),
      .reads_i(6'(reads_q)),
      .writes_i(6'(writes_q)),
      .events_o
  );

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

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      flight_head_q <= '0;
      flight_tail_q <= '0;
      forwarded_q <= 1'b0;
      forwarded_id_q <= '0;
    end else begin
      if (take_read) begin
        flight_at_q[flight_tail_q] <= data_end - 32'd1;
        flight_id_q[flight_tail_q] <= read_id;
        flight_tail_q <= flight_tail_q + flight_t'(1);
      end
      if (landing) flight_head_q <= flight_head_q + flight_t'(1);
      forwarded_q <= forwarded;
      if (forwarded) forwarded_id_q <= push_id_i;
    end
  end

  logic unused;
  assign unused = ^{1'b0, timing_i, write_id};

endmodule
