// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//
// Assertions on the queue between software and a core.
module request_inbox_sva (
    input logic clk_i,
    input logic rst_ni,
    input logic push,
    input logic [2:0] count_q
);

  assert property (@(posedge clk_i) disable iff (!rst_ni) push |-> count_q < 3'd4)
  else sva_pkg::sva_fired("MEM-12", "software drove a request that the socket had no room for");

endmodule

bind request_inbox request_inbox_sva u_sva (.*);
