// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Assertions on arbitration: nobody waits for more than one message of each other input.
module turn_arbiter_sva #(
    parameter int unsigned Inputs = 1
) (
    input logic clk_i,
    input logic rst_ni,
    input logic [Inputs-1:0] valid_i,
    input logic [Inputs-1:0] ready_o,
    input logic valid_o,
    input logic [(Inputs > 1 ? $clog2(Inputs) : 1)-1:0] from_o,
    input logic ready_i
);

  // Messages of others that passed while each input waited.
  int unsigned passed_q[Inputs];
  logic [Inputs-1:0] starved;
  always_comb begin
    for (int unsigned i = 0; i < Inputs; i++) starved[i] = passed_q[i] >= Inputs;
  end
  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Inputs; i++) begin
      if (!rst_ni || !valid_i[i] || ready_o[i]) passed_q[i] <= '0;
      else if (valid_o && ready_i) passed_q[i] <= passed_q[i] + 32'd1;
    end
  end

  assert property (@(posedge clk_i) disable iff (!rst_ni) starved == '0)
  else sva_pkg::sva_fired("NOC-08", "an input waited for more than one message of each other input");

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   valid_o && !ready_i |=> valid_o && $stable(from_o))
  else sva_pkg::sva_fired("NOC-08", "an arbiter took back what it had offered");

endmodule

bind turn_arbiter turn_arbiter_sva #(.Inputs(Inputs)) u_sva (.*);
