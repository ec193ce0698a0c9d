// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// The queued reads or the queued writes of a memory channel, oldest first. What is pushed goes to the
// end; what is taken, from any place, leaves no gap. Whoever pushes sees that there is room.
module dram_queue
  import dram_pkg::*;
  import memory_pkg::*;
#(
    parameter int unsigned Entries = 32,
    parameter int unsigned IdBits = 6
) (
    input logic clk_i,
    input logic rst_ni,

    input instant_t now_i,

    // A request that comes; holds_o: its line is queued.
    input  logic              search_i,
    input  queued_t           request_i,
    input  logic [IdBits-1:0] id_i,
    input  logic              push_i,
    output logic              holds_o,

    input  logic              take_i,
    input  int unsigned       place_i,
    output logic [IdBits-1:0] id_o,     // of what stands at that place

    dram_queue_if.queue queue
);

  typedef logic [$clog2(Entries+1)-1:0] count_t;

  instant_t arrival_q[Entries];
  logic [IdBits-1:0] id_q[Entries];
  assign queue.oldest = arrival_q[0];
  assign id_o = id_q[place_i % Entries];

  always_comb begin
    holds_o = 1'b0;
    if (search_i) begin
      for (int unsigned i = 0; i < 32'(queue.count_q); i++) begin
        if (queue.entry_q[i % Entries].at == request_i.at) holds_o = 1'b1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) queue.count_q <= '0;
    else if (push_i || take_i) begin
      if (take_i) begin
        for (int unsigned i = 0; i + 1 < Entries; i++) begin
          if (i >= place_i) begin
            queue.entry_q[i] <= queue.entry_q[i+1];
            arrival_q[i] <= arrival_q[i+1];
            id_q[i] <= id_q[i+1];
          end
        end
      end
      if (push_i) begin
        queue.entry_q[(32'(queue.count_q)-32'(take_i))%Entries] <= request_i;
        arrival_q[(32'(queue.count_q)-32'(take_i))%Entries] <= now_i;
        id_q[(32'(queue.count_q)-32'(take_i))%Entries] <= id_i;
      end
      queue.count_q <= queue.count_q + count_t'(push_i) - count_t'(take_i);
    end
  end

endmodule
