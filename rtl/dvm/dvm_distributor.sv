// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Gives every INV and SYNC to every core, the sender included, and collects the answers to SYNCs.
//
// One message a cycle, round robin over the senders; a message moves on when every core has room for
// it, so that all cores get all messages in one order (DVM-01, DVM-08). A core that has room again
// needs nothing from another core to make more, so this cannot deadlock (DVM-06). done_o is 1 for
// one cycle when all have answered the SYNC of that core. Latency: one cycle.
module dvm_distributor
  import dvm_pkg::*;
#(
    parameter int unsigned Cores = 1
) (
    input logic clk_i,
    input logic rst_ni,

    input  logic     [Cores-1:0] valid_i,
    input  dvm_msg_t [Cores-1:0] msg_i,
    output logic     [Cores-1:0] ready_o,
    output logic     [Cores-1:0] done_o,

    output logic                 valid_o,
    output dvm_msg_t             msg_o,
    input  logic     [Cores-1:0] ready_i,

    input logic [Cores-1:0]      answer_i,
    input logic [Cores-1:0][7:0] answer_to_i
);

  localparam int unsigned IndexBits = Cores > 1 ? $clog2(Cores) : 1;
  typedef logic [IndexBits-1:0] index_t;

  index_t last_q, choice;
  always_comb begin
    choice = '0;
    for (int unsigned i = Cores; i >= 1; i--) begin
      if (valid_i[index_t'((32'(last_q) + i) % Cores)]) choice = index_t'((32'(last_q) + i) % Cores);
    end
  end

  // The message stands in a register until every core takes it in the same cycle.
  logic valid_q, take;
  dvm_msg_t msg_q;
  assign take    = !valid_q || &ready_i;
  assign valid_o = valid_q && &ready_i;
  assign msg_o   = msg_q;

  always_comb begin
    ready_o = '0;
    ready_o[choice] = take;
  end

  // Who has yet to answer each core's SYNC.
  logic [Cores-1:0] open_q[Cores];
  logic [Cores-1:0] open_d[Cores];
  always_comb begin
    for (int unsigned p = 0; p < Cores; p++) begin
      open_d[p] = open_q[p];
      for (int unsigned c = 0; c < Cores; c++) begin
        if (answer_i[c] && answer_to_i[c] == 8'(p)) open_d[p][c] = 1'b0;
      end
      done_o[p] = open_q[p] != '0 && open_d[p] == '0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      last_q <= '0;
      valid_q <= 1'b0;
      msg_q <= '0;
      for (int unsigned p = 0; p < Cores; p++) open_q[p] <= '0;
    end else if (valid_q || valid_i != '0 || answer_i != '0) begin
      if (take) begin
        valid_q <= valid_i != '0;
        msg_q <= msg_i[choice];
        if (valid_i != '0) last_q <= choice;
      end
      for (int unsigned p = 0; p < Cores; p++) begin
        open_q[p] <= valid_o && msg_q.sync && msg_q.source == 8'(p) ? '1 : open_d[p];
      end
    end
  end

endmodule
