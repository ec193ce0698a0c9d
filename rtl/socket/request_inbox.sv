// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Takes requests from software into the clocked design.
//
// Every input of the socket meets a register first: what software drives in cycle n is in the queue
// in cycle n+1. `ready_o` therefore promises room for a request two cycles ahead. Requests leave in
// order by valid/ready.
module request_inbox
  import socket_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input  core_req_t in_i,
    output logic      ready_o,

    output core_req_t req_o,
    input  logic      req_ready_i
);

  localparam int unsigned Depth = 4;
  typedef logic [$clog2(Depth)-1:0] index_t;

  core_req_t in_q, queue_q[Depth];
  index_t head_q, tail_q;
  logic [2:0] count_q;
  logic push, pop, ready_q;

  assign push = in_q.valid;
  assign pop  = count_q != '0 && req_ready_i;

  always_comb begin
    req_o = queue_q[head_q];
    req_o.valid = count_q != '0;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      in_q <= '0;
      head_q <= '0;
      tail_q <= '0;
      count_q <= '0;
      ready_q <= 1'b0;
      for (int unsigned i = 0; i < Depth; i++) queue_q[i] <= '0;
    end else begin
      in_q.valid <= in_i.valid;
      if (in_i.valid) in_q <= in_i;
      if (push) begin
        queue_q[tail_q] <= in_q;
        tail_q <= tail_q + index_t'(1);
      end
      if (pop) head_q <= head_q + index_t'(1);
      count_q <= count_q + 3'(push) - 3'(pop);
      // Room for what is in in_q, for what software drives now, and for one more.
      ready_q <= 32'(count_q) + 32'(push) + 32'(in_i.valid) < Depth;
    end
  end

  assign ready_o = ready_q;

endmodule
