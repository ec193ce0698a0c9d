// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Assertions on a memory controller: each request comes back once, the port keeps to its credits.
/* verilator lint_off UNUSEDSIGNAL */
module memory_controller_sva
  import memory_pkg::*;
#(
    parameter int unsigned IdBits = 6
) (
    input logic clk_i,
    input logic rst_ni,
    input node_config_t config_i,
    input logic push_i,
    input logic [IdBits-1:0] push_id_i,
    input logic ready_o,
    input logic done_o,
    input logic [IdBits-1:0] done_id_o,
    input logic [7:0] under_way_q
);

  logic [(1<<IdBits)-1:0] busy_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) busy_q <= '0;
    else begin
      if (done_o) busy_q[done_id_o] <= 1'b0;
      if (push_i && ready_o) busy_q[push_id_i] <= 1'b1;
    end
  end

  assert property (@(posedge clk_i) disable iff (!rst_ni) push_i && ready_o |-> !busy_q[push_id_i])
  else sva_pkg::sva_fired("MEM-12", "two requests of a memory controller have one id");

  assert property (@(posedge clk_i) disable iff (!rst_ni) done_o |-> busy_q[done_id_o])
  else sva_pkg::sva_fired("MEM-12", "a memory controller was done with a request that it did not have");

  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   config_i.port_delay != '0 |-> under_way_q <= config_i.credits)
  else sva_pkg::sva_fired("MEM-13", "more requests are under way than the port has credits");

endmodule
/* verilator lint_on UNUSEDSIGNAL */

bind memory_controller memory_controller_sva #(.IdBits(IdBits)) u_sva (.*);
