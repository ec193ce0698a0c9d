// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// One class of messages from one node to another: a fixed delay, and a limit of bandwidth.
//
// Both sides are valid/ready. A message leaves delay_i clocks after it came in, or later if tokens
// for its bytes or the receiver are missing (NOC-04); with Direct, no delay and nothing before it, in
// the same cycle, else in the next one at the earliest. Messages leave in the order in which they came
// (NOC-06), also if delay_i differs from one to the next. With an output that is always ready, at most
// Depth under way are never refused. Tokens: rate bytes of 256 clocks, up to burst; a message may go
// when there are any, and the debt is paid before the next.
module delay_link
  import memory_pkg::*;
#(
    parameter int unsigned Width = 8,
    parameter int unsigned Depth = 32,
    parameter bit Direct = 1'b1
) (
    input logic clk_i,
    input logic rst_ni,

    input clocks_t      delay_i,
    input link_config_t limit_i,

    input  logic             valid_i,
    input  logic [Width-1:0] payload_i,
    input  logic [6:0]       bytes_i,
    output logic             ready_o,

    output logic             valid_o,
    output logic [Width-1:0] payload_o,
    input  logic             ready_i,

    output logic stalled_o  // a message waits for tokens
);

  typedef logic [$clog2(Depth)-1:0] index_t;

  logic [15:0] now_q;
  logic [Width-1:0] payload_q[Depth];
  logic [15:0] due_q[Depth];
  logic [6:0] bytes_q[Depth];
  index_t head_q;
  logic [$clog2(Depth):0] count_q;

  // Tokens in units of 1/256 byte; bit 25 is the sign.
  logic signed [25:0] tokens_q;
  logic limited, may_go, through, arrived;
  logic [15:0] left;
  assign limited = limit_i.rate != '0;
  assign may_go  = !limited || tokens_q > 0;
  assign left    = due_q[head_q] - now_q;
  assign arrived = count_q != '0 && (left == '0 || left[15]);
  assign through = Direct && count_q == '0 && delay_i == '0 && may_go;

  assign ready_o   = through ? ready_i : count_q != ($clog2(Depth)+1)'(Depth);
  assign valid_o   = through ? valid_i : arrived && may_go;
  assign payload_o = through ? payload_i : payload_q[head_q];
  assign stalled_o = !may_go && arrived;

  logic push, pop, sent;
  logic [6:0] sent_bytes;
  assign push = valid_i && ready_o && !through;
  assign pop  = arrived && may_go && ready_i;
  assign sent = valid_o && ready_i;
  assign sent_bytes = through ? bytes_i : bytes_q[head_q];

  logic signed [25:0] most;
  assign most = signed'({2'b0, limit_i.burst, 8'b0});

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      now_q <= '0;
      head_q <= '0;
      count_q <= '0;
      tokens_q <= '0;
    end else begin
      now_q <= now_q + 16'd1;
      if (push) begin
        payload_q[head_q + index_t'(count_q)] <= payload_i;
        due_q[head_q + index_t'(count_q)] <= now_q + delay_i;
        bytes_q[head_q + index_t'(count_q)] <= bytes_i;
      end
      if (pop) head_q <= head_q + index_t'(1);
      if (push != pop) count_q <= push ? count_q + 1'b1 : count_q - 1'b1;
      if (limited && (sent || tokens_q < most)) begin
        tokens_q <= (tokens_q + signed'({10'b0, limit_i.rate}) > most ? most
                     : tokens_q + signed'({10'b0, limit_i.rate}))
            - (sent ? signed'({11'b0, sent_bytes, 8'b0}) : 26'sd0);
      end
    end
  end

endmodule
