// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Assertions on a memory channel: what the stream of its commands does not show.
/* verilator lint_off UNUSEDSIGNAL */
module dram_channel_sva
  import memory_pkg::*;
#(
    parameter int unsigned ReadEntries = 32,
    parameter int unsigned WriteEntries = 32
) (
    input logic clk_i,
    input logic rst_ni,
    input node_config_t timing_i,
    input instant_t now_q,
    input logic push_i,
    input logic push_write_i,
    input logic read_ready_o,
    input logic write_ready_o,
    input logic push_read,
    input logic push_write,
    input logic forwarded,
    input logic in_writes,
    input logic in_reads,
    input logic take_read,
    input logic take_write,
    input logic draining_q,
    input logic landing,
    input logic [5:0] flight_head_q,
    input logic [5:0] flight_tail_q,
    input logic [$clog2(ReadEntries+1)-1:0] reads_q,
    input logic [$clog2(WriteEntries+1)-1:0] writes_q,
    input logic [RANKS-1:0][3:0] owing
);

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   32'(reads_q) <= ReadEntries && 32'(writes_q) <= WriteEntries)
  else sva_pkg::sva_fired("MEM-12", "the count of a memory channel's queue is out of range");

  logic postponed;
  always_comb begin
    postponed = 1'b0;
    for (int unsigned r = 0; r < RANKS; r++) if (owing[r] > 4'd8) postponed = 1'b1;
  end
  assert property (@(posedge clk_i) disable iff (!rst_ni) !postponed)
  else sva_pkg::sva_fired("MEM-08", "more than eight refreshes of a rank are owing");

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   push_i && push_write_i && write_ready_o |-> !in_reads)
  else sva_pkg::sva_fired("MEM-04", "a write joined the queue before an older read of its line left");

  // Reads wait for a drain until as many writes are left as it ends at, and for no more of them than
  // were above that at its begin. Of fewer, as when they were old, it takes what there was.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   draining_q && reads_q != '0 && 32'(writes_q) <= 32'(timing_i.drain_low) |=> !draining_q)
  else sva_pkg::sva_fired("MEM-07", "a drain went on below the low mark while reads waited");

  int unsigned queued_q, drained_q, most;
  assign most = queued_q > 32'(timing_i.drain_low) ? queued_q - 32'(timing_i.drain_low) : queued_q;
  always_ff @(posedge clk_i) begin
    if (!draining_q) begin
      queued_q  <= 32'(writes_q);
      drained_q <= 0;
    end else if (take_write) drained_q <= drained_q + 1;
  end
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   draining_q && reads_q != '0 && drained_q >= most |=> !draining_q)
  else sva_pkg::sva_fired("MEM-07", "a drain let reads wait for more writes than were queued at its begin");

  // What is taken is a read, a forwarded read, a write, or a write that joins one of its line.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   push_i && (push_write_i ? write_ready_o : read_ready_o)
                   |-> $onehot({push_read, forwarded, push_write, push_write_i && in_writes}))
  else sva_pkg::sva_fired("MEM-12", "a request of a memory channel went nowhere, or to two places");

  // When the last data of each read under way comes. They cannot be more than there are places: each has
  // an id of the controller, of which there are as many.
  instant_t end_q[64];
  always_ff @(posedge clk_i) begin
    if (take_read) end_q[flight_tail_q] <= now_q + 32'(timing_i.cl) + 32'(timing_i.burst) - 32'd1;
  end
  logic early;
  assign early = landing && signed'(now_q - end_q[flight_head_q]) < 0;
  assert property (@(posedge clk_i) disable iff (!rst_ni) !early)
  else sva_pkg::sva_fired("MEM-03", "a read was done before its last data");

endmodule
/* verilator lint_on UNUSEDSIGNAL */

bind dram_channel dram_channel_sva #(
    .ReadEntries(ReadEntries),
    .WriteEntries(WriteEntries)
) u_sva (
    .owing(u_refresh.owing_q),
    .*
);
